"""Notices: tried again they reach only those they have not, and at most once more those they may have."""

import asyncio
from datetime import timedelta

import pytest

from ledger import Ledger, LedgerError, NoticeAbout, NoticeClaim, NoticeKey, NoticeStatus, NoticeTurn
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON

ABOUT = NoticeAbout(account_id="northwind", approval_id="p-1/r-2", digest="ab" * 32)


def key(number: int = 1, recipient: str = "dana.reyes", medium: str = "mail") -> NoticeKey:
    return NoticeKey(notice_id=f"northwind/p-1/r-2/n{number}", recipient=recipient, medium=medium)


async def claim(ledger: Ledger, which: NoticeKey | None = None, about: NoticeAbout = ABOUT) -> NoticeClaim:
    return await ledger.claim_notice(which or key(), about, at=NOON)


async def settle(
    ledger: Ledger, status: NoticeStatus, which: NoticeKey | None = None, *, minutes: int = 1
) -> None:
    await ledger.settle_notice(which or key(), status, at=NOON + timedelta(minutes=minutes), detail="so")


async def test_what_was_delivered_is_not_sent_again(ledger: Ledger) -> None:
    assert (await claim(ledger)).turn is NoticeTurn.SEND
    await settle(ledger, NoticeStatus.DELIVERED)

    assert await claim(ledger) == NoticeClaim(turn=NoticeTurn.DELIVERED, detail="so")


async def test_what_was_refused_for_good_is_not_sent_again(ledger: Ledger) -> None:
    await claim(ledger)
    await settle(ledger, NoticeStatus.REFUSED)

    assert (await claim(ledger)).turn is NoticeTurn.REFUSED


async def test_what_certainly_did_not_leave_may_be_tried_as_often_as_needed(ledger: Ledger) -> None:
    for _ in range(20):
        assert (await claim(ledger)).turn is NoticeTurn.SEND
        await settle(ledger, NoticeStatus.NOT_SENT)


@pytest.mark.parametrize("crash", [True, False])
async def test_what_may_have_left_is_sent_once_more_and_then_never_again(ledger: Ledger, crash: bool) -> None:  # noqa: FBT001 - pytest passes it so
    for _ in range(2):
        assert (await claim(ledger)).turn is NoticeTurn.SEND
        if not crash:
            await settle(ledger, NoticeStatus.IN_DOUBT)

    assert (await claim(ledger)).turn is NoticeTurn.EXHAUSTED


async def test_a_doubt_stays_when_the_next_attempt_fails_for_sure(ledger: Ledger) -> None:
    await claim(ledger)  # and the worker dies
    for _ in range(5):
        assert (await claim(ledger)).turn is NoticeTurn.SEND
        await settle(ledger, NoticeStatus.NOT_SENT)
    await claim(ledger)  # and it dies again

    assert (await claim(ledger)).turn is NoticeTurn.EXHAUSTED


async def test_eight_attempts_at_once_send_at_most_twice(ledger: Ledger) -> None:
    """Given attempts that go on although they were given up, then their person hears of it twice at most."""
    claims = await asyncio.gather(*(claim(ledger) for _ in range(8)))

    turns = [each.turn for each in claims]
    assert turns.count(NoticeTurn.SEND) == 2
    assert turns.count(NoticeTurn.EXHAUSTED) == 6


async def test_an_attempt_that_was_given_up_cannot_take_a_delivery_back(ledger: Ledger) -> None:
    await claim(ledger)
    await claim(ledger)
    await settle(ledger, NoticeStatus.DELIVERED)
    await settle(ledger, NoticeStatus.NOT_SENT, minutes=2)

    assert (await claim(ledger)).turn is NoticeTurn.DELIVERED


async def test_each_person_and_medium_counts_alone(ledger: Ledger) -> None:
    await claim(ledger)
    await settle(ledger, NoticeStatus.DELIVERED)

    assert (await claim(ledger, key(recipient="tom.okafor"))).turn is NoticeTurn.SEND
    assert (await claim(ledger, key(medium="chat"))).turn is NoticeTurn.SEND
    assert (await claim(ledger, key(2))).turn is NoticeTurn.SEND


async def test_a_reminder_knows_the_notice_that_began_the_conversation(ledger: Ledger) -> None:
    assert (await claim(ledger, key(1))).first is None
    await settle(ledger, NoticeStatus.NOT_SENT, key(1))
    assert (await claim(ledger, key(2))).first is None
    await settle(ledger, NoticeStatus.DELIVERED, key(2), minutes=3)
    assert (await claim(ledger, key(3))).first == key(2).notice_id
    await settle(ledger, NoticeStatus.DELIVERED, key(3), minutes=4)

    assert (await claim(ledger, key(4))).first == key(2).notice_id
    assert (await claim(ledger, key(4, recipient="tom.okafor"))).first is None
    other = ABOUT.model_copy(update={"approval_id": "p-2/r-3"})
    assert (await claim(ledger, key(5), other)).first is None


async def test_a_reply_finds_its_notice_by_key(ledger: Ledger) -> None:
    about = ABOUT.model_copy(update={"reply_key": "abcdefgh"})
    await claim(ledger, about=about)
    await claim(ledger, key(recipient="tom.okafor"))
    await settle(ledger, NoticeStatus.DELIVERED)

    found = await ledger.notice_of_reply("abcdefgh")

    assert found is not None
    assert (found.about, found.login, found.key) == (about, "dana.reyes", key())
    assert found.status is NoticeStatus.DELIVERED
    assert await ledger.notice_of_reply("abcdefgx") is None
    assert await ledger.notice_of_reply("") is None


async def test_a_rebuild_forgets_no_notice(ledger: Ledger) -> None:
    await claim(ledger)
    await settle(ledger, NoticeStatus.DELIVERED)

    await ledger.erase_projection()

    assert (await claim(ledger)).turn is NoticeTurn.DELIVERED


async def test_a_ledger_that_is_away_lets_nothing_be_sent(ledger: Ledger, query: Query) -> None:
    query("ALTER TABLE notices RENAME TO away")

    for use in (claim(ledger), settle(ledger, NoticeStatus.DELIVERED), ledger.notice_of_reply("x")):
        with pytest.raises(LedgerError, match="run the migration"):
            await use
