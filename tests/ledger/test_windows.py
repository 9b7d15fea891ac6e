"""Window approvals and first uses: places are exact, given back when nothing went out, and revocable."""

import asyncio
from datetime import datetime, timedelta

import pytest

from domain import (
    Decision,
    DecisionFact,
    ProposalStatus,
    Ruling,
    RulingRequest,
    TouchFact,
    TouchStatus,
    Use,
    UseKind,
    Verdict,
    WindowFact,
    WindowGrant,
)
from ledger import Ledger
from tests.ledger import facts as f
from tests.ledger.limits import allowing, ids_of, nothing, request_of

WANTED = ("sdr-agent", "send_email", "email", "surge-first-mail")
CLAIM = Use(kind=UseKind.CLAIM, name="soc2-certified", version="a" * 64)


def grant(grant_id: str = "northwind/mail:1", /, **changes: object) -> WindowGrant:
    return WindowGrant.model_validate(
        {
            "grant_id": grant_id,
            "account_id": "northwind",
            "segment": "mid-market",
            "actor": "sdr-agent",
            "action": "send_email",
            "channel": "email",
            "template": "surge-first-mail",
            "version": "v" * 64,
            "rules": ("sdr-mails",),
            "value": 20_000.0,
            "at_most": 3,
            "starts_at": f.NOON,
            "ends_at": f.NOON + timedelta(days=7),
            "given_by": ("dana.reyes",),
        }
        | changes
    )


async def give(ledger: Ledger, *grants: WindowGrant, seq: int = 1) -> None:
    facts = tuple(WindowFact(seq=seq + n, at=f.NOON, grant=each) for n, each in enumerate(grants))
    await ledger.record(f.batch(*facts))


def through(request: RulingRequest, window: str = "northwind/mail:1") -> Ruling:
    """Allow the first proposal on a window."""
    ruling = allowing(request)
    return ruling.model_copy(
        update={
            "decisions": tuple(
                each.model_copy(update={"window": window}) if each.verdict is Verdict.ALLOW else each
                for each in ruling.decisions
            )
        }
    )


async def seen(ledger: Ledger, request: RulingRequest) -> RulingRequest:
    """The request with the windows that its proposals may go out on, as governance gets it."""
    windows = await ledger.windows_for(
        [WANTED], account_id=request.account_id, now=request.now, judged=ids_of(request)
    )
    return request.model_copy(update={"windows": windows})


async def used(ledger: Ledger, grant_id: str = "northwind/mail:1") -> int:
    return {each.grant_id: each.used for each in await ledger.windows()}[grant_id]


async def test_a_window_is_kept_with_the_place_of_the_touch_it_was_given_with(ledger: Ledger) -> None:
    await give(ledger, grant())

    (kept,) = await ledger.windows()

    assert kept == grant()
    assert (kept.used, kept.left) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "account_id", "now"),
    [
        ({"actor": "nurture"}, "northwind", f.NOON),
        ({"action": "call"}, "northwind", f.NOON),
        ({"channel": "sms"}, "northwind", f.NOON),
        ({"template": "other"}, "northwind", f.NOON),
        ({}, "northwind", f.NOON - timedelta(seconds=1)),
        ({}, "northwind", f.NOON + timedelta(days=7)),
        ({"segment": None}, "another", f.NOON),
        ({"revoked_by": "dana.reyes", "revoked_at": f.NOON}, "northwind", f.NOON),
    ],
)
async def test_a_window_for_something_else_or_another_time_is_not_found(
    ledger: Ledger, changes: dict[str, object], account_id: str, now: datetime
) -> None:
    await give(ledger, grant(**changes))

    assert await ledger.windows_for([WANTED], account_id=account_id, now=now) == ()


async def test_one_for_a_segment_is_found_on_every_account_and_one_without_on_its_own(ledger: Ledger) -> None:
    await give(ledger, grant(), grant("northwind/mail:2", segment=None))

    here = await ledger.windows_for([WANTED], account_id="northwind", now=f.NOON)
    there = await ledger.windows_for([WANTED], account_id="another", now=f.NOON)

    assert [each.grant_id for each in here] == ["northwind/mail:1", "northwind/mail:2"]
    assert [each.grant_id for each in there] == ["northwind/mail:1"]


async def test_a_hundred_at_once_get_exactly_the_places_there_are(ledger: Ledger) -> None:
    await give(ledger, grant(at_most=8))
    asked = [await seen(ledger, request_of(f"account-{n}")) for n in range(100)]

    entered = await asyncio.gather(*(ledger.enter_ruling(each, through(each)) for each in asked))

    assert sum(entered) == 7, "the eighth is the touch that the window was given with"
    assert await used(ledger) == 8
    assert await ledger.windows(at=f.NOON) == (), "there is nothing left in it"


async def test_the_narrower_bounds_that_a_ruling_saw_count(ledger: Ledger) -> None:
    await give(ledger, grant(at_most=8))
    first, second = [await seen(ledger, request_of(name)) for name in ("first", "second")]
    narrow = [each.model_copy(update={"windows": (grant(at_most=2),)}) for each in (first, second)]

    entered = [await ledger.enter_ruling(each, through(each)) for each in narrow]

    assert entered == [True, False]


async def test_a_window_that_the_ruling_did_not_see_gives_no_place(ledger: Ledger) -> None:
    await give(ledger, grant())
    asked = request_of("somewhere")

    assert not await ledger.enter_ruling(asked, through(asked))
    assert await used(ledger) == 1


