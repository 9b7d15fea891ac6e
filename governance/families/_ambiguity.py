"""interpretation.yaml, ambiguity: when readings differ so much that a person must say what is so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain import (
    Ambiguity,
    Approval,
    ApprovalRoute,
    ApprovalStatus,
    Assessment,
    ReasonCode,
    RuleHit,
    RulingRequest,
    Share,
    Verdict,
)
from governance._builder import Builder
from governance._case import Origin, one_line
from governance._fields import Duration, RuleEntry
from governance._limits import NotBefore


class Meanwhile(StrEnum):
    """What becomes of proposals until somebody has said what is so."""

    WAIT = "wait"
    GO_ON = "go_on"


class AmbiguityEntry(RuleEntry):
    """When a person is asked what is so, and what happens until they answer."""

    disagreement_above: Share
    systems_at_least: int = Field(default=2, ge=2)
    """How many systems must have a say; one alone disagrees with nobody."""
    holds_for: Duration
    """How long an answer counts, as long as the systems say the same."""
    meanwhile: Meanwhile = Meanwhile.WAIT
    """wait: proposals wait for the answer. go_on: they are judged by the vote."""


@dataclass(frozen=True, slots=True)
class AmbiguityRule:
    """The compiled part.

    Attributes:
        origin: The rule.
        above: How much the readings must disagree.
        systems: How many systems must have a say.
        holds: How long an answer counts.
        meanwhile: What becomes of proposals until then.
    """

    origin: Origin
    above: float
    systems: int
    holds: timedelta
    meanwhile: Meanwhile

    def speaks(self, assessment: Assessment | None) -> bool:
        """Tell whether the readings behind an assessment disagree too much."""
        return (
            assessment is not None
            and assessment.systems >= self.systems
            and assessment.disagreement > self.above
        )


def build_ambiguity(entry: AmbiguityEntry | None, builder: Builder) -> AmbiguityRule | None:
    """Compile the part; None if nobody is ever asked."""
    if entry is None:
        return None
    message = "Systems read the account too differently, and a person must say what is so."
    return AmbiguityRule(
        origin=builder.origin(("ambiguity",), entry.id, message, entry.mode),
        above=entry.disagreement_above,
        systems=entry.systems_at_least,
        holds=entry.holds_for,
        meanwhile=entry.meanwhile,
    )


@dataclass(frozen=True, slots=True)
class Said:
    """Which system reads which stage.

    Attributes:
        digest: SHA-256 of it: other readings are another question.
        told: The same for people.
    """

    digest: str
    told: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Readings that disagree too much, and that nobody has settled.

    Attributes:
        ambiguity: What a person is asked; None if nobody is.
        limit: Until when proposals wait; None if they do not.
        hit: Why they are dropped; None if they are not.
    """

    ambiguity: Ambiguity | None
    limit: NotBefore | None = None
    hit: RuleHit | None = None


def doubt_about(
    rule: AmbiguityRule,
    said: Said,
    assessment: Assessment,
    route: ApprovalRoute | str,
    request: RulingRequest,
) -> Doubt:
    """Return what readings lead to that disagree too much.

    Proposals wait until the question ends. When it has ended without an answer, what was to wait for it is
    dropped: silence never lets anything go out. After as long as an answer would have held, the same readings
    are asked about again.

    Args:
        rule: What interpretation.yaml says.
        said: Which system says what.
        assessment: How much they disagree.
        route: Whom to ask, or why nobody can be.
        request: The account's world.
    """
    ambiguity = None
    if isinstance(route, ApprovalRoute) and not rule.origin.log_only:
        ambiguity = Ambiguity(
            digest=said.digest,
            disagreement=assessment.disagreement,
            message=said.told,
            rule_id=rule.origin.rule_id,
            route=route,
            holds_seconds=rule.holds.total_seconds(),
        )
    if rule.meanwhile is Meanwhile.GO_ON:
        return Doubt(ambiguity)
    question = request.ambiguity if request.ambiguity and request.ambiguity.digest == said.digest else None
    if question is not None and _is_silent(rule, question, request.now):
        message = f"Nobody has said in time what is so: {said.told}"
        return Doubt(ambiguity, hit=_hit(rule, message))
    until = _until(question, route)
    if until is None:
        return Doubt(ambiguity, hit=_hit(rule, f"{said.told} And {route}."))
    origin = Origin(
        rule.origin.rule_id,
        rule.origin.family,
        one_line(f"A person is asked what is so: {said.told}"),
        rule.origin.file,
        rule.origin.line,
        rule.origin.log_only,
    )
    return Doubt(ambiguity, limit=NotBefore(origin, ReasonCode.AMBIGUOUS, until, lifts=True))


def _is_silent(rule: AmbiguityRule, question: Approval, now: datetime) -> bool:
    """Tell whether nobody has answered in time, not longer ago than an answer would count."""
    ended_at = question.answered_at or question.route.expires_at
    return question.status is ApprovalStatus.EXPIRED and now < ended_at + rule.holds


def _until(question: Approval | None, route: ApprovalRoute | str) -> datetime | None:
    if question is not None and question.status is ApprovalStatus.PENDING:
        return question.route.expires_at
    return route.expires_at if isinstance(route, ApprovalRoute) else None


def _hit(rule: AmbiguityRule, message: str) -> RuleHit:
    return rule.origin.hit(Verdict.SUPPRESS, ReasonCode.AMBIGUOUS, message=message)
