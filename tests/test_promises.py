"""The promises of the design on generated histories: governance and state machine in virtual time."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import (
    AccountState,
    Consent,
    Event,
    Hold,
    HoldPlaced,
    HoldReleased,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    PastTouch,
    Proposal,
    Proposed,
    ReasonCode,
    ReceiptStatus,
    Role,
    Signal,
    SignalKind,
    Touch,
    TouchFact,
    TouchStatus,
)
from governance import PolicySet, load_policy_set
from tests.builders import account, contact, proposal, signal
from tutti.simulator import CHANNEL_TAKES, Simulation, Simulator

ROOT = Path(__file__).resolve().parents[1]
MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
PEOPLE = ("amira", "bela", "cleo")


@cache
def policies() -> PolicySet:
    return load_policy_set(ROOT / "policies")


def simulator(receipts: dict[str, tuple[ReceiptStatus, ...]] | None = None) -> Simulator:
    made = Simulator(policies(), "northwind", MONDAY, receipts=receipts or {})
    zone = {"time_zone": "Europe/London", "consent": Consent.GRANTED}
    people = [contact(name, role=Role.INFLUENCER, **zone) for name in PEOPLE]
    made.send([Observed(observation=account()), *(Observed(observation=person) for person in people)])
    return made


def handed_over(simulation: Simulation) -> list[tuple[datetime, Touch]]:
    return [(at, touch) for at, touch, status in simulation.touches if status is TouchStatus.HANDED_OVER]


def test_a_hundred_rivals_for_one_slot_send_once_and_explain_ninety_nine_times() -> None:
    made = simulator()
    made.send(
        [
            Proposed(proposal=proposal(f"p{number}", expires_at=MONDAY + timedelta(days=1)))
            for number in range(100)
        ]
    )
    made.run_to(MONDAY + timedelta(days=2))
    result = made.result()
    assert len(handed_over(result)) == 1
    last = {decision.proposal_id: decision for decision in result.decisions}
    assert len(last) == 100
    explained = [decision for decision in last.values() if decision.reason is not ReasonCode.ALLOWED]
    assert len(explained) == 99
    assert all(decision.hits for decision in explained)
    assert not result.state.open


def test_an_agent_that_does_not_say_how_sure_it_is_counts_as_unsure() -> None:
    made = simulator()
    unsaid = proposal().model_dump(exclude={"confidence"})
    made.send([Proposed(proposal=Proposal.model_validate(unsaid))])
    made.run_to(MONDAY + timedelta(minutes=1))
    assert made.result().decisions[0].reason is ReasonCode.LOW_CONFIDENCE
    assert handed_over(made.result()) == []


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[timedelta, Event]]:
    """What may happen to an account within forty days, in order of time."""
    script: list[tuple[timedelta, Event]] = []
    for number in range(draw(st.integers(3, 14))):
        at = timedelta(hours=draw(st.integers(0, 40 * 24)))
        person = draw(st.sampled_from(PEOPLE))
        kind = draw(st.sampled_from(["propose"] * 6 + ["opt_out", "reply", "hold", "release"]))
        moment = MONDAY + at
        event: Event
        if kind == "propose":
            nurturing = draw(st.booleans())
            event = Proposed(
                proposal=proposal(
                    f"p{number}",
                    actor="nurture" if nurturing else "sdr-agent",
                    action="send_nurture_email" if nurturing else "send_email",
                    contact_id=person,
                    value=float(draw(st.integers(1, 15_000))),
                    propensity=draw(st.floats(0, 1)),
                )
            )
        elif kind == "hold":
            hold = Hold(hold_id=f"h{number % 3}", placed_by="dana.reyes", reason="x", placed_at=moment)
            event = HoldPlaced(hold=hold)
        elif kind == "release":
            event = HoldReleased(hold_id=f"h{number % 3}", released_by="dana.reyes")
        else:
            event = Observed(
                observation=signal(f"s{number}", kind=SignalKind(kind), observed_at=moment, contact_id=person)
            )
        script.append((at, event))
    return sorted(script, key=lambda item: item[0])


RECEIPTS = st.dictionaries(
    st.sampled_from([f"p{number}" for number in range(14)]),
    st.lists(st.sampled_from(list(ReceiptStatus)), min_size=1, max_size=3).map(tuple),
)


def play(script: list[tuple[timedelta, Event]], receipts: dict[str, tuple[ReceiptStatus, ...]]) -> Simulation:
    made = simulator(receipts)
    for at, event in script:
        made.run_to(MONDAY + at)
        made.send([event])
    made.run_to(MONDAY + timedelta(days=75))
    return made.result()


@settings(max_examples=200, deadline=None, print_blob=True)
@given(scripts(), RECEIPTS)
def test_the_promises_hold_on_any_history(
    script: list[tuple[timedelta, Event]], receipts: dict[str, tuple[ReceiptStatus, ...]]
) -> None:
    result = play(script, receipts)
    counted = [
        (made_at, touch)
        for made_at, touch, status in result.touches
        if status in {TouchStatus.HANDED_OVER, TouchStatus.UNKNOWN}
    ]
    one_at_a_time(result)
    nothing_after_an_opt_out(script, counted)
    caps_are_exact(counted)
    assert len({touch.touch_id for _, touch in counted}) == len(counted), "promise 4"
    proposals = {event.proposal.proposal_id for _, event in script if isinstance(event, Proposed)}
    assert not result.state.open, "promise 5: every proposal reaches its end in bounded time"
    assert set(result.state.ended) == proposals, "promise 5: exactly one end each"
    for made_at, _ in handed_over(result):
        local = made_at.astimezone(LONDON)
        assert local.weekday() < 5, "promise 14: no mail on a weekend"
        assert 8 <= local.hour < 20, "promise 14: no mail at night"


def one_at_a_time(result: Simulation) -> None:
    """Promise 1."""
    flights: list[str] = []
    for fact in result.facts:
        if not isinstance(fact, TouchFact):
            continue
        if fact.receipt is None:
            assert not flights
            flights.append(fact.touch.touch_id)
        else:
            assert flights == [fact.touch.touch_id]
            flights.clear()


def nothing_after_an_opt_out(
    script: list[tuple[timedelta, Event]], counted: list[tuple[datetime, Touch]]
) -> None:
    """Promise 2; a touch already with its channel may end within the channel's time."""
    objected: dict[str | None, datetime] = {}
    for at, event in script:
        seen = event.observation if isinstance(event, Observed) else None
        if isinstance(seen, Signal) and seen.kind is SignalKind.OPT_OUT:
            objected.setdefault(seen.contact_id, MONDAY + at)
    for made_at, touch in counted:
        assert touch.recipient is not None
        since = objected.get(touch.recipient.contact_id)
        assert since is None or made_at <= since + CHANNEL_TAKES


