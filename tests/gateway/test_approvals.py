"""The approvals API: persons speak through their own tokens, and accounts have the last word."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.channels import BounceTokens
from domain import Answer, Approval, ApprovalStatus, Door
from gateway.app import Approvals, ApproverTokens, Bounces, OutcomeKeys, create_app
from gateway.approvals import MAX_ANSWER_BYTES
from ledger import Ledger
from tests.channels.support import KEY, LINKS, http_server
from tests.gateway.asking import ANSWER_LINKS, DANA, LENA, TOKENS, TOM, Desk
from tests.workflows.stage import until

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def says(approval: Approval, answer: str = "approve", **changes: object) -> dict[str, Any]:
    """The body of an answer."""
    why = {} if answer == "approve" else {"code": "wrong_time", "comment": "They are closing their books."}
    base = {"answer_id": f"t-{uuid.uuid4().hex[:8]}", "answer": answer, "digest": approval.digest}
    return base | why | changes


async def answered(desk: Desk, approval: Approval, body: dict[str, Any], login: str = DANA) -> httpx.Response:
    return await desk.http.post(desk.question(approval, "/answer"), json=body, headers=desk.api(login))


async def listed(desk: Desk, login: str, **query: str | int) -> dict[str, Any]:
    answer = await desk.http.get("/v1/approvals", headers=desk.api(login), params=query)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_the_inbox_lists_what_waits_for_the_person_and_nobody_else(desk: Desk) -> None:
    approval = await desk.asks()  # Tom owns the agent that proposes it

    async def arrived() -> dict[str, Any] | None:
        found = await listed(desk, DANA, limit=500)
        mine = [item for item in found["items"] if item["account_id"] == desk.account_id]
        return mine[0] if mine else None

    item = await until(arrived, "the question in the inbox")

    assert item["approval"]["approval_id"] == approval.approval_id
    assert item["account_name"] == "Northwind Robotics"
    for login in (TOM, LENA):
        found = await listed(desk, login, limit=500)
        assert desk.account_id not in {each["account_id"] for each in found["items"]}
    other_kind = await listed(desk, DANA, kind="in_doubt")
    other_group = await listed(desk, DANA, group="legal")
    one = await listed(desk, DANA, group="sales-leadership", kind="action", limit=1)
    assert other_kind["items"] == other_group["items"] == []
    assert len(one["items"]) == 1
    assert one["total"] >= 1


async def test_a_card_is_shown_and_the_look_goes_on_record_once_a_minute(desk: Desk) -> None:
    approval = await desk.asks()

    cards = [await desk.http.get(desk.question(approval), headers=desk.api()) for _ in range(3)]

    assert [card.status_code for card in cards] == [200] * 3
    card = cards[0].json()
    assert card["proposal"]["content"]["subject"] == "A word between operations people"
    assert card["recipient"]["name"] == "Helen Brandt"
    assert cards[0].headers["cache-control"] == "no-store"
    assert list((await desk.card(approval.approval_id)).approval.views) == [DANA]
    assert (await desk.told()).count("approval_viewed") == 1


async def test_an_answer_counts_and_repeated_gets_the_same_result(desk: Desk) -> None:
    approval = await desk.asks()
    body = says(approval)

    first, again = [await answered(desk, approval, body) for _ in range(2)]

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert (first.json()["accepted"], first.json()["status"]) == (True, "approved")
    (fact,) = await desk.answers(1)
    assert (fact.answer.approver, fact.answer.via) == (DANA, Door.HTTP)


async def test_eight_answers_at_once_are_one_decision_and_the_others_learn_whose(desk: Desk) -> None:
    approval = await desk.asks("sdr-1")
    bodies = [(says(approval, "reject" if number % 2 else "approve"), number) for number in range(8)]

    answers = await asyncio.gather(
        *(answered(desk, approval, body, (DANA, TOM)[number // 4]) for body, number in bodies)
    )

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200, *[409] * 7]
    for late in (answer.json() for answer in answers if answer.status_code == 409):
        assert late["answered_by"] in {DANA, TOM}
        assert late["answered_at"]
        assert late["message"].startswith("already ")
    await desk.answers(8)


@pytest.mark.parametrize("name", ["approver", "via", "approval_id", "login"])
async def test_a_body_cannot_say_who_speaks(desk: Desk, name: str) -> None:
    approval = await desk.asks()

    answer = await answered(desk, approval, says(approval) | {name: TOM})

    assert answer.status_code == 422
    assert answer.json()["error"] == "malformed"
    assert answer.json()["problems"] == [f"{name}: Extra inputs are not permitted"]
    assert await desk.told() == []


@pytest.mark.parametrize(
    ("login", "why"), [(TOM, "somebody else must answer"), (LENA, "is not in sales-leadership")]
)
async def test_who_may_not_answer_is_refused_and_recorded(desk: Desk, login: str, why: str) -> None:
    approval = await desk.asks()

    answer = await answered(desk, approval, says(approval), login)

    assert answer.status_code == 409
    assert why in answer.json()["message"]
    (fact,) = await desk.answers(1)
    assert (fact.answer.approver, fact.result.accepted) == (login, False)


async def test_an_answer_for_another_digest_is_refused_and_recorded(desk: Desk) -> None:
    approval = await desk.asks()

    answer = await answered(desk, approval, says(approval, digest="0" * 64))

    assert answer.status_code == 409
    assert "another version" in answer.json()["message"]
    assert await desk.status(approval.approval_id) is ApprovalStatus.PENDING
    await desk.answers(1)


async def test_an_edited_action_is_another_one(desk: Desk) -> None:
    approval = await desk.asks()
    changes = {"content": {"subject": "A word", "text": "Dear Helen, shorter."}}

    answer = await answered(desk, approval, says(approval, "modify", changes=changes))

    assert answer.status_code == 200
    assert answer.json()["status"] == "modified"


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer x", 401),
        (f"Bearer {TOKENS[DANA]}x", 401),
        (f"Bearer {TOKENS[DANA][:-1]}", 401),
        (f"Basic {TOKENS[DANA]}", 401),
        (f"Bearer {DANA}", 401),
        ("Bearer é", 401),
        (f"bearer  {TOKENS[DANA]}", 200),
    ],
)
async def test_whoever_shows_no_token_of_a_person_is_nobody(
    front: Desk, shown: str | None, code: int
) -> None:
    headers = [] if shown is None else [(b"authorization", shown.encode("latin-1"))]

    answer = await front.http.get("/v1/approvals", headers=headers)

    assert answer.status_code == code
    if code == 401:
        assert answer.json()["error"] == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_token_is_asked_for_before_anything_is_read(front: Desk) -> None:
    answers = [
        await front.http.post("/v1/approvals/a/b/answer", content=b"x" * (MAX_ANSWER_BYTES + 1)),
        await front.http.post("/v1/approvals/a/b/claim"),
        await front.http.post("/v1/approvals/a/b/release"),
        await front.http.post("/v1/approvals/answers", json={}),
        await front.http.get("/v1/approvals/a/b"),
    ]

    assert {answer.status_code for answer in answers} == {401}


@asynccontextmanager
async def opened(desk: Desk, ledger: Ledger, tokens: ApproverTokens) -> AsyncIterator[httpx.AsyncClient]:
    """Another gateway in front of the same accounts."""
    app = create_app(
        ledger=ledger,
        accounts=desk.stage.accounts,
        links=LINKS,
        outcome_keys=OutcomeKeys(),
        bounces=Bounces(BounceTokens(KEY)),
        approvals=Approvals(desk.stage.accounts, ANSWER_LINKS, tokens),
    )
    async with http_server(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
        yield http


async def test_without_tokens_the_api_is_off_and_says_how_to_switch_it_on(front: Desk) -> None:
    async with opened(front, front.stage.ledger, ApproverTokens()) as http:
        answer = await http.get("/v1/approvals", headers={"authorization": "Bearer x"})

    assert answer.status_code == 503
    assert "TUTTI_APPROVER_TOKENS" in answer.json()["message"]


def test_each_of_several_tokens_of_a_person_is_theirs() -> None:
    tokens = ApproverTokens({DANA: [SecretStr("a" * 32), SecretStr("b" * 32)], TOM: [SecretStr("c" * 32)]})

    assert [tokens.login_of(letter * 32) for letter in "abcd"] == [DANA, DANA, TOM, None]


async def test_what_nobody_knows_is_not_found(desk: Desk) -> None:
    approval = await desk.asks()
    for path in (f"/v1/approvals/{desk.account_id}/other:a1", "/v1/approvals/nobody-here/exec-1:a1"):
        answers = [
            await desk.http.get(path, headers=desk.api()),
            await desk.http.post(f"{path}/claim", headers=desk.api()),
            await desk.http.post(f"{path}/release", headers=desk.api()),
            await desk.http.post(f"{path}/answer", json=says(approval), headers=desk.api()),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4, path
        assert {answer.json()["error"] for answer in answers} == {"unknown"}


async def test_a_claim_keeps_others_away_until_it_is_given_back(desk: Desk) -> None:
    approval = await desk.asks("sdr-1")

    async def post(what: str, login: str) -> httpx.Response:
        return await desk.http.post(desk.question(approval, what), headers=desk.api(login))

    claimed = await post("/claim", DANA)
    assert claimed.status_code == 200
    assert claimed.json()["claimed_by"] == DANA
    for refused in (await post("/claim", TOM), await answered(desk, approval, says(approval), TOM)):
        assert refused.status_code == 409
        assert refused.json()["message"].startswith("held by dana.reyes until ")
    assert (await post("/release", TOM)).status_code == 409
    assert (await post("/claim", LENA)).status_code == 409
    assert (await post("/release", DANA)).json()["claimed_by"] is None
    assert (await answered(desk, approval, says(approval), TOM)).status_code == 200
    assert (await post("/claim", DANA)).status_code == 409


async def several(desk: Desk, *which: str) -> list[tuple[Desk, Approval]]:
    """Questions on accounts of their own."""
    made = []
    for name in which:
        each = await desk.another()
        made.append((each, await each.asks(name)))
    return made


def together(asked: list[tuple[Desk, Approval]], **changes: object) -> dict[str, Any]:
    items = [
        {
            "account_id": each.account_id,
            "approval_id": approval.approval_id,
            "answer_id": f"b-{each.account_id}",
            "digest": approval.digest,
        }
        for each, approval in asked
    ]
    return {"answer": "approve", "items": items} | changes


async def test_one_answer_to_several_has_an_outcome_for_each(desk: Desk) -> None:
    asked = await several(desk, "sdr-1", "sdr-1", "sdr-1")
    early, early_approval = asked[1]
    await early.decide(early_approval, TOM, Answer.REJECT)
    body = together(asked)
    body["items"].append(body["items"][0] | {"approval_id": "other:a1", "answer_id": "b-x"})

    answers = [await desk.http.post("/v1/approvals/answers", json=body, headers=desk.api()) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    told = answers[0].json()
    assert told["recorded"] == 2
    assert [item["outcome"] for item in told["results"]] == ["recorded", "refused", "recorded", "unknown"]
    assert told["results"][1]["result"]["answered_by"] == TOM


async def test_what_different_rules_ask_is_not_answered_together(desk: Desk) -> None:
    asked = await several(desk, "sdr-1", "exec-1")

    answer = await desk.http.post("/v1/approvals/answers", json=together(asked), headers=desk.api())

    assert answer.status_code == 409
    assert answer.json()["error"] == "not_together"
    for each, approval in asked:
        assert await each.status(approval.approval_id) is ApprovalStatus.PENDING
        assert await each.told() == []


async def test_a_bulk_answer_of_a_wrong_shape_is_refused_whole(desk: Desk) -> None:
    asked = await several(desk, "sdr-1")
    item = together(asked)["items"][0]
    bodies = [
        together(asked, items=[]),
        together(asked, items=[item, item | {"answer_id": "b-2"}]),
        together(asked, items=[item | {"approval_id": f"p{number}"} for number in range(51)]),
        together(asked, answer="break_glass"),
        together(asked, answer="modify"),
        together(asked, approver=TOM),
    ]

    for body in bodies:
        answer = await desk.http.post("/v1/approvals/answers", json=body, headers=desk.api())
        assert answer.status_code == 422, body
    assert await asked[0][0].told() == []


async def test_without_the_ledger_the_inbox_is_away_and_answers_go_on(desk: Desk, tmp_path: Path) -> None:
    approval = await desk.asks()
    nowhere = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path}/ledger.db")  # it has no tables
    async with opened(desk, nowhere, ApproverTokens({DANA: [SecretStr(TOKENS[DANA])]})) as http:
        inbox = await http.get("/v1/approvals", headers=desk.api())
        answer = await http.post(desk.question(approval, "/answer"), json=says(approval), headers=desk.api())
    await nowhere.close()

    assert inbox.status_code == 503
    assert inbox.json()["error"] == "ledger_unavailable"
    assert str(tmp_path) not in inbox.text
    assert answer.status_code == 200


async def test_a_longer_body_is_refused_and_nothing_was_done(desk: Desk) -> None:
    approval = await desk.asks()
    padded = json.dumps(says(approval)).encode() + b" " * MAX_ANSWER_BYTES

    answer = await desk.http.post(desk.question(approval, "/answer"), content=padded, headers=desk.api())

    assert answer.status_code == 413
    assert answer.json()["error"] == "too_long"
    assert await desk.told() == []


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"kind": "all"}, {"group": "a\nb"}]
)
async def test_a_wrong_question_to_the_inbox_is_told(front: Desk, query: dict[str, str]) -> None:
    answer = await front.http.get("/v1/approvals", params=query, headers=front.api())

    assert answer.status_code == 422
    assert answer.json()["problems"][0].startswith(f"query.{next(iter(query))}: ")


BAD = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"\\ud800": 1}',
    b'{"answer": "\\ud800"}',
    b'{"answer_id": "a", "answer": "approve", "digest": "x"}',
    b"[" * 50_000,
]


@pytest.mark.parametrize("body", BAD)
async def test_what_is_no_answer_is_refused_in_one_line(desk: Desk, body: bytes) -> None:
    approval = await desk.asks()

    answer = await desk.http.post(desk.question(approval, "/answer"), content=body, headers=desk.api())

    assert answer.status_code == 422
    assert "\n" not in answer.json()["message"]
    assert await desk.told() == []


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_NAMES = ["answer_id", "answer", "digest", "code", "comment", "changes", "stage", "window", "items"]
_FIELDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("answer_id", "answer", "digest", "code", "comment", "changes", "stage", "window", "items"), _JSON
    ),
)


@FEW
@given(junk=_JSON, changes=_FIELDS)
async def test_whatever_body_comes_nothing_breaks_and_nothing_is_approved(
    desk: Desk, junk: object, changes: dict[str, Any]
) -> None:
    approval = await _one_question(desk)
    honest = says(approval, "reject", digest="0" * 64)
    for body in (junk, honest | changes, {"items": junk} | changes, together([(desk, approval)]) | changes):
        for path in (desk.question(approval, "/answer"), "/v1/approvals/answers"):
            answer = await desk.http.post(path, json=body, headers=desk.api(LENA))

            assert answer.status_code in {200, 409, 422}, answer.text
            if answer.status_code == 200:  # several at once: each was refused
                assert answer.json()["recorded"] == 0
    assert await desk.status(approval.approval_id) is ApprovalStatus.PENDING


_asked: dict[str, Approval] = {}


async def _one_question(desk: Desk) -> Approval:
    """The one question of an account: built bodies are many, and one question is enough for them."""
    if desk.account_id not in _asked:
        _asked[desk.account_id] = await desk.asks()
    return _asked[desk.account_id]


async def test_the_description_shows_an_example_that_fits(desk: Desk) -> None:
    described = (await desk.http.get("/openapi.json")).json()["paths"]

    routes = {path: set(methods) for path, methods in described.items() if path.startswith("/v1/approvals")}
    question = "/v1/approvals/{account_id}/{approval_id}"
    assert routes == {
        "/v1/approvals": {"get"},
        "/v1/approvals/answers": {"post"},
        question: {"get"},
        f"{question}/answer": {"post"},
        f"{question}/claim": {"post"},
        f"{question}/release": {"post"},
        "/v1/approvals/replies": {"post"},
    }
    route = described[f"{question}/answer"]["post"]
    assert {"401", "404", "409", "413", "422", "503"} <= set(route["responses"])
    assert route["security"]
    example = route["requestBody"]["content"]["application/json"]["example"]
    approval = await desk.asks()
    answer = await answered(desk, approval, example | {"digest": approval.digest})
    assert answer.status_code == 200
    assert "get" in described["/answer/{token}"]


async def test_the_log_names_no_token_and_says_who_answered(desk: Desk) -> None:
    approval = await desk.asks()
    with structlog.testing.capture_logs() as lines:
        await answered(desk, approval, says(approval))
        await desk.http.get("/v1/approvals", headers={"authorization": "Bearer secret"})

    (line,) = [line for line in lines if line["event"] == "approvals.answered"]
    assert line["login"] == DANA
    assert TOKENS[DANA] not in str(lines)
    assert "secret" not in str(lines)
