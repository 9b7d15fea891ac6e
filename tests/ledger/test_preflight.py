"""What the ledger says about a touch right before it is handed over."""

import pytest
import pytest_asyncio

from domain import LedgerFact, ProposalStatus, StopScope, Touch, TouchStatus, contact_key, person_key
from ledger import Ledger, LedgerError, LedgerFault, Preflight, Release, ReleaseKind
from tests.ledger import facts as f
from tests.ledger.conftest import Query
from tests.ledger.limits import allowing, nothing, request_of

TOUCH = f.touch_fact(1).touch
RELEASE = Release(
    number=1, digest=f.POLICY, author="ada", reason="better", at=f.NOON, kind=ReleaseKind.PUBLISH
)
CLEAR = Preflight(suppressed=False, stop=None, release=RELEASE, held_since=f.NOON)


async def publish(ledger: Ledger, digest: str, number: int) -> None:
    await ledger.publish(
        {},
        digest,
        author="ada",
        reason="better",
        at=f.NOON,
        kind=ReleaseKind.PUBLISH,
        expected=number - 1 or None,
    )


async def allow(ledger: Ledger, *, seq: int = 0, now_seq: int = 0) -> None:
    """Rule that the touch's proposal may go, which takes its place."""
    request = request_of(f.ACCOUNT, seq=seq, now=f.moment(now_seq))
    assert await ledger.enter_ruling(request, allowing(request))


@pytest_asyncio.fixture
async def ready(ledger: Ledger) -> Ledger:
    """A ledger that nothing in speaks against the touch."""
    await publish(ledger, f.POLICY, 1)
    await allow(ledger)
    return ledger


async def test_nothing_speaks_against_a_touch_that_was_allowed(ready: Ledger) -> None:
    assert await ready.preflight(TOUCH) == CLEAR


async def test_an_empty_ledger_clears_nothing(ledger: Ledger) -> None:
    assert await ledger.preflight(TOUCH) == Preflight(
        suppressed=False, stop=None, release=None, held_since=None
    )


@pytest.mark.parametrize("key", [person_key("c1@northwind.example"), contact_key(f.ACCOUNT, "c1")])
async def test_an_objection_is_seen_by_address_and_by_contact(ready: Ledger, key: str) -> None:
    await ready.suppress(key, account_id="contoso", contact_id="x", source="link", at=f.NOON)

    assert (await ready.preflight(TOUCH)).suppressed


async def test_a_touch_of_the_account_as_a_whole_has_nobody_who_could_object(ready: Ledger) -> None:
    await ready.suppress(
        contact_key(f.ACCOUNT, "c1"), account_id=f.ACCOUNT, contact_id="c1", source="link", at=f.NOON
    )

    assert await ready.preflight(TOUCH.model_copy(update={"recipient": None})) == CLEAR


@pytest.mark.parametrize(
    ("scope", "name", "other"),
    [
        (StopScope.AGENT, "sdr-agent", "nurture-agent"),
        (StopScope.ACTION, "intro", "reminder"),
        (StopScope.CHANNEL, "email", "webhook"),
        (StopScope.ACCOUNT, f.ACCOUNT, "contoso"),
    ],
)
async def test_a_stop_is_seen_exactly_where_it_reaches(
    ready: Ledger, scope: StopScope, name: str, other: str
) -> None:
    await ready.place_stop(f.stop("s-other", scope, other))
    assert (await ready.preflight(TOUCH)).stop is None

    mine = f.stop("s-mine", scope, name)
    await ready.place_stop(mine)
    assert (await ready.preflight(TOUCH)).stop == mine

    await ready.lift_stop("s-mine", by="bob", reason="mended", at=f.NOON)
    assert await ready.preflight(TOUCH) == CLEAR


async def test_the_name_of_one_scope_means_nothing_in_another(ready: Ledger) -> None:
    for number, scope in enumerate((StopScope.AGENT, StopScope.ACTION, StopScope.ACCOUNT)):
        await ready.place_stop(f.stop(f"s-{number}", scope, "email"))

    assert await ready.preflight(TOUCH) == CLEAR


async def test_a_stop_of_the_tenant_reaches_everything_and_the_oldest_is_named(ready: Ledger) -> None:
    newer = f.stop("s-1").model_copy(update={"placed_at": f.moment(9)})
    await ready.place_stop(newer)
    tenant = f.stop("s-2", StopScope.TENANT, None)
    await ready.place_stop(tenant)

    assert (await ready.preflight(TOUCH)).stop == tenant


