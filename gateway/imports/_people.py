"""Companies and contacts: who is who after merges, and who belongs to which company."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain import Account, Consent, Contact
from gateway.imports._lookup import Lookup
from gateway.imports._row import Row, RowMalformedError
from gateway.imports._table import Table
from gateway.imports._tally import RowSkippedError, SkipReason
from gateway.imports._words import (
    address_key,
    country_code,
    domain_of,
    email_of,
    mail_domain_of,
    one_line,
    role_of,
    tier_of,
    zone_of,
)


def ours(hubspot_id: str) -> str:
    """Return our id for a company or contact of HubSpot."""
    return f"hubspot-{hubspot_id}"


class Companies:
    """The companies of the export, by id, exact name and domain."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._by_name: defaultdict[str, set[str]] = defaultdict(set)
        self._by_domain: defaultdict[str, set[str]] = defaultdict(set)

    def read(self, table: Table, owners: Lookup) -> None:
        """Read all companies."""
        table.settle(lambda row: self._read(row, table, owners))

    def _read(self, row: Row, table: Table, owners: Lookup) -> None:
        company_id = row.identifier("id")
        if row.flag("is_deleted") or row.flag("_fivetran_deleted"):
            raise RowSkippedError(SkipReason.DELETED)
        if company_id in self.accounts:
            raise RowSkippedError(SkipReason.DUPLICATE)
        name = row.text("property_name")
        domain = domain_of(row.text("property_domain", "property_website"))
        self.accounts[company_id] = Account(
            account_id=ours(company_id),
            name=one_line(name or domain or f"Company {company_id}"),
            domain=domain,
            country=_country(row, table),
            time_zone=zone_of(row.text("property_timezone")),
            tier=tier_of(row.text("property_hs_ideal_customer_profile")),
            owner=owners.get(row.text("property_hubspot_owner_id", "owner_id")).get("email"),
        )
        if name:
            self._by_name[name.casefold()].add(company_id)
        if domain:
            self._by_domain[domain].add(company_id)

    def named(self, name: str) -> str | None:
        """Return the only company with exactly this name, or None."""
        return _only(self._by_name.get(name.casefold(), set()))

    def with_domain(self, domain: str | None) -> str | None:
        """Return the only company with this domain, or None."""
        return _only(self._by_domain.get(domain or "", set()))


def _country(row: Row, table: Table) -> str | None:
    name = row.text("property_country")
    code = country_code(name)
    if name and code is None:
        table.tally.remark("country not recognised, left out")
    return code


def _only(candidates: Iterable[str]) -> str | None:
    found = list(candidates)
    return found[0] if len(found) == 1 else None


@dataclass
class _ContactRow:
    """What one row of the contact table says."""

    row: Row
    hubspot_id: str
    deleted: bool
    opted_out: bool
    addresses: tuple[str, ...]
    created: datetime | None
    synced: datetime | None


@dataclass
class Person:
    """One person after merges: all rows of the family, the surviving one first."""

    hubspot_id: str
    rows: list[_ContactRow] = field(default_factory=list)
    deleted: bool = False
    company_id: str | None = None
    opted_out_at: datetime | None = None

    @property
    def contact_id(self) -> str:
        """Our id of the contact."""
        return ours(self.hubspot_id)

    @property
    def company(self) -> str:
        """HubSpot's id of the company.

        Raises:
            RowSkippedError: The person belongs to none.
        """
        if self.company_id is None:
            raise RowSkippedError(SkipReason.CONTACT_WITHOUT_COMPANY)
        return self.company_id

    def opt_out(self, at: datetime) -> None:
        """Remember the earliest objection."""
        self.opted_out_at = at if self.opted_out_at is None else min(self.opted_out_at, at)


