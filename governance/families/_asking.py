"""Who is asked: members of the groups of a route that are there, and those who answer in the others' place.

Three things never change, whoever is away and whoever answers for whom: agents never answer, whoever is
barred never answers and nobody answers in their place, and what is delegated is not passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain import ApprovalRoute, Delegation, EscalationLevel, Seat
from governance._case import FAR, one_line
from governance.families._people import People
from governance.families._routes import Clock, Route, in_words, spread


@dataclass(frozen=True, slots=True)
class Circle:
    """Everybody who may have a say in one question, and in whose place.

    Attributes:
        people: Who exists, works when, and is away.
        barred: Logins that may never answer this question.
        delegations: Who answers in whose place, besides what people.yaml says.
    """

    people: People
    barred: frozenset[str]
    delegations: tuple[Delegation, ...] = ()

    def may(self, login: str) -> bool:
        """Tell whether somebody may answer at all: a person who is not barred."""
        return login not in self.barred and self.people.is_person(login)

    def members(self, groups: Sequence[str]) -> tuple[str, ...]:
        """Return those members of groups who may answer, each once."""
        everybody = dict.fromkeys(login for group in groups for login in self.people.groups.get(group, ()))
        return tuple(login for login in everybody if self.may(login))

    def deputies(self, principal: str, group: str, moment: datetime) -> Iterator[str]:
        """Yield who may answer at a moment in the place of a member of a group.

        The delegation made last comes first, and those of people.yaml come last.
        """
        if not self.may(principal):
            return
        made = [each for each in self.delegations if each.principal == principal and each.covers(moment)]
        names = [each.delegate for each in sorted(made, key=_made, reverse=True)]
        leave = self.people.leave_of(principal, group, moment)
        if leave is not None and leave.delegate is not None:
            names.append(leave.delegate)
        yield from (name for name in dict.fromkeys(names) if name != principal and self.may(name))

    def principals(self, deputy: str, groups: Sequence[str], moment: datetime) -> Iterator[tuple[str, str]]:
        """Yield in whose place, and for which group, somebody may answer at a moment."""
        for group in groups:
            for principal in self.people.groups.get(group, ()):
                if deputy in self.deputies(principal, group, moment):
                    yield principal, group

    def present(self, group: str, moment: datetime) -> Party:
        """Return who is asked of a group at a moment.

        A member who is away is replaced by whoever answers in their place and is there, or else skipped.
        One who has let somebody else answer without being away is asked themselves if that person cannot.
        """
        party = Party(group)
        for login in self.people.groups.get(group, ()):
            if not self.may(login):
                continue
            away = self.people.leave_of(login, group, moment) is not None
            deputy = next(
                (
                    name
                    for name in self.deputies(login, group, moment)
                    if self.people.leave_of(name, group, moment) is None
                ),
                None,
            )
            if deputy is not None:
                party.stands_for.setdefault(deputy, login)
            elif not away:
                party.members.append(login)
        return party


def _made(delegation: Delegation) -> tuple[datetime, str]:
    return delegation.made_at, delegation.delegation_id


@dataclass(slots=True)
class Party:
    """Those of one group who are asked.

    Attributes:
        group: Its name.
        members: Logins of its members who are asked themselves.
        stands_for: In whose place others of them answer, by their logins.
    """

    group: str
    members: list[str] = field(default_factory=list)
    stands_for: dict[str, str] = field(default_factory=dict)

    @property
    def logins(self) -> tuple[str, ...]:
        """Everybody who is asked."""
        return tuple(dict.fromkeys((*self.members, *self.stands_for)))


@dataclass(frozen=True, slots=True)
class Asked:
    """The parties that are asked at the same time.

    Attributes:
        parties: One for each group.
    """

    parties: tuple[Party, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of which somebody is asked; all of them if nobody is."""
        there = tuple(party.group for party in self.parties if party.logins)
        return there or tuple(party.group for party in self.parties)

    @property
    def logins(self) -> tuple[str, ...]:
        """Everybody who is asked, each once."""
        return tuple(dict.fromkeys(login for party in self.parties for login in party.logins))

    @property
    def stands_for(self) -> dict[str, str]:
        """In whose place somebody answers; who is asked in their own right answers in that."""
        own = {login for party in self.parties for login in party.members}
        found: dict[str, str] = {}
        for party in self.parties:
            for deputy, principal in party.stands_for.items():
                if deputy not in own:
                    found.setdefault(deputy, principal)
        return found

    def voices(self) -> int:
        """Return how many different persons can be heard, whoever speaks for them."""
        stands_for = self.stands_for
        return len({stands_for.get(login, login) for login in self.logins})

    def distinct(self) -> int:
        """Return from how many different groups different persons can be heard."""
        stands_for = self.stands_for
        return spread(
            {
                party.group: frozenset(stands_for.get(login, login) for login in party.logins)
                for party in self.parties
            }
        )

    def enough(self, route: Route) -> bool:
        """Tell whether as many can be heard as must approve."""
        return (self.distinct() if route.distinct_groups else self.voices()) >= route.quorum


