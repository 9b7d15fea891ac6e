"""How well people answer: figures for each approver and each rule, none of them without its denominator.

What counts as a rubber stamp, a caught bad proposal and an interval is said here once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from domain import Answer, AnswerFact, ApprovalStatus, Frozen, StepKind
from ledger import Question

FEWEST: Final = 30
"""A share of fewer is told with a warning: its interval is too wide to judge anybody by."""
QUICK: Final = timedelta(seconds=10)
"""An approval that comes sooner after the first look has hardly been read."""
NEARLY_ALWAYS: Final = 0.95
"""Who says yes more often than this, and quickly, may be a rubber stamp."""
SEEDED: Final = "seeded"
"""The detail of the step that says that a question was planted."""
_YES: Final = frozenset({Answer.APPROVE, Answer.BREAK_GLASS})
_95_PERCENT: Final = 1.959964
"""The normal distribution's quantile for an interval that holds in 95 cases of 100."""


class Ratio(Frozen):
    """So many of so many."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """Between 0 and 1; None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def few(self) -> bool:
        """Whether there are too few to judge anybody by."""
        return self.of < FEWEST

    @property
    def interval(self) -> tuple[float, float] | None:
        """Between what the share lies with 95 % confidence, after Wilson (1927); None of nothing."""
        if not self.of:
            return None
        squared, share = _95_PERCENT**2, self.count / self.of
        middle = (share + squared / (2 * self.of)) / (1 + squared / self.of)
        spread = math.sqrt(share * (1 - share) / self.of + squared / (4 * self.of**2))
        reach = _95_PERCENT * spread / (1 + squared / self.of)
        return max(0.0, middle - reach), min(1.0, middle + reach)


class Spread(Frozen):
    """A time that varies."""

    count: int
    median: timedelta
    p90: timedelta
    """Nine of ten take no longer."""


class ApproverHealth(Frozen):
    """How one person answers; planted questions count in `caught` alone."""

    login: str
    answered: int
    approved: Ratio
    """Of their answers."""
    to_answer: Spread | None
    """From the request to their answer, nights and weekends included."""
    to_decide: Spread | None
    """From their first look to their answer; without the answers before which no look was recorded."""
    unseen: int
    """Answers before which no look was recorded: given from a mail, or without looking."""
    quick: Ratio
    """Approvals sooner than `QUICK` after the first look, of those with a look."""
    caught: Ratio
    """Planted bad proposals that they did not approve, of those they answered."""

    @property
    def rubber_stamp(self) -> Ratio:
        """Quick approvals of somebody who nearly always approves; of everybody else none count."""
        share = self.approved.share
        always = share is not None and share > NEARLY_ALWAYS
        return Ratio(count=self.quick.count if always else 0, of=self.quick.of)


class RuleHealth(Frozen):
    """How the questions of one rule fare; planted ones do not count."""

    rule_id: str
    """`other` for questions that no rule asks."""
    asked: int
    open: int
    approved: Ratio
    """Of those that people answered."""
    expired: Ratio
    """Of those that have ended."""
    withdrawn: Ratio
    """Of those that have ended: the world changed before anybody answered."""
    escalated: Ratio
    """Of all that were asked."""
    to_answer: Spread | None
    """From the request to the answer that settled it."""


class Health(Frozen):
    """Both, over a time."""

    questions: int
    planted: int
    caught: Ratio
    """Planted bad proposals that were answered and not approved, of those that were answered."""
    approvers: tuple[ApproverHealth, ...]
    rules: tuple[RuleHealth, ...]


