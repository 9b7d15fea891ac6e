"""The account workflow on the real engine."""

from __future__ import annotations

import asyncio
import email
import email.policy
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from domain import (
    Answer,
    AnswerCode,
    ApprovalAnswer,
    ApprovalStatus,
    Hold,
    ProposalStatus,
    ReasonCode,
    Signal,
    SignalKind,
    TouchStatus,
)
from tests.channels.support import broken
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import Stage, soon, staged, until
from workflows import AccountError, UnknownAccountError


def reply(signal_id: str = "r1") -> Signal:
    return Signal(
        signal_id=signal_id, source="mailbox", kind=SignalKind.REPLY, observed_at=soon(), contact_id="amira"
    )


async def answered(stage: Stage, proposal_id: str, **changes: object) -> ApprovalAnswer:
    status = await stage.accounts.status(stage.account_id)
    (approval,) = [a for a in status.approvals if a.proposal_id == proposal_id]
    base: dict[str, object] = {
        "answer_id": "a1",
        "approval_id": approval.approval_id,
        "answer": Answer.APPROVE,
        "approver": "dana.reyes",
        "digest": approval.digest,
    }
    return ApprovalAnswer.model_validate(base | changes)


async def test_four_systems_lead_to_one_touch(stage: Stage) -> None:
    """The mission in one test: one touch now, the others explained, one exception, and a reply ends it."""
    await set_up(stage)
    views = await stage.propose(*(wanted(item) for item in ("sdr-1", "nurture-1", "site-1", "exec-1")))
    by_id = {view.proposal.proposal_id: view for view in views}
    assert by_id["sdr-1"].status in {ProposalStatus.IN_FLIGHT, ProposalStatus.SENT}
    assert by_id["nurture-1"].status is ProposalStatus.SUPPRESSED
    assert by_id["site-1"].status is ProposalStatus.DEFERRED
    assert by_id["exec-1"].status is ProposalStatus.PENDING_APPROVAL
    assert all(
        view.decision and view.decision.hits for view in views if view.status is not ProposalStatus.SENT
    )

    await stage.status_when(
        lambda s: any(t.status is TouchStatus.HANDED_OVER for t in s.touches), "the touch"
    )
    message = email.message_from_bytes(stage.relay.text(), policy=email.policy.default)
    assert message["To"] == "Amira Haddad <amira.haddad@northwind.example.com>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    result = await stage.accounts.answer(stage.account_id, await answered(stage, "exec-1"))
    assert result.accepted
    status = await stage.status_when(
        lambda s: any(
            v.proposal.proposal_id == "exec-1" and v.status is ProposalStatus.DEFERRED and v.due_at
            and v.due_at > soon(seconds=2)
            for v in s.proposals
        ),
        "the ruling after the approval",
    )  # fmt: skip
    assert status.assessment is not None
    assert status.assessment.systems == 4

    await stage.accounts.observe(stage.account_id, [reply()])
    status = await stage.status_when(
        lambda s: all(view.status.final for view in s.proposals), "the end of everything scheduled"
    )
    ended = {view.proposal.proposal_id: view.reason for view in status.proposals}
    assert ended["site-1"] is ended["exec-1"] is ReasonCode.EXIT_SIGNAL
    assert len(stage.relay.envelopes) == 1
    assert stage.receiver.calls == []


