"""Accounts in the situations that several tests begin with, and what to read off them."""

from __future__ import annotations

from domain import (
    Answer,
    AnswerResult,
    ApprovalAnswer,
    Block,
    Verdict,
)
from tests.builders import Shell, proposal


def deferred(*ids: str) -> Shell:
    """An account with scheduled touches."""
    shell = Shell()
    shell.propose(*(proposal(item) for item in ids))
    shell.wait(seconds=3)
    shell.rule(dict.fromkeys(ids, Verdict.DEFER))
    return shell


def asked() -> Shell:
    """An account with a pending approval."""
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL})
    return shell


def answer(shell: Shell, **changes: object) -> ApprovalAnswer:
    pending = next(iter(shell.state.approvals.values()))
    base: dict[str, object] = {
        "answer_id": "a1",
        "approval_id": pending.approval_id,
        "answer": Answer.APPROVE,
        "approver": "dana",
        "digest": pending.digest,
    }
    return ApprovalAnswer.model_validate(base | changes)


def result_of(shell: Shell, answer_id: str) -> AnswerResult:
    return next(result for result in shell.state.answers.values() if result.answer_id == answer_id)


def blocked(shell: Shell) -> set[str | None]:
    """Keys that went to the suppression store at once."""
    facts = [fact for effect in shell.effects if isinstance(effect, Block) for fact in effect.batch.facts]
    return {fact.person_key for fact in facts if fact.type == "suppression"}
