"""What tests of approvals share: more than one approver, questions, answers, and what was recorded."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from typing import NamedTuple

from domain import (
    AccountStatus,
    Answer,
    AnswerCode,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    ApprovalClaimed,
    ApprovalReleased,
    Door,
    ProposalWithdrawn,
    Seeded,
)
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import FAST, PATIENCE_SECONDS, Stage, until

THREE: dict[str, list[tuple[str, str]]] = FAST | {
    "people.yaml": [
        ("members: [dana.reyes, tom.okafor]", "members: [dana.reyes, tom.okafor, mara.lindqvist]")
    ],
}
"""Sales leadership has a third member, so that two may answer for an agent that one of them owns."""


PATIENT = """    due_in: 20s
    remind: [15s]
    escalate: [{after: 30s, to: executives}]
    answer_within: 60s"""
"""How the demo asks about executives."""
HURRIED = "    answer_within: 2s"


class Recorded(NamedTuple):
    """An answer as the ledger has it."""

    answer_id: str
    approver: str
    accepted: bool
    message: str


async def asked(stage: Stage, proposal_id: str = "exec-1", **changes: object) -> Approval:
    """Introduce the account, propose something that needs a person, and return the question."""
    await set_up(stage)
    await stage.propose(wanted("exec-1", proposal_id=proposal_id, **changes))
    return await question(stage, proposal_id)


async def asked_and_idle(stage: Stage) -> Approval:
    """Return the question when nobody has anything in hand any more: no activity runs, and no one writes."""
    approval = await asked(stage)
    await stage.status_when(lambda s: not s.unsent_facts, "an empty outbox")
    return approval


async def question(stage: Stage, proposal_id: str = "exec-1") -> Approval:
    status = await stage.status_when(
        lambda s: any(a.proposal_id == proposal_id for a in s.approvals), "the question"
    )
    return next(a for a in status.approvals if a.proposal_id == proposal_id)


def says(approval: Approval, answer: Answer = Answer.APPROVE, **changes: object) -> ApprovalAnswer:
    """An answer of Dana's, with a reason where one is needed, under an id of its own."""
    why = {} if answer is Answer.APPROVE else {"code": AnswerCode.WRONG_TIME, "comment": "not this week"}
    return ApprovalAnswer.model_validate(
        {
            "answer_id": uuid.uuid4().hex,
            "approval_id": approval.approval_id,
            "answer": answer,
            "approver": "dana.reyes",
            "digest": approval.digest,
        }
        | why
        | changes
    )


async def give(stage: Stage, answer: ApprovalAnswer) -> AnswerResult:
    return await stage.accounts.answer(stage.account_id, answer)


async def sent(stage: Stage, count: int = 1, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until so many e-mails have gone out."""

    async def look() -> bool | None:
        return len(stage.relay.envelopes) >= count or None

    await until(look, f"e-mail number {count}", patience)


async def at_rest(stage: Stage, patience: float = PATIENCE_SECONDS) -> AccountStatus:
    """Wait until every proposal has ended and the ledger has been told."""
    return await stage.status_when(
        lambda s: all(view.status.final for view in s.proposals) and not s.unsent_facts,
        "the end of everything",
        patience,
    )


async def recorded(stage: Stage) -> list[Recorded]:
    """Every answer to this account's questions that the ledger knows, in order."""
    await stage.status_when(lambda s: not s.unsent_facts, "an empty outbox")
    query = (
        "SELECT answer_id, approver, accepted, json_extract(body, '$.result.message') FROM approval_answers "
        "WHERE account_id = ? ORDER BY seq"
    )
    with closing(sqlite3.connect(stage.database)) as connection:
        rows = connection.execute(query, (stage.account_id,)).fetchall()
    return [Recorded(row[0], row[1], bool(row[2]), row[3]) for row in rows]


def taken_back(who: str, proposal_id: str = "exec-1") -> ProposalWithdrawn:
    return ProposalWithdrawn(proposal_id=proposal_id, withdrawn_by=who, reason="the numbers were wrong")


def claim(approval: Approval, who: str) -> ApprovalClaimed:
    return ApprovalClaimed(approval_id=approval.approval_id, claimed_by=who, via=Door.COMMAND)


def release(approval: Approval, who: str) -> ApprovalReleased:
    return ApprovalReleased(approval_id=approval.approval_id, released_by=who, via=Door.COMMAND)


def planted(proposal_id: str = "bad-1") -> Seeded:
    """A proposal that nobody should wave through."""
    return Seeded(proposal=wanted("exec-1", proposal_id=proposal_id), seeded_by="tom.okafor")
