"""E-mail events: sends become past touches; opens, clicks, bounces and objections become signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from domain import SignalKind
from gateway.imports._collector import Collector, require_new, touch_id_of_send
from gateway.imports._lookup import Lookup
from gateway.imports._people import People, Person
from gateway.imports._row import Row, RowMalformedError
from gateway.imports._table import Table
from gateway.imports._tally import RowSkippedError, SkipReason
from gateway.imports._words import facts_of, page_of

# Detail table -> the cells worth keeping. Browser, address and place of the reader are nobody's business.
_DETAILS: Mapping[str, tuple[str, ...]] = {
    "bounce": ("category", "status", "response"),
    "click": ("url",),
    "deferred": (),
    "delivered": (),
    "dropped": ("drop_reason",),
    "forward": (),
    "open": ("duration",),
    "print": (),
    "sent": (),
    "spam_report": (),
    "status_change": ("portal_subscription_status", "bounced", "source"),
}
_DETAIL_OF_TYPE = {"SPAMREPORT": "spam_report", "STATUSCHANGE": "status_change"}
_KINDS = {
    "OPEN": (SignalKind.EMAIL_OPEN, "email-open"),
    "CLICK": (SignalKind.EMAIL_CLICK, "email-click"),
    "BOUNCE": (SignalKind.BOUNCE, "email-bounce"),
    "SPAMREPORT": (SignalKind.COMPLAINT, "email-complaint"),
    "REPLY": (SignalKind.REPLY, "email-reply"),
    "FORWARD": (SignalKind.NOTE, "email-forward"),
    "PRINT": (SignalKind.NOTE, "email-print"),
}
_OPT_OUT = (SignalKind.OPT_OUT, "email-opt-out")
_DROPS = {
    "PREVIOUSLY_UNSUBSCRIBED_PORTAL": _OPT_OUT,
    "PREVIOUS_SPAM": (SignalKind.COMPLAINT, "email-complaint"),
    "PREVIOUSLY_BOUNCED": (SignalKind.BOUNCE, "email-bounce"),
}
_TRANSPORT = frozenset({"DELIVERED", "PROCESSED", "DEFERRED", "MTA_DROPPED"})
_OBJECTIONS = frozenset({SignalKind.OPT_OUT, SignalKind.COMPLAINT})


class EmailEvents:
    """Reads `email_event` and the tables with details of its rows."""

    def __init__(
        self, tables: Mapping[str, Table], people: People, collector: Collector, now: datetime
    ) -> None:
        self._people = people
        self._collector = collector
        self._now = now
        self._seen: set[str] = set()
        self._campaigns = Lookup(tables["email_campaign"], "id", _campaign)
        self._details = {
            name: Lookup(tables[f"email_event_{name}"], "id", _reader_of(cells))
            for name, cells in _DETAILS.items()
        }
        tables["email_event"].settle(self._read)
        self._campaigns.settle()
        for lookup in self._details.values():
            lookup.settle(self._reason_unused)

    def _reason_unused(self, event_id: str) -> SkipReason:
        return SkipReason.EVENT_NOT_USED if event_id in self._seen else SkipReason.NO_EVENT

    def _read(self, row: Row) -> None:
        event_id = row.identifier("id")
        if event_id in self._seen:
            raise RowSkippedError(SkipReason.DUPLICATE)
        self._seen.add(event_id)
        kind, prefix = self._meaning(row, event_id)
        # An objection binds whoever or whatever sent it, and an older one is still one.
        if kind is not None and kind in _OBJECTIONS:
            self._object(row, event_id, kind, prefix)
            return
        if row.flag("filtered_event"):
            raise RowSkippedError(SkipReason.BOT)
        if row.text("obsoleted_by_id"):
            raise RowSkippedError(SkipReason.OBSOLETE)
        persons = self._people.members_with_address(row.text("recipient"))
        if len(persons) > 1:
            raise RowSkippedError(SkipReason.ADDRESS_SHARED)
        self._keep(row, event_id, kind, prefix, persons[0])

    def _meaning(self, row: Row, event_id: str) -> tuple[SignalKind | None, str]:
        """Return what the event is, None for a send, and the beginning of its id.

        Raises:
            RowSkippedError: It is nothing that a person did or got.
        """
        event = row.text("type").upper()
        if event == "SENT":
            return None, ""
        if event in _KINDS:
            return _KINDS[event]
        if event == "STATUSCHANGE":
            change = self._details["status_change"].peek(event_id)
            if change.get("portal_subscription_status", "").upper() == "UNSUBSCRIBED":
                return _OPT_OUT
            if change.get("bounced", "").lower() == "true":
                return _KINDS["BOUNCE"]
            return SignalKind.PROPERTY_CHANGE, "email-subscription"
        if event == "DROPPED":
            reason = self._details["dropped"].peek(event_id).get("drop_reason", "").upper()
            return _DROPS.get(reason, (SignalKind.NOTE, "email-dropped"))
        raise RowSkippedError(SkipReason.TRANSPORT if event in _TRANSPORT else SkipReason.UNKNOWN_TYPE)

    def _object(self, row: Row, event_id: str, kind: SignalKind, prefix: str) -> None:
        """Keep an objection for everybody who has the address, also if its date cannot be read."""
        persons = self._people.members_with_address(row.text("recipient"))
        unreadable = None
        try:
            at = row.moment("created", until=self._now)
        except RowMalformedError as error:
            unreadable, at = error, self._now
        facts = self._facts(row, event_id)
        kept = [
            self._collector.signal(
                person.company,
                f"{prefix}-{event_id}" if len(persons) == 1 else f"{prefix}-{event_id}-{person.hubspot_id}",
                kind,
                at,
                contact=person,
                facts=facts,
            )
            for person in persons
        ]
        if kind is SignalKind.OPT_OUT:
            for person in persons:
                person.opt_out(at)
        if unreadable is not None:
            raise unreadable
        require_new(*kept)

    def _keep(self, row: Row, event_id: str, kind: SignalKind | None, prefix: str, person: Person) -> None:
        at = row.moment("created", until=self._now)
        company_id = person.company
        if kind is None:
            self._details["sent"].get(event_id)
            kept = self._collector.past_touch(
                company_id, touch_id_of_send(event_id), "email", at, contact=person
            )
        else:
            kept = self._collector.signal(
                company_id, f"{prefix}-{event_id}", kind, at, contact=person, facts=self._facts(row, event_id)
            )
        require_new(kept)

    def _facts(self, row: Row, event_id: str) -> dict[str, str]:
        event = row.text("type").upper()
        detail = self._details.get(_DETAIL_OF_TYPE.get(event) or event.lower())
        sent_by = row.text("sent_by_id")
        return {
            **(detail.get(event_id) if detail else {}),
            **facts_of(
                event=event,
                touch_id=touch_id_of_send(sent_by) if sent_by else "",
                campaign=self._campaigns.get(row.text("email_campaign_id")).get("name"),
            ),
        }


def _campaign(row: Row) -> dict[str, str]:
    return facts_of(name=row.text("name", "subject"))


def _reader_of(cells: tuple[str, ...]) -> Callable[[Row], dict[str, str]]:
    def read(row: Row) -> dict[str, str]:
        values = {cell: row.text(cell) for cell in cells}
        if "url" in values:
            values["url"] = page_of(values["url"])
        return facts_of(**values)

    return read
