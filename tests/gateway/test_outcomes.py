"""Signed callbacks: what is taken is in the engine, what is not is told in one line an item."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.channels import BounceTokens
from domain import OutcomeKind
from gateway.app import Bounces, OutcomeKeys, create_app
from gateway.outcomes import MAX_OUTCOMES, MAX_OUTCOMES_BYTES
from ledger import Ledger
from tests.channels.support import KEY, LINKS, closed_port, http_server
from tests.gateway.reporting import KEYS, NEXT, OURS, THEIRS, Office, opened, signature, statuses
from workflows import AccountClient, tutti_plugin

ROOT = Path(__file__).resolve().parents[2]


@pytest_asyncio.fixture(loop_scope="session")
async def office(temporal: WorkflowEnvironment, ledger: Ledger) -> AsyncIterator[Office]:
    async with opened(temporal.client, ledger) as made:
        yield made


async def test_an_outcome_that_was_accepted_is_in_the_engine(office: Office) -> None:
    answer = await office.post(office.report())

    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "results": [{"index": 0, "status": "accepted", "outcome_id": "evt-1", "error": None}],
    }
    (outcome,) = await office.arrived()
    assert (outcome.kind, outcome.touch_id) == (OutcomeKind.REPLY, f"{office.account_id}/p-1/1")


async def test_the_good_items_of_a_batch_count(office: Office) -> None:
    other = office.report(outcome_id="evt-3", touch_id="contoso/p-1/1")
    stranger = office.report(outcome_id="evt-4", touch_id="nobody/p-1/1") | {"account_id": "nobody"}

    answer = await office.post(
        [
            office.report(),
            office.report(kind="telepathy"),
            other,
            stranger,
            "garbage",
            office.report(outcome_id="evt-6", source="sms"),
            office.report(outcome_id="evt-7", touch_id="nurture:m-1"),
        ]
    )

    assert answer.status_code == 202
    assert statuses(answer) == [
        "accepted",
        "refused",
        "refused",
        "unknown_account",
        "refused",
        "refused",
        "accepted",
    ]
    errors = [result["error"] for result in answer.json()["results"]]
    assert errors[1].startswith("outcome.kind: Input should be 'reply',")
    assert errors[2] == "touch contoso/p-1/1 belongs to another account"
    assert errors[3] == "there is no account nobody"
    assert errors[4].startswith("item: Input should be")
    assert errors[5].startswith("outcome.source: must be email or begin with email:")
    assert {outcome.outcome_id for outcome in await office.arrived()} == {"evt-1", "evt-7"}


async def test_a_full_batch_is_taken_at_once(office: Office) -> None:
    batch = [office.report(outcome_id=f"evt-{n}", detail="x" * 300) for n in range(MAX_OUTCOMES)]

    answer = await office.post(batch)

    assert (answer.status_code, answer.json()["accepted"]) == (202, MAX_OUTCOMES)
    assert len({outcome.outcome_id for outcome in await office.arrived()}) == MAX_OUTCOMES
    assert (await office.post([*batch, batch[0]])).status_code == 400
    assert (await office.post([])).status_code == 400


async def test_nothing_good_is_no_success(office: Office) -> None:
    assert (await office.post(office.report(touch_id="contoso/p-1/1"))).status_code == 422
    unknown = office.report(touch_id="nobody/p-1/1") | {"account_id": "nobody"}
    assert (await office.post(unknown)).status_code == 404
    assert await office.arrived() == []


@pytest.mark.parametrize("secret", [OURS, NEXT])
async def test_while_a_secret_is_replaced_both_are_valid(office: Office, secret: str) -> None:
    assert (await office.post(office.report(), secret=secret)).status_code == 202


async def test_the_sources_of_one_channel_share_its_secret(office: Office) -> None:
    assert (await office.post(office.report(source="email:ses"))).status_code == 202
    assert (await office.post(office.report(source="emails"))).status_code == 422


async def test_the_common_secret_speaks_for_channels_that_have_none_only(office: Office) -> None:
    sms = office.report(source="sms")

    assert (await office.post(sms, channel="sms", secret=THEIRS)).status_code == 202
    assert (await office.post(sms, channel="sms", secret=OURS)).status_code == 401
    assert (await office.post(office.report(), secret=THEIRS)).status_code == 401


async def test_no_other_secret_speaks_for_a_part_of_a_channel(office: Office) -> None:
    ses = office.report(source="email:ses")

    assert (await office.post(ses, channel="email:ses", secret=THEIRS)).status_code == 401
    assert (await office.post(ses, channel="email:ses", secret=OURS)).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1,not base64 at all"},
        {"webhook-signature": "nonsense"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,é"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-id": "msg-2"},
        {"webhook-id": ""},
    ],
)
async def test_a_signature_that_does_not_fit_is_refused(office: Office, headers: dict[str, str]) -> None:
    content = json.dumps(office.report()).encode()
    signed = (signature(content, OURS) | headers).items()

    answer = await office.http.post(
        "/v1/outcomes/email",
        content=content,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in signed],
    )

    assert answer.status_code == 401
    assert answer.json() == {"error": "the signature is missing, wrong or older than five minutes"}
    assert await office.arrived() == []


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_a_signature_of_another_time_is_refused(office: Office, minutes: int) -> None:
    content = json.dumps(office.report()).encode()
    old = signature(content, OURS, datetime.now(UTC) + timedelta(minutes=minutes))

    assert (await office.post(content, headers=old)).status_code == 401


async def test_a_body_that_was_changed_on_the_way_is_refused(office: Office) -> None:
    signed = signature(json.dumps(office.report()).encode(), OURS)

    assert (await office.post(office.report(kind="bounce"), headers=signed)).status_code == 401


@pytest.mark.parametrize("channel", ["bounces", "bounces:ses", "unsubscribe"])
async def test_nobody_speaks_for_the_gateway_itself(office: Office, channel: str) -> None:
    forged = office.report(source=channel)

    assert (await office.post(forged, channel=channel, secret=THEIRS)).status_code == 401


async def test_without_any_secret_nobody_can_report(temporal: WorkflowEnvironment, ledger: Ledger) -> None:
    async with opened(temporal.client, ledger, keys=OutcomeKeys()) as closed:
        assert (await closed.post(closed.report())).status_code == 401


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "s" * 40, "whsec_é"])
def test_a_secret_that_is_none_is_named_by_its_variable(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^TUTTI_OUTCOMES_SECRETS, channel 'email': write whsec_") as raised:
        OutcomeKeys({"email": [SecretStr(secret)]})
    assert not secret or secret not in str(raised.value).replace("write whsec_", "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"account_id": NaN}',
        b"[" * 60_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"account_id": "\xff"}',
        b'"\\ud800"',
        b"[]",
    ],
)
async def test_a_body_that_is_no_json_is_told_in_one_line(office: Office, body: bytes) -> None:
    answer = await office.post(body)

    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"at": 10**400},
        {"at": 1e300},
        {"at": "9999-12-31T23:59:59-10:00"},
        {"at": "2026-03-02T09:30:00"},
        {"outcome_id": "a b"},
        {"outcome_id": {"deep": [[[[]]]]}},
        {"detail": "x" * 301},
        {"detail": "two\nlines"},
        {"contact_id": "ada@example.com"},
        {"kind": None},
        {"ada@example.com\n": 1},
    ],
)
async def test_a_poisoned_item_is_told_in_one_line_that_repeats_no_value(
    office: Office, changes: dict[str, object]
) -> None:
    answer = await office.post([office.report(**changes), office.report(outcome_id="good")])

    assert answer.status_code == 202
    assert statuses(answer) == ["refused", "accepted"]
    error = answer.json()["results"][0]["error"]
    assert error.startswith("outcome.")
    assert error.isprintable()


async def test_a_callback_that_is_too_long_is_refused(office: Office) -> None:
    assert (await office.post(b" " * (MAX_OUTCOMES_BYTES + 1))).status_code == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = ("outcome_id", "source", "touch_id", "kind", "at", "contact_id", "detail")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=JSON, changes=st.dictionaries(st.sampled_from(MEMBERS), JSON, min_size=1, max_size=3))
async def test_whatever_a_provider_makes_up_gets_a_clear_answer(
    office: Office, junk: object, changes: dict[str, object]
) -> None:
    for body in (junk, [junk, office.report(**changes)], {"account_id": junk, "outcome": junk}):
        answer = await office.post(body)

        assert answer.status_code in {202, 400, 404, 422}
        if answer.status_code != 400:
            for result in answer.json()["results"]:
                assert result["status"] in {"accepted", "refused", "unknown_account"}
                assert (result["error"] is None) == (result["status"] == "accepted")


async def test_while_the_engine_is_away_a_callback_is_to_be_repeated(ledger: Ledger) -> None:
    client = await Client.connect(f"127.0.0.1:{closed_port()}", lazy=True, plugins=[tutti_plugin()])
    app = create_app(
        ledger=ledger,
        accounts=AccountClient(client),
        links=LINKS,
        outcome_keys=KEYS,
        bounces=Bounces(BounceTokens(KEY)),
    )
    async with http_server(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        away = Office(http, client, "northwind")
        answer = await away.post([*(away.report(outcome_id=f"evt-{n}") for n in range(200)), "garbage"])

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert set(statuses(answer)[:-1]) == {"unavailable"}
    assert statuses(answer)[-1] == "refused"


async def test_the_description_shows_how_a_callback_looks(office: Office) -> None:
    operation = (await office.http.get("/openapi.json")).json()["paths"]["/v1/outcomes/{channel}"]["post"]

    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == {"one", "many"}
    named = {parameter["name"] for parameter in operation["parameters"]}
    assert named == {"channel", "webhook-id", "webhook-timestamp", "webhook-signature"}
    assert {"202", "400", "401", "404", "413", "422", "503"} <= set(operation["responses"])
    one = json.loads(json.dumps(examples["one"]["value"]).replace("northwind", office.account_id))
    assert (await office.post(one)).status_code == 202


_TOOLS = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")),
    reason="the shell's example needs curl and openssl",
)


@pytest.mark.parametrize("language", ["python", pytest.param("sh", marks=_TOOLS)])
async def test_the_examples_of_the_manual_work(office: Office, tmp_path: Path, language: str) -> None:
    manual = (ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8")
    (example,) = [
        block for block in re.findall(rf"```{language}\n(.*?)```", manual, re.DOTALL) if "evt-4711" in block
    ]
    script = tmp_path / "example"
    script.write_text(example.replace("northwind", office.account_id), encoding="utf-8")
    program = [sys.executable] if language == "python" else ["sh", "-e"]

    process = await asyncio.create_subprocess_exec(
        *program,
        script,
        env=os.environ | {"SECRET": OURS, "GATEWAY": str(office.http.base_url).rstrip("/"), "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert (process.returncode, b'"accepted":1' in out) == (0, True)
    assert [outcome.outcome_id for outcome in await office.arrived()] == ["evt-4711"]