async def test_a_revoked_window_gives_no_place_even_to_a_ruling_that_saw_it_stand(ledger: Ledger) -> None:
    await give(ledger, grant())
    asked = await seen(ledger, request_of("somewhere"))

    revoked = await ledger.revoke_window("northwind/mail:1", by="tom.okafor", at=f.moment(5))

    assert revoked is not None
    assert (revoked.revoked_by, revoked.revoked_at) == ("tom.okafor", f.moment(5))
    assert not await ledger.enter_ruling(asked, through(asked))
    assert await ledger.windows(at=f.moment(6)) == ()
    assert [each.revoked_by for each in await ledger.windows()] == ["tom.okafor"]


async def test_it_stays_revoked_by_whoever_was_first_whatever_is_recorded_again(ledger: Ledger) -> None:
    await give(ledger, grant())
    await ledger.revoke_window("northwind/mail:1", by="tom.okafor", at=f.moment(5))

    await give(ledger, grant())
    again = await ledger.revoke_window("northwind/mail:1", by="dana.reyes", at=f.moment(9))

    assert again is not None
    assert again.revoked_by == "tom.okafor"
    assert await ledger.revoke_window("nobody/knows:1", by="dana.reyes", at=f.NOON) is None


async def test_an_account_can_tell_that_one_was_revoked(ledger: Ledger) -> None:
    await give(ledger, grant())
    assert await ledger.record(f.batch(WindowFact(seq=1, at=f.NOON, grant=grant()))) == 0

    news = grant(revoked_by="dana.reyes", revoked_at=f.moment(3))
    assert await ledger.record(f.batch(WindowFact(seq=9, at=f.moment(3), grant=news))) == 1

    (kept,) = await ledger.windows()
    assert kept.revoked_by == "dana.reyes"


async def take(ledger: Ledger, account_id: str = f.ACCOUNT, seq: int = 5) -> RulingRequest:
    asked = await seen(ledger, request_of(account_id, seq=seq))
    assert await ledger.enter_ruling(asked, through(asked))
    return asked


@pytest.mark.parametrize(
    ("status", "places"),
    [
        (ProposalStatus.IN_FLIGHT, 2),
        (ProposalStatus.SENT, 2),
        (ProposalStatus.IN_DOUBT, 2),
        (ProposalStatus.DEFERRED, 1),
        (ProposalStatus.PENDING_APPROVAL, 1),
        (ProposalStatus.SUPPRESSED, 1),
        (ProposalStatus.DENIED, 1),
        (ProposalStatus.FAILED, 1),
    ],
)
async def test_a_place_is_given_back_unless_the_touch_went_out_or_may_have(
    ledger: Ledger, status: ProposalStatus, places: int
) -> None:
    await give(ledger, grant())
    await take(ledger)

    await ledger.record(f.batch(f.proposal_fact(6, 1, status)))

    assert await used(ledger) == places


async def test_facts_from_before_the_place_was_taken_give_nothing_back(ledger: Ledger) -> None:
    await give(ledger, grant())
    await take(ledger)

    await ledger.record(f.batch(f.proposal_fact(5, 1, ProposalStatus.DEFERRED)))

    assert await used(ledger) == 2


async def test_a_place_is_free_again_when_its_proposal_is_ruled_on_again(ledger: Ledger) -> None:
    await give(ledger, grant(at_most=2))
    await take(ledger)

    again = await seen(ledger, request_of(f.ACCOUNT, seq=6, now=f.moment(60)))

    assert [each.left for each in again.windows] == [1], "its own place does not count against it"
    assert await ledger.enter_ruling(again, through(again))
    assert await used(ledger) == 2
    later = request_of(f.ACCOUNT, seq=7, now=f.moment(90))
    assert await ledger.enter_ruling(later, nothing(later))
    assert await used(ledger) == 1


async def test_the_same_ruling_entered_twice_takes_one_place(ledger: Ledger) -> None:
    await give(ledger, grant())
    asked = await take(ledger)

    assert await ledger.enter_ruling(asked, through(asked))

    assert await used(ledger) == 2


async def test_a_ruling_that_comes_after_the_end_of_its_proposal_takes_no_place(ledger: Ledger) -> None:
    await give(ledger, grant())
    asked = await seen(ledger, request_of(f.ACCOUNT, seq=5))
    await ledger.record(f.batch(f.proposal_fact(6, 1, ProposalStatus.SUPPRESSED)))

    assert await ledger.enter_ruling(asked, through(asked))

    assert await used(ledger) == 1


def decided(seq: int, *uses: Use) -> DecisionFact:
    fact = f.decision_fact(seq, 1, hits=0)
    return fact.model_copy(update={"decision": fact.decision.model_copy(update={"uses": uses})})


def touched(seq: int, decision: Decision, status: TouchStatus) -> TouchFact:
    fact = f.touch_fact(seq, 1)
    touch = fact.touch.model_copy(
        update={"decision_id": decision.decision_id, "proposal_id": decision.proposal_id}
    )
    return fact.model_copy(update={"touch": touch, "status": status})


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_what_a_touch_said_has_been_used_once_it_was_handed_over(
    ledger: Ledger, order: tuple[int, int]
) -> None:
    decision = decided(1, CLAIM)
    facts = (decision, touched(2, decision.decision, TouchStatus.HANDED_OVER))
    other = CLAIM.model_copy(update={"version": "b" * 64})
    assert await ledger.used([CLAIM, other]) == ()

    for place in order:
        await ledger.record(f.batch(facts[place]))

    assert await ledger.used([CLAIM, other]) == (CLAIM.key,), "another wording is another claim"


@pytest.mark.parametrize("status", [TouchStatus.IN_FLIGHT, TouchStatus.RELEASED, TouchStatus.UNKNOWN])
async def test_what_has_not_certainly_gone_out_is_still_new(ledger: Ledger, status: TouchStatus) -> None:
    decision = decided(1, CLAIM)

    await ledger.record(f.batch(decision, touched(2, decision.decision, status)))

    assert await ledger.used([CLAIM]) == ()
