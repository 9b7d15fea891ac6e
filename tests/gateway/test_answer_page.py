"""The page behind an answer link: reading it says nothing, and one form counts once."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.testing import WorkflowEnvironment

from activities.notices import AnswerLinks
from domain import (
    Answer,
    AnswerResult,
    ApprovalClaimed,
    ApprovalStatus,
    Content,
    Door,
    RuleHit,
    Signal,
    SignalKind,
)
from gateway._answer_form import Filled, read_form
from gateway.app import MAX_BODY_BYTES
from tests.gateway.asking import DANA, QUICK, TOM, Desk, desk_of, link, ticket, words
from tests.workflows.cast import profile, wanted
from tests.workflows.stage import soon, until
from workflows import AccountClient, EngineUnavailableError

APPROVE = {"answer": "approve"}
REJECT = {"answer": "reject", "code": "wrong_time", "comment": "They are closing their books."}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_a_link_answers_nothing_and_records_nothing(desk: Desk, method: str) -> None:
    """Mail scanners open every link, several times, and would be taken for persons."""
    approval = await desk.asks()
    path = link(ticket(desk, approval))

    pages = [await desk.http.request(method, path) for _ in range(3)]

    assert [page.status_code for page in pages] == [200] * 3
    assert bool(pages[0].text) is (method == "GET")
    assert await desk.told() == []
    assert (await desk.card(approval.approval_id)).approval.views == {}


async def test_the_page_shows_all_that_a_person_needs(desk: Desk) -> None:
    approval = await desk.asks()

    page = await desk.http.get(link(ticket(desk, approval)))

    said = words(page)
    proposal = wanted("exec-1")
    assert "Send executive email to Helen Brandt?" in said
    assert "Helen Brandt, Chief Operating Officer" in said
    assert "helen.brandt@northwind.example.com" in said
    assert proposal.content.subject is not None
    assert proposal.content.subject in said
    assert " ".join(proposal.content.text.split()) in said
    for part in (
        "executive-office",
        "surge-1",
        "300,000",
        "granted",
        "Every rule that fired",
        approval.digest,
    ):
        assert part in said
    assert all(hit.message in said for hit in (await _hits(desk, approval.approval_id)))
    card = await desk.card(approval.approval_id)
    offered = {Answer.APPROVE, Answer.REJECT, Answer.SEND_BACK, None}
    assert all(each.text in said for each in card.consequences if each.answer in offered)


async def _hits(desk: Desk, approval_id: str) -> list[RuleHit]:
    decision = (await desk.card(approval_id)).decision
    assert decision is not None
    return list(decision.hits)


async def test_nothing_is_loaded_from_elsewhere_and_nobody_learns_the_address(desk: Desk) -> None:
    page = await desk.http.get(link(ticket(desk, await desk.asks())))

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert "set-cookie" not in page.headers
    assert not re.search(r"(src|href)=\"(?!#)", page.text)
    assert "<script" not in page.text


async def test_a_form_answers_once_and_its_person_has_seen_the_card(desk: Desk) -> None:
    approval = await desk.asks()
    mine = ticket(desk, approval)

    page = await desk.http.post(link(mine), data=APPROVE)

    assert page.status_code == 200
    assert "Approved by dana.reyes" in words(page)
    (fact,) = await desk.answers(1)
    assert (fact.answer.answer_id, fact.answer.approver, fact.answer.via) == (mine.nonce, DANA, Door.LINK)
    assert fact.result.accepted
    card = await desk.card(approval.approval_id)
    assert card.approval.status is ApprovalStatus.APPROVED
    assert list(card.approval.views) == [DANA]


async def test_how_long_a_person_read_is_known_from_the_page_and_not_from_the_form(desk: Desk) -> None:
    """Scanners open the page too, so the look is recorded with the answer: since the page was made."""
    approval = await desk.asks()
    mine = ticket(desk, approval)
    page = await desk.http.get(link(mine))
    mark = re.search(r'name="shown" value="([^"]+)"', page.text)
    assert mark is not None

    await desk.http.post(link(mine), data=APPROVE | {"shown": mark[1]})

    made = desk.links.shown_at(mine, mark[1])
    assert [step.shown_at for step in await desk.looks(approval.approval_id)] == [made]


async def test_a_person_cannot_say_that_they_have_read_for_longer(desk: Desk) -> None:
    approval = await desk.asks()
    await desk.http.post(link(ticket(desk, approval)), data=APPROVE | {"shown": "0.0000"})
    assert [step.shown_at for step in await desk.looks(approval.approval_id)] == [None]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (REJECT, ApprovalStatus.REJECTED),
        (REJECT | {"answer": "send_back"}, ApprovalStatus.SENT_BACK),
    ],
)
async def test_other_answers_carry_their_reason(
    desk: Desk, form: dict[str, str], status: ApprovalStatus
) -> None:
    approval = await desk.asks()

    page = await desk.http.post(link(ticket(desk, approval)), data=form)

    assert page.status_code == 200
    ended = (await desk.card(approval.approval_id)).approval
    assert (ended.status, ended.code, ended.comment) == (status, "wrong_time", form["comment"])


async def test_eight_clicks_at_once_are_one_answer(desk: Desk) -> None:
    approval = await desk.asks()
    path = link(ticket(desk, approval))

    pages = await asyncio.gather(*(desk.http.post(path, data=APPROVE) for _ in range(8)))

    assert {page.status_code for page in pages} == {200}
    assert all("Approved by dana.reyes" in words(page) for page in pages)
    await desk.answers(1)


async def test_a_link_sent_again_with_another_answer_shows_what_it_did_first(desk: Desk) -> None:
    approval = await desk.asks()
    path = link(ticket(desk, approval))
    await desk.http.post(path, data=REJECT)

    again = await desk.http.post(path, data=APPROVE)

    assert again.status_code == 409
    assert "This link was used before" in words(again)
    assert "Rejected by dana.reyes" in words(again)
    assert await desk.status(approval.approval_id) is ApprovalStatus.REJECTED
    await desk.answers(1)


async def test_of_two_persons_the_second_learns_who_decided_and_is_recorded(desk: Desk) -> None:
    approval = await desk.asks("sdr-1")
    mine, theirs = (link(ticket(desk, approval, login)) for login in (DANA, TOM))
    await desk.http.post(theirs, data=REJECT)

    looked = await desk.http.get(mine)
    answered = await desk.http.post(mine, data=APPROVE)

    assert looked.status_code == 410
    assert "It was rejected by tom.okafor on" in words(looked)
    assert answered.status_code == 409
    assert "decided by tom.okafor on" in words(answered)
    _, late = await desk.answers(2)
    assert (late.answer.approver, late.result.accepted) == (DANA, False)
    assert "You have answered this" in words(await desk.http.get(theirs))


async def test_an_incomplete_form_is_not_sent_and_the_link_stays_good(desk: Desk) -> None:
    approval = await desk.asks()
    path = link(ticket(desk, approval))
    long = REJECT | {"comment": "x" * 2_001}
    incomplete = [
        {},
        {"answer": "reject"},
        REJECT | {"code": "because"},
        REJECT | {"comment": " \r\n "},
        long,
    ]
    refused = [await desk.http.post(path, data=form) for form in incomplete]
    refused += [
        await desk.http.post(path, data={"answer": word}) for word in ("modify", "break_glass", "yes")
    ]

    assert {page.status_code for page in refused} == {422}
    assert all("Nothing was recorded yet" in words(page) for page in refused)
    assert await desk.told() == []
    assert (await desk.http.post(path, data=REJECT)).status_code == 200


async def test_what_was_written_is_still_there_after_a_slip(desk: Desk) -> None:
    path = link(ticket(desk, await desk.asks()))

    page = await desk.http.post(path, data={"answer": "reject", "comment": "</textarea><b>no</b>"})

    assert "</textarea><b>" not in page.text
    assert "&lt;/textarea&gt;&lt;b&gt;no&lt;/b&gt;</textarea>" in page.text
    assert re.search(r'value="reject"[^>]*checked', page.text)
    assert 'aria-describedby="wrong-code"' in page.text


async def test_the_form_cannot_name_another_person_question_or_digest(desk: Desk) -> None:
    approval = await desk.asks("sdr-1")
    smuggled = APPROVE | {"approver": TOM, "approval_id": "other", "digest": "0" * 64, "answer_id": "x"}

    await desk.http.post(link(ticket(desk, approval)), data=smuggled)

    (fact,) = await desk.answers(1)
    assert (fact.answer.approver, fact.answer.approval_id) == (DANA, approval.approval_id)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forged_link_is_not_found_and_the_log_does_not_hold_it(desk: Desk, method: str) -> None:
    approval = await desk.asks()
    good = link(ticket(desk, approval))
    stranger = AnswerLinks("https://tutti.example.com", SecretStr("x" * 32))
    middle = len(good) // 2
    forged = [
        link(ticket(desk, approval), stranger),
        good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :],
        good[:-4],
        "/answer/" + "x" * 5_000,
        "/answer/%00%F0%9F%98%80",
        "/answer/..%2f..%2fetc",
    ]

    with structlog.testing.capture_logs() as lines:
        pages = [await desk.http.request(method, path, data=APPROVE) for path in forged]

    assert {page.status_code for page in pages} == {404}
    assert all("This link does not work" in words(page) for page in pages[:5])
    assert len(lines) >= 5
    assert all(path.removeprefix("/answer/")[:40] not in str(lines) for path in forged[:4])
    assert await desk.told() == []


async def test_a_link_to_another_version_is_refused_and_recorded(desk: Desk) -> None:
    approval = await desk.asks()
    path = link(ticket(desk, approval, digest="0" * 64))

    looked, answered = await desk.http.get(path), await desk.http.post(path, data=APPROVE)

    assert looked.status_code == answered.status_code == 409
    assert "has changed since we wrote to you" in words(looked)
    (fact,) = await desk.answers(1)
    assert not fact.result.accepted
    assert "another version" in fact.result.message
    assert await desk.status(approval.approval_id) is ApprovalStatus.PENDING


async def test_an_expired_link_is_worth_nothing(desk: Desk) -> None:
    approval = await desk.asks()
    path = link(ticket(desk, approval, expires_at=soon(seconds=-1)))

    pages = [await desk.http.get(path), await desk.http.post(path, data=APPROVE)]

    assert [page.status_code for page in pages] == [410, 410]
    assert all("This link has expired" in words(page) for page in pages)
    assert await desk.told() == []


async def test_an_expired_link_to_a_question_that_is_over_is_recorded_as_refused(desk: Desk) -> None:
    approval = await desk.asks()
    await desk.decide(approval, answer=Answer.REJECT)

    page = await desk.http.post(link(ticket(desk, approval, expires_at=soon(seconds=-1))), data=APPROVE)

    assert page.status_code == 409
    _, late = await desk.answers(2)
    assert (late.result.accepted, late.answer.via) == (False, Door.LINK)


@pytest.mark.parametrize(
    "login",
    [pytest.param("mara.lindqvist", id="not-in-the-group"), pytest.param(TOM, id="owner-of-the-agent")],
)
async def test_a_person_who_may_not_answer_is_refused_by_the_account(desk: Desk, login: str) -> None:
    """A link stays genuine when its person loses the right; the account knows better."""
    approval = await desk.asks()

    page = await desk.http.post(link(ticket(desk, approval, login)), data=APPROVE)

    assert page.status_code == 409
    assert "Your answer does not count" in words(page)
    (fact,) = await desk.answers(1)
    assert (fact.answer.approver, fact.result.accepted) == (login, False)
    assert await desk.status(approval.approval_id) is ApprovalStatus.PENDING


async def test_a_question_that_somebody_has_taken_on_waits_and_the_link_stays_good(desk: Desk) -> None:
    approval = await desk.asks("sdr-1")
    accounts = desk.stage.accounts
    await accounts.claim_approval(
        desk.account_id, ApprovalClaimed(approval_id=approval.approval_id, claimed_by=TOM)
    )
    mine, theirs = (link(ticket(desk, approval, login)) for login in (DANA, TOM))

    pages = [await desk.http.get(mine), await desk.http.post(mine, data=APPROVE)]

    assert [page.status_code for page in pages] == [409, 409]
    assert all("tom.okafor is answering this" in words(page) for page in pages)
    assert "answer_approval" not in await desk.told()
    assert (await desk.http.post(theirs, data=REJECT)).status_code == 200


async def test_where_two_must_agree_each_link_is_one_yes(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    two = ("default_route:\n", "default_route:\n  quorum: 2\n")
    pairs = QUICK | {"approvals.yaml": [*QUICK["approvals.yaml"], two]}
    async with desk_of(temporal.client, tmp_path, pairs) as made:
        desk = await made.another()
        approval = await desk.asks("sdr-1")
        mine, theirs = (link(ticket(desk, approval, login)) for login in (DANA, TOM))

        first = await desk.http.post(mine, data=APPROVE)
        looked, theirs_then = await desk.http.get(mine), await desk.http.get(theirs)
        reminder = link(ticket(desk, approval))  # the same person, by the link of a later mail
        again = await desk.http.post(reminder, data=APPROVE)
        second = await desk.http.post(theirs, data=APPROVE)

    assert [page.status_code for page in (first, looked, theirs_then, again, second)] == [
        200,
        200,
        200,
        409,
        200,
    ]
    assert "1 of 2 have approved" in words(first)
    assert "You have approved this" in words(looked)
    assert "dana.reyes agreed; 1 of 2 have approved." in words(theirs_then)
    assert "has approved already" in words(again)
    assert "Approved by dana.reyes and tom.okafor" in words(second)


async def test_a_question_that_the_world_has_overtaken_says_so(desk: Desk) -> None:
    approval = await desk.asks()
    meeting = Signal(
        signal_id="m1", source="crm", kind=SignalKind.MEETING_BOOKED, observed_at=soon(), contact_id="helen"
    )
    await desk.stage.accounts.observe(desk.account_id, [meeting])

    async def over() -> bool | None:
        return await desk.status(approval.approval_id) is ApprovalStatus.WITHDRAWN or None

    await until(over, "the withdrawal")
    page = await desk.http.get(link(ticket(desk, approval)))

    assert page.status_code == 410
    assert "You need not answer this any more" in words(page)


async def test_a_link_to_a_question_that_nobody_knows_is_told(desk: Desk) -> None:
    approval = await desk.asks()

    for changes in ({"approval_id": "other:a1"}, {"account_id": "nobody-here"}):
        path = link(ticket(desk, approval, **changes))
        pages = [await desk.http.get(path), await desk.http.post(path, data=APPROVE)]
        assert [page.status_code for page in pages] == [404, 404]
        assert all("This question is gone" in words(page) for page in pages)


async def test_without_the_engine_nothing_is_said_to_be_recorded(
    front: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody serves this account's task queue, as when all workers are away."""
    monkeypatch.setattr("gateway._approval_door.PATIENCE", timedelta(seconds=0.5))
    approval = await (await front.another()).asks()
    left_alone = AccountClient(front.stage.client, task_queue=f"nobody-{approval.digest[:8]}")
    desk = replace(front, stage=replace(front.stage, accounts=left_alone))
    desk = await desk.another()
    path = link(ticket(desk, approval))

    pages = [await desk.http.get(path), await desk.http.post(path, data=REJECT)]
    await desk.stage.handle.terminate("the test is over")

    assert [page.status_code for page in pages] == [503, 503]
    assert all(int(page.headers["retry-after"]) > 0 for page in pages)
    assert f'name="comment" value="{REJECT["comment"]}"' in pages[1].text


