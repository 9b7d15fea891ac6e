"""The demo's last act: the decision log is verified, and so is a copy that somebody has edited."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from rich.console import Console

from ledger import Ledger
from tutti import story
from tutti.auditing.anchored import Anchors
from tutti.auditing.verifying import audit
from tutti.render import counted, plain


class AuditNotSeenError(Exception):
    """The decision log did not tell what it should; the text says where it broke off."""


async def tell_audit(console: Console, database: Path, number: int) -> None:
    """Verify the decision log, then change one word in a copy and verify that.

    Args:
        console: Where it is told.
        database: The SQLite file of the demo's ledger.
        number: Of the chapter.

    Raises:
        AuditNotSeenError: the log does not verify, or the change was not found.
    """
    say = console.print
    say(story.heading(number, "Every decision is on record, and the record shows if anybody changes it"))
    links, findings = await _verified(database)
    if findings:
        raise AuditNotSeenError(f"the decision log does not verify: {findings[0]}")
    say(
        story.aside(
            f"{counted(links, 'link', 'links')} of hash chains verified, one chain an account", "green"
        )
    )
    copy = database.with_name("tampered.db")
    try:
        changed = await asyncio.to_thread(_tamper, database, copy)
        say(story.aside(f"now somebody edits a copy of the ledger, and turns “{changed}” into “Anybody”:"))
        _, findings = await _verified(copy)
    finally:
        copy.unlink(missing_ok=True)
    if not findings:
        raise AuditNotSeenError("a changed answer was not found")
    for finding in findings[:1]:
        say(story.aside(f"✗ {plain(finding)}", "bold red"))


async def _verified(database: Path) -> tuple[int, list[str]]:
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{database}")
    try:
        found = await audit(ledger, Anchors(()), None)
    finally:
        await ledger.close()
    return found.links, [each.line for each in found.findings if not each.what.is_note]


def _tamper(database: Path, copy: Path) -> str:
    """Copy the ledger, and change in the copy who gave an answer; returns who it was."""
    with closing(sqlite3.connect(database)) as original, closing(sqlite3.connect(copy)) as other:
        original.backup(other)
        account, digest, body = other.execute(
            "SELECT account_id, digest, body FROM decision_log WHERE type = 'answer' ORDER BY at DESC LIMIT 1"
        ).fetchone()
        fact = json.loads(body)
        approver = str(fact["answer"]["approver"])
        fact["answer"]["approver"] = "Anybody"
        other.execute(
            "UPDATE decision_log SET body = ? WHERE account_id = ? AND digest = ?",
            (json.dumps(fact), account, digest),
        )
        other.commit()
    return approver
