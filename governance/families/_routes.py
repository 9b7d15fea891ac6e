"""Routes of approvals.yaml: whom to ask, in which order, how long each step lasts, and what silence means."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from domain import Identifier, Risk, Verdict
from governance._builder import Builder, Loc
from governance._case import Origin
from governance._fields import (
    ConditionText,
    Duration,
    NotEmpty,
    PolicyModel,
    RuleId,
)
from governance.cel._conditions import Condition

USUAL_CLAIM: Final = timedelta(minutes=30)
LONGEST_WORKING_TIME: Final = timedelta(days=90)
"""Longest answer time in office hours: of eight hours a day that is more than a year."""


class Clock(StrEnum):
    """Which time the lengths of a route are measured in."""

    ALWAYS = "always"
    BUSINESS_HOURS = "business_hours"


class EscalationEntry(PolicyModel):
    """One level of the escalation: who is asked as well if nobody answers."""

    after: Duration
    """How long after the first were asked."""
    to: Identifier
    """The group that is asked then; those asked before may still answer."""


class AskEntry(PolicyModel):
    """Whom to ask, and how long each step lasts."""

    id: RuleId
    group: Identifier | None = None
    groups: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    """Several groups that are asked together, instead of `group`."""
    quorum: int = Field(default=1, ge=1)
    """How many different persons must approve; one rejection is enough to end it."""
    distinct_groups: bool = False
    """Whether those who approve must come from different groups: four eyes, with a quorum of 2."""
    clock: Clock = Clock.ALWAYS
    """Whether the lengths below count at any time, or in the business hours of the groups alone."""
    due_in: Duration | None = None
    """By when an answer is expected; later ones still count. Left out: as long as they have."""
    remind: tuple[Duration, ...] = ()
    """When those who are asked are reminded, counted from the asking."""
    escalate: tuple[EscalationEntry, ...] = ()
    answer_within: Duration
    """How long they have; silence ends the question for good."""
    claim_for: Duration = USUAL_CLAIM
    """How long somebody may keep the question to themselves before others can answer again."""
    risk: Risk = Risk.NORMAL
    """How much harm a wrong yes can do; what is high is never answered in bulk."""


class DefaultRouteEntry(AskEntry):
    """Whom to ask if no other route matches."""

    on_expiry: Literal["suppress", "deny"]


class RouteEntry(DefaultRouteEntry):
    """Whom to ask about some proposals."""

    when: ConditionText


@dataclass(frozen=True, slots=True)
class Level:
    """Who is asked as well, so long after the first.

    Attributes:
        after: How long.
        group: Its name.
    """

    after: timedelta
    group: str


@dataclass(frozen=True, slots=True)
class Route:
    """Whom to ask, how many of them, how long to wait, and what silence means.

    Attributes:
        origin: Where it stands.
        when: What it is about; None: everything.
        groups: Who is asked first, all together.
        quorum: How many different persons must approve.
        distinct_groups: Whether they must come from different groups.
        clock: In which time all lengths are measured.
        due_in: By when an answer is expected.
        remind: When those who are asked are reminded, in order.
        levels: Who is asked as well, in order.
        answer_within: When it is over.
        on_expiry: What silence means.
        claim_for: How long a claim lasts.
        risk: How much harm a wrong yes can do.
    """

    origin: Origin
    when: Condition | None
    groups: tuple[str, ...]
    quorum: int
    distinct_groups: bool
    clock: Clock
    due_in: timedelta
    remind: tuple[timedelta, ...]
    levels: tuple[Level, ...]
    answer_within: timedelta
    on_expiry: Verdict
    claim_for: timedelta
    risk: Risk

    @property
    def all_groups(self) -> tuple[str, ...]:
        """Everybody who is asked sooner or later."""
        return (*self.groups, *(level.group for level in self.levels))


def build_route(
    loc: Loc,
    entry: AskEntry,
    builder: Builder,
    when: Condition | None = None,
    on_expiry: Verdict = Verdict.SUPPRESS,
) -> Route:
    """Check one route and make it ready to be applied."""
    groups = _groups(loc, entry, builder)
    _check_quorum(loc, entry, groups, builder)
    _check_lengths(loc, entry, groups, builder)
    _check_levels(loc, entry, groups, builder)
    wanted = "" if entry.quorum == 1 else f"{entry.quorum} of "
    return Route(
        origin=builder.origin(loc, entry.id, f"Ask {wanted}{in_words(groups)}."),
        when=when,
        groups=groups,
        quorum=entry.quorum,
        distinct_groups=entry.distinct_groups,
        clock=entry.clock,
        due_in=entry.due_in or entry.answer_within,
        remind=tuple(sorted(entry.remind)),
        levels=tuple(Level(each.after, each.to) for each in entry.escalate),
        answer_within=entry.answer_within,
        on_expiry=on_expiry,
        claim_for=entry.claim_for,
        risk=entry.risk,
    )


def _groups(loc: Loc, entry: AskEntry, builder: Builder) -> tuple[str, ...]:
    existing = builder.roll.groups
    if entry.group is not None and entry.groups is not None:
        builder.reject((*loc, "groups"), "say either `group` or `groups`", code="group", key=True)
    if entry.group is not None:
        builder.known((*loc, "group"), entry.group, existing, "group")
        return (entry.group,)
    if entry.groups is None:
        builder.reject(loc, "the key `group` is missing: who is asked?", code="missing-key")
        return ()
    builder.all_known((*loc, "groups"), entry.groups, existing, "group")
    return entry.groups


def _check_quorum(loc: Loc, entry: AskEntry, groups: Sequence[str], builder: Builder) -> None:
    existing = builder.roll.groups
    if entry.distinct_groups and (entry.quorum == 1 or len(groups) == 1):
        builder.reject(
            (*loc, "distinct_groups"),
            "different groups can only be asked for with `groups` and a quorum of at least 2",
            code="quorum",
        )
        return
    if entry.distinct_groups and entry.quorum > len(groups):
        builder.reject(
            (*loc, "quorum"),
            f"{entry.quorum} from different groups must approve, but only {len(groups)} groups are asked; "
            "lower the quorum or add groups",
            code="quorum",
        )
        return
    if existing is None or any(group not in existing for group in groups) or not groups:
        return
    members = {group: existing[group] for group in groups}
    asked = frozenset().union(*members.values())
    if entry.quorum > len(asked):
        who = f"the group {groups[0]!r} has" if len(groups) == 1 else f"{in_words(groups)} together have"
        builder.reject(
            (*loc, "quorum"),
            f"{entry.quorum} must approve, but {who} {_persons(len(asked))}; "
            "lower the quorum or add members in people.yaml",
            code="quorum",
        )
    elif entry.distinct_groups and spread(members) < entry.quorum:
        builder.reject(
            (*loc, "quorum"),
            f"{entry.quorum} from different groups must approve, but {in_words(groups)} have too few "
            "members who are not the same persons; lower the quorum or add members in people.yaml",
            code="quorum",
        )


def _persons(count: int) -> str:
    return "only 1 member" if count == 1 else f"only {count} members"


def _check_lengths(loc: Loc, entry: AskEntry, groups: Sequence[str], builder: Builder) -> None:
    ends = entry.answer_within
    if entry.due_in is not None and entry.due_in > ends:
        builder.reject(
            (*loc, "due_in"), "it is due only after it has ended with `answer_within`", code="too-late"
        )
    for index, after in enumerate(entry.remind):
        if after in entry.remind[:index]:
            builder.reject((*loc, "remind", index), "this reminder is listed twice", code="duplicate")
        if after >= ends:
            message = "this reminder never goes out: by then the question has ended with `answer_within`"
            builder.reject((*loc, "remind", index), message, code="too-late")
        elif entry.due_in is not None and after > entry.due_in:
            message = "this reminder comes after the answer is due; later on, others are asked by `escalate`"
            builder.reject((*loc, "remind", index), message, code="too-late")
    if entry.clock is not Clock.BUSINESS_HOURS:
        return
    hours = builder.roll.hours
    if hours is not None and not any(group in hours for group in groups):
        builder.reject(
            (*loc, "clock"),
            f"{in_words(groups)} has no `hours` in people.yaml, so its clock never stops; write them there "
            "or leave `clock` out",
            code="hours",
        )
    if ends > LONGEST_WORKING_TIME:
        message = f"must be at most {LONGEST_WORKING_TIME.days}d of business hours, which is over a year"
        builder.reject((*loc, "answer_within"), message, code="too-late")


def _check_levels(loc: Loc, entry: AskEntry, groups: Sequence[str], builder: Builder) -> None:
    asked = list(groups)
    before = timedelta()
    for index, level in enumerate(entry.escalate):
        place = (*loc, "escalate", index)
        builder.known((*place, "to"), level.to, builder.roll.groups, "group")
        if level.to in asked:
            builder.reject((*place, "to"), f"{level.to} has been asked already by then", code="duplicate")
        if level.after >= entry.answer_within:
            message = "nobody is asked then: by then the question has ended with `answer_within`"
            builder.reject((*place, "after"), message, code="too-late")
        elif level.after <= before:
            message = "levels follow each other: this one must come later than the one before it"
            builder.reject((*place, "after"), message, code="order")
        asked.append(level.to)
        before = max(before, level.after)


def spread(members: Mapping[str, Collection[str]]) -> int:
    """Return from how many of the groups different persons can come: a largest matching.

    Args:
        members: Who may speak for each group.
    """
    seated: dict[str, str] = {}

    def seat(group: str, tried: set[str]) -> bool:
        for login in sorted(members[group]):
            if login in tried:
                continue
            tried.add(login)
            if login not in seated or seat(seated[login], tried):
                seated[login] = group
                return True
        return False

    return sum(seat(group, set()) for group in members)


def in_words(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: `a`, `a and b`, `a, b and c`; nothing for no names."""
    *first, last = names or ("",)
    return f"{', '.join(first)} and {last}" if first else last
