"""authority.yaml: what each actor may do alone, how much of it, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from domain import ActorKind, Amount, Autonomy, Identifier, Share
from governance._builder import Builder, Loc
from governance._case import FAR, Origin
from governance._fields import ConditionText, Day, NotEmpty, PolicyModel, RuleEntry, Window
from governance._shared import SharedLimit, written
from governance.families._grants import WITHHOLDING, Grant, Irreversible
from governance.families._people import People

ANY = "any"
_ASKING = frozenset({Autonomy.APPROVAL_REQUIRED, Autonomy.VETO_WINDOW})


class ConfidenceBand(PolicyModel):
    """How sure an actor must be of its own numbers."""

    act_at: Share
    ask_at: Share


class BudgetEntry(PolicyModel):
    """How much of it within a window: touches or money, over all accounts."""

    touches: int | None = Field(default=None, ge=1, le=1_000_000)
    cost: Annotated[float, Field(gt=0.0, le=1e12)] | None = None
    per: Window


def _lets_out_with_approval(level: Autonomy) -> Autonomy:
    if level not in _ASKING:
        raise ValueError(
            "novelty can ask for an approval (approval_required); below that nothing would ever go out, the "
            "actor would stay new, and act_and_report would change nothing"
        )
    return level


class NoveltyEntry(PolicyModel):
    """How many touches an actor makes with an action before it is trusted with it."""

    first: int = Field(ge=1, le=1_000)
    level: Annotated[Autonomy, AfterValidator(_lets_out_with_approval)]


class GrantEntry(RuleEntry):
    """One grant of authority."""

    actor: Identifier | None = None
    actor_kind: ActorKind | None = None
    actions: Annotated[tuple[Identifier, ...], NotEmpty]
    channels: Annotated[tuple[Identifier, ...], NotEmpty]
    when: ConditionText | None = None
    level: Autonomy
    confidence: ConfidenceBand
    max_value: Amount
    max_reach: int = Field(default=1, ge=1, le=1_000_000_000)
    irreversible: Irreversible = Irreversible.ASK
    novelty: NoveltyEntry | None = None
    budgets: tuple[BudgetEntry, ...] = ()
    granted_by: Identifier
    valid_until: Day


class AuthorityFile(PolicyModel):
    """The file as people write it."""

    grants: tuple[GrantEntry, ...]


def build_authority(file: AuthorityFile, builder: Builder, people: People | None = None) -> tuple[Grant, ...]:
    """Compile the grants.

    Args:
        file: What people wrote.
        builder: Where rules and mistakes are noted.
        people: Who is of which kind; None while people.yaml cannot be read.
    """
    grants = tuple(
        _grant(("grants", index), entry, builder, people) for index, entry in enumerate(file.grants)
    )
    _reject_contradictions(grants, builder)
    return grants


def _grant(loc: Loc, entry: GrantEntry, builder: Builder, people: People | None) -> Grant:
    roll = builder.roll
    if (entry.actor is None) == (entry.actor_kind is None):
        builder.reject(loc, "a grant names either one `actor` or an `actor_kind`")
    if entry.actor is not None:
        builder.known((*loc, "actor"), entry.actor, roll.actors, "actor")
    builder.all_known((*loc, "channels"), entry.channels, roll.channels, "channel", wild=ANY)
    builder.all_known((*loc, "actions"), entry.actions, entry.actions, "action")
    builder.known((*loc, "granted_by"), entry.granted_by, roll.persons, "person")
    if entry.confidence.ask_at > entry.confidence.act_at:
        builder.reject((*loc, "confidence", "ask_at"), "ask_at must not be above act_at")
    _reject_idle_limits(loc, entry, builder)
    origin = builder.origin(loc, entry.id, f"Granted by {entry.granted_by}: {entry.level.value}.", entry.mode)
    return Grant(
        origin=origin,
        actor=entry.actor,
        actor_kind=entry.actor_kind,
        actions=None if ANY in entry.actions else frozenset(entry.actions),
        channels=None if ANY in entry.channels else frozenset(entry.channels),
        when=builder.condition((*loc, "when"), entry.when),
        level=entry.level,
        act_at=entry.confidence.act_at,
        ask_at=entry.confidence.ask_at,
        max_value=entry.max_value,
        max_reach=entry.max_reach,
        irreversible=entry.irreversible,
        novelty=entry.novelty.first if entry.novelty is not None else 0,
        budgets=tuple(_budgets(loc, entry, origin, builder, people)),
        granted_by=entry.granted_by,
        valid_until=entry.valid_until,
        ends=_end_of(entry.valid_until),
    )


def _reject_idle_limits(loc: Loc, entry: GrantEntry, builder: Builder) -> None:
    if entry.level is Autonomy.ACT_AND_REPORT:
        return
    for key, value in (("novelty", entry.novelty), ("budgets", entry.budgets)):
        if value:
            message = (
                f"`{key}` limits what is done alone, and {entry.level} lets nothing be done alone; take it "
                "out, or write level: act_and_report"
            )
            builder.reject((*loc, key), message, code="useless", key=True)


def _end_of(day: date) -> datetime:
    """Return the moment at which a day is over in UTC; moments of the language end with the year 2099."""
    if day >= FAR.date():
        return FAR
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)


def _budgets(
    loc: Loc, entry: GrantEntry, origin: Origin, builder: Builder, people: People | None
) -> Iterator[SharedLimit]:
    """Yield the budgets; the actors of a kind share them."""
    actors: tuple[str, ...] = (entry.actor,) if entry.actor is not None else ()
    if entry.actor is None and people is not None:
        actors = tuple(
            sorted(name for name, actor in people.actors.items() if actor.kind is entry.actor_kind)
        )
    taken: set[str] = set()
    for index, budget in enumerate(entry.budgets):
        if (budget.touches is None) == (budget.cost is None):
            builder.reject((*loc, "budgets", index), "a budget counts either `touches` or `cost`")
        what = "touches" if budget.touches is not None else "cost"
        # No rule id of a file can contain the mark, so the name is unique over the set.
        name = f"{entry.id}#{what}-{budget.per.total_seconds():g}s"
        if name in taken:
            message = f"the grant has two budgets of {what} per {written(budget.per)}; the smaller one holds"
            builder.reject((*loc, "budgets", index), message, code="duplicate")
        taken.add(name)
        yield SharedLimit(
            origin,
            name,
            budget.per,
            touches=budget.touches,
            amount=budget.cost if budget.touches is None else None,
            channels=None if ANY in entry.channels else frozenset(entry.channels),
            actors=actors,
            actions=None if ANY in entry.actions else frozenset(entry.actions),
        )


def _reject_contradictions(grants: tuple[Grant, ...], builder: Builder) -> None:
    """Note every grant of freedom that a ban on the same actor takes away again, always."""
    # With a condition on either, or while one is only tried out, both can be meant.
    firm: dict[tuple[str | None, ActorKind | None], list[tuple[int, Grant]]] = {}
    for index, grant in enumerate(grants):
        if grant.when is None and not grant.origin.log_only:
            firm.setdefault((grant.actor, grant.actor_kind), []).append((index, grant))
    for same in firm.values():
        bans = [(index, grant) for index, grant in same if grant.level in WITHHOLDING]
        for index, grant in same:
            for other, ban in bans:
                if grant.level in WITHHOLDING or not _overlap(grant, ban):
                    continue
                later, first = (grant, ban) if index > other else (ban, grant)
                builder.reject(
                    ("grants", max(index, other), "level"),
                    f"{later.origin.rule_id} contradicts {first.origin.rule_id} in {first.origin.file}:"
                    f"{first.origin.line}: for what both cover, the most restrictive counts, so "
                    f"{grant.origin.rule_id} ({grant.level}) never lets {grant.subject} do anything while "
                    f"{ban.origin.rule_id} says {ban.level}; keep their actions or channels apart, take one "
                    "out, or give one a condition",
                    code="contradiction",
                )


def _overlap(one: Grant, other: Grant) -> bool:
    return all(
        left is None or right is None or not left.isdisjoint(right)
        for left, right in ((one.actions, other.actions), (one.channels, other.channels))
    )
