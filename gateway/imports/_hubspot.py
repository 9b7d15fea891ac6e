"""Reading a HubSpot export as a whole: from tables to the observations of each account."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from domain import Account, Contact, Frozen, PastTouch, Signal, SignalKind
from gateway.imports._activity import Activity
from gateway.imports._collector import Collector
from gateway.imports._emails import EmailEvents
from gateway.imports._links import Links
from gateway.imports._lookup import Lookup
from gateway.imports._people import Companies, People, ours
from gateway.imports._table import Table, open_export
from gateway.imports._tally import SkipReason, TableReport
from gateway.imports._words import email_of


class AccountHistory(Frozen):
    """Everything the export says about one account, ready to be observed in this order."""

    account: Account
    contacts: tuple[Contact, ...]
    """In order of contact id."""
    events: tuple[Signal | PastTouch, ...]
    """In order of time."""


class HubSpotExport(Frozen):
    """A whole export in our language, with the fate of every row."""

    histories: tuple[AccountHistory, ...]
    """In order of account id."""
    tables: tuple[TableReport, ...]
    """All tables of the catalog, also the ones the export lacks."""
    unknown_files: tuple[str, ...] = ()
    """CSV files in the folder that are no table of HubSpot."""


def read_hubspot(directory: Path, *, now: datetime | None = None) -> HubSpotExport:
    """Read an export into observations; nothing is sent anywhere.

    The same folder and the same `now` give the same result.

    Args:
        directory: Folder with one CSV file per table, named `<table>.csv` or `<table>_data.csv`.
        now: The present (aware); meetings before it were held. Default: the clock.

    Returns:
        The observations of every account, and what became of every row.

    Raises:
        UnusableExportError: The folder as a whole cannot be read; the message has one line per problem.
    """
    present = now or datetime.now(UTC)
    tables, unknown = open_export(directory)
    owners = Lookup(tables["owner"], "owner_id", lambda row: _email_facts(row.text("email")))
    companies = Companies()
    companies.read(tables["company"], owners)
    owners.settle()
    people = People(companies)
    people.read(tables["contact"], tables["contact_merge_audit"])
    merged_deals = Lookup(
        tables["merged_deal"], "merged_deal_id", lambda row: {"deal_id": row.identifier("deal_id")}
    )
    links = Links(companies, people, merged_deals)
    links.read(tables)
    people.join_companies(links.shared_companies())
    people.settle(tables["contact"])

    collector = Collector()
    _object_by_profile(people, collector, present)
    EmailEvents(tables, people, collector, present)
    Activity(companies, people, links, collector, present).read(tables)
    merged_deals.settle()
    for table in tables.values():
        if not table.spec.useful:
            for _ in table.rows():
                table.tally.skip(SkipReason.NO_USE)
    return HubSpotExport(
        histories=_histories(companies, people, collector, tables["contact"]),
        tables=tuple(table.tally.report() for table in tables.values()),
        unknown_files=unknown,
    )


def _email_facts(text: str) -> dict[str, str]:
    email = email_of(text)
    return {"email": email} if email else {}


def _object_by_profile(people: People, collector: Collector, now: datetime) -> None:
    """Keep an opt-out for every person whose profile says so, whatever the event tables know."""
    for person in people.members():
        objecting = [row for row in person.rows if row.opted_out]
        if not objecting:
            continue
        known = [moment for row in objecting if (moment := row.synced or row.created) is not None]
        at = min([*known, now])
        person.opt_out(at)
        collector.signal(
            person.company,
            f"contact-opt-out-{person.hubspot_id}",
            SignalKind.OPT_OUT,
            at,
            contact=person,
            facts={"property": "hs_email_optout"},
        )


def _histories(
    companies: Companies, people: People, collector: Collector, contacts: Table
) -> tuple[AccountHistory, ...]:
    profiles: dict[str, list[Contact]] = {company_id: [] for company_id in companies.accounts}
    for person in people.members():
        profiles[person.company].append(people.contact(person, contacts))
    return tuple(
        AccountHistory(
            account=companies.accounts[company_id],
            contacts=tuple(profiles[company_id]),
            events=collector.of(company_id),
        )
        for company_id in sorted(companies.accounts, key=ours)
    )
