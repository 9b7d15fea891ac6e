"""Accounts with questions to people under rules that know due dates, and what to read off them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from domain import (
    Ambiguity,
    AnswerCode,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    ApprovalRoute,
    ApprovalStepFact,
    EscalationLevel,
    ExceptionKind,
    LedgerFact,
    Noticed,
    NoticeReport,
    Notify,
    Ruled,
    Ruling,
    Verdict,
    Vet,
    Vetted,
    Vetting,
)
from tests.builders import POLICY, START, Shell, decide, proposal, route
from tests.domain.situations import answer


def due_route(**changes: object) -> ApprovalRoute:
    """Dana may answer; tom owns the agent; vera is asked after four hours, and silence suppresses."""
    base: dict[str, object] = {
        "route_id": "ask-sales",
        "approvers": ("dana", "mara"),
        "excluded": ("tom",),
        "due_at": START + timedelta(hours=6),
        "reminders": (START + timedelta(hours=2),),
        "levels": (
            EscalationLevel(at=START + timedelta(hours=4), group="heads", approvers=("vera",)),
            EscalationLevel(at=START + timedelta(hours=8), group="board", approvers=("olga",)),
        ),
    }
    return route(**(base | changes))


def asked(**changes: object) -> Shell:
    """An account with a question about `p1`, asked under today's rules."""
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=due_route(**changes))
    return shell


def approval(shell: Shell, kind: ExceptionKind = ExceptionKind.ACTION) -> Approval:
    """The one question of a kind."""
    (found,) = [each for each in shell.state.approvals.values() if each.kind is kind]
    return found


def facts(shell: Shell) -> Iterable[LedgerFact]:
    return shell.state.outbox


def steps(shell: Shell, approval_id: str | None = None) -> list[str]:
    """The audit trail: what happened, in order."""
    return [
        fact.step.kind.value
        for fact in facts(shell)
        if isinstance(fact, ApprovalStepFact) and approval_id in {None, fact.step.approval_id}
    ]


def details(shell: Shell) -> list[str]:
    """The audit trail as sentences."""
    return [
        f"{fact.step.kind.value} by {fact.step.actor} over {fact.step.via.value}: {fact.step.detail}"
        for fact in facts(shell)
        if isinstance(fact, ApprovalStepFact)
    ]


def notices(shell: Shell) -> list[Notify]:
    """Notices on their way, taken off the shell."""
    found = [effect for effect in shell.effects if isinstance(effect, Notify)]
    shell.effects = [effect for effect in shell.effects if not isinstance(effect, Notify)]
    return found


def told(shell: Shell, **report: object) -> None:
    """Report on the one notice that is on its way: delivered to everybody, if not said otherwise."""
    (notify,) = notices(shell)
    base: dict[str, object] = {"notice_id": notify.notice.notice_id}
    if not report:
        base["delivered"] = tuple(f"{login} by mail" for login in notify.notice.to)
    shell.send(Noticed(report=NoticeReport.model_validate(base | report)))


def vet(shell: Shell, **verdict: object) -> None:
    """Answer as governance about the one answer that is being vetted."""
    (effect,) = [each for each in shell.effects if isinstance(each, Vet)]
    shell.effects.remove(effect)
    given = effect.request.answer
    base: dict[str, object] = {
        "approval_id": given.approval_id,
        "answer_id": given.answer_id,
        "refusal": None,
    }
    shell.send(Vetted(vetting=Vetting.model_validate(base | verdict)))


def why(shell: Shell, answer_id: str = "a1") -> AnswerResult:
    return next(each for each in shell.state.answers.values() if each.answer_id == answer_id)


def no(shell: Shell, **changes: object) -> ApprovalAnswer:
    """An answer with its reasons."""
    reasons: dict[str, object] = {"code": AnswerCode.WRONG_TIME, "comment": "not this week"}
    return answer(shell, **(reasons | changes))


def routed(shell: Shell, verdicts: dict[str, Verdict], **changes: object) -> None:
    """Rule, and say of every exception in the request whom to ask."""
    request = shell.consultation()
    ruling = decide(request, verdicts, **changes)
    routes = {each.approval_id: due_route() for each in request.asks}
    kinds = (ExceptionKind.IN_DOUBT, ExceptionKind.CONFLICT, ExceptionKind.AMBIGUITY)
    shell.send(Ruled(ruling=ruling.model_copy(update={"asks_about": kinds, "routes": routes})))


def ambiguous(shell: Shell, digest: str = "d" * 64, **parts: object) -> Ruling:
    """A ruling that finds the readings too far apart."""
    request = shell.consultation()
    found = Ambiguity(
        digest=digest,
        disagreement=0.8,
        message="crm says customer, intent says aware",
        rule_id="readings",
        route=due_route(),
        holds_seconds=86_400.0,
    )
    ruling = decide(request, {"p1": Verdict.DEFER}, **parts)
    update = {"ambiguity": found, "asks_about": (ExceptionKind.AMBIGUITY,), "policy_digest": POLICY}
    return ruling.model_copy(update=update)
