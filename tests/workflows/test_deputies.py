"""Answers of people who were not asked by name, and of those who change what they are asked about."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from domain import (
    Answer,
    AnswerCode,
    ApprovalStatus,
    Changes,
    Content,
    Delegation,
    ExceptionKind,
    ProposalStatus,
    ReasonCode,
)
from tests.channels.support import broken
from tests.workflows.approving import (
    THREE,
    asked,
    asked_and_idle,
    at_rest,
    give,
    question,
    recorded,
    says,
    sent,
)
from tests.workflows.stage import Stage, soon, staged, until
from tests.workflows.test_continuity import runs_of, visit

EMERGENCIES = """exceptions:
  break_glass:
    group: night-watch
    review:
      id: review-broken-glass
      group: sales-leadership
      answer_within: 1d

default_route:"""
GLASS: dict[str, list[tuple[str, str]]] = THREE | {
    "people.yaml": [
        *THREE["people.yaml"],
        ("groups:\n", "groups:\n  - {name: night-watch, members: [lena.fischer]}\n"),
    ],
    "approvals.yaml": [("default_route:", EMERGENCIES)],
}
"""In an emergency Lena approves alone, and sales leadership reviews it."""


@asynccontextmanager
async def three(temporal: WorkflowEnvironment, folder: Path, events: int = 400) -> AsyncIterator[Stage]:
    async with staged(temporal.client, folder, edits=THREE, continue_after_events=events) as stage:
        yield stage


def leave(principal: str, delegate: str) -> Delegation:
    return Delegation(
        delegation_id=f"leave-{delegate}",
        principal=principal,
        delegate=delegate,
        starts_at=soon(minutes=-1),
        ends_at=soon(days=1),
        made_by=principal,
        made_at=soon(minutes=-1),
    )


async def test_a_deputy_who_was_named_after_the_question_answers_in_the_others_place(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with three(temporal, tmp_path) as stage:
        approval = await asked(stage)
        stranger = await give(stage, says(approval, approver="lena.fischer"))
        assert not stranger.accepted
        await stage.ledger.delegate(leave("dana.reyes", "lena.fischer"))
        told = await give(stage, says(approval, approver="lena.fischer"))
        assert told.accepted
        assert "lena.fischer for dana.reyes" in told.message
        await sent(stage)
        await at_rest(stage)
        assert [item.accepted for item in await recorded(stage)] == [False, True]


async def test_nobody_answers_in_the_place_of_somebody_who_may_not(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Promise 9: Tom owns the agent, so Tom's deputy has nothing to say; and nothing is passed on."""
    async with three(temporal, tmp_path) as stage:
        approval = await asked(stage)
        await stage.ledger.delegate(leave("tom.okafor", "lena.fischer"))
        assert not (await give(stage, says(approval, approver="lena.fischer"))).accepted
        await stage.ledger.delegate(leave("lena.fischer", "sdr-agent"))
        assert not (await give(stage, says(approval, approver="sdr-agent"))).accepted
        assert not stage.relay.envelopes


async def test_an_answer_that_waits_for_governance_is_carried_into_the_next_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given governance is away while a deputy answers, when the run continues as new in between, then the
    caller who asked once gets the result from the next run, and whoever asks again with the same id too."""
    async with three(temporal, tmp_path, events=60) as stage:
        approval = await asked_and_idle(stage)
        await stage.ledger.delegate(leave("dana.reyes", "lena.fischer"))
        yes = says(approval, approver="lena.fischer")
        with broken(stage.database, "delegations") as mend:
            answering = asyncio.create_task(give(stage, yes))
            run, number = (await runs_of(stage))[-1], 0
            while (await runs_of(stage))[-1] == run:
                number += 1
                await stage.accounts.observe(stage.account_id, [visit(number)])
            assert not answering.done(), "nobody can have said yes or no"
            assert (await question(stage)).status is ApprovalStatus.PENDING
            mend()
            told = await answering
        assert told.accepted
        assert await give(stage, yes) == told
        await sent(stage)
        await at_rest(stage)
        assert len(await recorded(stage)) == 1


async def test_nothing_is_taken_while_nobody_can_tell_who_may_answer(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Promise 8: an error is no yes. Whoever was asked by name does not have to wait."""
    async with three(temporal, tmp_path) as stage:
        approval = await asked_and_idle(stage)
        with broken(stage.database, "delegations") as mend:
            answering = asyncio.create_task(give(stage, says(approval, approver="lena.fischer")))
            told = await give(stage, says(approval, Answer.REJECT))
            assert told.accepted, "Dana was asked by name"
            mend()
            late = await answering
        assert (late.accepted, late.status) == (False, ApprovalStatus.REJECTED)
        assert not stage.relay.envelopes


async def test_a_broken_glass_lets_it_go_and_is_reviewed_by_somebody_else(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=GLASS) as stage:
        approval = await asked(stage)
        reason = {"code": AnswerCode.EMERGENCY, "comment": "their line stands still"}
        for who in ("dana.reyes", "sdr-agent", "tom.okafor"):
            refused = await give(stage, says(approval, Answer.BREAK_GLASS, approver=who, **reason))
            assert not refused.accepted, who
        told = await give(stage, says(approval, Answer.BREAK_GLASS, approver="lena.fischer", **reason))
        assert told.accepted, told.message
        await sent(stage)

        async def raised() -> object:
            status = await stage.accounts.status(stage.account_id)
            return next((a for a in status.approvals if a.kind is ExceptionKind.REVIEW), None)

        await until(raised, "the review")
        (review,) = (await stage.accounts.status(stage.account_id)).approvals
        assert not (await give(stage, says(review, approver="lena.fischer"))).accepted
        assert (await give(stage, says(review))).accepted
        assert len(stage.relay.envelopes) == 1


async def test_what_an_approver_has_changed_somebody_else_approves(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Promise 6: a changed action is another one: new digest, ruled again, asked again; not of its editor."""
    async with three(temporal, tmp_path) as stage:
        first = await asked(stage)
        better = Changes(content=Content(subject="A better subject", text="Hello Helen,\n\nshorter.\n"))
        told = await give(
            stage, says(first, Answer.MODIFY, changes=better, code=AnswerCode.IMPROVED, comment="shorter")
        )
        assert (told.accepted, told.status) == (True, ApprovalStatus.MODIFIED)
        second = await question(stage)
        assert second.digest != first.digest
        assert not (await give(stage, says(second, digest=first.digest, approver="mara.lindqvist"))).accepted
        assert not (await give(stage, says(second, approver="dana.reyes"))).accepted, "it is hers now"
        assert (await give(stage, says(second, approver="mara.lindqvist"))).accepted
        await sent(stage)
        await at_rest(stage)
        message = email.message_from_bytes(stage.relay.text(), policy=email.policy.default)
        assert message["Subject"] == "A better subject"
        assert len(stage.relay.envelopes) == 1


async def test_what_is_sent_back_ends_and_says_what_to_do_better(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with three(temporal, tmp_path) as stage:
        approval = await asked(stage)
        told = await give(
            stage, says(approval, Answer.SEND_BACK, code=AnswerCode.WRONG_FACTS, comment="not eleven weeks")
        )
        assert told.status is ApprovalStatus.SENT_BACK
        (view,) = (await at_rest(stage)).proposals
        assert (view.status, view.reason) == (ProposalStatus.SUPPRESSED, ReasonCode.SENT_BACK)
        assert view.message is not None
        assert "not eleven weeks" in view.message
        assert not stage.relay.envelopes