class People:
    """The persons of the export, by any id or address they ever had."""

    def __init__(self, companies: Companies) -> None:
        self._companies = companies
        self._parent: dict[str, str] = {}
        self._rows: dict[str, _ContactRow] = {}
        self._persons: dict[str, Person] = {}
        self._by_address: defaultdict[str, dict[str, Person]] = defaultdict(dict)

    def read(self, contacts: Table, merges: Table) -> None:
        """Read all contacts and resolve who was merged into whom.

        The fate of each contact row is settled later, by `settle`: it needs the companies.
        """
        for row in contacts.rows():
            try:
                self._read(row)
            except RowSkippedError as skipped:
                contacts.tally.skip(skipped.reason)
            except RowMalformedError as error:
                contacts.tally.refuse(error.malformed)
        merges.settle(self._read_merge)
        for contact in self._rows.values():
            self._person_of(contact)
        for person in self._persons.values():
            person.rows.sort(
                key=lambda each: (each.hubspot_id != person.hubspot_id, each.deleted, each.hubspot_id)
            )
            person.deleted = person.rows[0].deleted

    def _read(self, row: Row) -> None:
        contact_id = row.identifier("id")
        if contact_id in self._rows:
            raise RowSkippedError(SkipReason.DUPLICATE)
        listed = row.text("property_hs_additional_emails").split(";")
        contact = _ContactRow(
            row=row,
            hubspot_id=contact_id,
            deleted=row.flag("_fivetran_deleted") or row.flag("is_deleted"),
            opted_out=row.flag("property_hs_email_optout"),
            addresses=tuple(filter(None, map(address_key, (row.text("property_email"), *listed)))),
            created=row.moment_or_none("property_createdate"),
            synced=row.moment_or_none("_fivetran_synced", "property_lastmodifieddate"),
        )
        merged = [
            part.partition(":")[0].strip()
            for part in row.text("property_hs_calculated_merged_vids").split(";")
        ]
        self._rows[contact_id] = contact
        for other in filter(None, merged):
            self._merge(other, into=contact_id)

    def _read_merge(self, row: Row) -> None:
        canonical, merged = row.identifier("canonical_vid"), row.identifier("vid_to_merge")
        self._merge(merged, into=canonical)
        if canonical not in self._rows and merged not in self._rows:
            raise RowSkippedError(SkipReason.CONTACT_UNKNOWN)

    def _merge(self, other: str, *, into: str) -> None:
        root, merged = self._root(into), self._root(other)
        if root != merged:  # otherwise known already, or a circle, which the first word on it settles
            self._parent[merged] = root

    def _root(self, contact_id: str) -> str:
        path = []
        while (parent := self._parent.get(contact_id)) is not None:
            path.append(contact_id)
            contact_id = parent
        for each in path:
            self._parent[each] = contact_id
        return contact_id

    def _person_of(self, contact: _ContactRow) -> None:
        root = self._root(contact.hubspot_id)
        person = self._persons.setdefault(root, Person(root))
        person.rows.append(contact)
        for address in contact.addresses:
            self._by_address[address][root] = person

    def find(self, contact_id: str) -> Person:
        """Return the living person behind any contact id, company or not.

        Raises:
            RowSkippedError: The contact is not in the export, or was deleted.
        """
        person = self._persons.get(self._root(contact_id))
        if person is None:
            raise RowSkippedError(SkipReason.CONTACT_UNKNOWN)
        if person.deleted:
            raise RowSkippedError(SkipReason.CONTACT_DELETED)
        return person

    def member(self, contact_id: str) -> Person:
        """Return the person behind a contact id if they belong to a company.

        Raises:
            RowSkippedError: Unknown, deleted, or without a company.
        """
        person = self.find(contact_id)
        if person.company_id is None:
            raise RowSkippedError(SkipReason.CONTACT_WITHOUT_COMPANY)
        return person

    def members_with_address(self, address: str) -> list[Person]:
        """Return the persons with an address (or its hash) who belong to a company, in order of their ids.

        Raises:
            RowSkippedError: There is none.
        """
        known = self._by_address.get(address_key(address), {})
        if not known:
            raise RowSkippedError(SkipReason.CONTACT_UNKNOWN)
        living = [person for _, person in sorted(known.items()) if not person.deleted]
        if not living:
            raise RowSkippedError(SkipReason.CONTACT_DELETED)
        members = [person for person in living if person.company_id is not None]
        if not members:
            raise RowSkippedError(SkipReason.CONTACT_WITHOUT_COMPANY)
        return members

    def join_companies(self, shared: Mapping[str, set[str]]) -> None:
        """Find the company of every person.

        Args:
            shared: Companies that a contact shares a deal, ticket or engagement with, by contact id.
        """
        for person in self._persons.values():
            if not person.deleted:
                person.company_id = self._company_of(person, shared.get(person.hubspot_id, set()))

    def _company_of(self, person: Person, shared: set[str]) -> str | None:
        rows = [contact.row for contact in person.rows]
        for row in rows:
            if (associated := row.text("property_associatedcompanyid")) in self._companies.accounts:
                return associated
        if (company_id := _only(shared)) is not None:
            return company_id
        for row in rows:
            if found := self._companies.named(row.text("property_company")):
                return found
        for contact in person.rows:
            for address in contact.addresses:
                if found := self._companies.with_domain(mail_domain_of(address)):
                    return found
        return None

    def settle(self, contacts: Table) -> None:
        """Count the fate of every contact row."""
        for contact in self._rows.values():
            person = self._persons[self._root(contact.hubspot_id)]
            if contact is not person.rows[0]:
                contacts.tally.skip(SkipReason.MERGED)
            elif person.deleted:
                contacts.tally.skip(SkipReason.DELETED)
            elif person.company_id is None:
                contacts.tally.skip(SkipReason.NO_COMPANY)
            else:
                contacts.tally.use()

    def members(self) -> Iterator[Person]:
        """Yield the persons who belong to a company, in order of their ids."""
        for _, person in sorted(self._persons.items()):
            if person.company_id is not None:
                yield person

    def contact(self, person: Person, table: Table) -> Contact:
        """Return the profile of a person, with the earliest objection of all merged rows."""
        row = person.rows[0].row
        title = row.text("property_jobtitle")
        address = row.text("property_email")
        email = email_of(address)
        if address and email is None:
            table.tally.remark("e-mail address not valid, left out")
        name = f"{row.text('property_firstname')} {row.text('property_lastname')}".strip()
        return Contact(
            contact_id=person.contact_id,
            name=one_line(name or f"Contact {person.hubspot_id}"),
            email=email,
            role=role_of(row.text("property_hs_buying_role"), title),
            title=one_line(title) or None,
            country=_country(row, table),
            time_zone=zone_of(row.text("property_hs_timezone")),
            consent=Consent.WITHDRAWN if person.opted_out_at else Consent.UNKNOWN,
            opted_out_at=person.opted_out_at,
        )
