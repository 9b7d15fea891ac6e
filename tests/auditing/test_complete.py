"""Promise 11: the decision log is complete. Provider calls and log join, with no orphans either way."""

from __future__ import annotations

import asyncio
import email
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.channels._mime import message_id_of
from domain import (
    Answer,
    ApprovalAnswer,
    ChainHead,
    FactBatch,
    ProposalStatus,
    ReceiptStatus,
    TouchStatus,
    WindowFact,
    WindowGrant,
)
from domain._chain import next_link
from ledger import Ledger
from tests.auditing import accounts as a
from tests.auditing.conftest import Query
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import FAST, Stage, staged, until
from tutti.auditing.anchored import LAG, Anchors
from tutti.auditing.findings import What
from tutti.auditing.verifying import Audit, audit


async def found(ledger: Ledger) -> list[tuple[What, str | None]]:
    return [(each.what, each.account_id) for each in (await audit(ledger, Anchors([]))).findings]


async def logged(stage: Stage) -> Counter[tuple[str, str]]:
    """Return what the log says was handed over: channel and touch, each with how often it says so."""
    entries = await stage.ledger.decision_log([stage.account_id])
    touches = [json.loads(entry.body) for entry in entries if entry.type == "touch" and entry.body]
    return Counter(
        (each["touch"]["channel"], each["touch"]["touch_id"])
        for each in touches
        if each["status"] == TouchStatus.HANDED_OVER.value
    )


async def approve(stage: Stage, proposal_id: str) -> None:
    status = await stage.accounts.status(stage.account_id)
    (asked,) = [each for each in status.approvals if each.proposal_id == proposal_id]
    answer = ApprovalAnswer(
        answer_id="yes",
        approval_id=asked.approval_id,
        answer=Answer.APPROVE,
        approver="dana.reyes",
        digest=asked.digest,
    )
    assert (await stage.accounts.answer(stage.account_id, answer)).accepted


async def test_provider_calls_claims_and_log_join_one_to_one(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    # Given four systems that want something, a person who agrees to one of them, and a real mail server
    async with staged(temporal.client, tmp_path, edits=FAST) as stage:
        await set_up(stage)
        await stage.propose(*(wanted(each) for each in ("sdr-1", "nurture-1", "site-1", "exec-1")))
        await approve(stage, "exec-1")
        await stage.status_when(
            lambda status: (
                {ProposalStatus.SENT, ProposalStatus.SUPPRESSED}
                >= {each.status for each in status.proposals if each.proposal.proposal_id != "site-1"}
            ),
            "the end of all that is not deferred",
        )

        # When the log has heard of it
        async def heard() -> Audit | None:
            done = await audit(stage.ledger, Anchors([]))
            sent = [each for each in stage.relay.envelopes if each.original_content]
            return done if done.links and len(await logged(stage)) >= len(sent) else None

        result = await until(heard, "the log")
        handed_over = await logged(stage)

        # Then every message at the provider is a touch of the log, each once, and the other way round
        mails = Counter(
            email.message_from_bytes(each.original_content or b"")["Message-ID"]
            for each in stage.relay.envelopes
        )
        expected = Counter(
            message_id_of(touch_id, "example.com") for channel, touch_id in handed_over if channel == "email"
        )
        assert mails == expected
        assert mails.total() >= 1
        assert set(handed_over.values()) == {1}
        claimed = await stage.ledger.claimed([touch_id for _, touch_id in handed_over])
        assert set(claimed.values()) == {ReceiptStatus.ACCEPTED}
        assert (await stage.ledger.counts())["claims"] == len(claimed)
        assert result.findings == []


async def test_a_touch_past_the_accounts_is_found_by_its_claim(ledger: Ledger) -> None:
    old, new = datetime.now(UTC) - 2 * LAG, datetime.now(UTC)
    await ledger.claim("ghost/p1/1", channel="email", at=old)
    await ledger.claim("northwind/p1/9", channel="email", at=old)
    # What was claimed a moment ago may be on its way to the log
    await ledger.claim("northwind/p1/10", channel="email", at=new)

    assert await found(ledger) == [(What.UNKNOWN_CLAIM, "ghost"), (What.UNKNOWN_CLAIM, "northwind")]


async def test_a_touch_that_nobody_claimed_is_found(ledger: Ledger, query: Query) -> None:
    query("DELETE FROM claims WHERE touch_id = 'northwind/p1/1'")

    (wrong,) = (await audit(ledger, Anchors([]))).findings

    assert wrong.what is What.UNCLAIMED
    assert "northwind/p1/1 was handed over, and nobody had claimed it" in wrong.line


async def test_a_touch_without_its_row_is_found(ledger: Ledger, query: Query) -> None:
    query("DELETE FROM touches WHERE touch_id = 'northwind/p3/1'")

    assert set(await found(ledger)) == {(What.NOT_IN_TABLES, "northwind"), (What.UNKNOWN_CLAIM, "northwind")}


async def test_an_audit_beside_a_working_system_finds_nothing(ledger: Ledger) -> None:
    # Given accounts that tell the ledger what they do, while it is audited again and again
    told = asyncio.gather(
        *(a.tell(ledger, name, a.short(name)) for name in ("fabrikam", "litware", "adatum"))
    )
    audits = 0
    while not told.done():
        assert await found(ledger) == []
        audits += 1
    await told

    assert audits > 1
    assert (await audit(ledger, Anchors([]))).accounts == 5


async def test_checks_of_channels_are_told_apart(ledger: Ledger) -> None:
    old = datetime.now(UTC) - timedelta(hours=1)
    await ledger.claim("conformance-1a2b/p1/1", channel="email", at=old)
    await ledger.claim("conformance-1a2b/p2/1", channel="email", at=old)

    result = await audit(ledger, Anchors([]))

    assert [each.line for each in result.findings] == ["2 claims of 1 check of channels"]
    assert not result.failed


@pytest.mark.parametrize("linked_from", [0, 12, 1_000])
async def test_what_was_written_before_there_was_a_log_is_no_fault(tmp_path: Path, linked_from: int) -> None:
    facts = a.lived()
    before = [each.model_copy(update={"link": None}) for each in facts if each.seq < linked_from]
    since = a.linked([each for each in facts if each.seq >= linked_from])
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}")
    await ledger.migrate()
    try:
        await a.tell(ledger, "northwind", [*before, *since])
        assert await found(ledger) == []
    finally:
        await ledger.close()


