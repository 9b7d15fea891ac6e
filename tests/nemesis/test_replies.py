"""Promise 10 under kill -9: no reply that a person has got is lost, and none counts twice."""

from __future__ import annotations

import random

import pytest

from tests.nemesis.replies import Moment, Victim, replies, reply_plan_of

CHOSEN = tuple(range(8))
"""Server and worker, on the way and at the acknowledgement, each twice."""


@pytest.mark.timeout(600)
async def test_no_acknowledged_reply_is_lost_and_every_yes_leads_to_one_touch() -> None:
    drawn = [random.SystemRandom().randrange(1_000, 1_000_000) for _ in range(2)]
    total = await replies([*CHOSEN, *drawn], lanes=4)
    assert not total.lost, f"drawn seeds: {drawn}"
    assert not total.broken, f"drawn seeds: {drawn}"
    assert total.runs == len(CHOSEN) + len(drawn)
    assert total.replies == 2 * total.runs
    assert total.before > 0, "some were acknowledged before the kill"
    assert total.released > 0


def test_a_seed_decides_who_dies_and_when() -> None:
    assert reply_plan_of(17) == reply_plan_of(17)
    plans = [reply_plan_of(seed) for seed in range(200)]
    for victim in Victim:
        for moment in Moment:
            assert sum((plan.victim, plan.moment) == (victim, moment) for plan in plans) == 50
