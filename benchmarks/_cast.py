"""Who appears in the measurements: the account of the demo with its people, signals and proposals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from benchmarks._stage import ROOT
from domain import Account, Contact, Observation, Proposal, Signal, SignalKind
from governance import PolicySet, interpret
from tutti.scenario import Scenario, load_scenario

RIVALS = ("sdr-1", "nurture-1", "site-1", "exec-1")
"""The four proposals of the demo: one is sent, one suppressed, one deferred, one asked about."""


@cache
def scenario() -> Scenario:
    """Return the demo's scenario."""
    return load_scenario(ROOT / "examples" / "demo" / "scenario.yaml")


def contacts() -> tuple[Contact, ...]:
    """Return the buying group, five people."""
    return scenario().contacts


def account(account_id: str) -> Account:
    """Return the demo's account under another id."""
    return Account.model_validate(scenario().account.model_dump() | {"account_id": account_id})


def profile(account_id: str) -> Sequence[Observation]:
    """Return an account and its people, as a source would report them."""
    return (account(account_id), *contacts())


def proposal(name: str, **changes: object) -> Proposal:
    """Return a proposal of the demo that does not expire by itself, with changes."""
    step = next(s for s in scenario().steps if s.propose and s.propose.proposal_id == name)
    if step.propose is None:
        raise LookupError(name)
    made = step.propose.at(datetime.now(UTC))
    return Proposal.model_validate(made.model_dump() | {"expires_at": None} | changes)


def signals(policies: PolicySet, prefix: str, count: int) -> list[Signal]:
    """Return signals as the gateway would send them: with the reading that their kind stands for."""
    now = datetime.now(UTC)
    kinds = (SignalKind.WEB_VISIT, SignalKind.EMAIL_OPEN, SignalKind.EMAIL_CLICK, SignalKind.INTENT_SURGE)
    return [
        interpret(
            policies,
            Signal(
                signal_id=f"{prefix}-{number}",
                source="website",
                kind=kinds[number % len(kinds)],
                observed_at=now,
                contact_id=contacts()[number % len(contacts())].contact_id,
                facts={"page": f"/robots/palletizing/{number}"},
                summary="Read about palletizing cells",
            ),
        )
        for number in range(count)
    ]
