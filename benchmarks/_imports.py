"""Import rows per second: a generated HubSpot export, read alone and end to end into real workflows."""

from __future__ import annotations

import asyncio
import csv
import random
import statistics
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks._figures import Figure
from benchmarks._stage import MeasurementError, Stage, staged
from gateway.imports import HubSpotExport, ImportReport, import_hubspot, read_hubspot
from governance import interpret

NAME = "imports"
ROWS = 5_000
COMPANIES = 100
CONTACTS = 900
EMAIL_EVENTS = 3_000
SUBMISSIONS = 500
PROPERTIES = ROWS - COMPANIES - CONTACTS - EMAIL_EVENTS - SUBMISSIONS
ROUNDS = 3
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


class Course(NamedTuple):
    """One import: the report, and the seconds until everything was sent and until it was absorbed."""

    report: ImportReport
    sent: float
    absorbed: float


async def measure() -> list[Figure]:
    """Read the export a few times, and import it a few times into accounts of a fresh server."""
    with tempfile.TemporaryDirectory(prefix="tutti-bench-export-") as name:
        folder = Path(name)
        await asyncio.to_thread(write_export, folder)
        reading = [await _read(folder) for _ in range(ROUNDS)]
        imports: list[Course] = []
        for _ in range(ROUNDS):
            async with staged() as stage:
                imports.append(await _import(stage, folder))
    absorbed = [each.absorbed for each in imports]
    report = imports[0].report
    items = report.accounts + report.contacts + report.signals + report.past_touches
    return [
        Figure(
            benchmark=NAME,
            what="import rows per second, end to end",
            value=ROWS / statistics.median(absorbed),
            unit="/s",
            note=f"{ROWS:,} rows, {items:,} observations, {report.accounts} workflows; until all is absorbed "
            f"{min(absorbed):.1f} to {max(absorbed):.1f} s, median of {ROUNDS}",
        ),
        Figure(
            benchmark=NAME,
            what="import rows per second, until handed over",
            value=ROWS / statistics.median(each.sent for each in imports),
            unit="/s",
            note="what `tutti import` waits for: every message is durable",
        ),
        Figure(
            benchmark=NAME,
            what="import rows per second, reader alone",
            value=ROWS / statistics.median(reading),
            unit="/s",
            note=f"median of {ROUNDS}",
        ),
    ]


async def _read(folder: Path) -> float:
    """Read the export and return the seconds it took."""
    began = time.perf_counter()
    export = await asyncio.to_thread(read_hubspot, folder, now=NOW)
    seconds = time.perf_counter() - began
    _check(export)
    return seconds


async def _import(stage: Stage, folder: Path) -> Course:
    began = time.perf_counter()
    report = await import_hubspot(
        folder, accounts=stage.accounts, interpret=partial(interpret, stage.policies), progress=_silent
    )
    sent = time.perf_counter() - began
    ids = [f"hubspot-{number}" for number in range(1, COMPANIES + 1)]
    # A query is answered after all signals that were sent before it.
    await asyncio.gather(*(stage.accounts.timeline(account_id) for account_id in ids))
    absorbed = time.perf_counter() - began
    statuses = await asyncio.gather(*(stage.accounts.status(account_id) for account_id in ids))
    taken = sum(status.signals_absorbed for status in statuses)
    if report.exit_code != 0 or taken != report.signals:
        msg = (
            f"the accounts absorbed {taken} of {report.signals} signals; import ended with {report.exit_code}"
        )
        raise MeasurementError(msg)
    return Course(report, sent, absorbed)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress: drawing it would be measured."""


def _check(export: HubSpotExport) -> None:
    rows = sum(table.rows for table in export.tables)
    used = sum(table.used for table in export.tables)
    if rows != ROWS or used < ROWS * 0.9:
        msg = f"the generated export has {rows} rows of which {used} are used; expected {ROWS}"
        raise MeasurementError(msg)


def write_export(folder: Path) -> None:
    """Write an export of exactly `ROWS` rows; the same one each time."""
    draw = random.Random(20_260_601)  # the seed makes runs comparable

    def moment() -> str:
        return f"{NOW - timedelta(minutes=draw.randrange(10, 80 * 24 * 60)):%Y-%m-%d %H:%M:%S}"

    def address(contact: int) -> str:
        return f"person{contact}@company{_company(contact)}.example"

    _table(
        folder,
        "company",
        "id,property_name,property_domain,property_country,property_createdate",
        (
            (n, f"Company {n}", f"company{n}.example", "Germany", "2025-02-03 09:12:00")
            for n in _from_1(COMPANIES)
        ),
    )
    _table(
        folder,
        "contact",
        "id,property_firstname,property_lastname,property_email,property_jobtitle,property_associatedcompanyid",
        (
            (10_000 + n, "Pat", f"Person {n}", address(n), "VP Operations", _company(n))
            for n in _from_1(CONTACTS)
        ),
    )
    _table(
        folder,
        "email_event",
        "id,type,created,recipient",
        (
            (
                f"ev-{n}",
                ("SENT", "OPEN", "OPEN", "CLICK")[n % 4],
                moment(),
                address(draw.randint(1, CONTACTS)),
            )
            for n in _from_1(EMAIL_EVENTS)
        ),
    )
    _table(
        folder,
        "contact_form_submission",
        "contact_id,form_id,conversion_id,timestamp,page_url,title",
        (
            (
                10_000 + draw.randint(1, CONTACTS),
                "f-demo",
                f"c-{n}",
                moment(),
                "https://shop.example/demo",
                "Demo",
            )
            for n in _from_1(SUBMISSIONS)
        ),
    )
    _table(
        folder,
        "contact_property_history",
        "contact_id,name,value,timestamp",
        (
            (10_000 + draw.randint(1, CONTACTS), "lifecyclestage", f"stage-{n}", moment())
            for n in _from_1(PROPERTIES)
        ),
    )


def _from_1(count: int) -> range:
    return range(1, count + 1)


def _company(contact: int) -> int:
    return contact % COMPANIES + 1


def _table(folder: Path, name: str, header: str, rows: Iterable[tuple[object, ...]]) -> None:
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