def health_of(questions: Sequence[Question]) -> Health:
    """Return the figures over some questions."""
    planted = [question for question in questions if is_planted(question)]
    real = [question for question in questions if not is_planted(question)]
    people: defaultdict[str, list[tuple[Question, bool]]] = defaultdict(list)
    for question in questions:
        for login in dict.fromkeys(fact.answer.approver for fact in question.answers):
            people[login].append((question, is_planted(question)))
    rules: defaultdict[str, list[Question]] = defaultdict(list)
    for question in real:
        rules[question.approval.rule_id or "other"].append(question)
    answered = [question for question in planted if question.answers]
    missed = sum(question.approval.status is ApprovalStatus.APPROVED for question in answered)
    return Health(
        questions=len(real),
        planted=len(planted),
        caught=Ratio(count=len(answered) - missed, of=len(answered)),
        approvers=tuple(_approver(login, asked) for login, asked in sorted(people.items())),
        rules=tuple(_rule(rule_id, asked) for rule_id, asked in sorted(rules.items())),
    )


def is_planted(question: Question) -> bool:
    """Tell whether a question was planted to see whether people catch it."""
    return any(step.kind is StepKind.REQUESTED and step.detail == SEEDED for _, step in question.steps)


def _approver(login: str, asked: Sequence[tuple[Question, bool]]) -> ApproverHealth:
    given = [
        (question, fact, planted)
        for question, planted in asked
        for fact in question.answers
        if fact.answer.approver == login
    ]
    real = [(question, fact) for question, fact, planted in given if not planted]
    planted = [fact for _, fact, is_bad in given if is_bad]
    looks = [(fact, _looked(question, login, fact)) for question, fact in real]
    yes = [dwell for fact, dwell in looks if fact.answer.answer in _YES and dwell is not None]
    return ApproverHealth(
        login=login,
        answered=len(real),
        approved=Ratio(count=sum(fact.answer.answer in _YES for _, fact in real), of=len(real)),
        to_answer=_spread(fact.at - question.approval.requested_at for question, fact in real),
        to_decide=_spread(dwell for _, dwell in looks if dwell is not None),
        unseen=sum(dwell is None for _, dwell in looks),
        quick=Ratio(count=sum(dwell < QUICK for dwell in yes), of=len(yes)),
        caught=Ratio(count=sum(fact.answer.answer not in _YES for fact in planted), of=len(planted)),
    )


def _looked(question: Question, login: str, fact: AnswerFact) -> timedelta | None:
    """Return how long before an answer its author first looked; None if no look was recorded."""
    looks = (
        step.shown_at or at
        for at, step in question.steps
        if step.kind is StepKind.VIEWED and step.actor == login and at <= fact.at
    )
    first = min(looks, default=None)
    return None if first is None else fact.at - first


def _rule(rule_id: str, asked: Sequence[Question]) -> RuleHealth:
    ended = [each for each in asked if each.approval.status is not ApprovalStatus.PENDING]
    by_people = [
        each
        for each in ended
        if each.approval.status not in {ApprovalStatus.EXPIRED, ApprovalStatus.WITHDRAWN}
    ]

    def having(status: ApprovalStatus, of: Sequence[Question]) -> Ratio:
        return Ratio(count=sum(each.approval.status is status for each in of), of=len(of))

    escalated = sum(any(step.kind is StepKind.ESCALATED for _, step in each.steps) for each in asked)
    return RuleHealth(
        rule_id=rule_id,
        asked=len(asked),
        open=len(asked) - len(ended),
        approved=having(ApprovalStatus.APPROVED, by_people),
        expired=having(ApprovalStatus.EXPIRED, ended),
        withdrawn=having(ApprovalStatus.WITHDRAWN, ended),
        escalated=Ratio(count=escalated, of=len(asked)),
        to_answer=_spread(
            each.approval.answered_at - each.approval.requested_at
            for each in by_people
            if each.approval.answered_at is not None
        ),
    )


def _spread(times: Iterable[timedelta]) -> Spread | None:
    ordered = sorted(times)
    if not ordered:
        return None
    middle, upper = (len(ordered) - 1) // 2, len(ordered) // 2
    return Spread(
        count=len(ordered),
        median=(ordered[middle] + ordered[upper]) / 2,
        p90=ordered[math.ceil(0.9 * len(ordered)) - 1],
    )
