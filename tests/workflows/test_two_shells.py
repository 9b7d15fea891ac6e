"""One script, two shells: the simulator and the real workflow decide and touch alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import AccountStatus, Decision, RuleHit, TouchFact, TouchStatus
from tests.workflows.stage import DEMO_POLICIES, ROOT, Stage, staged
from tutti.live import LivePlayer
from tutti.scenario import Scenario, load_scenario
from tutti.simulator import simulate

FLUSH_AFTER = timedelta(minutes=20)
"""By then the quiet facts have gone to the ledger as well."""
SCENARIOS = [ROOT / "examples" / "scenarios" / "quarter.yaml", ROOT / "examples" / "demo" / "scenario.yaml"]
CLOSE = timedelta(seconds=3)
"""The real shell takes milliseconds for what the simulator does in none."""


class Told(NamedTuple):
    """A decision without the milliseconds."""

    proposal_id: str
    decision_id: str
    verdict: str
    reason: str
    score: float | None
    rank: int | None
    rivals: tuple[str, ...]
    hits: tuple[tuple[object, ...], ...]


def told(decision: Decision) -> Told:
    def plain(hit: RuleHit) -> tuple[object, ...]:
        return (hit.rule_id, hit.family, hit.effect, hit.reason, hit.file, hit.line)

    return Told(
        decision.proposal_id,
        decision.decision_id,
        decision.verdict,
        decision.reason,
        round(decision.score.total, 6) if decision.score else None,
        decision.rank,
        decision.rivals,
        tuple(plain(hit) for hit in decision.hits),
    )


def in_order(decisions: Iterable[Decision]) -> list[Decision]:
    return sorted(decisions, key=lambda d: (d.proposal_id, d.decision_id))


def _knows(proposal_id: str, status: AccountStatus) -> bool:
    return any(view.proposal.proposal_id == proposal_id for view in status.proposals)


async def play(environment: WorkflowEnvironment, stage: Stage, scenario: Scenario, start: datetime) -> None:
    """Play a scenario on the time-skipping server at its own pace."""
    player = LivePlayer(stage.accounts, scenario)

    async def sleep_to(moment: datetime) -> None:
        await environment.sleep(max(moment - await environment.get_current_time(), timedelta(0)))

    await sleep_to(start)
    await player.introduce()
    asking: list[asyncio.Task[object]] = []
    for moment, step in scenario.moments(start):
        await sleep_to(moment)
        task: asyncio.Task[object] = asyncio.create_task(player.play(step, moment))
        if step.propose is None:
            await task
        else:
            asking.append(task)
            await stage.status_when(partial(_knows, step.propose.proposal_id), "the proposal to arrive")
    await sleep_to(start + scenario.length)
    await sleep_to(start + scenario.length + FLUSH_AFTER)
    await asyncio.gather(*asking)


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.parent.name + "-" + file.stem)
async def test_both_shells_tell_the_same_story(
    file: Path, time_skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    now = await time_skipping.get_current_time()
    start = (now + timedelta(days=7 - now.weekday())).replace(hour=10, minute=0, second=0, microsecond=0)
    original = DEMO_POLICIES if file.parent.name == "demo" else ROOT / "policies"
    # One run only: after a continue-as-new in which an update was open, this server's clock stands still.
    async with staged(
        time_skipping.client, tmp_path, edits={}, original=original, continue_after_events=10_000
    ) as stage:
        scenario = load_scenario(file).model_copy(update={"start": start.astimezone(UTC)})
        account_id = stage.account_id = scenario.account.account_id
        await play(time_skipping, stage, scenario, start)
        await stage.status_when(lambda s: s.unsent_facts == 0, "an empty outbox")
        real = in_order(await stage.ledger.decisions(account_id, limit=1_000))
        touches = [
            item
            for item in await stage.ledger.touches(account_id, limit=1_000)
            if isinstance(item, TouchFact) and item.status is TouchStatus.HANDED_OVER
        ]
        await stage.handle.terminate()

    simulated = simulate(scenario, stage.policies)
    virtual = in_order(simulated.decisions)
    assert [told(decision) for decision in real] == [told(decision) for decision in virtual]
    for one, other in zip(real, virtual, strict=True):
        assert abs(one.decided_at - other.decided_at) < CLOSE
        assert (one.until is None) == (other.until is None)
        if one.until is not None and other.until is not None:
            assert abs(one.until - other.until) < CLOSE
    expected = {touch.touch_id: at for at, touch, _ in simulated.touches}
    assert {fact.touch.touch_id for fact in touches} == set(expected)
    for fact in touches:
        assert abs(fact.at - expected[fact.touch.touch_id]) < CLOSE
    assert len(virtual) >= 5, "the script decides something"
    assert expected, "the script touches somebody"
