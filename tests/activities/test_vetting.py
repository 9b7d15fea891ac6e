"""Delegations on a real ledger: who may answer in whose place, at the ruling and afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from activities import Deputies, Governing, PolicyKeeper, publish_first
from domain import (
    Agreement,
    Answer,
    Approval,
    ApprovalAnswer,
    Candidate,
    Delegation,
    ReasonCode,
    RulingRequest,
    Verdict,
    VetRequest,
)
from ledger import Ledger
from tests.governance.worlds import CONTACTS, NORTHWIND, NOW, email, policies

HOUR = timedelta(hours=1)
LARGE = email(value=300_000.0, actor="lena.fischer")


@pytest_asyncio.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}?timeout=30")
    await opened.migrate()
    await publish_first(opened, policies())
    yield opened
    await opened.close()


def to_mara(principal: str = "dana.reyes") -> Delegation:
    return Delegation(
        delegation_id=f"{principal}-mara",
        principal=principal,
        delegate="mara.lindqvist",
        starts_at=NOW - HOUR,
        ends_at=NOW + 24 * HOUR,
        made_by=principal,
        made_at=NOW - HOUR,
    )


def asked(*agreements: Agreement, hours: int = 0) -> RulingRequest:
    return RulingRequest(
        account_id="northwind",
        account=NORTHWIND,
        contacts=CONTACTS,
        readings=(),
        holds=(),
        touches=(),
        candidates=(
            Candidate(
                proposal=LARGE,
                received_at=NOW,
                expires_at=NOW + timedelta(days=30),
                approvers=tuple(each.approver for each in agreements),
                agreements=agreements,
            ),
        ),
        revision=1,
        now=NOW + hours * HOUR,
    )


async def test_a_delegation_is_in_the_route_and_in_the_vetting(ledger: Ledger) -> None:
    """Given a delegation in the ledger, then the delegate is asked; once it is ended, they may not answer."""
    keeper = PolicyKeeper(ledger, policies())
    governing, deputies = Governing(keeper, ledger), Deputies(keeper, ledger)
    await ledger.delegate(to_mara())

    (decision,) = (await governing.govern(asked())).decisions

    route = decision.route
    assert route is not None
    assert (route.approvers, route.delegates) == (
        ("tom.okafor", "mara.lindqvist"),
        {"mara.lindqvist": "dana.reyes"},
    )
    approval = Approval(
        approval_id="sdr-1:a1",
        proposal_id="sdr-1",
        digest="d",
        reason=ReasonCode.APPROVAL_NEEDED,
        message="So much is at stake that a person decides.",
        actor="lena.fischer",
        route=route,
        requested_at=NOW,
    )
    given = ApprovalAnswer(
        answer_id="1", approval_id="sdr-1:a1", answer=Answer.APPROVE, approver="mara.lindqvist", digest="d"
    )
    wanted = VetRequest(account_id="northwind", approval=approval, answer=given, now=NOW)
    found = await deputies.vet(wanted)
    assert (found.refusal, found.answers_for) == (None, "dana.reyes")

    await ledger.end_delegation("dana.reyes-mara", by="dana.reyes", at=NOW)

    refused = await deputies.vet(wanted)
    assert refused.refusal == (
        "mara.lindqvist is not in sales-leadership, and nobody there lets them answer in their place"
    )


async def test_what_a_delegate_said_counts_after_the_delegation_has_ended(ledger: Ledger) -> None:
    governing = Governing(PolicyKeeper(ledger, policies()), ledger)
    said = Agreement(approver="mara.lindqvist", answers_for="dana.reyes", at=NOW)
    (without,) = (await governing.govern(asked(said))).decisions
    await ledger.delegate(to_mara())
    await ledger.end_delegation("dana.reyes-mara", by="dana.reyes", at=NOW + HOUR)

    (after,) = (await governing.govern(asked(said, hours=2))).decisions

    assert without.verdict is Verdict.REQUIRE_APPROVAL
    assert after.verdict is Verdict.ALLOW
