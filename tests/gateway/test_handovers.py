import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from activities.channels import BounceTokens
from domain import Observation, Outcome, Receipt, ReceiptStatus
from gateway.app import Bounces, OutcomeKeys, create_app
from gateway.handovers import MAX_HANDOVER_BYTES
from ledger import Ledger
from tests.channels.support import ADA, KEY, LINKS, NOW, a_touch, broken, http_server, settled

TOKEN = "t" * 32
HEADERS = {"authorization": f"Bearer {TOKEN}"}


class Nobody:
    """No account is ever told anything by this API."""

    async def observe(self, account_id: str, observations: Sequence[Observation]) -> None:
        raise AssertionError(account_id, observations)

    async def report_outcome(self, account_id: str, outcome: Outcome) -> None:
        raise AssertionError(account_id, outcome)


def an_app(ledger: Ledger, token: SecretStr | None) -> FastAPI:
    return create_app(
        ledger=ledger,
        accounts=Nobody(),
        links=LINKS,
        outcome_keys=OutcomeKeys(),
        bounces=Bounces(BounceTokens(KEY)),
        channel_token=token,
    )


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(ledger: Ledger) -> AsyncIterator[httpx.AsyncClient]:
    app = an_app(ledger, SecretStr(TOKEN))
    async with (
        http_server(app) as url,
        httpx.AsyncClient(
            base_url=f"{url}/v1/handovers", headers=HEADERS, trust_env=False, timeout=20
        ) as client,
    ):
        yield client


def question(**changes: object) -> dict[str, Any]:
    return {"touch": a_touch(**changes).model_dump(mode="json"), "reference": "ref-1"}


def report(status: ReceiptStatus, **changes: object) -> dict[str, Any]:
    receipt = Receipt(touch_id=a_touch().touch_id, status=status, at=NOW)
    return {"channel": "email", "receipt": receipt.model_copy(update=changes).model_dump(mode="json")}


async def objected(ledger: Ledger) -> None:
    await ledger.suppress(ADA, account_id="other", contact_id="x", source="test", at=NOW)


async def test_a_touch_is_claimed_once_and_its_receipt_answers_every_later_attempt(
    gateway: httpx.AsyncClient, ledger: Ledger
) -> None:
    first = await gateway.post("/claim", json=question())
    told = await gateway.post("/settle", json=report(ReceiptStatus.ACCEPTED, provider_ref="ref-1"))
    second = await gateway.post("/claim", json=question())

    assert (first.status_code, first.json()) == (200, {"answer": "go"})
    assert told.json()["receipt"]["status"] == "accepted"
    assert second.json()["answer"] == "settled"
    assert second.json()["receipt"] == told.json()["receipt"]
    assert await settled(ledger, a_touch()) is ReceiptStatus.ACCEPTED


async def test_of_many_claims_at_once_one_may_go(gateway: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(gateway.post("/claim", json=question()) for _ in range(12)))

    told = [answer.json()["answer"] for answer in answers]
    assert told.count("go") == 1
    assert set(told) == {"go", "open"}


async def test_an_attempt_that_did_not_report_leaves_the_touch_in_doubt_until_the_truth_arrives(
    gateway: httpx.AsyncClient,
) -> None:
    await gateway.post("/claim", json=question())

    again = (await gateway.post("/claim", json=question())).json()
    truth = (await gateway.post("/settle", json=report(ReceiptStatus.ACCEPTED))).json()
    late = (await gateway.post("/settle", json=report(ReceiptStatus.UNDELIVERED))).json()

    assert again["answer"] == "open"
    assert again["receipt"]["status"] == "unknown"
    assert again["receipt"]["provider_ref"] == "ref-1"
    assert "Look for ref-1" in again["receipt"]["detail"]
    assert truth["receipt"]["status"] == "accepted"
    assert late["receipt"]["status"] == "accepted"


@pytest.mark.parametrize("path", ["/check", "/claim"])
async def test_a_person_who_objected_is_not_handed_over(
    gateway: httpx.AsyncClient, ledger: Ledger, path: str
) -> None:
    await objected(ledger)

    answer = (await gateway.post(path, json=question())).json()

    assert answer["answer"] == "not_now"
    assert answer["receipt"]["status"] == "blocked"


