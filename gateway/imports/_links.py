"""Which companies and contacts a deal, ticket or engagement concerns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from gateway.imports._lookup import Lookup
from gateway.imports._people import Companies, People, Person
from gateway.imports._row import Row, RowMalformedError
from gateway.imports._table import Table
from gateway.imports._tally import RowSkippedError, SkipReason

_DETAIL_TABLES = ("call", "communication", "email", "meeting", "note", "task")


class Kind(StrEnum):
    """The objects of HubSpot that connect people and companies."""

    DEAL = "deal"
    TICKET = "ticket"
    ENGAGEMENT = "engagement"


class Thing(NamedTuple):
    """One deal, ticket or engagement."""

    kind: Kind
    hubspot_id: str


_ID_COLUMN = {Kind.DEAL: "deal_id", Kind.TICKET: "ticket_id", Kind.ENGAGEMENT: "engagement_id"}


class Links:
    """The association tables of the export, with merged deals resolved and deleted things left out."""

    def __init__(self, companies: Companies, people: People, merged_deals: Lookup) -> None:
        self._companies = companies
        self._people = people
        self._merged_deals = merged_deals
        self._deleted: set[Thing] = set()
        self._direct: defaultdict[Thing, set[str]] = defaultdict(set)
        self._contacts: defaultdict[Thing, dict[str, Person]] = defaultdict(dict)
        self._related: defaultdict[Thing, set[Thing]] = defaultdict(set)

    def read(self, tables: Mapping[str, Table]) -> None:
        """Read every association table; companies and people must have been read before."""
        self._find_deleted(tables)
        for kind in Kind:
            self._read_companies(tables[f"{kind}_company"], kind)
            self._read_contacts(tables[f"{kind}_contact"], kind)
        self._read_related(tables["engagement_deal"], Kind.ENGAGEMENT, Kind.DEAL)
        self._read_related(tables["ticket_deal"], Kind.TICKET, Kind.DEAL)
        self._read_related(tables["ticket_engagement"], Kind.ENGAGEMENT, Kind.TICKET)

    def thing(self, kind: Kind, hubspot_id: str) -> Thing:
        """Return the thing behind an id, the surviving one if deals were merged.

        Raises:
            RowSkippedError: It was deleted.
        """
        if kind is Kind.DEAL:
            seen = {hubspot_id}
            while (
                into := self._merged_deals.get(hubspot_id).get("deal_id")
            ) is not None and into not in seen:
                seen.add(into)
                hubspot_id = into
        thing = Thing(kind, hubspot_id)
        if thing in self._deleted:
            raise RowSkippedError(SkipReason.DELETED)
        return thing

    def companies(self, thing: Thing) -> set[str]:
        """Return the companies a thing concerns, ignoring its contacts."""
        if direct := self._direct.get(thing):
            return direct
        return {
            company
            for other in self._related.get(thing, ())
            for company in self._direct.get(other) or self._companies_of_related(other)
        }

    def _companies_of_related(self, thing: Thing) -> set[str]:
        return {company for other in self._related.get(thing, ()) for company in self._direct.get(other, ())}

    def members(self, thing: Thing) -> list[Person]:
        """Return the contacts of a thing who belong to a company, in order of their ids."""
        return [
            person
            for _, person in sorted(self._contacts.get(thing, {}).items())
            if person.company_id is not None
        ]

    def concerned(self, thing: Thing) -> list[str]:
        """Return the companies a thing concerns, else those of its contacts.

        Raises:
            RowSkippedError: Nothing connects it with a company.
        """
        found = self.companies(thing) or {
            person.company_id for person in self.members(thing) if person.company_id is not None
        }
        if not found:
            raise RowSkippedError(SkipReason.NOT_CONNECTED)
        return sorted(found)

    def shared_companies(self) -> dict[str, set[str]]:
        """Return the companies that each contact shares a deal, ticket or engagement with."""
        shared: defaultdict[str, set[str]] = defaultdict(set)
        for thing, contacts in self._contacts.items():
            companies = self.companies(thing)
            for contact_id in contacts:
                shared[contact_id] |= companies
        return shared

    def _find_deleted(self, tables: Mapping[str, Table]) -> None:
        owners = [("deal", Kind.DEAL, "deal_id"), ("ticket", Kind.TICKET, "id")]
        owners += [(f"engagement_{detail}", Kind.ENGAGEMENT, "engagement_id") for detail in _DETAIL_TABLES]
        for name, kind, column in owners:
            for row in tables[name].peek():
                try:
                    if row.flag("is_deleted") or row.flag("_fivetran_deleted"):
                        self._deleted.add(Thing(kind, row.identifier(column)))
                except RowMalformedError:
                    continue  # the table's own reader reports it

    def _read_companies(self, table: Table, kind: Kind) -> None:
        def read(row: Row) -> None:
            thing = self.thing(kind, row.identifier(_ID_COLUMN[kind]))
            company_id = row.identifier("company_id")
            if company_id not in self._companies.accounts:
                raise RowSkippedError(SkipReason.COMPANY_UNKNOWN)
            if company_id in self._direct[thing]:
                raise RowSkippedError(SkipReason.DUPLICATE)
            self._direct[thing].add(company_id)

        table.settle(read)

    def _read_contacts(self, table: Table, kind: Kind) -> None:
        def read(row: Row) -> None:
            thing = self.thing(kind, row.identifier(_ID_COLUMN[kind]))
            person = self._people.find(row.identifier("contact_id"))
            if person.hubspot_id in self._contacts[thing]:
                raise RowSkippedError(SkipReason.DUPLICATE)
            self._contacts[thing][person.hubspot_id] = person

        table.settle(read)

    def _read_related(self, table: Table, kind: Kind, other: Kind) -> None:
        def read(row: Row) -> None:
            thing = self.thing(kind, row.identifier(_ID_COLUMN[kind]))
            related = self.thing(other, row.identifier(_ID_COLUMN[other]))
            if not (self.companies(related) or self._contacts.get(related)):
                raise RowSkippedError(SkipReason.NOT_CONNECTED)
            if related in self._related[thing]:
                raise RowSkippedError(SkipReason.DUPLICATE)
            self._related[thing].add(related)

        table.settle(read)
