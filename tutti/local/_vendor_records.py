"""What the local vendors know: tasks, segments and audience members, kept in one file of JSON lines.

A line is `{"at", "vendor", "key", "record"}`; the last one of a key is how things stand. Nothing is removed
from memory when it is taken back: a request that arrives late must not bring it to life again.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from activities.channels import (
    MemberOperation,
    MemberResult,
    MemberStatus,
    Operation,
    SdrTask,
    SegmentUpdate,
)
from tutti.local._lines import LineFile


class VendorKind(StrEnum):
    """The three vendors, by what they keep; also the first part of their addresses."""

    TASKS = "tasks"
    SEGMENTS = "segments"
    AUDIENCES = "audiences"


class TaskStatus(StrEnum):
    """Where a task stands."""

    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Change(StrEnum):
    """What became of a request to change something."""

    MADE = "made"
    KNOWN = "known"
    """It is so already."""
    OVERTAKEN = "overtaken"
    """Something later stands in the way."""
    ANOTHER = "another"
    """What is there is not what was meant."""
    MISSING = "missing"


@dataclass(frozen=True)
class Origin:
    """Whom a touch was for, as far as its vendor was told."""

    vendor: VendorKind
    account_id: str
    contact_id: str | None


@dataclass
class VendorRecords:
    """The vendors' memory. One change at a time, on disk before it is acknowledged.

    Attributes:
        path: The file.
    """

    path: Path
    _lines: LineFile = field(init=False)
    _kept: dict[tuple[VendorKind, str], dict[str, Any]] = field(init=False, default_factory=dict)
    _lock: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Read what earlier runs left.

        Raises:
            OSError: The file cannot be used.
        """
        self._lines = LineFile(self.path)
        for line in self._lines.read():
            kind, key, record = line.get("vendor"), line.get("key"), line.get("record")
            if kind in set(VendorKind) and isinstance(key, str) and isinstance(record, dict):
                self._kept[VendorKind(kind), key] = record

    # The CRM --------------------------------------------------------------------------------------------

    async def put_task(self, external_id: str, task: SdrTask) -> tuple[Change, dict[str, Any]]:
        """Make a task, or bring an open one up to date."""
        async with self._lock:
            known = self._kept.get((VendorKind.TASKS, external_id))
            if known is not None and known["status"] != TaskStatus.OPEN:
                finished = known["status"] == TaskStatus.COMPLETED
                return Change.KNOWN if finished else Change.OVERTAKEN, known
            record = {
                "id": known["id"] if known else f"T-{len(self.tasks()) + 1}",
                "external_id": external_id,
                "status": TaskStatus.OPEN.value,
                **task.model_dump(mode="json"),
            }
            if record != known:
                await self._keep({(VendorKind.TASKS, external_id): record})
            return Change.KNOWN if known else Change.MADE, record

    async def end_task(self, external_id: str, status: TaskStatus) -> tuple[Change, dict[str, Any]]:
        """Complete or cancel a task; the first of the two stays."""
        async with self._lock:
            known = self._kept.get((VendorKind.TASKS, external_id))
            if known is None:
                return Change.MISSING, {}
            if known["status"] == status:
                return Change.KNOWN, known
            if known["status"] != TaskStatus.OPEN:
                return Change.OVERTAKEN, known
            record = {**known, "status": status.value}
            await self._keep({(VendorKind.TASKS, external_id): record})
            return Change.MADE, record

    def tasks(self) -> list[dict[str, Any]]:
        """Return every task, in the order in which they were made."""
        return [record for (kind, _), record in self._kept.items() if kind is VendorKind.TASKS]

    # The segment store ----------------------------------------------------------------------------------

    async def put_segment(
        self, account_id: str, contact_id: str | None, update: SegmentUpdate
    ) -> tuple[Change, dict[str, Any]]:
        """Set a segment, unless a later hand-over has set or cleared it."""
        key = _slot(account_id, contact_id)
        async with self._lock:
            known = self._kept.get((VendorKind.SEGMENTS, key))
            same = known is not None and known["touch_id"] == update.touch_id
            if known is not None and (
                (same and known["segment"] is None)
                or datetime.fromisoformat(known["handed_over_at"]) > update.handed_over_at
            ):
                return Change.OVERTAKEN, known
            record = {
                "account_id": account_id,
                "contact_id": contact_id,
                **update.model_dump(mode="json"),
            }
            if record != known:
                await self._keep({(VendorKind.SEGMENTS, key): record})
            return Change.KNOWN if same else Change.MADE, record

    async def clear_segment(self, account_id: str, contact_id: str | None, touch_id: str) -> Change:
        """Clear a segment, if it is still the one that the touch set."""
        key = _slot(account_id, contact_id)
        async with self._lock:
            known = self._kept.get((VendorKind.SEGMENTS, key))
            if known is None:
                return Change.MISSING
            if known["touch_id"] != touch_id:
                return Change.ANOTHER
            if known["segment"] is None:
                return Change.KNOWN
            await self._keep({(VendorKind.SEGMENTS, key): {**known, "segment": None}})
            return Change.MADE

    def segment(self, account_id: str, contact_id: str | None) -> dict[str, Any] | None:
        """Return the segment that holds at this moment, as a site reads it."""
        known = self._kept.get((VendorKind.SEGMENTS, _slot(account_id, contact_id)))
        if known is None or known["segment"] is None:
            return None
        return known if datetime.fromisoformat(known["until"]) > datetime.now(UTC) else None

    # The advertising platform ---------------------------------------------------------------------------

    async def change_members(
        self, audience: str, operations: tuple[MemberOperation, ...]
    ) -> tuple[MemberResult, ...]:
        """Add and remove members in order; one line for each that changed something."""
        changes: dict[tuple[VendorKind, str], dict[str, Any]] = {}
        async with self._lock:
            results = tuple(self._operate(audience, operation, changes) for operation in operations)
            await self._keep(changes)
        return results

    def members(self, audience: str) -> list[dict[str, Any]]:
        """Return who is in an audience, each with the touches that keep the member there."""
        found: dict[str, dict[str, Any]] = {}
        for (kind, key), record in self._kept.items():
            if kind is VendorKind.AUDIENCES and key.startswith(f"{audience}\n") and not record["removed"]:
                member = found.setdefault(
                    record["member_id"],
                    {"member_id": record["member_id"], "member": record["member"], "added_by": []},
                )
                member["added_by"].append(record["touch_id"])
        return list(found.values())

    def _operate(
        self,
        audience: str,
        operation: MemberOperation,
        changes: dict[tuple[VendorKind, str], dict[str, Any]],
    ) -> MemberResult:
        place = (VendorKind.AUDIENCES, f"{audience}\n{operation.id}")
        known = changes.get(place) or self._kept.get(place)
        if operation.op is Operation.REMOVE:
            if known is None:
                return MemberResult(id=operation.id, status=MemberStatus.GONE, detail="never added")
            changes[place] = {**known, "removed": True}
            return MemberResult(id=operation.id, status=MemberStatus.ACCEPTED, member_id=known["member_id"])
        if operation.member is None:
            return MemberResult(id=operation.id, status=MemberStatus.REJECTED, detail="no member given")
        if known is not None and known["removed"]:
            return MemberResult(id=operation.id, status=MemberStatus.REJECTED, detail="was removed")
        identity = f"{audience}\n{operation.member.type}\n{operation.member.value}"
        record: dict[str, Any] = {
            "audience": audience,
            "touch_id": operation.id,
            "account_id": operation.account_id,
            "member": operation.member.model_dump(mode="json"),
            "member_id": f"m-{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
            "removed": False,
        }
        if record != known:
            changes[place] = record
        return MemberResult(id=operation.id, status=MemberStatus.ACCEPTED, member_id=record["member_id"])

    # All of them ----------------------------------------------------------------------------------------

    def origin(self, touch_id: str) -> Origin | None:
        """Find the vendor that got a touch, and whom it was for."""
        for (kind, key), record in self._kept.items():
            match kind:
                case VendorKind.TASKS if key == touch_id:
                    return Origin(kind, record["account_id"], record["contact_id"])
                case VendorKind.SEGMENTS if record["touch_id"] == touch_id:
                    return Origin(kind, record["account_id"], record["contact_id"])
                case VendorKind.AUDIENCES if record["touch_id"] == touch_id:
                    return Origin(kind, record["account_id"], None)
        return None

    async def _keep(self, changes: dict[tuple[VendorKind, str], dict[str, Any]]) -> None:
        """Write first, then remember: what cannot be written has not happened.

        Raises:
            OSError: It could not be written.
        """
        if not changes:
            return
        at = datetime.now(UTC).isoformat()
        lines = [
            {"at": at, "vendor": kind.value, "key": key, "record": record}
            for (kind, key), record in changes.items()
        ]
        await asyncio.to_thread(self._lines.append, *lines)
        self._kept.update(changes)


def _slot(account_id: str, contact_id: str | None) -> str:
    return f"{account_id}\n{contact_id or ''}"
