"""What people and companies did outside of e-mail: forms, meetings, calls, deals, tickets, properties."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from domain import SignalKind, short_key
from gateway.imports._collector import Collector, require_new
from gateway.imports._links import Kind, Links, Thing
from gateway.imports._lookup import Lookup
from gateway.imports._people import Companies, People, Person, ours
from gateway.imports._row import Row
from gateway.imports._table import Table
from gateway.imports._tally import RowSkippedError, SkipReason
from gateway.imports._words import facts_of, page_of

_STAGES = frozenset({"lifecyclestage", "hs_lead_status", "dealstage", "hs_pipeline_stage"})
_PERSONAL = re.compile(
    r"(mail|phone|first_?name|last_?name|fullname|address|street|zip|birth|fax|twitter|linkedin)"
)
_NOT_HELD = frozenset({"CANCELED", "CANCELLED", "NO_SHOW", "RESCHEDULED"})
_COMMUNICATIONS = {"LINKEDIN_MESSAGE": "linkedin", "SMS": "sms", "WHATS_APP": "whatsapp"}
_TIMES = ("property_hs_timestamp", "property_hs_createdate")


class Activity:
    """Reads every table of activity but e-mail events."""

    def __init__(
        self, companies: Companies, people: People, links: Links, collector: Collector, now: datetime
    ) -> None:
        self._companies = companies
        self._people = people
        self._links = links
        self._collector = collector
        self._now = now
        self._used_engagements: set[str] = set()

    def read(self, tables: Mapping[str, Table]) -> None:
        """Read them all; companies, people and links must have been read before."""
        forms = Lookup(tables["form"], "guid", lambda row: facts_of(name=row.text("name")))
        tables["contact_form_submission"].settle(lambda row: self._read_form(row, forms))
        forms.settle()
        self._read_histories(tables)
        self._read_deals(tables)
        self._read_tickets(tables)
        self._read_engagements(tables)

    def _read_form(self, row: Row, forms: Lookup) -> None:
        contact_id = row.identifier("contact_id")
        person = self._people.member(contact_id)
        at = row.moment("timestamp", until=self._now)
        form, conversion = row.text("form_id"), row.text("conversion_id")
        key = short_key(contact_id, form, conversion, at.isoformat())
        title = row.text("title") or forms.get(form).get("name", "")
        facts = facts_of(
            form=forms.get(form).get("name") or form, page=page_of(row.text("page_url")), title=title
        )
        kept = self._collector.signal(
            person.company,
            f"form-{key}",
            SignalKind.FORM_SUBMISSION,
            at,
            contact=person,
            facts=facts,
            summary=title and f"Form: {title}",
        )
        require_new(kept)

    def _read_histories(self, tables: Mapping[str, Table]) -> None:
        def of_contact(row: Row) -> None:
            contact_id = row.identifier("contact_id")
            person = self._people.member(contact_id)
            self._keep_change(row, "contact", contact_id, [person.company], person)

        def of_company(row: Row) -> None:
            company_id = row.identifier("company_id")
            if company_id not in self._companies.accounts:
                raise RowSkippedError(SkipReason.COMPANY_UNKNOWN)
            self._keep_change(row, "company", company_id, [company_id])

        tables["contact_property_history"].settle(of_contact)
        tables["company_property_history"].settle(of_company)

    def _keep_change(
        self, row: Row, thing: str, thing_id: str, company_ids: list[str], person: Person | None = None
    ) -> None:
        name, value = row.text("name"), row.text("value")
        if not name:
            raise row.malformed("name", "no property name", "export the row again with its property")
        at = row.moment("timestamp", "timestamp_instant", "_fivetran_start", until=self._now)
        stage = name.lower() in _STAGES and thing != "ticket"
        kept_value = "" if _PERSONAL.search(name.lower()) else value
        facts = facts_of(
            object=thing,
            object_id=thing_id,
            property=name,
            value=kept_value,
            changed_by=row.text("source"),
        )
        key = short_key(thing_id, name, value, at.isoformat())
        kind = SignalKind.STAGE_CHANGE if stage else SignalKind.PROPERTY_CHANGE
        summary = f"{name}: {kept_value}" if stage else ""
        require_new(
            *[
                self._collector.signal(
                    company_id,
                    f"{thing}-change-{key}",
                    kind,
                    at,
                    contact=person,
                    facts=facts,
                    summary=summary,
                )
                for company_id in company_ids
            ]
        )

    def _read_deals(self, tables: Mapping[str, Table]) -> None:
        pipelines = Lookup(
            tables["deal_pipeline"], "pipeline_id", lambda row: facts_of(pipeline=row.text("label"))
        )
        stages = Lookup(tables["deal_pipeline_stage"], "stage_id", _deal_stage)
        entered: set[tuple[Thing, str, datetime]] = set()

        def read_deal(row: Row) -> None:
            self._links.concerned(self._thing(Kind.DEAL, row, "deal_id"))

        def read_stage(row: Row) -> None:
            deal = self._thing(Kind.DEAL, row, "deal_id")
            company_ids = self._links.concerned(deal)
            at = row.moment("date_entered", "_fivetran_start", until=self._now)
            value = row.text("value")
            stage = stages.get(value)
            entered.add((deal, value, at.replace(microsecond=0)))
            facts = {
                **facts_of(object="deal", object_id=deal.hubspot_id, value=value),
                **{name: text for name, text in stage.items() if name != "pipeline_id"},
                **pipelines.get(stage.get("pipeline_id", "")),
            }
            key = short_key(deal.hubspot_id, value, at.isoformat())
            require_new(
                *[
                    self._collector.signal(
                        company_id,
                        f"deal-stage-{key}",
                        _deal_signal(stage),
                        at,
                        contact=self._only_member(deal, company_id),
                        facts=facts,
                        summary=f"Deal stage: {stage.get('stage', value)}",
                    )
                    for company_id in company_ids
                ]
            )

        def read_history(row: Row) -> None:
            deal = self._thing(Kind.DEAL, row, "deal_id")
            company_ids = self._links.concerned(deal)
            at = row.moment("timestamp", "timestamp_instant", until=self._now).replace(microsecond=0)
            if row.text("name").lower() == "dealstage" and (deal, row.text("value"), at) in entered:
                raise RowSkippedError(SkipReason.DUPLICATE)
            self._keep_change(row, "deal", deal.hubspot_id, company_ids)

        tables["deal"].settle(read_deal)
        tables["deal_stage"].settle(read_stage)
        tables["deal_property_history"].settle(read_history)
        pipelines.settle()
        stages.settle()

    def _read_tickets(self, tables: Mapping[str, Table]) -> None:
        pipelines = Lookup(
            tables["ticket_pipeline"], "pipeline_id", lambda row: facts_of(pipeline=row.text("label"))
        )
        stages = Lookup(
            tables["ticket_pipeline_stage"],
            "stage_id",
            lambda row: facts_of(stage=row.text("label"), state=row.text("ticket_state")),
        )

        def read_ticket(row: Row) -> None:
            ticket = self._thing(Kind.TICKET, row, "id")
            company_ids = self._links.concerned(ticket)
            opened = row.moment("property_createdate", until=self._now)
            closed = row.moment_or_none("property_closed_date")
            facts = facts_of(object="ticket", object_id=ticket.hubspot_id) | facts_of(
                case_id=ticket.hubspot_id,
                severity=row.text("property_hs_ticket_priority"),
                category=row.text("property_hs_ticket_category"),
            )
            facts |= stages.get(row.text("property_hs_pipeline_stage"))
            facts |= pipelines.get(row.text("property_hs_pipeline"))
            moments = [("opened", opened), ("closed", closed)]
            require_new(
                *[
                    self._collector.signal(
                        company_id,
                        f"ticket-{status}-{ticket.hubspot_id}",
                        SignalKind.SUPPORT_CASE,
                        at,
                        contact=self._only_member(ticket, company_id),
                        facts=facts | {"status": status},
                        summary=f"Ticket {status}: {row.text('property_subject')}",
                    )
                    for company_id in company_ids
                    for status, at in moments
                    if at is not None and at <= self._now
                ]
            )

        def read_history(row: Row) -> None:
            ticket = self._thing(Kind.TICKET, row, "ticket_id")
            self._keep_change(row, "ticket", ticket.hubspot_id, self._links.concerned(ticket))

        tables["ticket"].settle(read_ticket)
        tables["ticket_property_history"].settle(read_history)
        pipelines.settle()
        stages.settle()

    def _read_engagements(self, tables: Mapping[str, Table]) -> None:
        readers: dict[str, Callable[[Row], None]] = {
            "call": self._read_call,
            "communication": self._read_communication,
            "email": self._read_email,
            "meeting": self._read_meeting,
            "note": self._read_note,
        }

        def reading(read: Callable[[Row], None]) -> Callable[[Row], None]:
            def read_and_mark(row: Row) -> None:
                read(row)
                self._used_engagements.add(row.text("engagement_id"))

            return read_and_mark

        for name, read in readers.items():
            tables[f"engagement_{name}"].settle(reading(read))
        tables["engagement"].settle(self._read_engagement)

    def _read_engagement(self, row: Row) -> None:
        if row.identifier("id") not in self._used_engagements:
            raise RowSkippedError(SkipReason.NOT_REFERRED_TO)

    def _read_call(self, row: Row) -> None:
        if row.text("property_hs_call_direction").upper() == "INBOUND":
            self._keep_note(row, SignalKind.NOTE, "call-inbound", "Call from the account")
        else:
            self._keep_touch(row, "call")

    def _read_communication(self, row: Row) -> None:
        channel = row.text("property_hs_communication_channel_type").upper()
        self._keep_touch(row, _COMMUNICATIONS.get(channel, "message"))

    def _read_email(self, row: Row) -> None:
        direction = row.text("property_hs_email_direction", "type").upper()
        if direction == "INCOMING_EMAIL":
            self._keep_note(row, SignalKind.REPLY, "email-received", "E-mail from the account")
        else:
            self._keep_touch(row, "email")

    def _read_note(self, row: Row) -> None:
        # The note's text stays in HubSpot: people write anything about anyone there.
        self._keep_note(row, SignalKind.NOTE, "note", "Note logged in HubSpot")

    def _read_meeting(self, row: Row) -> None:
        engagement = self._thing(Kind.ENGAGEMENT, row, "engagement_id")
        company_ids = self._links.concerned(engagement)
        starts = row.moment("start_time", "property_hs_meeting_start_time", *_TIMES)
        outcome = row.text("meeting_outcome", "property_hs_meeting_outcome").upper()
        title = row.text("title", "property_hs_meeting_title")
        if outcome in _NOT_HELD:
            kind, prefix, at = SignalKind.NOTE, "meeting-missed", min(starts, self._now)
        elif starts <= self._now:
            kind, prefix, at = SignalKind.MEETING_HELD, "meeting-held", starts
        else:
            booked = row.moment_or_none("property_hs_createdate", "created_at", "_fivetran_synced")
            kind, prefix, at = (
                SignalKind.MEETING_BOOKED,
                "meeting-booked",
                min(booked or self._now, self._now),
            )
        facts = facts_of(starts_at=starts, outcome=outcome, title=title)
        self._keep_signals(
            engagement,
            company_ids,
            signal_id=f"{prefix}-{engagement.hubspot_id}",
            kind=kind,
            at=at,
            facts=facts,
            summary=title,
        )

    def _keep_note(self, row: Row, kind: SignalKind, prefix: str, summary: str) -> None:
        engagement = self._thing(Kind.ENGAGEMENT, row, "engagement_id")
        company_ids = self._links.concerned(engagement)
        at = row.moment(*_TIMES, until=self._now)
        self._keep_signals(
            engagement,
            company_ids,
            signal_id=f"{prefix}-{engagement.hubspot_id}",
            kind=kind,
            at=at,
            facts={},
            summary=summary,
        )

    def _keep_signals(  # noqa: PLR0913 - the parts of a signal
        self,
        engagement: Thing,
        company_ids: list[str],
        *,
        signal_id: str,
        kind: SignalKind,
        at: datetime,
        facts: dict[str, str],
        summary: str,
    ) -> None:
        require_new(
            *[
                self._collector.signal(
                    company_id,
                    signal_id,
                    kind,
                    at,
                    contact=self._only_member(engagement, company_id),
                    facts=facts | facts_of(contacts=self._several_members(engagement, company_id)),
                    summary=summary,
                )
                for company_id in company_ids
            ]
        )

    def _keep_touch(self, row: Row, channel: str) -> None:
        """Keep one past touch for each contact it reached, else one for the company as a whole."""
        engagement = self._thing(Kind.ENGAGEMENT, row, "engagement_id")
        company_ids = self._links.concerned(engagement)
        at = row.moment(*_TIMES, until=self._now)
        touch_id = f"{ours(channel)}-{engagement.hubspot_id}"
        if members := self._links.members(engagement):
            kept = [
                self._collector.past_touch(
                    person.company, f"{touch_id}-{person.hubspot_id}", channel, at, contact=person
                )
                for person in members
            ]
        else:
            kept = [
                self._collector.past_touch(company_id, touch_id, channel, at, contact=None)
                for company_id in company_ids
            ]
        require_new(*kept)

    def _thing(self, kind: Kind, row: Row, column: str) -> Thing:
        return self._links.thing(kind, row.identifier(column))

    def _members_at(self, thing: Thing, company_id: str) -> list[Person]:
        return [person for person in self._links.members(thing) if person.company_id == company_id]

    def _only_member(self, thing: Thing, company_id: str) -> Person | None:
        members = self._members_at(thing, company_id)
        return members[0] if len(members) == 1 else None

    def _several_members(self, thing: Thing, company_id: str) -> str:
        members = self._members_at(thing, company_id)
        return ", ".join(person.contact_id for person in members) if len(members) > 1 else ""


def _deal_signal(stage: Mapping[str, str]) -> SignalKind:
    """A closed deal is what rules ask for; every other stage is a step on the way."""
    if stage.get("closed") != "true":
        return SignalKind.STAGE_CHANGE
    return SignalKind.DEAL_WON if stage.get("won") == "true" else SignalKind.DEAL_LOST


def _deal_stage(row: Row) -> dict[str, str]:
    return facts_of(
        stage=row.text("label"),
        probability=row.text("probability"),
        closed=str(row.flag("is_closed")).lower(),
        won=str(row.flag("closed_won")).lower(),
        pipeline_id=row.text("pipeline_id"),
    )
