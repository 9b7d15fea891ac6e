"""The cast of the demo's scenario, for tests that play it piece by piece."""

from __future__ import annotations

from functools import cache

from domain import Account, Observation, Proposal
from tests.workflows.stage import ROOT, Stage, soon
from tutti.scenario import Scenario, load_scenario


@cache
def scenario() -> Scenario:
    return load_scenario(ROOT / "examples" / "demo" / "scenario.yaml")


def profile(account_id: str) -> list[Observation]:
    """The demo's account under another id, with its people."""
    account = Account.model_validate(scenario().account.model_dump() | {"account_id": account_id})
    return [account, *scenario().contacts]


def wanted(which: str, **changes: object) -> Proposal:
    """A proposal of the demo, made now."""
    step = next(s for s in scenario().steps if s.propose and s.propose.proposal_id == which)
    assert step.propose is not None
    return Proposal.model_validate(step.propose.at(soon()).model_dump() | changes)


async def set_up(stage: Stage) -> None:
    await stage.accounts.observe(stage.account_id, profile(stage.account_id))
