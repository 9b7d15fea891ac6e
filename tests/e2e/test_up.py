"""`tutti up`: everything comes up, answers, survives a stop, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2

from domain import AccountStatus, ProposalStatus, ReasonCode, Verdict
from tests.cli.program import DEMO_POLICIES, refused
from tests.e2e.stack import Stack, letter, until

CHILDREN = (
    "Temporal server and UI",
    "ledger tables",
    "mail and webhook sinks",
    "account orchestrator",
    "e-mail channel",
    "webhook channel",
    "gateway",
)


async def test_everything_gets_ready_and_says_where_it_is(stack: Stack) -> None:
    for title in CHILDREN:
        assert f"ready        {title}\n" in stack.shown
    assert set(stack.addresses) == {"Temporal UI", "Temporal", "gateway", "mail sink", "webhook sink"}
    assert f"export TEMPORAL_ADDRESS={stack.addresses['Temporal']}\n" in stack.shown

    async with httpx2.AsyncClient() as http:
        ui = await http.get(f"http://{stack.addresses['Temporal UI']}/", follow_redirects=True)
        health = await http.get(f"http://{stack.addresses['gateway']}/healthz")
    assert ui.status_code == 200
    assert ui.text.lower().startswith("<!doctype html>")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})


async def test_a_second_stack_on_the_same_home_is_refused(stack: Stack) -> None:
    second = await stack.tutti("up", "--free-ports", "--policies", DEMO_POLICIES)

    line = refused(second)
    assert line.startswith(f"a stack is already running on {stack.home} (process ")
    assert "--home" in line


async def test_a_stopped_stack_leaves_nothing_and_carries_on_when_started_again(stack: Stack) -> None:
    # Given an account with a touch that is to go out later
    accounts = await stack.introduce("resting", "amira")
    earliest = datetime.now(UTC) + timedelta(seconds=8)
    view = await accounts.propose("resting", letter("later", earliest=earliest))
    assert view.decision is not None
    assert (view.decision.verdict, view.reason) == (Verdict.DEFER, ReasonCode.NOT_YET)
    (before,) = await stack.flush("resting")
    parts = len(stack.processes())

    # When the stack is stopped with Ctrl-C
    code = await stack.stop()

    # Then it ends well, and no process and no port is left
    assert code == 0
    assert parts >= 7
    assert stack.processes() == {}
    assert stack.listening() == []
    assert "Traceback" not in stack.shown
    assert not stack.mails_to("amira@resting.example.com")

    # And started again the account is as it was, and the touch goes out at its time
    await stack.start()
    accounts = await stack.accounts()

    async def sent() -> AccountStatus | None:
        status = await accounts.status("resting")
        return status if status.proposals[0].status is ProposalStatus.SENT else None

    after = await until(sent, "the scheduled touch")
    kept = ("account", "contacts", "readings", "signals_absorbed", "refusals", "holds", "policy_digest")
    assert after.model_dump(include=set(kept)) == before.model_dump(include=set(kept))
    assert after.touches[0].at >= earliest
    assert len(stack.mails_to("amira@resting.example.com")) == 1


async def test_a_lost_ledger_is_rebuilt_from_the_histories_row_for_row(stack: Stack) -> None:
    # Given a ledger that has been told everything: a touch, a decision, a refusal, an objection
    accounts = await stack.introduce("remembered", "amira", "jonas")
    await asyncio.gather(
        accounts.propose("remembered", letter("p1")),
        accounts.propose("remembered", letter("p2", actor="nobody")),
    )
    client = await stack.client()
    await client.get_workflow_handle("account/remembered").signal("observe", {"type": "nonsense"})
    opt_out = {"type": "signal", "signal_id": "o1", "source": "crm", "kind": "opt_out", "contact_id": "jonas"}
    await client.get_workflow_handle("account/remembered").signal(
        "observe", opt_out | {"observed_at": "2026-01-05T09:00:00Z"}
    )
    await stack.flush(*await stack.all_accounts())
    # Rulings are for replays; the decisions that came of them are what histories bring back.
    tables = [table for table in stack.tables() if table != "rulings"]
    before = {table: stack.rows(table) for table in tables}
    owned = {
        "suppressions": "person_key, account_id, contact_id, source",
        "claims": "touch_id, channel, status, receipt",
        "policy_sets": "digest, files",
        "policy_releases": "number, digest, author, reason, kind",
        "reservations": "account_id, proposal_id",
    }
    kept = {table: stack.rows(table, columns) for table, columns in owned.items()}
    for table in ("accounts", "contacts", "signals", "proposals", "decisions", "rule_hits", "touches"):
        assert before[table], f"nothing in {table} to lose"
    assert before["refusals"]
    assert before["holds"]

    # When the file is deleted while the stack is down, and rebuilt when it is up again
    assert await stack.stop() == 0
    for file in stack.home.glob("ledger.db*"):
        file.unlink()
    await stack.start()
    assert stack.rows("proposals") == []
    rebuilt = await stack.tutti("ledger", "rebuild")

    # Then every row of the projection is back, and so is what the accounts know of the rest
    assert (rebuilt.code, rebuilt.err) == (0, "")
    assert rebuilt.out.startswith("ok ")
    for table in tables:
        if table not in owned:
            assert stack.rows(table) == before[table], table
    for table, columns in owned.items():
        assert stack.rows(table, columns) == kept[table], table

    # And doing it again changes nothing
    rows = {table: stack.rows(table) for table in tables}
    assert (await stack.tutti("ledger", "rebuild")).out == rebuilt.out
    assert {table: stack.rows(table) for table in tables} == rows
