"""Releases: one policy set is in force, everybody knows which, and nobody overwrites another unseen."""

import asyncio

import pytest

from ledger import Ledger, LedgerError, LedgerFault, Release, ReleaseKind
from tests.ledger import facts as f

FILES = {"timing.yaml": "decision_window: 2s\n"}


async def publish(ledger: Ledger, digest: str, expected: int | None, **changes: str) -> Release:
    said: dict[str, str] = {"author": "dana", "reason": "quieter"} | changes
    return await ledger.publish(
        FILES,
        digest,
        at=f.NOON,
        kind=ReleaseKind.PUBLISH,
        expected=expected,
        author=said["author"],
        reason=said["reason"],
    )


async def test_nothing_is_in_force_before_the_first_release(ledger: Ledger) -> None:
    assert await ledger.release_in_force() is None
    assert await ledger.releases() == []


async def test_releases_count_up_and_the_last_is_in_force(ledger: Ledger) -> None:
    first = await publish(ledger, "a" * 64, None)
    second = await publish(ledger, "b" * 64, 1)
    third = await ledger.publish(
        FILES, "a" * 64, author="tom", reason="back", at=f.moment(9), kind=ReleaseKind.ROLLBACK, expected=2
    )

    assert (first.number, second.number, third.number) == (1, 2, 3)
    assert third == Release(
        number=3, digest="a" * 64, author="tom", reason="back", at=f.moment(9), kind=ReleaseKind.ROLLBACK
    )
    assert await ledger.release_in_force() == third
    assert await ledger.releases() == [third, second, first]
    assert await ledger.releases(limit=1) == [third]
    assert await ledger.policy_set("b" * 64) == FILES


async def test_publishing_what_is_in_force_changes_nothing(ledger: Ledger) -> None:
    first = await publish(ledger, "a" * 64, None)

    assert await publish(ledger, "a" * 64, 1, author="tom", reason="again") == first
    assert await ledger.releases() == [first]


async def test_whoever_publishes_over_an_unseen_release_is_told_whose_it_is(ledger: Ledger) -> None:
    await publish(ledger, "a" * 64, None)
    await publish(ledger, "b" * 64, 1, reason="spring campaign")

    with pytest.raises(
        LedgerError, match=r"release 1 was expected.*dana published release 2.*spring"
    ) as told:
        await publish(ledger, "c" * 64, 1)

    assert told.value.code is LedgerFault.OVERTAKEN
    assert [release.number for release in await ledger.releases()] == [2, 1]
    assert await ledger.policy_set("c" * 64) is None, "nothing of it was written"


async def test_an_expected_release_that_is_not_there_is_said(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="release 4 was expected to be in force, but there is none"):
        await publish(ledger, "a" * 64, 4)


async def test_of_many_who_publish_at_once_one_succeeds(ledger: Ledger) -> None:
    await publish(ledger, "a" * 64, None)

    results = await asyncio.gather(
        *(publish(ledger, f"{number:064d}", 1) for number in range(8)), return_exceptions=True
    )

    assert sum(isinstance(result, Release) for result in results) == 1
    assert all(
        isinstance(result, Release)
        or (isinstance(result, LedgerError) and result.code is LedgerFault.OVERTAKEN)
        for result in results
    )
    assert [release.number for release in await ledger.releases()] == [2, 1]


async def test_a_rebuild_leaves_releases_alone(ledger: Ledger) -> None:
    first = await publish(ledger, "a" * 64, None)

    await ledger.erase_projection()

    assert await ledger.release_in_force() == first