async def test_an_answer_whose_confirmation_is_lost_may_be_sent_again(
    front: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await front.another()
    approval = await desk.asks()
    path = link(ticket(desk, approval))
    really = desk.stage.accounts.answer

    async def lost(*arguments: Any, **named: Any) -> AnswerResult:  # noqa: ANN401 - passed through
        await really(*arguments, **named)
        raise EngineUnavailableError("the connection broke")

    with monkeypatch.context() as broken_line:
        broken_line.setattr(desk.stage.accounts, "answer", lost)
        first = await desk.http.post(path, data=REJECT)
    again = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first.text))
    second = await desk.http.post(path, data=again)

    assert first.status_code == 503
    assert "not confirmed" in words(first)
    assert again == REJECT
    assert second.status_code == 200
    assert "Rejected by dana.reyes" in words(second)
    await desk.answers(1)


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}</style></title>&amp;\u202e\u200b"


async def test_markup_in_whatever_field_is_only_text(front: Desk) -> None:
    people = [item.model_copy(update={"name": EVIL}) for item in profile("x") if hasattr(item, "name")]
    desk = await front.another(*people)
    reading = {
        "system": "sdr",
        "stage": "closing",
        "urgency": 1,
        "confidence": 1,
        "observed_at": soon(),
        "note": EVIL,
    }
    approval = await desk.asks(
        evidence=[EVIL, EVIL],
        reading=reading,
        content=Content(
            subject=EVIL, text=EVIL + "\r\n\r\nSet-Cookie: a=b", html=EVIL, fields={EVIL[:60]: EVIL}
        ),
    )

    page = await desk.http.get(link(ticket(desk, approval)))

    assert page.status_code == 200
    assert page.text.count("&lt;script&gt;") >= 12
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "{{7*7}}" in page.text
    assert "[U+202E][U+200B]" in page.text
    assert "\u202e" not in page.text
    assert page.text.count("</style>") == page.text.count("</title>") == 1
    assert "set-cookie" not in page.headers
    for tag in re.findall(r"<[^>]*>", re.sub(r"<style>.*?</style>", "", page.text, flags=re.DOTALL)):
        assert "alert" not in tag