async def test_a_scheduled_touch_goes_out_when_its_time_comes(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    timing = [("decision_window: 2s", "decision_window: 0.3s"), ("at_least: 12s", "at_least: 1.5s")]
    async with staged(temporal.client, tmp_path, edits={"timing.yaml": timing}) as stage:
        await set_up(stage)
        views = await stage.propose(wanted("sdr-1"), wanted("site-1"))
        assert views[1].status is ProposalStatus.DEFERRED
        hold = Hold(hold_id="h1", placed_by="dana.reyes", reason="dispute", placed_at=soon())
        held = await stage.accounts.place_hold(stage.account_id, hold)
        assert [h.hold_id for h in held.holds] == ["h1"]
        await stage.status_when(
            lambda s: any(v.reason is ReasonCode.ACCOUNT_HOLD for v in s.proposals), "the hold to defer it"
        )
        assert stage.receiver.calls == []
        await stage.accounts.release_hold(stage.account_id, "h1", "dana.reyes")
        await until(lambda: _calls(stage), "the webhook call")
        (call,) = stage.receiver.calls
        assert call["data"]["proposal_id"] == "site-1"


async def _calls(stage: Stage) -> bool | None:
    return bool(stage.receiver.calls) or None


async def test_malformed_messages_are_refused_and_recorded(stage: Stage) -> None:
    await set_up(stage)
    garbage = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"\xff\xfe{"))
    foreign = RawValue(Payload(metadata={"encoding": b"application/x-secret"}, data=b"??"))
    handle = stage.handle
    await handle.signal("observe", args=[])
    await handle.signal("observe", args=[1, 2])
    await handle.signal("observe", garbage)
    await handle.signal("observe", foreign)
    await handle.signal("observe", [{"type": "signal"}, reply().model_dump(mode="json")])
    await handle.signal("observe", "x" * 1_000_000)
    await handle.signal("observe", list(range(20_000)))
    await handle.signal("report_outcome", {"outcome_id": -1})
    await handle.signal("answer_approval_signal", None)
    await handle.signal("no_such_signal", {"any": "thing"})
    bad: tuple[object, ...] = (None, {"proposal_id": "p"}, [], "text")
    for argument in bad:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("propose", argument)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "MalformedMessage"
    status = await stage.status_when(lambda s: s.refusals >= 34, "all refusals")
    assert status.refusals == 13 + 21, "a flood is refused in twenty lines and a total"
    assert status.signals_absorbed == 1, "the good item of a bad batch counts"
    (view,) = await stage.propose(wanted("sdr-1"))
    assert view.settled, "the account is as well as before"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"actor": "nobody"}, ReasonCode.UNKNOWN_ACTOR),
        ({"channel": "carrier-pigeon"}, ReasonCode.UNKNOWN_CHANNEL),
        ({"contact_id": "stranger"}, ReasonCode.UNKNOWN_CONTACT),
    ],
)
async def test_what_nobody_knows_is_denied(stage: Stage, changes: dict[str, str], reason: ReasonCode) -> None:
    await set_up(stage)
    (view,) = await stage.propose(wanted("sdr-1", **changes))
    assert (view.status, view.reason) == (ProposalStatus.DENIED, reason)


async def test_a_proposal_for_an_unknown_account_is_denied(stage: Stage) -> None:
    (view,) = await stage.propose(wanted("sdr-1"))
    assert (view.status, view.reason) == (ProposalStatus.DENIED, ReasonCode.UNKNOWN_ACCOUNT)
    with pytest.raises(UnknownAccountError, match="there is no account 'never-seen'"):
        await stage.accounts.status("never-seen")


async def test_an_id_cannot_be_used_for_two_actions(stage: Stage) -> None:
    await set_up(stage)
    first, again = await stage.propose(wanted("sdr-1"), wanted("sdr-1"))
    assert first.proposal.proposal_id == again.proposal.proposal_id
    with pytest.raises(AccountError, match="already used for another action"):
        await stage.propose(wanted("sdr-1", action="call"))


async def test_dates_beyond_the_calendar_and_line_breaks_stop_nothing(stage: Stage) -> None:
    await set_up(stage)
    for moment in ("9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"):
        await stage.handle.signal("observe", reply().model_dump(mode="json") | {"observed_at": moment})
    await stage.handle.signal("observe", reply().model_dump(mode="json") | {"bad\nfield": 1})
    hold = Hold(hold_id="h1", placed_by="dana.reyes", reason="Dispute.\nWait.", placed_at=soon())
    status = await stage.accounts.place_hold(stage.account_id, hold)
    assert [h.hold_id for h in status.holds] == ["h1"]
    assert status.refusals == 3


async def test_a_hold_that_is_not_placed_is_not_reported_as_placed(stage: Stage) -> None:
    await set_up(stage)
    hold = Hold(hold_id="h1", placed_by="dana.reyes", reason="x", placed_at=soon())
    await stage.accounts.place_hold(stage.account_id, hold)
    await stage.accounts.release_hold(stage.account_id, "h1", "dana.reyes")
    again = await stage.accounts.place_hold(
        stage.account_id, hold.model_copy(update={"placed_at": soon(seconds=1)})
    )
    assert [h.hold_id for h in again.holds] == ["h1"]
    past = hold.model_copy(update={"hold_id": "h2", "expires_at": soon(days=-1)})
    with pytest.raises(AccountError, match="was not placed"):
        await stage.accounts.place_hold(stage.account_id, past)
    with pytest.raises(AccountError, match="no hold nope stands"):
        await stage.accounts.release_hold(stage.account_id, "nope", "dana.reyes")