async def test_a_refused_claim_is_settled_and_a_check_claims_nothing(
    gateway: httpx.AsyncClient, ledger: Ledger
) -> None:
    checked = (await gateway.post("/check", json=question())).json()
    assert checked == {"answer": "go"}
    assert await ledger.open_claims() == []

    await objected(ledger)
    await gateway.post("/claim", json=question())

    assert await ledger.open_claims() == []
    assert await settled(ledger, a_touch()) is ReceiptStatus.BLOCKED


async def test_an_objection_after_an_open_claim_does_not_hide_the_doubt(
    gateway: httpx.AsyncClient, ledger: Ledger
) -> None:
    await gateway.post("/claim", json=question())
    await objected(ledger)

    answer = (await gateway.post("/claim", json=question())).json()

    assert (answer["answer"], answer["receipt"]["status"]) == ("open", "unknown")


@pytest.mark.parametrize("path", ["/check", "/claim", "/settle"])
@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \u00e4"]
)
async def test_without_the_token_nothing_is_said_or_done(
    gateway: httpx.AsyncClient, ledger: Ledger, path: str, shown: str
) -> None:
    answer = await gateway.post(path, content=b"{", headers={b"authorization": shown.encode("latin-1")})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"] == "unauthorized"
    assert TOKEN not in answer.text
    assert (await ledger.counts())["claims"] == 0


async def test_without_the_setting_the_api_is_off_and_names_it(ledger: Ledger) -> None:
    app = an_app(ledger, None)
    async with http_server(app) as url, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{url}/v1/handovers/claim", json=question(), headers=HEADERS)

    assert answer.status_code == 503
    assert answer.json()["error"] == "no_token"
    assert "TUTTI_CHANNEL_TOKEN" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "the body"),
        (b"{", "1"),
        (b"[]", "the body"),
        (b"{}", "touch"),
        (b'{"touch": {"touch_id": 7}}', "touch.touch_id"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_with_the_place(
    gateway: httpx.AsyncClient, body: bytes, place: str
) -> None:
    answer = await gateway.post("/claim", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["error"] == "malformed"
    assert any(problem.startswith(f"{place}:") for problem in answer.json()["problems"])


async def test_unknown_fields_are_ignored(gateway: httpx.AsyncClient) -> None:
    body = question()
    body["touch"]["from_a_later_version"] = {"x": 1}

    assert (await gateway.post("/check", json=body | {"later": 1})).json() == {"answer": "go"}


async def test_the_longest_touch_fits_and_a_longer_body_is_refused(
    gateway: httpx.AsyncClient, ledger: Ledger
) -> None:
    whole = await gateway.post("/claim", json=question(text="\x01" * 20_000, html="\U0001f600" * 20_000))
    longer = await gateway.post("/claim", content=b" " * (MAX_HANDOVER_BYTES + 1))

    assert whole.json() == {"answer": "go"}
    assert longer.status_code == 413
    assert longer.json()["error"] == "too_long"
    assert len(await ledger.open_claims()) == 1


@pytest.mark.parametrize(("path", "table"), [("/check", "suppressions"), ("/claim", "suppressions")])
async def test_without_the_ledger_nothing_may_go_and_nothing_is_claimed(
    gateway: httpx.AsyncClient, ledger: Ledger, database: Path, path: str, table: str
) -> None:
    with broken(database, table):
        answer = await gateway.post(path, json=question())

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"] == "ledger_unavailable"
    assert str(database) not in answer.text
    assert await ledger.open_claims() == []


async def test_the_description_shows_examples_that_work(gateway: httpx.AsyncClient) -> None:
    root = str(gateway.base_url).removesuffix("/v1/handovers/")
    described = (await gateway.get(f"{root}/openapi.json")).json()

    for name in ("check", "claim", "settle"):
        route = described["paths"][f"/v1/handovers/{name}"]["post"]
        example = route["requestBody"]["content"]["application/json"]["example"]
        assert (await gateway.post(f"/{name}", json=example)).status_code == 200
        assert {"401", "413", "422", "503"} <= set(route["responses"])
        assert route["security"]
