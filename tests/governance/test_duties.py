"""Separation of duties over any graph of persons, agents, owners, groups, leave and delegations.

Whoever can answer, by name or by being vetted, is a person who had no part in the action: neither its
proposer, nor the owner of what proposed it, nor an editor of its content; and either in a group that is asked
or named directly by somebody there who had no part in it either. No approval of anybody else ever counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import ActorKind, Agreement, Answer, Delegation, Proposal, ReasonCode, Risk, Verdict
from governance import PolicySet, compile_policy_set
from governance._case import Actor, Origin
from governance._facts import ActorFacts
from governance.families._approvals import BreakGlass
from governance.families._people import Leave, People
from governance.families._routes import Clock, Level, Route
from tests.governance.asking import LARGE, NOW, PERSONS, agreed, asked, asking, delegation, vetted
from tests.governance.worlds import candidate, email, policies, request, rule

HOUR = timedelta(hours=1)
AGENTS = ("sdr-agent", "executive-office")
GROUPS = ("one", "two", "three")
EVERYBODY = (*PERSONS, *AGENTS, "nurture", "stranger")
TODAY = NOW.date()


class World(NamedTuple):
    """Who exists, who is asked, and what somebody proposes."""

    policies: PolicySet
    proposal: Proposal
    delegations: tuple[Delegation, ...]

    @property
    def route(self) -> Route:
        return self.policies.approvals.routes[0]

    @property
    def barred(self) -> frozenset[str]:
        """Everybody with a part in the action, worked out anew."""
        proposer = self.policies.people.actors[self.proposal.actor]
        return frozenset({proposer.actor_id, proposer.owner or "", *self.proposal.edited_by})

    def named(self, moment: datetime = NOW) -> Iterator[tuple[str, str]]:
        """Who may answer for whom, the principal first: directly named, and nothing else."""
        people = self.policies.people
        for each in self.delegations:
            ends = each.ends_at if each.ended_at is None else min(each.ended_at, each.ends_at)
            if each.starts_at <= moment < ends:
                yield each.principal, each.delegate
        for login, absences in people.leave.items():
            for leave in absences:
                if leave.delegate is not None and leave.first <= moment.astimezone(UTC).date() <= leave.last:
                    yield login, leave.delegate

    def entitled(self, login: str, moment: datetime = NOW) -> bool:
        """Whether somebody may answer, told in the simplest words."""
        people = self.policies.people
        members = {each for group in self.route.all_groups for each in people.groups[group]}
        if login not in PERSONS or login in self.barred:
            return False
        return login in members or any(
            delegate == login and principal in members and principal not in self.barred
            for principal, delegate in self.named(moment)
        )


persons = st.sampled_from(PERSONS)
members = st.lists(persons, min_size=1, max_size=3, unique=True).map(tuple)
hours = st.integers(-30, 3).map(lambda n: n * HOUR)
anybody = st.one_of(persons, persons, st.sampled_from(EVERYBODY))


@st.composite
def delegations(draw: st.DrawFn, number: int) -> Delegation:
    starts = draw(hours)
    return delegation(
        draw(persons),
        draw(anybody),
        starts_at=NOW + starts,
        ends_at=NOW + starts + draw(st.integers(20, 60)) * HOUR,
        delegation_id=f"d{number}",
        ended_at=draw(st.none() | st.none() | hours.map(lambda shift: NOW + shift)),
    )


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, tuple[Leave, ...]]:
    found: dict[str, tuple[Leave, ...]] = {}
    for login in draw(st.lists(persons, max_size=4, unique=True)):
        first: date = TODAY + draw(st.integers(-2, 1)) * timedelta(days=1)
        last = first + draw(st.integers(0, 2)) * timedelta(days=1)
        found[login] = (Leave(first, last, draw(st.none() | anybody)),)
    return found


@st.composite
def routes(draw: st.DrawFn) -> Route:
    order = draw(st.permutations(GROUPS))
    first = draw(st.integers(1, 2))
    distinct = first == 2 and draw(st.booleans())
    levels = order[first : first + draw(st.integers(0, 2))]
    return Route(
        origin=Origin("the-route", "approvals", "Ask."),
        when=None,
        groups=tuple(order[:first]),
        quorum=2 if distinct else draw(st.integers(1, 2)),
        distinct_groups=distinct,
        clock=Clock.ALWAYS,
        due_in=4 * HOUR,
        remind=(2 * HOUR,),
        levels=tuple(Level((number + 1) * 5 * HOUR, group) for number, group in enumerate(levels)),
        answer_within=24 * HOUR,
        on_expiry=Verdict.SUPPRESS,
        claim_for=HOUR,
        risk=Risk.NORMAL,
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    shipped = policies()
    actors = {login: actor_of(login, ActorKind.PERSON, draw(st.none() | persons)) for login in PERSONS}
    actors |= {name: actor_of(name, ActorKind.AI_AGENT, draw(persons)) for name in AGENTS}
    actors["nurture"] = actor_of("nurture", ActorKind.SYSTEM, draw(st.none() | persons))
    people = People(actors, {group: draw(members) for group in GROUPS}, {}, draw(leaves()))
    route = draw(routes())
    glass = draw(st.none() | st.builds(BreakGlass, st.sampled_from(GROUPS), routes()))
    approvals = dataclasses.replace(shipped.approvals, routes=(route,), exceptions={}, break_glass=glass)
    proposal = email(
        value=LARGE,
        actor=draw(st.sampled_from([*PERSONS, "sdr-agent"])),
        edited_by=tuple(draw(st.lists(persons, max_size=2, unique=True))),
    )
    made = tuple(draw(delegations(number)) for number in range(draw(st.integers(0, 6))))
    return World(dataclasses.replace(shipped, people=people, approvals=approvals), proposal, made)


def actor_of(name: str, kind: ActorKind, owner: str | None) -> Actor:
    return Actor(name, kind, owner, ActorFacts(id=name, kind=kind, owner=owner))


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_who_is_asked_had_no_part_in_it(world: World) -> None:
    route = asked(world.policies, world.proposal, delegations=world.delegations).route
    if route is None:
        return

    assert all(world.entitled(login) for login in route.approvers)
    for level in route.levels:
        assert all(world.entitled(login, level.at) for login in level.approvers)
    moments = (NOW, *(level.at for level in route.levels))
    for delegate, principal in route.delegates.items():
        assert any((principal, delegate) in set(world.named(moment)) for moment in moments)
        assert principal not in world.barred
    assert set(route.excluded) >= world.barred & set(PERSONS)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.sampled_from(EVERYBODY), st.sampled_from(Answer))
def test_who_is_vetted_had_no_part_in_it(world: World, login: str, answer: Answer) -> None:
    route = asked(world.policies, world.proposal, delegations=world.delegations).route
    if route is None:
        return

    found = vetted(
        world.policies, login, route, *world.delegations, answer=answer, actor=world.proposal.actor, level=2
    )

    if answer is Answer.BREAK_GLASS and found.refusal is None:
        glass = world.policies.approvals.break_glass
        assert glass is not None
        assert login in set(world.policies.people.groups[glass.group]) - world.barred
        assert found.review is not None
        assert login not in {*found.review.approvers, *found.review.delegates.values()}
        assert not world.barred & set(found.review.approvers)
    elif answer is not Answer.BREAK_GLASS:
        assert (found.refusal is None) is world.entitled(login)
        if found.answers_for is not None:
            assert (found.answers_for, login) in set(world.named())


def counts(world: World, agreement: Agreement) -> bool:
    """Whether one agreement alone is enough for a route that asks for one."""
    given = agreed(agreement, proposal=world.proposal)
    return asked(world.policies, given, delegations=world.delegations).verdict is Verdict.ALLOW


@settings(max_examples=300, deadline=None)
@given(
    worlds(),
    st.sampled_from(EVERYBODY),
    st.none() | st.sampled_from(EVERYBODY),
    st.integers(-30, 0).map(lambda n: n * HOUR),
)
def test_no_other_approval_ever_counts(
    world: World, login: str, answers_for: str | None, ago: timedelta
) -> None:
    said = Agreement(approver=login, answers_for=answers_for, at=NOW + ago)

    if counts(world, said):
        assert world.route.quorum == 1
        assert world.entitled(login, NOW + ago)


@settings(max_examples=300, deadline=None)
@given(worlds(), st.lists(st.sampled_from(EVERYBODY), max_size=4, unique=True))
def test_as_many_different_persons_as_asked_for_have_agreed(world: World, logins: list[str]) -> None:
    said = agreed(*logins, proposal=world.proposal)

    if asked(world.policies, said, delegations=world.delegations).verdict is Verdict.ALLOW:
        assert sum(world.entitled(login) for login in logins) >= world.route.quorum


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_who_is_asked_is_enough(world: World) -> None:
    """Given a route, when everybody whom it names agrees, then that is enough."""
    route = asked(world.policies, world.proposal, delegations=world.delegations).route
    if route is None:
        return
    said = [
        Agreement(approver=login, at=NOW, answers_for=route.delegates.get(login)) for login in route.approvers
    ]

    verdict = asked(
        world.policies, agreed(*said, proposal=world.proposal), delegations=world.delegations
    ).verdict

    assert verdict is Verdict.ALLOW


@settings(max_examples=100, deadline=None)
@given(worlds(), st.permutations(range(6)))
def test_the_order_of_delegations_says_nothing(world: World, order: list[int]) -> None:
    shuffled = tuple(world.delegations[n] for n in order if n < len(world.delegations))
    one, other = (
        rule(world.policies, request(world.proposal, delegations=each))
        for each in (world.delegations, shuffled)
    )

    assert one == other


AWAY = [{"person": login, "from": "2026-11-24", "until": "2027-12-31"} for login in PERSONS]
ROUTE = {"group": "leads", "escalate": [{"after": "2h", "to": "chiefs"}]}
TEAMS = {"leads": ["ada", "ben"], "chiefs": ["cleo"]}


def without_groups(policy_set: PolicySet, groups: dict[str, tuple[str, ...]]) -> PolicySet:
    """The same set when the groups have been lost on the way; a file like that is refused."""
    return dataclasses.replace(policy_set, people=dataclasses.replace(policy_set.people, groups=groups))


def broken_route(condition: str) -> PolicySet:
    route = f'{{"id": "broken", "when": "{condition}", "group": "leads", '
    route += '"answer_within": "8h", "on_expiry": "suppress"}'
    files = dict(asking(TEAMS, ROUTE).files)
    files["approvals.yaml"] = files["approvals.yaml"].replace('"routes": []', f'"routes": [{route}]')
    return compile_policy_set(files)


FAULTS = {
    "everybody is away": asking(TEAMS, ROUTE, leave=AWAY),
    "the groups are empty": without_groups(asking(TEAMS, ROUTE), {"leads": (), "chiefs": ()}),
    "the groups are missing": without_groups(asking(TEAMS, ROUTE), {}),
    "a group has agents alone": without_groups(asking(TEAMS, ROUTE), {"leads": ("sdr-agent",)}),
    "a group has strangers alone": without_groups(asking(TEAMS, ROUTE), {"leads": ("stranger",)}),
    "the condition of a route gives no answer": broken_route("contact.role == Role.CHAMPION"),
    "no route is left": dataclasses.replace(
        asking(TEAMS, ROUTE), approvals=dataclasses.replace(asking(TEAMS, ROUTE).approvals, routes=())
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_what_says_whom_to_ask_is_a_no(fault: str) -> None:
    """Given a fault, when a person would have to decide, then it is denied, and stays so after its end."""
    proposal = email(value=LARGE, actor="lena.fischer", channel="webhook", contact_id=None)

    decision = asked(FAULTS[fault], proposal)

    assert decision.verdict is Verdict.DENY
    assert decision.reason in {ReasonCode.APPROVAL_NEEDED, ReasonCode.EVALUATION_ERROR}
    for later in (NOW + 8 * HOUR, NOW + timedelta(days=29), NOW + timedelta(days=31)):
        again = asked(FAULTS[fault], candidate(proposal, expires_at=NOW + timedelta(days=30)), now=later)
        assert again.verdict in {Verdict.DENY, Verdict.SUPPRESS}, later


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "everybody is away"])
@pytest.mark.parametrize("login", ["ada", "sdr-agent", "stranger", "lena.fischer"])
def test_a_fault_lets_no_earlier_yes_count(fault: str, login: str) -> None:
    proposal = email(value=LARGE, actor="lena.fischer", channel="webhook", contact_id=None)

    assert asked(FAULTS[fault], agreed(login, proposal=proposal)).verdict is Verdict.DENY
