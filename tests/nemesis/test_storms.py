"""Workers die at every gap of the hand-over, and provider, ledger and account still tell one story."""

from __future__ import annotations

import random

import pytest

from tests.nemesis.campaign import Sum, campaign, failure
from tests.nemesis.plan import Act, Gap, Memory, Role, lost_answer, plan_of

CHOSEN = tuple(range(16))
"""Every gap of the e-mail channel, the retry, no successor, and freezes."""


@pytest.mark.timeout(600)
async def test_no_touch_is_doubled_or_lost_and_every_doubt_comes_before_a_person() -> None:
    drawn = [random.SystemRandom().randrange(1_000, 1_000_000) for _ in range(4)]
    total = Sum()
    told = []
    async for found in campaign(map(plan_of, dict.fromkeys([*CHOSEN, *drawn])), lanes=8):
        total.add(found)
        if broken := total.broken.get(found.plan.seed):
            told.append(failure(found, broken))
    assert not told, "\n\n".join([f"drawn seeds: {drawn}", *told])
    assert total.kills > 0
    assert total.in_doubt == total.settled_as_sent + total.settled_as_not_sent > 0
    assert total.duplicates == total.lost == 0


@pytest.mark.timeout(240)
async def test_a_ledger_that_forgets_its_claims_is_found_out() -> None:
    """The nemesis has teeth: a retry that does not know of the first attempt sends twice, and is caught."""
    plan = lost_answer()
    (found,) = [found async for found in campaign([plan], memory=Memory.FORGETS)]
    total = Sum()
    total.add(found)
    assert total.duplicates == 1
    assert any(line.startswith("promise 4") for line in total.broken[plan.seed])


def test_a_seed_decides_everything_and_every_gap_has_its_turn() -> None:
    assert plan_of(17) == plan_of(17)
    assert plan_of(17) != plan_of(18)
    plans = [plan_of(seed) for seed in range(200)]
    fates = [(role, fate) for plan in plans for role, many in plan.fates.items() for fate in many]
    assert {fate.gap for role, fate in fates if role is Role.EMAIL} >= set(Gap) - {
        Gap.BEFORE_RULING,
        Gap.RULED,
        Gap.BEFORE_FACTS,
        Gap.FACTS,
        Gap.RESOLVING,
        Gap.RESOLVED,
    }
    assert {fate.gap for role, fate in fates if role is Role.ORCHESTRATOR} == {
        Gap.BEFORE_RULING,
        Gap.RULED,
        Gap.BEFORE_FACTS,
        Gap.FACTS,
        Gap.RESOLVING,
        Gap.RESOLVED,
    }
    assert sum(fate.act is Act.FREEZE for _, fate in fates) > 20
    assert sum(plan.publish_at is not None for plan in plans) > 20
    assert sum(bool(plan.restarts) for plan in plans) > 20
