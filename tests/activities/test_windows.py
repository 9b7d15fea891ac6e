"""Window approvals and first uses on a real ledger: exact, whoever asks at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from activities import Governing, PolicyKeeper, publish_first
from domain import (
    Candidate,
    Consent,
    Content,
    DecisionFact,
    FactBatch,
    ProposalFact,
    ProposalStatus,
    ReasonCode,
    Role,
    Ruling,
    RulingRequest,
    Touch,
    TouchFact,
    TouchStatus,
    Verdict,
    WindowFact,
    WindowGrant,
)
from governance import PolicySet, compile_policy_set, load_policy_set, rule
from ledger import Ledger
from tests.builders import account, contact, proposal

SHIPPED = Path(__file__).resolve().parents[2] / "policies"
MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TEXT = "id: hello\nsubject: Hello {{ contact.first_name }}\ntext: A word for {{ account.name }}.\n"
ASKS = (
    "  - {id: every-mail, when: proposal.medium == Medium.EMAIL, message: Mails are read first.}\n"
    "  - id: sensitive-accounts\n"
)
AT_MOST = 8


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    """The shipped set, in which every mail is read by a person first."""
    files = {**load_policy_set(SHIPPED).files, "content/hello.yaml": TEXT}
    files["approvals.yaml"] = files["approvals.yaml"].replace("  - id: sensitive-accounts\n", ASKS)
    return compile_policy_set(files)


@pytest_asyncio.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}?timeout=30")
    await opened.migrate()
    yield opened
    await opened.close()


async def a_governing(ledger: Ledger, policies: PolicySet) -> Governing:
    await publish_first(ledger, policies)
    return Governing(PolicyKeeper(ledger, policies), ledger)


def request_of(account_id: str, now: datetime = MONDAY, seq: int = 0, **changes: object) -> RulingRequest:
    person = contact(role=Role.INFLUENCER, consent=Consent.GRANTED, time_zone="Europe/London")
    company = account(account_id)
    said = Content(subject=f"Hello {person.name.split()[0]}", text=f"A word for {company.name}.")
    wanted = proposal("p1", **{"template": "hello", "content": said, **changes})
    return RulingRequest(
        account_id=account_id,
        account=company,
        contacts={"amira": person},
        readings=(),
        holds=(),
        touches=(),
        candidates=(Candidate(proposal=wanted, received_at=now, expires_at=now + timedelta(days=30)),),
        seq=seq,
        revision=1,
        now=now,
    )


async def give(ledger: Ledger, policies: PolicySet, **changes: object) -> WindowGrant:
    """Record what an approver has allowed in advance for a segment."""
    wanted = request_of("first").candidates[0].proposal
    grant = WindowGrant.model_validate(
        {
            "grant_id": "first/p1:1",
            "account_id": "first",
            "segment": "other-tiers",
            "actor": wanted.actor,
            "action": wanted.action,
            "channel": wanted.channel,
            "template": "hello",
            "version": policies.contents["hello"].version,
            "rules": ("every-mail",),
            "value": wanted.value,
            "at_most": AT_MOST,
            "starts_at": MONDAY - timedelta(hours=1),
            "ends_at": MONDAY + timedelta(days=7),
            "given_by": ("dana.reyes",),
        }
        | changes
    )
    fact = WindowFact(seq=1, at=MONDAY - timedelta(hours=1), grant=grant)
    await ledger.record(FactBatch(account_id="first", facts=(fact,)))
    return grant


def verdicts(rulings: list[Ruling]) -> Counter[Verdict]:
    return Counter(decision.verdict for ruling in rulings for decision in ruling.decisions)


async def test_of_a_hundred_accounts_at_once_exactly_the_places_of_a_window_are_filled(
    ledger: Ledger, policies: PolicySet
) -> None:
    governing = await a_governing(ledger, policies)
    grant = await give(ledger, policies)
    requests = [
        request_of(f"account-{number}", now=MONDAY + timedelta(milliseconds=number)) for number in range(100)
    ]

    rulings = await asyncio.gather(*(governing.govern(asked) for asked in requests))

    through = AT_MOST - 1  # the touch that the window was given with has the first place
    assert verdicts(rulings) == {Verdict.ALLOW: through, Verdict.REQUIRE_APPROVAL: 100 - through}
    for ruling in rulings:
        (decision,) = ruling.decisions
        assert decision.window == (grant.grant_id if decision.verdict is Verdict.ALLOW else None)
    (filled,) = await ledger.windows()
    assert (filled.used, filled.left) == (AT_MOST, 0)


async def test_a_place_that_came_to_nothing_is_the_next_ones(ledger: Ledger, policies: PolicySet) -> None:
    governing = await a_governing(ledger, policies)
    await give(ledger, policies, at_most=2)
    one, other = request_of("one"), request_of("other", now=MONDAY + timedelta(seconds=1))
    assert verdicts([await governing.govern(one)]) == {Verdict.ALLOW: 1}
    assert verdicts([await governing.govern(other)]) == {Verdict.REQUIRE_APPROVAL: 1}

    dropped = ProposalFact(
        seq=1, at=MONDAY, proposal=one.candidates[0].proposal, status=ProposalStatus.SUPPRESSED
    )
    await ledger.record(FactBatch(account_id="one", facts=(dropped,)))

    assert verdicts([await governing.govern(other)]) == {Verdict.ALLOW: 1}


async def test_once_revoked_it_covers_nobody(ledger: Ledger, policies: PolicySet) -> None:
    governing = await a_governing(ledger, policies)
    grant = await give(ledger, policies)

    await ledger.revoke_window(grant.grant_id, by="tom.okafor", at=MONDAY)

    assert verdicts([await governing.govern(request_of("one"))]) == {Verdict.REQUIRE_APPROVAL: 1}


async def test_a_claim_is_asked_about_until_the_ledger_knows_that_it_went_out(
    ledger: Ledger, policies: PolicySet
) -> None:
    governing = await a_governing(ledger, policies)
    await give(ledger, policies)
    first = request_of("one", claims=("soc2-certified",))
    ruling = await governing.govern(first)
    (decision,) = ruling.decisions
    assert decision.verdict is Verdict.REQUIRE_APPROVAL
    assert ReasonCode.FIRST_USE in {hit.reason for hit in decision.hits}, "which the window is not about"

    touch = Touch(
        touch_id="one/p1/1",
        account_id="one",
        account_name="One",
        proposal_id="p1",
        decision_id=decision.decision_id,
        actor="sdr-agent",
        channel="email",
        action="send_email",
        digest="d" * 64,
        policy_digest=policies.digest,
    )
    facts = (
        DecisionFact(seq=1, at=MONDAY, decision=decision),
        TouchFact(seq=2, at=MONDAY, touch=touch, status=TouchStatus.HANDED_OVER),
    )
    await ledger.record(FactBatch(account_id="one", facts=facts))

    second = request_of("two", now=MONDAY + timedelta(minutes=1), claims=("soc2-certified",))
    (decision,) = (await governing.govern(second)).decisions
    assert decision.verdict is Verdict.ALLOW, "the window covers what else asks"
    assert "first-use-of-a-claim" not in {hit.rule_id for hit in decision.hits}


async def test_what_was_ruled_on_a_window_can_be_judged_again_from_the_record(
    ledger: Ledger, policies: PolicySet
) -> None:
    governing = await a_governing(ledger, policies)
    await give(ledger, policies)
    await governing.govern(request_of("one"))

    (recorded,) = await ledger.rulings()

    assert recorded.request.candidates[0].proposal.content == Content()
    assert recorded.request.candidates[0].made_from is not None
    again = rule(policies, recorded.request)
    assert again.decisions[0].verdict is Verdict.ALLOW