async def test_sql_and_language_agree_on_what_a_stop_covers(ready: Ledger) -> None:
    stops = [
        f.stop("s-1", StopScope.TENANT, None),
        *(
            f.stop(f"s-{scope}-{name}", scope, name)
            for scope in (StopScope.AGENT, StopScope.ACTION, StopScope.CHANNEL, StopScope.ACCOUNT)
            for name in ("sdr-agent", "intro", "email", f.ACCOUNT)
        ),
    ]
    for stop in stops:
        await ready.place_stop(stop)
        expected = stop.covers(account_id=f.ACCOUNT, actor="sdr-agent", action="intro", channel="email")
        assert ((await ready.preflight(TOUCH)).stop is not None) is expected, stop
        await ready.lift_stop(stop.stop_id, by="bob", reason="next", at=f.NOON)


async def test_the_set_in_force_is_that_of_the_latest_release(ready: Ledger) -> None:
    await publish(ready, "q" * 64, 2)

    release = (await ready.preflight(TOUCH)).release
    assert release is not None
    assert (release.number, release.digest) == (2, "q" * 64)


@pytest.mark.parametrize(
    ("facts", "held"),
    [
        # Told while it is on its way, as when many facts have piled up: the touch counts by itself.
        ([f.proposal_fact(1, status=ProposalStatus.IN_FLIGHT), f.touch_fact(2)], True),
        ([f.proposal_fact(1, status=ProposalStatus.IN_FLIGHT)], True),
        ([f.touch_fact(2, status=TouchStatus.RELEASED)], False),
        ([f.touch_fact(2, status=TouchStatus.UNKNOWN)], False),
        ([f.touch_fact(2, status=TouchStatus.HANDED_OVER)], False),
        ([f.proposal_fact(2, status=ProposalStatus.SUPPRESSED)], False),
        # About something else.
        ([f.touch_fact(2, n=2, status=TouchStatus.RELEASED)], True),
    ],
)
async def test_the_place_is_held_until_the_touch_or_its_proposal_came_to_an_end(
    ready: Ledger, facts: list[LedgerFact], *, held: bool
) -> None:
    await ready.record(f.batch(*facts))

    assert ((await ready.preflight(TOUCH)).held_since is not None) is held


async def test_the_facts_of_an_earlier_attempt_do_not_take_the_place_of_a_later_one(ready: Ledger) -> None:
    """Given an attempt that came to nothing and a second ruling, when the first one's facts come late."""
    await allow(ready, seq=5, now_seq=5)

    await ready.record(f.batch(f.touch_fact(2), f.touch_fact(4, status=TouchStatus.RELEASED)))

    second = TOUCH.model_copy(update={"touch_id": f"{f.ACCOUNT}/p1/2"})
    assert (await ready.preflight(second)).held_since == f.moment(5)


async def test_a_place_that_a_later_ruling_gave_back_is_held_no_more(ready: Ledger) -> None:
    later = request_of(f.ACCOUNT, seq=3, now=f.moment(3))

    await ready.enter_ruling(later, nothing(later))

    assert (await ready.preflight(TOUCH)).held_since is None


async def test_the_place_of_another_account_or_attempt_is_no_place(ready: Ledger) -> None:
    await ready.record(f.batch(f.touch_fact(2)))
    elsewhere: tuple[dict[str, str], ...] = (
        {"account_id": "contoso"},
        {"proposal_id": "p9", "touch_id": f"{f.ACCOUNT}/p9/1"},
        {"touch_id": f"{f.ACCOUNT}/p1/7"},
    )

    for changes in elsewhere:
        assert (await ready.preflight(TOUCH.model_copy(update=changes))).held_since is None, changes


@pytest.mark.parametrize("table", ["suppressions", "stops", "policy_releases", "reservations", "touches"])
async def test_what_cannot_be_read_is_an_error_and_never_a_clearance(
    ready: Ledger, query: Query, table: str
) -> None:
    query(f"ALTER TABLE {table} RENAME TO away")

    with pytest.raises(LedgerError) as error:
        await ready.preflight(TOUCH)

    assert error.value.code is LedgerFault.NOT_MIGRATED


async def test_names_are_values_and_never_statements(ready: Ledger) -> None:
    smuggled: Touch = TOUCH.model_copy(update={"actor": "x' OR 1=1 --", "account_id": "'; DROP TABLE stops"})
    await ready.place_stop(f.stop())

    found = await ready.preflight(smuggled)

    assert found.stop == f.stop()
    assert found.held_since is None
