"""The export that ships as an example is read to the last row."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from domain import Consent, PastTouch, Role, Signal, SignalKind, Tier
from gateway.imports import HubSpotExport, SkipReason, read_hubspot
from tests.imports.exports import EXAMPLE, NOW, ROOT, balanced, signals, table, touches

REAL = ROOT.parent / "shared" / "data" / "hubspot"


@pytest.fixture(scope="module")
def read() -> HubSpotExport:
    return read_hubspot(EXAMPLE, now=NOW)


def test_the_totals_are_the_known_ones(read: HubSpotExport) -> None:
    kinds = Counter(signal.kind for signal in signals(read))
    assert len(read.histories) == 6
    assert sum(len(history.contacts) for history in read.histories) == 14
    assert len(touches(read)) == 17
    assert Counter(touch.channel for touch in touches(read)) == {"email": 15, "call": 2}
    assert kinds == {
        SignalKind.EMAIL_OPEN: 10,
        SignalKind.EMAIL_CLICK: 3,
        SignalKind.REPLY: 1,
        SignalKind.BOUNCE: 1,
        SignalKind.OPT_OUT: 2,
        SignalKind.FORM_SUBMISSION: 5,
        SignalKind.STAGE_CHANGE: 10,
        SignalKind.DEAL_LOST: 1,
        SignalKind.PROPERTY_CHANGE: 2,
        SignalKind.MEETING_HELD: 2,
        SignalKind.NOTE: 2,
        SignalKind.SUPPORT_CASE: 3,
    }


def test_no_row_is_malformed_and_every_row_of_every_file_has_a_fate(read: HubSpotExport) -> None:
    assert balanced(read)
    assert not any(report.malformed for report in read.tables)
    assert read.unknown_files == ()
    for report in read.tables:
        if report.file is None:
            assert report.rows == 0
            continue
        with (EXAMPLE / report.file).open(encoding="utf-8", newline="") as lines:
            assert report.rows == sum(1 for _ in csv.DictReader(lines)), report.file


def test_all_56_tables_are_accounted_for(read: HubSpotExport) -> None:
    assert len({report.table for report in read.tables}) == 56
    assert sum(report.file is not None for report in read.tables) == 23


def test_skipped_rows_say_why(read: HubSpotExport) -> None:
    assert table(read, "email_event").skipped == {
        SkipReason.BOT: 3,
        SkipReason.TRANSPORT: 2,
        SkipReason.CONTACT_WITHOUT_COMPANY: 1,
        SkipReason.CONTACT_UNKNOWN: 1,
        SkipReason.OBSOLETE: 1,
    }
    assert table(read, "contact").skipped == {
        SkipReason.MERGED: 2,
        SkipReason.NO_COMPANY: 1,
        SkipReason.DELETED: 1,
    }
    assert table(read, "contact_list").skipped == {SkipReason.NO_USE: 2}
    assert table(read, "company").remarks == {"country not recognised, left out": 1}


def test_companies_and_contacts_are_translated(read: HubSpotExport) -> None:
    accounts = {history.account.account_id: history for history in read.histories}
    northwind, lumen = accounts["hubspot-101"], accounts["hubspot-104"]
    assert (northwind.account.country, northwind.account.tier) == ("DE", Tier.ONE)
    assert northwind.account.owner == "ines@tutti.example"
    assert accounts["hubspot-103"].account.domain == "cedarfinch.example"
    assert accounts["hubspot-105"].account.country is None
    assert [contact.contact_id for contact in lumen.contacts] == ["hubspot-007", "hubspot-213"]
    roles = {contact.contact_id: contact.role for history in read.histories for contact in history.contacts}
    assert roles["hubspot-201"] is Role.DECISION_MAKER
    assert roles["hubspot-202"] is Role.PRACTITIONER
    assert roles["hubspot-204"] is Role.EXECUTIVE_SPONSOR
    assert roles["hubspot-206"] is Role.CHAMPION
    anna = northwind.contacts[0]
    assert (anna.email, anna.time_zone) == ("anna.brandt@northwind-robotics.example", "Europe/Berlin")


def test_objections_reach_the_profile_and_the_history(read: HubSpotExport) -> None:
    contacts = {contact.contact_id: contact for history in read.histories for contact in history.contacts}
    assert contacts["hubspot-214"].consent is Consent.WITHDRAWN
    assert str(contacts["hubspot-214"].opted_out_at) == "2025-09-16 07:52:10+00:00"
    assert contacts["hubspot-209"].consent is Consent.WITHDRAWN
    assert sum(contact.consent is Consent.WITHDRAWN for contact in contacts.values()) == 2
    objections = {signal.contact_id for signal in signals(read) if signal.kind is SignalKind.OPT_OUT}
    assert objections == {"hubspot-209", "hubspot-214"}


def test_opens_point_to_the_touch_they_answer(read: HubSpotExport) -> None:
    sent = {touch.touch_id for touch in touches(read)}
    opens = [signal for signal in signals(read) if signal.kind is SignalKind.EMAIL_OPEN]
    assert opens
    assert all(signal.facts["touch_id"] in sent for signal in opens)


def test_no_address_in_a_query_and_no_phone_number_is_kept(read: HubSpotExport) -> None:
    facts = " ".join(text for signal in signals(read) for text in signal.facts.values())
    assert "@" not in facts
    assert "email=" not in facts
    assert "+49" not in facts


def test_history_is_in_order_of_time(read: HubSpotExport) -> None:
    for history in read.histories:
        moments = [event.observed_at if isinstance(event, Signal) else event.at for event in history.events]
        assert moments == sorted(moments)
        assert any(isinstance(event, PastTouch | Signal) for event in history.events)


def test_reading_twice_gives_the_same(read: HubSpotExport) -> None:
    assert read_hubspot(EXAMPLE, now=NOW) == read


@pytest.mark.skipif(not REAL.is_dir(), reason="no real export beside this checkout")
def test_a_real_export_is_accounted_for() -> None:
    read = read_hubspot(REAL, now=NOW)
    assert balanced(read)
    assert all(report.file for report in read.tables)
    assert sum(report.rows for report in read.tables) == 2_172
    assert sum(report.malformed for report in read.tables) == 0
    assert len(read.histories) == 24
    assert table(read, "contact").skipped == {SkipReason.NO_COMPANY: 19, SkipReason.MERGED: 3}
    assert read_hubspot(REAL, now=NOW) == read
