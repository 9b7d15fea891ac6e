"""`tutti import hubspot`, `tutti status` and `tutti why` on the running stack."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from domain import AccountStatus
from tests.cli.program import DEMO_POLICIES, HUBSPOT, refused
from tests.e2e.stack import Stack, letter
from tests.imports.exports import export

ACCOUNTS = [f"hubspot-{number}" for number in range(101, 107)]


async def statuses(stack: Stack) -> list[AccountStatus]:
    accounts = await stack.accounts()
    return [await accounts.status(account_id) for account_id in ACCOUNTS]


async def test_a_second_import_changes_nothing(stack: Stack) -> None:
    # Given an export that was imported and has reached the ledger
    first = await stack.tutti("import", "hubspot", HUBSPOT, "--policies", DEMO_POLICIES)
    assert (first.code, first.err) == (0, "")
    assert "6 accounts, 14 contacts, 42 signals and 17 past touches from 136 rows" in first.out
    await stack.flush(*ACCOUNTS)
    before = await statuses(stack)
    tables = stack.tables()
    rows = {table: stack.rows(table) for table in tables}
    logged = stack.logged_besides("hold")
    assert sum(status.signals_absorbed for status in before) == 42
    assert sum(status.contacts for status in before) == 14
    assert len([row for row in rows["accounts"] if row[0] in ACCOUNTS]) == 6
    assert len(rows["signals"]) >= 42

    # When it is imported again
    second = await stack.tutti("import", "hubspot", HUBSPOT, "--policies", DEMO_POLICIES)

    # Then every account stands where it stood, with nothing new on its way, and the ledger has the same rows
    assert (second.code, second.err) == (0, "")
    assert await statuses(stack) == before
    await stack.flush(*ACCOUNTS)
    for table in tables:
        if table not in {"holds", "decision_log"}:  # which the flush itself writes
            assert stack.rows(table) == rows[table], table
    assert stack.logged_besides("hold") == logged, "the log has nothing but the holds of the flushes"


async def test_status_and_why_show_an_account_at_any_width(stack: Stack) -> None:
    accounts = await stack.introduce("shown", "amira")
    await asyncio.gather(
        accounts.propose("shown", letter("sdr-1", actor="sdr-agent", value=40_000, confidence=0.9)),
        accounts.propose(
            "shown", letter("news-1", actor="nurture", action="send_nurture_email", confidence=0.9)
        ),
    )

    narrow, why, as_json, one = await asyncio.gather(
        stack.tutti("status", "shown", COLUMNS="80"),
        stack.tutti("why", "shown", COLUMNS="80"),
        stack.tutti("status", "shown", "--json"),
        stack.tutti("why", "shown", "news-1", COLUMNS="120"),
    )

    for finished, width in ((narrow, 80), (why, 80), (one, 120)):
        assert (finished.code, finished.err) == (0, "")
        assert max(len(line) for line in finished.out.splitlines()) <= width
    assert "shown  Northwind" in narrow.out
    assert "nurture: send_nurture_email over email to amira" in narrow.out
    told = json.loads(as_json.out)
    assert told.pop("stops") == []
    assert AccountStatus.model_validate(told).contacts == 1
    assert told["account_id"] == "shown"
    assert "sdr-emails  authority.yaml:" in why.out
    assert "one-voice-per-person  arbitration.yaml:" in why.out, "a place stays in one piece"
    assert "news-1  suppressed (LOWER_PRIORITY)\n" in one.out
    assert "sdr-1  sent" not in one.out


async def test_what_nobody_knows_is_said_in_one_line(stack: Stack) -> None:
    await stack.introduce("quiet", "amira")

    stranger, proposal_unknown, silent = await asyncio.gather(
        stack.tutti("why", "stranger"),
        stack.tutti("why", "quiet", "p-1"),
        stack.tutti("why", "quiet"),
    )

    assert refused(stranger) == "there is no account 'stranger'; check the id, or import the account first"
    assert refused(proposal_unknown) == "neither account 'quiet' nor the ledger knows proposal 'p-1'"
    assert (silent.code, silent.out) == (0, "nobody has proposed anything for account 'quiet' yet\n")


async def test_a_malformed_row_is_named_with_its_place_and_the_rest_is_imported(
    stack: Stack, tmp_path: Path
) -> None:
    folder = export(
        tmp_path,
        company="id,property_name,property_domain\n901,Fabrikam,fabrikam.example\n",
        contact="id,property_email,property_associatedcompanyid\n10,ann@fabrikam.example,901\n",
        contact_form_submission="contact_id,timestamp,form_id\n10,2026-01-02 03:04:05,f\n10,31/12/2025,f\n",
    )

    finished = await stack.tutti("import", "hubspot", folder, "--policies", DEMO_POLICIES, COLUMNS="120")

    assert (finished.code, finished.err) == (1, "")
    assert "contact_form_submission.csv:3:timestamp: '31/12/2025' is no date and time" in finished.out
    assert "1 malformed row, the rest was imported:" in finished.out
    status = await (await stack.accounts()).status("hubspot-901")
    assert (status.signals_absorbed, status.contacts) == (1, 1)
