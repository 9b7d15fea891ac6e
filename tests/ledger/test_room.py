"""Limits that all accounts share: exact to the moment, whoever asks at once."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import (
    Draw,
    LedgerFact,
    PastTouch,
    PastTouchFact,
    ProposalStatus,
    RulingRequest,
    TouchFact,
    TouchStatus,
)
from ledger import Ledger
from ledger._engine import open_writer, place_of
from ledger._tables import TouchRow, table_of
from tests.ledger import facts as f
from tests.ledger.conftest import Query
from tests.ledger.limits import WEEK, allowing, draw, nothing, request_of
from tests.ledger.test_processes import two_processes
from tutti.standing import TouchBook

NEVER = datetime(2099, 12, 31, tzinfo=UTC)
CAP = "cap/p1"


def touched(
    seq: int, at: datetime, status: TouchStatus = TouchStatus.HANDED_OVER, **changes: object
) -> TouchFact:
    made = f.touch_fact(seq, seq, status)
    touch = made.touch.model_copy(update=changes)
    return made.model_copy(update={"touch": touch, "at": at})


def reported(seq: int, at: datetime, **changes: object) -> PastTouchFact:
    base = f.past_touch_fact(seq, seq).past_touch.model_dump() | {"at": at} | changes
    return PastTouchFact(seq=seq, at=at, past_touch=PastTouch.model_validate(base))


async def room(ledger: Ledger, one: Draw, account_id: str = "contoso", now: datetime = f.NOON) -> datetime:
    found = await ledger.room([("p1", one)], account_id=account_id, now=now)
    return found[CAP]


async def test_a_place_is_free_again_one_window_after_the_touch_that_took_it(ledger: Ledger) -> None:
    moments = [f.NOON - timedelta(days=days) for days in (6, 3, 1)]
    await ledger.record(f.batch(*(touched(seq, at) for seq, at in enumerate(moments, start=1))))

    assert await room(ledger, draw(touches=4)) == f.NOON
    assert await room(ledger, draw(touches=3)) == moments[0] + WEEK
    assert await room(ledger, draw(touches=2)) == moments[1] + WEEK
    assert await room(ledger, draw(touches=1)) == moments[2] + WEEK
    free = moments[2] + WEEK
    assert await room(ledger, draw(touches=1), now=free) == free
    almost = free - timedelta(microseconds=1)
    assert await room(ledger, draw(touches=1), now=almost) == free


async def test_touches_of_other_tools_count_and_released_ones_do_not(ledger: Ledger) -> None:
    yesterday = f.NOON - timedelta(days=1)
    await ledger.record(f.batch(touched(1, yesterday, TouchStatus.RELEASED)))
    assert await room(ledger, draw(touches=1)) == f.NOON

    await ledger.record(f.batch(reported(2, yesterday)))
    assert await room(ledger, draw(touches=1)) == yesterday + WEEK


@pytest.mark.parametrize(
    ("limit", "counts"),
    [
        ({"channels": ("email",)}, True),
        ({"channels": ("webhook", "ads")}, False),
        ({"actors": ("sdr-agent", "nurture")}, True),
        ({"actors": ("nurture",)}, False),
        ({"actions": ("intro",)}, True),
        ({"actions": ("call",)}, False),
        ({"exempt_actions": ("intro",)}, False),
        ({"exempt_actions": ("outage_notice",)}, True),
    ],
)
async def test_a_limit_counts_what_it_is_about(
    ledger: Ledger,
    limit: dict[str, object],
    counts: bool,  # noqa: FBT001 - the table
) -> None:
    await ledger.record(f.batch(touched(1, f.NOON)))

    found = await room(ledger, draw(touches=1, **limit))

    assert found == (f.NOON + WEEK if counts else f.NOON)


async def test_a_budget_has_room_once_enough_of_what_was_spent_has_left_the_window(ledger: Ledger) -> None:
    spent = {5: 60.0, 3: 30.0, 1: 10.0}
    moments = {days: f.NOON - timedelta(days=days) for days in spent}
    await ledger.record(f.batch(*(touched(days, moments[days], cost=cost) for days, cost in spent.items())))

    assert await room(ledger, draw(amount=110.0, cost=10.0)) == f.NOON
    assert await room(ledger, draw(amount=110.0, cost=10.5)) == moments[5] + WEEK
    assert await room(ledger, draw(amount=110.0, cost=71.0)) == moments[3] + WEEK
    assert await room(ledger, draw(amount=110.0, cost=110.0)) == moments[1] + WEEK
    assert await room(ledger, draw(amount=110.0, cost=110.5)) == NEVER


async def test_cents_add_up(ledger: Ledger) -> None:
    await ledger.record(f.batch(*(touched(seq, f.moment(-seq), cost=0.1) for seq in range(1, 10))))

    assert await room(ledger, draw(amount=1.0, cost=0.1)) == f.NOON


async def test_the_past_is_judged_as_it_was(ledger: Ledger) -> None:
    """A clock that is a little ahead counts for a ruling now, and what came later does not for one then."""
    await ledger.record(f.batch(touched(1, f.NOON + timedelta(milliseconds=5))))
    draws = [("p1", draw(touches=1))]

    now = await ledger.room(draws, account_id="contoso", now=f.NOON)
    then = await ledger.room(draws, account_id="contoso", now=f.NOON, until=f.NOON)

    assert (now[CAP] > f.NOON, then[CAP]) == (True, f.NOON)


async def test_an_allowed_touch_takes_its_place_before_its_facts_arrive(ledger: Ledger) -> None:
    asked = request_of("northwind")
    assert await ledger.enter_ruling(asked, allowing(asked, draw(touches=1)))

    assert await room(ledger, draw(touches=1)) == f.NOON + WEEK
    assert await room(ledger, draw(touches=1), account_id="northwind") == f.NOON, (
        "its own place holds up nobody"
    )
    assert await room(ledger, draw(touches=1, channels=("webhook",))) == f.NOON


async def test_a_ruling_that_comes_too_late_is_refused_and_leaves_nothing(
    ledger: Ledger, query: Query
) -> None:
    first, second = request_of("northwind"), request_of("contoso")
    assert await ledger.enter_ruling(first, allowing(first, draw(touches=1)))

    assert not await ledger.enter_ruling(second, allowing(second, draw(touches=1)))

    assert query("SELECT account_id FROM reservations") == [("northwind",)]
    assert [ruling.account_id for ruling in await ledger.rulings()] == ["northwind"]


async def test_a_new_ruling_gives_back_what_its_candidates_had_reserved(ledger: Ledger, query: Query) -> None:
    """Given a ruling that the account dropped, when it rules again, then the place goes to the new winner."""
    asked = request_of("northwind", "p1", "p2")
    assert await ledger.enter_ruling(asked, allowing(asked, draw(touches=1)))
    again = request_of("northwind", "p1", "p2", now=f.moment(5), revision=2)

    assert await ledger.enter_ruling(again, allowing(again, draw(touches=1), which="p2"))

    assert query("SELECT proposal_id FROM reservations") == [("p2",)]
    last = request_of("northwind", "p1", "p2", now=f.moment(9), revision=3)
    assert await ledger.enter_ruling(last, nothing(last))
    assert query("SELECT proposal_id FROM reservations") == []


@pytest.mark.parametrize(
    ("fact", "reserved", "has_room"),
    [
        (f.touch_fact(8), False, False),
        (f.touch_fact(8, status=TouchStatus.RELEASED), False, True),
        (f.proposal_fact(8, status=ProposalStatus.SUPPRESSED), False, True),
        (f.proposal_fact(8, status=ProposalStatus.DEFERRED), False, True),
        (f.proposal_fact(8, status=ProposalStatus.IN_FLIGHT), True, False),
        (f.proposal_fact(7, status=ProposalStatus.DEFERRED), True, False),
        (f.proposal_fact(8, n=2, status=ProposalStatus.SUPPRESSED), True, False),
    ],
)
async def test_a_reservation_lasts_until_it_is_known_what_became_of_it(
    ledger: Ledger,
    query: Query,
    fact: LedgerFact,
    reserved: bool,  # noqa: FBT001 - the table
    has_room: bool,  # noqa: FBT001 - the table
) -> None:
    """Facts up to number 7 were known when the ruling was asked for: they say nothing about it."""
    asked = request_of(f.ACCOUNT, seq=7)
    await ledger.enter_ruling(asked, allowing(asked, draw(touches=1)))

    await ledger.record(f.batch(fact))
    await ledger.record(f.batch(fact))

    assert bool(query("SELECT 1 FROM reservations")) == reserved
    assert (await room(ledger, draw(touches=1)) == f.NOON) == has_room


@pytest.mark.parametrize("reported_so_far", [False, True], ids=["reserved", "in flight"])
async def test_a_touch_on_its_way_counts_also_when_that_takes_longer_than_the_window(
    ledger: Ledger,
    reported_so_far: bool,  # noqa: FBT001 - the table
) -> None:
    """Given a channel that is busy for longer than an hour, an hourly limit of one is not given out twice."""
    hourly = draw(touches=1, window_seconds=3_600.0)
    asked = request_of(f.ACCOUNT)
    assert await ledger.enter_ruling(asked, allowing(asked, hourly))
    if reported_so_far:
        await ledger.record(f.batch(f.touch_fact(8, status=TouchStatus.IN_FLIGHT)))
    late = f.NOON + timedelta(hours=2)
    other = request_of("contoso", now=late)

    assert not await ledger.enter_ruling(other, allowing(other, hourly))
    assert await room(ledger, hourly, now=late) == late + timedelta(hours=1)
    lost = f.NOON + timedelta(hours=26)
    assert await room(ledger, hourly, now=lost) == lost, "what nobody tells the end of blocks nobody for ever"


@pytest.mark.parametrize(
    "given_up",
    [
        request_of("northwind", seq=3, now=f.NOON - timedelta(minutes=2)),
        request_of("northwind", seq=5, now=f.NOON - timedelta(minutes=1)),
        request_of("northwind", seq=5, revision=2),
    ],
    ids=["of an earlier request", "of the same request in an earlier run", "of this very request"],
)
async def test_an_attempt_that_was_given_up_takes_no_place_from_those_who_went_on(
    ledger: Ledger, given_up: RulingRequest
) -> None:
    asked = request_of("northwind", seq=5, revision=2)
    assert await ledger.enter_ruling(asked, allowing(asked, draw(touches=1)))

    assert await ledger.enter_ruling(given_up, nothing(given_up))

    other = request_of("contoso", now=f.moment(20))
    assert not await ledger.enter_ruling(other, allowing(other, draw(touches=1)))


@pytest.mark.parametrize(
    "end",
    [
        f.touch_fact(8, status=TouchStatus.RELEASED),
        f.proposal_fact(8, status=ProposalStatus.SUPPRESSED),
    ],
    ids=["its touch", "its end"],
)
async def test_an_attempt_that_comes_after_the_facts_reserves_nothing(
    ledger: Ledger, query: Query, end: LedgerFact
) -> None:
    """Nothing would ever give such a place back."""
    asked = request_of(f.ACCOUNT, seq=7)
    await ledger.record(f.batch(end))

    assert await ledger.enter_ruling(asked, allowing(asked, draw(touches=1)))

    assert query("SELECT 1 FROM reservations") == []


async def test_of_a_hundred_accounts_at_once_one_takes_the_last_place(ledger: Ledger, query: Query) -> None:
    requests = [request_of(f"account-{number}") for number in range(100)]

    entered = await asyncio.gather(
        *(ledger.enter_ruling(asked, allowing(asked, draw(touches=1))) for asked in requests)
    )

    assert entered.count(True) == 1
    assert query("SELECT count(*) FROM reservations") == [(1,)]


async def test_of_two_processes_that_rule_at_once_one_takes_the_last_place(
    ledger: Ledger, url: str, query: Query
) -> None:
    first, second = two_processes("enter", url.replace("timeout=0.2", "timeout=30"))

    assert first.get("entered", 0) + second.get("entered", 0) == 1
    assert query("SELECT count(*) FROM reservations") == [(1,)]
    assert len(await ledger.rulings()) == 1


async def test_what_an_actor_has_done_is_what_was_handed_over(ledger: Ledger) -> None:
    await ledger.record(
        f.batch(
            touched(1, f.NOON),
            touched(2, f.NOON - 60 * WEEK),
            touched(3, f.NOON, TouchStatus.UNKNOWN),
            touched(4, f.NOON, TouchStatus.RELEASED),
            touched(5, f.NOON, action="call"),
            reported(6, f.NOON, action="intro"),
        )
    )

    standing = await ledger.standing(
        [], [("sdr-agent", "intro"), ("nurture", "intro")], account_id="contoso", now=f.NOON
    )

    assert standing.done == {"sdr-agent/intro": 2, "nurture/intro": 0}
    assert standing.room_at == {}


async def test_looking_for_room_stays_fast_among_very_many_touches(ledger: Ledger, url: str) -> None:
    """100,000 touches in the window: indexes find the places; full scans would take far longer."""
    row = {"account_id": "a", "seq": 1, "source": "tutti", "governed": True, "action": "intro", "body": "{}"}
    rows = [
        {
            **row,
            "at": f.NOON - timedelta(seconds=number),
            "touch_id": str(number),
            "status": "handed_over",
            "channel": "email",
            "actor": "sdr-agent",
        }
        for number in range(100_000)
    ]
    writer = open_writer(place_of(url))
    async with writer.begin() as connection:
        await connection.execute(table_of(TouchRow).insert(), rows)
    await writer.dispose()
    loop = asyncio.get_running_loop()
    draws = [
        ("p1", draw(rule_id="email", touches=5_000, channels=("email",))),
        ("p1", draw(rule_id="budget", touches=50, actors=("sdr-agent",), actions=("intro",))),
        ("p1", draw(rule_id="all", touches=1_000)),
    ]

    took = []
    moments: list[datetime] = []
    for _ in range(3):
        began = loop.time()
        standing = await ledger.standing(draws, [("sdr-agent", "intro")], account_id="b", now=f.NOON)
        took.append(loop.time() - began)
        moments.append(standing.room_at["all/p1"])

    assert set(moments) == {f.NOON - timedelta(seconds=999) + WEEK}
    assert min(took) < 0.15


TOUCHES = st.lists(
    st.tuples(
        st.integers(0, 12 * 24),
        st.sampled_from(["email", "webhook"]),
        st.sampled_from(["sdr-agent", "nurture", None]),
        st.sampled_from(["intro", "call"]),
        st.sampled_from([0.0, 0.1, 1.0, 7.5]),
        st.sampled_from(list(TouchStatus)),
    ),
    max_size=12,
)


def narrowed(names: Sequence[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.sampled_from([tuple(names), *((name,) for name in names)])


DRAWS = st.builds(
    Draw,
    rule_id=st.just("cap"),
    window_seconds=st.sampled_from([3_600.0, 86_400.0, WEEK.total_seconds()]),
    touches=st.none() | st.integers(1, 4),
    amount=st.none() | st.sampled_from([0.0, 1.0, 8.0, 20.0]),
    channels=narrowed(["email", "webhook"]),
    actors=narrowed(["sdr-agent", "nurture"]),
    actions=narrowed(["intro", "call"]),
    exempt_actions=st.sampled_from([(), ("call",)]),
    cost=st.sampled_from([0.0, 0.1, 7.5]),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=TOUCHES, draws=st.lists(DRAWS, min_size=1, max_size=4))
async def test_the_ledger_and_the_simulator_count_alike(
    ledger: Ledger,
    made: list[tuple[int, str, str | None, str, float, TouchStatus]],
    draws: list[Draw],
) -> None:
    await ledger.erase_projection()
    facts: list[LedgerFact] = []
    for seq, (hours, channel, actor, action, cost, status) in enumerate(made, start=1):
        at = f.NOON - timedelta(hours=hours)
        if actor is None:
            facts.append(reported(seq, at, channel=channel, action=action))
        else:
            facts.append(touched(seq, at, status, channel=channel, actor=actor, action=action, cost=cost))
    await ledger.record(f.batch(*facts))
    book = TouchBook()
    book.take(facts)
    book.take(facts[:3])
    asked = [(f"p{number}", each) for number, each in enumerate(draws)]
    tracked = [("sdr-agent", "intro"), ("nurture", "call")]

    real = await ledger.standing(asked, tracked, account_id="contoso", now=f.NOON)

    assert real == book.standing(asked, tracked, f.NOON)
