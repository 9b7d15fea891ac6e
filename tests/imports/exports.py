"""Builders of small exports, and a door that remembers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from domain import Observation, PastTouch, Signal
from gateway.imports import HubSpotExport, TableReport

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "hubspot"

COMPANY = "id,property_name,property_domain\n1,Acme,acme.example\n"
CONTACT = "id,property_email,property_associatedcompanyid\n10,ann@acme.example,1\n11,bob@acme.example,1\n"
EVENT_HEADER = "id,type,created,recipient,filtered_event,obsoleted_by_id,sent_by_id\n"


def export(folder: Path, **tables: str | bytes) -> Path:
    """Write an export with a company and two contacts, and the tables given."""
    for name, content in {"company": COMPANY, "contact": CONTACT, **tables}.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.csv").write_bytes(data)
    return folder


def table(read: HubSpotExport, name: str) -> TableReport:
    return next(report for report in read.tables if report.table == name)


def places(read: HubSpotExport, name: str) -> list[str]:
    return [str(place) for place in table(read, name).examples]


def signals(read: HubSpotExport) -> list[Signal]:
    return [event for history in read.histories for event in history.events if isinstance(event, Signal)]


def touches(read: HubSpotExport) -> list[PastTouch]:
    return [event for history in read.histories for event in history.events if isinstance(event, PastTouch)]


def balanced(read: HubSpotExport) -> bool:
    """Whether every row of every table has exactly one fate."""
    return all(
        report.rows == report.used + sum(report.skipped.values()) + report.malformed for report in read.tables
    )


class Door:
    """Remembers what each account was told; refuses on request."""

    def __init__(self, refuse: dict[str, Exception] | None = None) -> None:
        self.refuse = refuse or {}
        self.messages: list[tuple[str, list[Observation]]] = []

    async def observe(self, account_id: str, observations: Sequence[Observation]) -> None:
        if (error := self.refuse.get(account_id)) is not None:
            raise error
        self.messages.append((account_id, list(observations)))

    def told(self, account_id: str) -> list[Observation]:
        return [item for account, items in self.messages if account == account_id for item in items]
