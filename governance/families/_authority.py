"""authority.yaml: what each actor may do alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from domain import ActorKind, Amount, Autonomy, Identifier, ReasonCode, Share, Verdict
from governance._builder import Builder
from governance._case import Case, Origin
from governance._fields import ConditionText, NotEmpty, PolicyModel, RuleId
from governance.cel._conditions import Condition

ANY = "any"
_NO_GRANT = Origin("engine.no_grant", "authority", "Nobody has granted this actor such an action.")


class ConfidenceBand(PolicyModel):
    """How sure an actor must be of its own numbers."""

    act_at: Share
    ask_at: Share


class GrantEntry(PolicyModel):
    """One grant of authority."""

    id: RuleId
    actor: Identifier | None = None
    actor_kind: ActorKind | None = None
    actions: Annotated[tuple[Identifier, ...], NotEmpty]
    channels: Annotated[tuple[Identifier, ...], NotEmpty]
    when: ConditionText | None = None
    level: Autonomy
    confidence: ConfidenceBand
    max_value: Amount
    granted_by: Identifier


class AuthorityFile(PolicyModel):
    """The file as people write it."""

    grants: tuple[GrantEntry, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody has granted to an actor or a kind of actors."""

    origin: Origin
    actor: str | None
    actor_kind: ActorKind | None
    actions: frozenset[str] | None
    channels: frozenset[str] | None
    when: Condition | None
    level: Autonomy
    act_at: float
    ask_at: float
    max_value: float
    granted_by: str

    def covers(self, case: Case) -> bool:
        """Tell whether the grant speaks about the proposal."""
        proposal = case.candidate.proposal
        return (
            (
                self.actor == case.actor.actor_id
                if self.actor is not None
                else self.actor_kind is case.actor.kind
            )
            and (self.actions is None or proposal.action in self.actions)
            and (self.channels is None or proposal.channel in self.channels)
            and case.holds(self.when, self.origin)
        )


def build_authority(file: AuthorityFile, builder: Builder) -> tuple[Grant, ...]:
    """Compile the grants."""
    roll = builder.roll
    grants = []
    for index, entry in enumerate(file.grants):
        loc = ("grants", index)
        if (entry.actor is None) == (entry.actor_kind is None):
            builder.reject(loc, "a grant names either one `actor` or an `actor_kind`")
        if entry.actor is not None:
            builder.known((*loc, "actor"), entry.actor, roll.actors, "actor")
        builder.all_known((*loc, "channels"), entry.channels, roll.channels, "channel", wild=ANY)
        builder.all_known((*loc, "actions"), entry.actions, entry.actions, "action")
        builder.known((*loc, "granted_by"), entry.granted_by, roll.persons, "person")
        if entry.confidence.ask_at > entry.confidence.act_at:
            builder.reject((*loc, "confidence", "ask_at"), "ask_at must not be above act_at")
        grants.append(
            Grant(
                builder.origin(loc, entry.id, f"Granted by {entry.granted_by}: {entry.level.value}."),
                entry.actor,
                entry.actor_kind,
                None if ANY in entry.actions else frozenset(entry.actions),
                None if ANY in entry.channels else frozenset(entry.channels),
                builder.condition((*loc, "when"), entry.when),
                entry.level,
                entry.confidence.act_at,
                entry.confidence.ask_at,
                entry.max_value,
                entry.granted_by,
            )
        )
    return tuple(grants)


def apply_authority(grants: tuple[Grant, ...], case: Case) -> None:
    """Collect what every matching grant says; the most restrictive one will count."""
    matching = [grant for grant in grants if grant.covers(case)]
    for grant in matching:
        _apply(grant, case)
    if not matching:
        proposal = case.candidate.proposal
        message = f"Nobody has granted {proposal.actor} the action {proposal.action} over {proposal.channel}."
        case.hits.append(_NO_GRANT.hit(Verdict.DENY, ReasonCode.NO_AUTHORITY, message=message))


def _apply(grant: Grant, case: Case) -> None:
    origin, actor = grant.origin, case.actor.actor_id
    match grant.level:
        case Autonomy.OFF:
            message = f"{grant.granted_by} has switched this off for {actor}."
            case.hits.append(origin.hit(Verdict.DENY, ReasonCode.NO_AUTHORITY, message=message))
        case Autonomy.DRAFT_ONLY:
            message = f"{actor} may prepare this, but nothing goes out."
            case.hits.append(origin.hit(Verdict.SUPPRESS, ReasonCode.AUTHORITY_EXCEEDED, message=message))
        case Autonomy.APPROVAL_REQUIRED | Autonomy.VETO_WINDOW:
            message = f"{actor} may do this only after a person has approved it."
            case.hits.append(
                origin.hit(Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED, message=message)
            )
            _apply_band(grant, case)
        case Autonomy.ACT_AND_REPORT:
            before = len(case.hits)
            _apply_band(grant, case)
            if len(case.hits) == before:
                message = f"{actor} may do this alone; granted by {grant.granted_by}."
                case.hits.append(origin.hit(Verdict.ALLOW, ReasonCode.ALLOWED, message=message))


def _apply_band(grant: Grant, case: Case) -> None:
    proposal, origin, actor = case.candidate.proposal, grant.origin, case.actor.actor_id
    if proposal.value > grant.max_value:
        message = (
            f"{actor} may act alone up to a value of {grant.max_value:,.0f}; this is {proposal.value:,.0f}."
        )
        case.hits.append(origin.hit(Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED, message=message))
    if proposal.confidence < grant.ask_at:
        message = f"{actor} is too unsure of this: {proposal.confidence:.2f} is below {grant.ask_at:.2f}."
        case.hits.append(origin.hit(Verdict.SUPPRESS, ReasonCode.LOW_CONFIDENCE, message=message))
    elif proposal.confidence < grant.act_at:
        message = (
            f"{actor} is not sure enough to act alone: {proposal.confidence:.2f} is below {grant.act_at:.2f}."
        )
        case.hits.append(origin.hit(Verdict.REQUIRE_APPROVAL, ReasonCode.LOW_CONFIDENCE, message=message))
