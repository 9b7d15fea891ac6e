"""A proposed meeting, and the calendar file that invites to it (RFC 5545, RFC 5546)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icalendar import Calendar, Event, vCalAddress

from activities.channels._mime import UnsendableError
from activities.channels._numbers import whole_number

_ZONED = re.compile(r"([^\[\]]+)\[([A-Za-z0-9_+/-]{1,64})\]")  # RFC 9557
_AHEAD = re.compile(r"\+(\d{1,3})d (\d{2}:\d{2})\[([A-Za-z0-9_+/-]{1,64})\]")
"""So many days ahead, at an hour of some place: what a play can say, which knows no dates."""
_SATURDAY = 5
_DEFAULT_MINUTES = "30"
_MAX_MINUTES = 480
_FURTHEST = timedelta(days=366)
_HOW = "write it like 2026-12-01T10:00:00+01:00, 2026-12-01T10:00[Europe/Berlin] or +10d 10:00[Europe/Berlin]"


@dataclass(frozen=True)
class Slot:
    """When a meeting is proposed to be."""

    local: datetime
    """The start, aware, in the zone it was proposed in."""
    minutes: int
    zone: str
    """Name of the zone, or the distance from UTC."""

    @property
    def start(self) -> datetime:
        """The start in UTC: local times compare and add up wrongly in the night the clocks change."""
        return self.local.astimezone(UTC)

    @property
    def end(self) -> datetime:
        """The end in UTC."""
        return self.start + timedelta(minutes=self.minutes)

    def __str__(self) -> str:
        return f"{self.local:%A}, {self.local.day} {self.local:%B %Y, %H:%M} ({self.zone})"


def read_slot(starts_at: str | None, minutes: str | None, *, now: datetime) -> Slot:
    """Read when a meeting is proposed to be.

    Args:
        starts_at: ISO 8601 with a distance from UTC, with the name of a zone in brackets, or with both; or
            `+10d 10:00[Europe/Berlin]`: so many days from now at that local time, a weekend is left out.
        minutes: How long, from 1 to 480; 30 if left out.
        now: The present moment, aware.

    Raises:
        UnsendableError: One of them is missing, wrong, or the start is past or more than a year ahead.
    """
    if not starts_at:
        raise UnsendableError(f"the field starts_at, the proposed start, is missing; {_HOW}")
    length = whole_number((minutes or _DEFAULT_MINUTES).strip(), least=1, most=_MAX_MINUTES)
    if length is None:
        raise UnsendableError(f"the field minutes must be a whole number from 1 to {_MAX_MINUTES}")
    local, zone = _start(starts_at.strip(), now)
    slot = Slot(local=local, minutes=length, zone=zone)
    if slot.start <= now:
        raise UnsendableError(f"the proposed start {starts_at.strip()} is past")
    if slot.start > now + _FURTHEST:
        raise UnsendableError(f"the proposed start {starts_at.strip()} is more than a year ahead")
    return slot


def _start(text: str, now: datetime) -> tuple[datetime, str]:
    ahead = _AHEAD.fullmatch(text)
    if ahead is not None:
        text = _days_ahead(int(ahead[1]), ahead[2], ahead[3], now)
    match = _ZONED.fullmatch(text)
    try:
        moment = datetime.fromisoformat(match[1] if match else text)
        zone = ZoneInfo(match[2]) if match else None
        if moment.tzinfo is not None:
            moment.astimezone(UTC)  # raises for moments outside the calendar
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        raise UnsendableError(f"the field starts_at is no moment in a known time zone; {_HOW}") from None
    if zone is not None:
        return _in_zone(moment, zone), zone.key
    if moment.tzinfo is None:
        raise UnsendableError(f"the field starts_at has no time zone; {_HOW}")
    return moment, moment.tzname() or "UTC"


def _days_ahead(days: int, hour: str, zone: str, now: datetime) -> str:
    """Return the local time that is meant, the way it is written with a date."""
    try:
        day = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=days)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise UnsendableError(f"the field starts_at is no moment in a known time zone; {_HOW}") from None
    if day.weekday() >= _SATURDAY:
        day += timedelta(days=7 - day.weekday())
    return f"{day.isoformat()}T{hour}[{zone}]"


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """Place a moment in a zone; refuse local times that a change of the clocks skips or repeats."""
    if moment.tzinfo is not None:
        if moment.astimezone(zone).utcoffset() != moment.utcoffset():
            raise UnsendableError(
                "the field starts_at has a distance from UTC that its zone does not have then"
            )
        return moment.astimezone(zone)
    local = moment.replace(tzinfo=zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise UnsendableError("the field starts_at is a time that the change of the clocks skips")
    if local.replace(fold=1).utcoffset() != local.utcoffset():
        raise UnsendableError(
            "the field starts_at is a time that happens twice that night; add the distance from UTC"
        )
    return local


def invitation(  # noqa: PLR0913 - what a calendar entry is made of
    *,
    uid: str,
    slot: Slot,
    summary: str,
    organizer: Address,
    attendee: Address,
    at: datetime,
    description: str | None = None,
    place: str | None = None,
) -> bytes:
    """Write the calendar file with which an organizer invites one person.

    Times are in UTC: every calendar shows them in its reader's zone, and no definition of a zone can be
    out of date.

    Args:
        uid: Identity of the entry; a file with the same one replaces it.
        slot: When.
        summary: Title, for both sides.
        organizer: Who invites.
        attendee: Who is invited.
        at: When the file was made, aware.
        description: Words for both sides.
        place: Room or address of the call.

    Returns:
        A file of the type `text/calendar; method=REQUEST`.
    """
    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", at.astimezone(UTC))
    event.add("dtstart", slot.start)
    event.add("dtend", slot.end)
    event.add("sequence", 0)
    event.add("summary", summary)
    if description:
        event.add("description", description)
    if place:
        event.add("location", place)
    event.add("organizer", _person(organizer))
    guest = _person(attendee)
    guest.params.update({"ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION", "RSVP": "TRUE"})
    event.add("attendee", guest)
    calendar = Calendar()
    calendar.add("prodid", "-//Tutti//Executive channel//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "REQUEST")
    calendar.add_component(event)
    content: bytes = calendar.to_ical()
    return content


def _person(address: Address) -> vCalAddress:
    person = vCalAddress(f"mailto:{address.addr_spec}")
    if address.display_name:
        person.params["CN"] = address.display_name
    return person