async def test_an_objection_that_is_gone_from_the_store_is_found(ledger: Ledger, query: Query) -> None:
    await ledger.record(FactBatch(account_id="northwind", facts=a.lived()))
    assert await found(ledger) == []
    query("DELETE FROM suppressions")
    assert set(await found(ledger)) == {(What.NOT_IN_TABLES, "northwind")}


GRANT = WindowGrant(
    grant_id="northwind/p1:a1",
    account_id="northwind",
    segment="mid-market",
    actor="sdr-agent",
    action="send_email",
    channel="email",
    template="first-mail",
    version="v1",
    at_most=50,
    starts_at=a.MONDAY,
    ends_at=a.MONDAY + timedelta(days=7),
    given_by=("dana.reyes",),
)


async def with_a_window(ledger: Ledger) -> None:
    """Given an account on which somebody approved the same in advance."""
    facts = a.lived()
    last = max((fact.link for fact in facts if fact.link is not None), key=lambda link: link.number)
    fact = WindowFact(seq=facts[-1].seq + 1, at=a.MONDAY + timedelta(days=41), grant=GRANT)
    head = ChainHead(number=last.number, digest=last.digest)
    linked = fact.model_copy(update={"link": next_link("northwind", head, fact)})
    await ledger.record(FactBatch(account_id="northwind", facts=(*facts, linked)))
    assert await found(ledger) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("DELETE FROM window_grants", What.NOT_IN_TABLES),
        ("UPDATE window_grants SET segment = 'everybody'", What.NOT_IN_LOG),
        ("UPDATE window_grants SET ends_at = '2099-01-01 00:00:00.000000'", What.NOT_IN_LOG),
        ("UPDATE window_grants SET ends_at = 'never'", What.NOT_IN_LOG),
        (
            "UPDATE window_grants SET body = json_set(body, '$.given_by', json('[\"mallory\"]'))",
            What.NOT_IN_LOG,
        ),
        ("UPDATE window_grants SET body = '{'", What.NOT_IN_LOG),
        ("UPDATE window_grants SET grant_id = 'northwind/p9:a1'", What.NOT_IN_LOG),
    ],
)
async def test_a_window_approval_that_nobody_gave_is_found(
    ledger: Ledger, query: Query, change: str, what: What
) -> None:
    await with_a_window(ledger)
    query(change)
    assert (what, "northwind") in await found(ledger)


async def test_a_window_that_was_taken_back_is_in_order(ledger: Ledger) -> None:
    await with_a_window(ledger)
    await ledger.revoke_window(GRANT.grant_id, by="dana.reyes", at=a.MONDAY + timedelta(days=1))
    assert await found(ledger) == []