async def test_a_form_that_is_too_long_is_refused_and_nothing_was_done(desk: Desk) -> None:
    path = link(ticket(desk, await desk.asks()))

    page = await desk.http.post(path, content=b"answer=approve&comment=" + b"x" * MAX_BODY_BYTES)

    assert page.status_code == 413
    assert await desk.told() == []


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"answer=approve&answer=reject",
        b"&".join(b"answer=approve" for _ in range(30)),
        b'{"answer": "approve"}',
    ],
)
async def test_what_is_no_form_says_nothing(desk: Desk, body: bytes) -> None:
    path = link(ticket(desk, await desk.asks()))

    page = await desk.http.post(path, content=body)

    assert page.status_code == 422
    assert await desk.told() == []


@given(st.binary(max_size=400))
def test_whatever_bytes_come_make_a_form_or_none(raw: bytes) -> None:
    filled = read_form(raw)

    assert filled is None or all(
        text == text.strip() and "\x00" not in text for text in vars(filled).values()
    )


@given(st.dictionaries(st.sampled_from(["answer", "code", "comment", "stage", "x"]), st.text(max_size=50)))
def test_a_form_is_read_as_a_browser_wrote_it(fields: dict[str, str]) -> None:
    raw = httpx.QueryParams(fields)
    filled = read_form(str(raw).encode())

    assert filled is not None
    assert filled.settlement == Filled().settlement
    if fields.get("code", "").isalnum() and fields["code"].isascii():
        assert filled.code == fields["code"]
