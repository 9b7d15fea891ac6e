from datetime import timedelta

import pytest

from domain import StopScope
from ledger import Ledger, LedgerError, LedgerFault, StopEntry
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON, stop


async def lift(ledger: Ledger, stop_id: str = "s-1", by: str = "bob") -> StopEntry | None:
    return await ledger.lift_stop(stop_id, by=by, reason="mended", at=NOON + timedelta(hours=1))


async def test_a_stop_stands_until_it_is_lifted_and_stays_in_the_log(ledger: Ledger) -> None:
    await ledger.place_stop(stop())

    assert await ledger.stops() == (stop(),)

    lifted = StopEntry(
        stop=stop(), lifted_by="bob", lifted_at=NOON + timedelta(hours=1), lift_reason="mended"
    )
    assert await lift(ledger) == lifted
    assert await ledger.stops() == ()
    assert await ledger.stop_log() == [lifted]


async def test_another_process_sees_a_stop_at_once(ledger: Ledger, url: str) -> None:
    other = await Ledger.open(url)
    assert await other.stops() == ()

    await ledger.place_stop(stop())

    assert await other.stops() == (stop(),)
    await other.close()


async def test_placing_the_same_stop_again_changes_nothing(ledger: Ledger) -> None:
    await ledger.place_stop(stop())
    await ledger.place_stop(stop())

    assert await ledger.stop_log() == [StopEntry(stop=stop())]


async def test_the_id_of_another_stop_is_refused_and_that_stop_stays(ledger: Ledger) -> None:
    await ledger.place_stop(stop())

    with pytest.raises(LedgerError, match=r"Nothing was stopped: s-1 is the id of another stop") as error:
        await ledger.place_stop(stop(scope=StopScope.TENANT, name=None))

    assert error.value.code is LedgerFault.TAKEN
    assert await ledger.stops() == (stop(),)


async def test_a_lifted_stop_cannot_be_thrown_again_under_its_old_id(ledger: Ledger) -> None:
    """Given a lifted stop, when placed again, then whoever does learns that nothing stands."""
    await ledger.place_stop(stop())
    await lift(ledger)

    with pytest.raises(
        LedgerError, match=r"bob lifted the stop s-1 at 2026-03-02 13:00:00Z \(mended\)"
    ) as error:
        await ledger.place_stop(stop())

    assert error.value.code is LedgerFault.TAKEN
    assert await ledger.stops() == ()


async def test_lifting_what_never_stood_changes_nothing(ledger: Ledger) -> None:
    await ledger.place_stop(stop())

    assert await lift(ledger, "s-2") is None

    assert await ledger.stops() == (stop(),)


async def test_who_lifted_a_stop_first_stays_who_lifted_it(ledger: Ledger) -> None:
    await ledger.place_stop(stop())
    first = await lift(ledger, by="bob")

    assert await lift(ledger, by="eve") == first


async def test_stops_stand_side_by_side_oldest_first(ledger: Ledger) -> None:
    later = stop("s-0").model_copy(update={"placed_at": NOON + timedelta(minutes=1)})
    for each in (later, stop("s-2", StopScope.AGENT, "sdr"), stop("s-1", StopScope.TENANT, None)):
        await ledger.place_stop(each)

    assert [each.stop_id for each in await ledger.stops()] == ["s-1", "s-2", "s-0"]
    assert [each.stop.stop_id for each in await ledger.stop_log(limit=2)] == ["s-0", "s-1"]


async def test_a_rebuild_lifts_no_stop(ledger: Ledger) -> None:
    await ledger.place_stop(stop())

    await ledger.erase_projection()

    assert await ledger.stops() == (stop(),)


async def test_a_ledger_that_is_away_cannot_stop_anything_and_says_so(ledger: Ledger, query: Query) -> None:
    query("ALTER TABLE stops RENAME TO away")

    for use in (ledger.place_stop(stop()), lift(ledger), ledger.stops(), ledger.stop_log()):
        with pytest.raises(LedgerError, match="run the migration"):
            await use