async def test_the_first_answer_wins_and_the_others_learn_who(stage: Stage) -> None:
    await set_up(stage)
    await stage.propose(wanted("exec-1"))
    given = await answered(stage, "exec-1")
    answers = [
        given.model_copy(
            update={
                "answer_id": f"a{number}",
                "answer": Answer.REJECT,
                "code": AnswerCode.LEGAL,
                "comment": "no",
            }
        )
        if number % 2
        else given.model_copy(update={"answer_id": f"a{number}"})
        for number in range(8)
    ]
    results = await asyncio.gather(*(stage.accounts.answer(stage.account_id, item) for item in answers))
    accepted = [result for result in results if result.accepted]
    assert len(accepted) == 1
    assert all("already" in r.message and "by dana.reyes" in r.message for r in results if not r.accepted)
    winner = next(item for item in answers if item.answer_id == accepted[0].answer_id)
    assert await stage.accounts.answer(stage.account_id, winner) == accepted[0]


async def test_an_answer_counts_as_a_signal_too(stage: Stage) -> None:
    await set_up(stage)
    await stage.propose(wanted("exec-1"))
    given = await answered(stage, "exec-1", answer=Answer.REJECT, code="wrong_time", comment="not now")
    await stage.handle.signal("answer_approval_signal", given)
    status = await stage.status_when(lambda s: not s.approvals, "the answer")
    assert status.proposals[0].reason is ReasonCode.APPROVAL_REJECTED


async def test_an_owner_cannot_approve_their_own_agent(stage: Stage) -> None:
    await set_up(stage)
    await stage.propose(wanted("exec-1"))
    result = await stage.accounts.answer(
        stage.account_id, await answered(stage, "exec-1", approver="tom.okafor")
    )
    assert (result.accepted, result.status) == (False, ApprovalStatus.PENDING)


async def test_an_operator_can_follow_the_account_in_the_ui(stage: Stage) -> None:
    await set_up(stage)
    await stage.propose(*(wanted(item) for item in ("sdr-1", "site-1", "exec-1")))
    status = await stage.status_when(
        lambda s: any(t.status is TouchStatus.HANDED_OVER for t in s.touches), "the touch"
    )
    description = await stage.handle.describe()
    assert await description.static_summary() == f"Account {stage.account_id}"
    found = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert found["PendingApprovals"] == 1
    assert found["OnHold"] is False
    assert found["AccountTier"] == "tier_1"
    assert status.assessment is not None
    assert found["AccountStage"] == status.assessment.stage.value
    assert found["PolicyVersion"] == stage.policies.digest[:12]
    assert found["NextTouchAt"] > soon()
    metadata = await stage.handle.query("__temporal_workflow_metadata")
    card = metadata.current_details
    assert "Northwind Robotics" in card
    assert "Waiting for an answer" in card
    assert "personalize_site over webhook" in card
    history = await stage.handle.fetch_history()
    summaries = [
        event.user_metadata.summary.data.decode()
        for event in history.events
        if event.HasField("user_metadata") and event.user_metadata.summary.data
    ]
    assert '"send_email over email"' in summaries
    assert '"rule on 3 proposals"' in summaries
    assert '"decision window ends"' in summaries


async def test_outreach_waits_for_a_ledger_that_is_away(stage: Stage) -> None:
    """Governance cannot read the suppression store, so nothing is allowed; nothing is lost either."""
    await set_up(stage)
    await stage.status_when(lambda s: s.contacts == 5, "the profile")
    with broken(stage.database, "suppressions") as mend:
        asking = asyncio.create_task(stage.propose(wanted("sdr-1")))
        await stage.accounts.observe(
            stage.account_id,
            [reply(f"old-{n}").model_copy(update={"observed_at": soon(days=-40)}) for n in range(20)],
        )
        status = await stage.status_when(
            lambda s: s.signals_absorbed == 20 and s.window_ends_at is None and len(s.proposals) == 1,
            "signals to be absorbed all the same",
        )
        assert status.proposals[0].status is ProposalStatus.IN_WINDOW
        assert not stage.relay.envelopes
        mend()
        (view,) = await asking
    assert view.status in {ProposalStatus.IN_FLIGHT, ProposalStatus.SENT}
    await until(lambda: _sent(stage), "the e-mail")


async def _sent(stage: Stage) -> bool | None:
    return bool(stage.relay.envelopes) or None


async def test_everything_reaches_the_ledger(stage: Stage) -> None:
    await set_up(stage)
    await stage.propose(*(wanted(item) for item in ("sdr-1", "nurture-1", "exec-1")))
    await stage.status_when(
        lambda s: any(t.status is TouchStatus.HANDED_OVER for t in s.touches), "the touch"
    )
    await stage.status_when(lambda s: s.unsent_facts == 0, "an empty outbox")
    counts = await stage.ledger.counts()
    assert counts["accounts"] == 1
    assert counts["contacts"] == 5
    assert counts["decisions"] == 3
    assert counts["approvals"] == 1
    assert counts["touches"] == 1
    decisions = await stage.ledger.decisions(stage.account_id, "nurture-1")
    assert decisions[0].hits
    assert decisions[0].hits[0].file is not None