def ask(route: Route, circle: Circle, now: datetime, latest: datetime = FAR) -> ApprovalRoute | Asked:
    """Return whom to ask by name, with every moment worked out.

    If too few of the first groups are left, the next level with somebody is asked at once.

    Args:
        route: What approvals.yaml says.
        circle: Who may answer.
        now: When they are asked.
        latest: When the question ends at the latest, such as the expiry of the proposal.

    Returns:
        The route, or those who are left if they are fewer than must approve.
    """
    levels = list(route.levels)
    asked = Asked(tuple(circle.present(group, now) for group in route.groups))
    while levels and not asked.enough(route):
        more = circle.present(levels.pop(0).group, now)
        if more.logins:
            asked = Asked((*asked.parties, more))
    if not asked.enough(route):
        return asked

    def moment(length: timedelta) -> datetime:
        return _after(route, circle.people, asked.groups, now, length, latest)

    expires_at = moment(route.answer_within)
    stands_for = asked.stands_for
    own = {login for party in asked.parties for login in party.members}
    steps = []
    for level in levels:
        at = moment(level.after)
        party = circle.present(level.group, at)
        if at < expires_at and party.logins:
            steps.append(EscalationLevel(at=at, group=level.group, approvers=party.logins))
            for deputy, principal in party.stands_for.items():
                if deputy not in own and deputy not in party.members:
                    stands_for.setdefault(deputy, principal)
    return ApprovalRoute(
        route_id=route.origin.rule_id,
        group=one_line(in_words(asked.groups)),
        approvers=asked.logins,
        excluded=tuple(sorted(circle.barred)),
        quorum=route.quorum,
        seats=_seats(circle, asked, steps, stands_for) if route.distinct_groups else (),
        delegates=stands_for,
        due_at=min(moment(route.due_in), expires_at),
        reminders=tuple(at for after in route.remind if (at := moment(after)) < expires_at),
        levels=tuple(steps),
        expires_at=expires_at,
        on_expiry=route.on_expiry,
        claim_seconds=route.claim_for.total_seconds(),
        risk=route.risk,
    )


def _seats(
    circle: Circle, asked: Asked, levels: Sequence[EscalationLevel], stands_for: dict[str, str]
) -> tuple[Seat, ...]:
    """Return who may speak for each group; those who are away may still speak for theirs."""
    groups = dict.fromkeys((*(party.group for party in asked.parties), *(level.group for level in levels)))
    seats = []
    for group in groups:
        members = circle.members((group,))
        deputies = (deputy for deputy, principal in stands_for.items() if principal in members)
        seats.append(Seat(group=group, approvers=tuple(dict.fromkeys((*members, *deputies)))))
    return tuple(seats)


def _after(  # noqa: PLR0913, PLR0917 - a moment depends on all of them
    route: Route,
    people: People,
    groups: Sequence[str],
    now: datetime,
    length: timedelta,
    latest: datetime,
) -> datetime:
    """Return when a length of the route has passed; of several groups the slowest clock counts."""
    always = min(now + length, latest)
    if route.clock is Clock.ALWAYS:
        return always
    clocks = [people.hours[group] for group in groups if group in people.hours]
    return max((hours.after(now, length, latest) for hours in clocks), default=always)
