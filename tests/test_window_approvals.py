"""One account from a yes with a window to the touch that nobody is asked about any more, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from domain import (
    Answer,
    AnswerCode,
    Answered,
    Approval,
    ApprovalAnswer,
    ApprovalStatus,
    Consent,
    Content,
    Decision,
    ExceptionKind,
    Observed,
    Proposed,
    ReasonCode,
    Role,
    Signal,
    SignalKind,
    Stage,
    Verdict,
    WindowAsk,
    WindowFact,
)
from domain import Reading as SystemReading
from governance import PolicySet, compile_policy_set, load_policy_set
from tests.builders import account, contact, proposal
from tutti.simulator import Simulator

SHIPPED = Path(__file__).resolve().parent.parent / "policies"
MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TEXT = "id: hello\nsubject: Hello {{ contact.first_name }}\ntext: A word for {{ account.name }}.\n"
ASKS = (
    "  - {id: every-mail, when: proposal.medium == Medium.EMAIL, message: Mails are read first.}\n"
    "  - id: sensitive-accounts\n"
)


@cache
def policies() -> PolicySet:
    """The shipped set, in which every mail is read by a person first."""
    files = {**load_policy_set(SHIPPED).files, "content/hello.yaml": TEXT}
    files["approvals.yaml"] = files["approvals.yaml"].replace("  - id: sensitive-accounts\n", ASKS)
    return compile_policy_set(files)


def begun(policy_set: PolicySet) -> Simulator:
    simulator = Simulator(policy_set, "northwind", MONDAY)
    simulator.send([Observed(observation=account("northwind"))])
    for name in ("amira", "bo"):
        person = contact(name, role=Role.INFLUENCER, consent=Consent.GRANTED, time_zone="Europe/London")
        simulator.send([Observed(observation=person)])
    return simulator


def offer(simulator: Simulator, proposal_id: str, to: str, **changes: object) -> Decision:
    """Propose a mail and return the decision on it."""
    company, person = simulator.state.account, simulator.state.contacts[to]
    assert company is not None
    said = Content(subject=f"Hello {person.name.split()[0]}", text=f"A word for {company.name}.")
    wanted = proposal(proposal_id, contact_id=to, **{"template": "hello", "content": said, **changes})
    simulator.send([Proposed(proposal=wanted)])
    simulator.run_to(simulator.now + timedelta(seconds=10))
    return next(each for each in reversed(simulator.result().decisions) if each.proposal_id == proposal_id)


def question(simulator: Simulator) -> Approval:
    (open_one,) = (
        each for each in simulator.state.approvals.values() if each.status is ApprovalStatus.PENDING
    )
    return open_one


def say_yes(simulator: Simulator, window: WindowAsk | None) -> str:
    """Approve what is asked, and return what became of the answer."""
    asked = question(simulator)
    answer = ApprovalAnswer(
        answer_id=f"a-{asked.approval_id.replace('/', '-')}",
        approval_id=asked.approval_id,
        answer=Answer.APPROVE,
        approver="dana.reyes",
        digest=asked.digest,
        window=window,
    )
    simulator.send([Answered(answer=answer)])
    simulator.run_to(simulator.now + timedelta(seconds=10))
    return next(reversed(simulator.state.answers.values())).message


def test_after_a_yes_with_a_window_the_same_goes_out_without_a_question_and_no_more_than_agreed() -> None:
    simulator = begun(policies())
    assert offer(simulator, "p1", "amira").verdict is Verdict.REQUIRE_APPROVAL

    say_yes(simulator, WindowAsk(days=14, at_most=2))

    (grant,) = (fact.grant for fact in simulator.result().facts if isinstance(fact, WindowFact))
    assert grant.version == policies().contents["hello"].version
    assert "every-mail" in grant.rules
    assert [touch.proposal_id for _, touch, _ in simulator.result().touches] == ["p1"]
    simulator.run_to(MONDAY + timedelta(days=3))
    second = offer(simulator, "p2", "bo")
    assert (second.verdict, second.window) == (Verdict.ALLOW, grant.grant_id)
    simulator.run_to(MONDAY + timedelta(days=7))
    simulator.send([Observed(observation=contact("cleo", role=Role.INFLUENCER, consent=Consent.GRANTED))])
    assert offer(simulator, "p3", "cleo").verdict in {Verdict.REQUIRE_APPROVAL, Verdict.DEFER}
    assert all(each.window is None for each in simulator.result().decisions if each.proposal_id == "p3")


@pytest.mark.parametrize(
    ("window", "changes"),
    [
        (WindowAsk(days=15, at_most=2), {}),
        (WindowAsk(days=14, at_most=51), {}),
        (WindowAsk(days=1, at_most=2), {"template": None}),
    ],
)
def test_a_window_beyond_the_bounds_is_refused_and_nothing_goes_out(
    window: WindowAsk, changes: dict[str, object]
) -> None:
    simulator = begun(policies())
    offer(simulator, "p1", "amira", **changes)

    said = say_yes(simulator, window)

    assert "recorded" not in said
    assert simulator.result().touches == ()
    assert question(simulator).status is ApprovalStatus.PENDING


def split() -> Simulator:
    """An account that two systems read very differently, under the shipped policies."""
    simulator = begun(load_policy_set(SHIPPED))
    for system, stage in (("crm", Stage.TARGET), ("website", Stage.CLOSING)):
        said = SystemReading(system=system, stage=stage, urgency=0.5, confidence=0.9, observed_at=MONDAY)
        seen = Signal(signal_id=system, source=system, kind=SignalKind.NOTE, observed_at=MONDAY, reading=said)
        simulator.send([Observed(observation=seen)])
    return simulator


def test_somebody_says_what_is_so_and_what_waited_for_it_is_judged_again() -> None:
    simulator = split()
    waiting = offer(simulator, "p1", "amira", template=None)
    assert (waiting.verdict, waiting.reason) == (Verdict.DEFER, ReasonCode.AMBIGUOUS)
    asked = question(simulator)
    assert asked.kind is ExceptionKind.AMBIGUITY

    settling = ApprovalAnswer(
        answer_id="settled",
        approval_id=asked.approval_id,
        answer=Answer.SETTLE,
        approver=asked.route.approvers[0],
        digest=asked.digest,
        stage=Stage.TARGET,
        comment="Their buyer told me.",
        code=AnswerCode.VERIFIED,
    )
    simulator.send([Answered(answer=settling)])
    simulator.run_to(simulator.now + timedelta(seconds=10))

    last = simulator.result().decisions[-1]
    assert (last.proposal_id, last.verdict) == ("p1", Verdict.ALLOW)
    assert simulator.state.assessment is not None
    assert simulator.state.assessment.stage is Stage.TARGET


def test_if_nobody_says_what_is_so_nothing_goes_out() -> None:
    simulator = split()
    offer(simulator, "p1", "amira", template=None)
    asked = question(simulator)

    simulator.run_to(asked.route.expires_at + timedelta(minutes=1))

    last = simulator.result().decisions[-1]
    assert (last.verdict, last.reason) == (Verdict.SUPPRESS, ReasonCode.AMBIGUOUS)
    assert simulator.result().touches == ()