def caps_are_exact(counted: list[tuple[datetime, Touch]]) -> None:
    """Promise 3."""
    assert policies().frequency.caps, "the default set has caps"
    for cap in policies().frequency.caps:
        touched: defaultdict[str | None, list[datetime]] = defaultdict(list)
        for made_at, touch in counted:
            if cap.channels is None or touch.channel in cap.channels:
                whom = touch.recipient.contact_id if touch.recipient and cap.per_contact else None
                touched[whom].append(made_at)
        for times in touched.values():
            for start in times:
                assert sum(start <= at < start + cap.window for at in times) <= cap.limit


@settings(max_examples=60, deadline=None)
@given(scripts())
def test_duplicates_change_nothing(script: list[tuple[timedelta, Event]]) -> None:
    """Promise 13, its first half: every message twice ends where every message once ends."""
    once = play(script, {})
    twice = play([item for item in script for _ in range(2)], {})
    # Refusals are numbered among the facts, so the links differ; that there are as many does not.
    counted = {"refusals", "seq", "timeline", "chain"}
    assert twice.state.model_dump(exclude=counted) == once.state.model_dump(exclude=counted)
    assert twice.state.chain.number == once.state.chain.number
    assert [touch.touch_id for _, touch in handed_over(twice)] == [
        touch.touch_id for _, touch in handed_over(once)
    ]


@settings(max_examples=40, deadline=None, print_blob=True)
@given(scripts(), st.data())
def test_outcomes_end_in_the_same_state_in_any_order(
    script: list[tuple[timedelta, Event]], data: st.DataObject
) -> None:
    """Promise 13, its other half: what came back, shuffled and repeated, ends where it ends in order."""
    made_elsewhere = [
        Observed(
            observation=PastTouch(
                touch_id=f"m{number}",
                source="nurture",
                channel="email",
                action="newsletter",
                at=MONDAY - timedelta(days=number),
                contact_id=PEOPLE[number % 3],
            )
        )
        for number in range(3)
    ]
    sent = [touch.touch_id for _, touch in handed_over(play(script, {}))]
    outcomes = st.builds(
        Outcome,
        outcome_id=st.sampled_from([f"o{number}" for number in range(50)]),
        source=st.just("email"),
        touch_id=st.sampled_from([*sent, "nurture:m0", "nurture:m1", "nurture:m2", "northwind/forgotten/1"]),
        kind=st.sampled_from(OutcomeKind),
        at=st.integers(0, 40 * 24).map(lambda hours: MONDAY + timedelta(hours=hours)),
        contact_id=st.sampled_from(PEOPLE),
    )
    told = data.draw(st.lists(outcomes, max_size=12, unique_by=lambda outcome: outcome.outcome_id))
    messages: list[Event] = [*made_elsewhere, *(OutcomeReported(outcome=outcome) for outcome in told)]
    shuffled = data.draw(st.permutations([*messages, *messages]))

    in_order, mixed = heard(script, messages), heard(script, shuffled)

    assert not mixed.early
    assert {t.touch_id: t.outcomes for t in mixed.touches.values()} == {
        t.touch_id: t.outcomes for t in in_order.touches.values()
    }
    assert mixed.circumstances == in_order.circumstances
    assert mixed.contacts == in_order.contacts
    assert {key: ended.status for key, ended in mixed.closed.items()} == {
        key: ended.status for key, ended in in_order.closed.items()
    }


def heard(script: list[tuple[timedelta, Event]], messages: list[Event]) -> AccountState:
    """The account when, after a script, everything that came back has been told."""
    made = simulator()
    for at, event in script:
        made.run_to(MONDAY + at)
        made.send([event])
    made.run_to(MONDAY + timedelta(days=45))
    for message in messages:
        made.send([message])
    made.run_to(MONDAY + timedelta(days=75))
    return made.result().state
