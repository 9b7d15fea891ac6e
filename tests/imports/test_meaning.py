"""What rows mean: who belongs where, what was said, and what must never be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain import Consent, Role, SignalKind, Tier
from gateway.imports import HubSpotExport, SkipReason, read_hubspot
from gateway.imports._words import country_code, domain_of, email_of, role_of, tier_of, zone_of
from tests.imports.exports import COMPANY, EVENT_HEADER, NOW, balanced, export, signals, table, touches

TWO_COMPANIES = (
    "id,property_name,property_domain\n1,Acme,acme.example\n2,Beta,beta.example\n"
    "3,Twin,twin.example\n4,Twin,twin.example\n5,Mail,gmail.com\n"
)


def members(read: HubSpotExport) -> dict[str, str]:
    return {
        contact.contact_id: history.account.account_id
        for history in read.histories
        for contact in history.contacts
    }


def kinds(read: HubSpotExport) -> list[str]:
    return [f"{signal.kind} {signal.signal_id}" for signal in signals(read)]


@pytest.mark.parametrize(
    ("contact", "company"),
    [
        ("x@beta.example,Beta,1", "hubspot-1"),
        ("x@beta.example,,999", "hubspot-2"),
        ("x@nowhere.example,beta,", "hubspot-2"),
        ("x@BETA.example,,", "hubspot-2"),
        ("x@nowhere.example,Twin,", None),
        ("x@twin.example,,", None),
        ("x@gmail.com,,", None),
        ("beta.example,,", None),
        (",,", None),
    ],
)
def test_a_contact_belongs_to_a_company_only_on_clear_evidence(
    tmp_path: Path, contact: str, company: str | None
) -> None:
    content = f"id,property_email,property_company,property_associatedcompanyid\n10,{contact}\n"
    read = read_hubspot(export(tmp_path, company=TWO_COMPANIES, contact=content), now=NOW)
    assert members(read).get("hubspot-10") == company
    if company is None:
        assert table(read, "contact").skipped == {SkipReason.NO_COMPANY: 1}


@pytest.mark.parametrize(
    "links",
    [
        {"deal_company": "deal_id,company_id\nd,2\n", "deal_contact": "deal_id,contact_id\nd,10\n"},
        {"ticket_company": "ticket_id,company_id\nd,2\n", "ticket_contact": "ticket_id,contact_id\nd,10\n"},
        {
            "engagement_contact": "engagement_id,contact_id\ng,10\n",
            "engagement_deal": "engagement_id,deal_id\ng,d\n",
            "deal_company": "deal_id,company_id\nd,2\n",
        },
        {
            "merged_deal": "deal_id,merged_deal_id\nd,old\n",
            "deal_company": "deal_id,company_id\nd,2\n",
            "deal_contact": "deal_id,contact_id\nold,10\n",
        },
    ],
)
def test_a_shared_deal_ticket_or_engagement_beats_name_and_domain(
    tmp_path: Path, links: dict[str, str]
) -> None:
    contact = "id,property_email,property_company\n10,x@acme.example,Acme\n"
    read = read_hubspot(export(tmp_path, company=TWO_COMPANIES, contact=contact, **links), now=NOW)
    assert members(read) == {"hubspot-10": "hubspot-2"}
    assert balanced(read)


def test_a_merged_contact_lives_on_in_the_canonical_one(tmp_path: Path) -> None:
    contact = (
        "id,property_email,property_associatedcompanyid,property_hs_calculated_merged_vids,_fivetran_deleted\n"
        "10,a@acme.example,,11:1700000000000;13:1700000000001,false\n11,b@acme.example,,,true\n"
        "12,c@acme.example,,,false\n13,d@acme.example,,,false\n"
    )
    audit = "canonical_vid,vid_to_merge\n11,12\n12,10\n"
    events = EVENT_HEADER + "".join(
        f"e{n},OPEN,2026-01-0{n},{who}@acme.example,,,\n" for n, who in enumerate("abcd", start=1)
    )
    read = read_hubspot(
        export(tmp_path, contact=contact, contact_merge_audit=audit, email_event=events), now=NOW
    )
    assert members(read) == {"hubspot-10": "hubspot-1"}
    assert table(read, "contact").skipped == {SkipReason.MERGED: 3}
    assert {signal.contact_id for signal in signals(read)} == {"hubspot-10"}
    assert len(signals(read)) == 4


def test_a_hashed_address_is_no_address_but_still_connects(tmp_path: Path) -> None:
    hashed = "fcb67ef339b691956cc85fa12be6490c"
    contact = f"id,property_email,property_associatedcompanyid\n10,{hashed},1\n"
    events = f"{EVENT_HEADER}e1,SENT,2026-01-01,{hashed.upper()},,,\n"
    read = read_hubspot(export(tmp_path, contact=contact, email_event=events), now=NOW)
    assert read.histories[0].contacts[0].email is None
    assert [(touch.touch_id, touch.channel) for touch in touches(read)] == [("hubspot-email-e1", "email")]


def test_bots_obsolete_and_transport_events_are_counted_and_left_out(tmp_path: Path) -> None:
    events = (
        f"{EVENT_HEADER}e1,OPEN,2026-01-01,ann@acme.example,true,,s\ne2,CLICK,2026-01-01,ann@acme.example,,e9,s\n"
        "e3,DELIVERED,2026-01-01,ann@acme.example,,,s\ne4,TELEPATHY,2026-01-01,ann@acme.example,,,s\n"
        "e5,OPEN,2026-01-01,who@else.example,,,s\ne9,CLICK,2026-01-02,ann@acme.example,false,,s\n"
    )
    clicks = "id,url\ne9,https://shop.example/a?token=secret#x\ne2,https://x.example\nzz,https://x.example\n"
    read = read_hubspot(export(tmp_path, email_event=events, email_event_click=clicks), now=NOW)
    assert kinds(read) == ["email_click email-click-e9"]
    assert signals(read)[0].facts == {
        "url": "https://shop.example/a",
        "event": "CLICK",
        "touch_id": "hubspot-email-s",
    }
    assert table(read, "email_event").skipped == {
        SkipReason.BOT: 1,
        SkipReason.OBSOLETE: 1,
        SkipReason.TRANSPORT: 1,
        SkipReason.UNKNOWN_TYPE: 1,
        SkipReason.CONTACT_UNKNOWN: 1,
    }
    assert table(read, "email_event_click").skipped == {SkipReason.EVENT_NOT_USED: 1, SkipReason.NO_EVENT: 1}


@pytest.mark.parametrize("flags", ["false,", "true,", "false,e9"])
def test_an_opt_out_is_never_lost(tmp_path: Path, flags: str) -> None:
    events = f"{EVENT_HEADER}e1,STATUSCHANGE,2026-01-01 10:00:00,Ann@Acme.example,{flags},\n"
    status = "id,portal_subscription_status\ne1,UNSUBSCRIBED\n"
    read = read_hubspot(export(tmp_path, email_event=events, email_event_status_change=status), now=NOW)
    assert kinds(read) == ["opt_out email-opt-out-e1"]
    ann = read.histories[0].contacts[0]
    assert (ann.consent, str(ann.opted_out_at)) == (Consent.WITHDRAWN, "2026-01-01 10:00:00+00:00")
    assert read.histories[0].contacts[1].consent is Consent.UNKNOWN


def test_an_opt_out_without_a_readable_date_is_reported_and_honoured(tmp_path: Path) -> None:
    events = f"{EVENT_HEADER}e1,STATUSCHANGE,yesterday,ann@acme.example,,,\n"
    status = "id,portal_subscription_status\ne1,UNSUBSCRIBED\n"
    read = read_hubspot(export(tmp_path, email_event=events, email_event_status_change=status), now=NOW)
    assert table(read, "email_event").malformed == 1
    assert read.histories[0].contacts[0].opted_out_at == NOW
    assert kinds(read) == ["opt_out email-opt-out-e1"]


def test_an_opt_out_binds_everybody_with_the_address(tmp_path: Path) -> None:
    contact = (
        "id,property_email,property_associatedcompanyid\n10,team@acme.example,1\n11,team@acme.example,2\n"
        "12,solo@acme.example,1\n"
    )
    events = (
        f"{EVENT_HEADER}e1,STATUSCHANGE,2026-01-01,team@acme.example,,,\n"
        "e2,OPEN,2026-01-01,team@acme.example,,,\n"
    )
    status = "id,portal_subscription_status\ne1,UNSUBSCRIBED\n"
    read = read_hubspot(
        export(
            tmp_path,
            company=TWO_COMPANIES,
            contact=contact,
            email_event=events,
            email_event_status_change=status,
        ),
        now=NOW,
    )
    withdrawn = {
        contact.contact_id
        for history in read.histories
        for contact in history.contacts
        if contact.consent is Consent.WITHDRAWN
    }
    assert withdrawn == {"hubspot-10", "hubspot-11"}
    assert table(read, "email_event").skipped == {SkipReason.ADDRESS_SHARED: 1}


def test_a_merged_record_that_opted_out_binds_the_person(tmp_path: Path) -> None:
    contact = (
        "id,property_associatedcompanyid,property_hs_email_optout,_fivetran_synced\n"
        "10,1,false,2026-01-05\n11,1,true,2026-01-02\n"
    )
    audit = "canonical_vid,vid_to_merge\n10,11\n"
    read = read_hubspot(export(tmp_path, contact=contact, contact_merge_audit=audit), now=NOW)
    assert str(read.histories[0].contacts[0].opted_out_at) == "2026-01-02 00:00:00+00:00"
    assert kinds(read) == ["opt_out contact-opt-out-10"]


@pytest.mark.parametrize(
    ("event", "reason", "expected"),
    [
        ("SPAMREPORT", "", "complaint email-complaint-e1"),
        ("BOUNCE", "", "bounce email-bounce-e1"),
        ("REPLY", "", "reply email-reply-e1"),
        ("FORWARD", "", "note email-forward-e1"),
        ("DROPPED", "PREVIOUSLY_UNSUBSCRIBED_PORTAL", "opt_out email-opt-out-e1"),
        ("DROPPED", "PREVIOUSLY_BOUNCED", "bounce email-bounce-e1"),
        ("DROPPED", "SOMETHING", "note email-dropped-e1"),
        ("STATUSCHANGE", "", "property_change email-subscription-e1"),
    ],
)
def test_each_event_type_has_its_kind(tmp_path: Path, event: str, reason: str, expected: str) -> None:
    events = f"{EVENT_HEADER}e1,{event},2026-01-01,ann@acme.example,,,\n"
    dropped = f"id,drop_reason\ne1,{reason}\n"
    read = read_hubspot(export(tmp_path, email_event=events, email_event_dropped=dropped), now=NOW)
    assert kinds(read) == [expected]


def test_meetings_are_held_booked_or_missed(tmp_path: Path) -> None:
    meetings = (
        "engagement_id,start_time,meeting_outcome,property_hs_createdate\n"
        "m1,2026-05-01 10:00:00,COMPLETED,\nm2,2026-07-01 10:00:00,SCHEDULED,2026-05-20 08:00:00\n"
        "m3,2026-05-02 10:00:00,NO_SHOW,\n"
    )
    contacts = "engagement_id,contact_id\nm1,10\nm1,11\nm2,10\nm3,11\n"
    read = read_hubspot(export(tmp_path, engagement_meeting=meetings, engagement_contact=contacts), now=NOW)
    held, missed, booked = signals(read)
    assert (held.kind, held.contact_id) == (SignalKind.MEETING_HELD, None)
    assert held.facts["contacts"] == "hubspot-10, hubspot-11"
    assert (missed.kind, missed.facts["outcome"]) == (SignalKind.NOTE, "NO_SHOW")
    assert (booked.kind, booked.contact_id) == (SignalKind.MEETING_BOOKED, "hubspot-10")
    assert str(booked.observed_at) == "2026-05-20 08:00:00+00:00"


def test_logged_calls_and_mails_become_past_touches_of_each_person(tmp_path: Path) -> None:
    read = read_hubspot(
        export(
            tmp_path,
            engagement_call=(
                "engagement_id,property_hs_timestamp,_fivetran_deleted\nc1,2026-01-01,false\nc2,2026-01-01,true\n"
            ),
            engagement_email=(
                "engagement_id,property_hs_timestamp,type\nm1,2026-01-02,EMAIL\nm2,2026-01-03,INCOMING_EMAIL\n"
            ),
            engagement_communication=(
                "engagement_id,property_hs_timestamp,property_hs_communication_channel_type\n"
                "x1,2026-01-04,LINKEDIN_MESSAGE\n"
            ),
            engagement_contact="engagement_id,contact_id\nc1,10\nc1,11\nc2,10\nm1,10\nm2,10\n",
            engagement_company="engagement_id,company_id\nx1,1\n",
        ),
        now=NOW,
    )
    assert [(touch.touch_id, touch.channel, touch.contact_id) for touch in touches(read)] == [
        ("hubspot-call-c1-10", "call", "hubspot-10"),
        ("hubspot-call-c1-11", "call", "hubspot-11"),
        ("hubspot-email-m1-10", "email", "hubspot-10"),
        ("hubspot-linkedin-x1", "linkedin", None),
    ]
    assert kinds(read) == ["reply email-received-m2"]
    assert table(read, "engagement_call").skipped == {SkipReason.DELETED: 1}


def test_stage_changes_are_told_apart_from_other_changes(tmp_path: Path) -> None:
    history = (
        "contact_id,name,value,timestamp\n10,lifecyclestage,lead,2026-01-01\n10,industry,Toys,2026-01-02\n"
        "10,mobilephone,+49 30 1,2026-01-03\n10,industry,Toys,2026-01-02\n"
    )
    read = read_hubspot(export(tmp_path, contact_property_history=history), now=NOW)
    assert [(signal.kind, signal.facts.get("value")) for signal in signals(read)] == [
        (SignalKind.STAGE_CHANGE, "lead"),
        (SignalKind.PROPERTY_CHANGE, "Toys"),
        (SignalKind.PROPERTY_CHANGE, None),
    ]
    assert table(read, "contact_property_history").skipped == {SkipReason.DUPLICATE: 1}


def test_a_deal_stage_told_twice_counts_once(tmp_path: Path) -> None:
    read = read_hubspot(
        export(
            tmp_path,
            deal_company="deal_id,company_id\nd,1\n",
            deal_stage="deal_id,value,date_entered\nd,s1,2026-01-01 10:00:00\n",
            deal_pipeline_stage="stage_id,label\ns1,Proposal\n",
            deal_property_history=(
                "deal_id,name,value,timestamp\n"
                "d,dealstage,s1,2026-01-01 10:00:00.417\nd,amount,5,2026-01-02\n"
            ),
        ),
        now=NOW,
    )
    assert [(signal.kind, signal.summary) for signal in signals(read)] == [
        (SignalKind.STAGE_CHANGE, "Deal stage: Proposal"),
        (SignalKind.PROPERTY_CHANGE, None),
    ]


def test_the_same_export_in_another_order_says_the_same(tmp_path: Path) -> None:
    rows = [f"e{n},OPEN,2026-01-01 10:00:00,ann@acme.example,,,\n" for n in range(5)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = read_hubspot(export(tmp_path / "a", email_event=EVENT_HEADER + "".join(rows)), now=NOW)
    header, *contacts = (
        "id,property_associatedcompanyid,property_email",
        "10,1,ann@acme.example",
        "11,1,bob@acme.example",
    )
    second = read_hubspot(
        export(
            tmp_path / "b",
            company=COMPANY,
            contact="\n".join([header, *reversed(contacts)]),
            email_event=EVENT_HEADER + "".join(reversed(rows)),
        ),
        now=NOW,
    )
    assert first.histories == second.histories


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("VP of Sales", Role.DECISION_MAKER),
        ("Vice President, IT", Role.DECISION_MAKER),
        ("President", Role.EXECUTIVE_SPONSOR),
        ("Assistant to the CEO", Role.UNKNOWN),
        ("Managing Director", Role.EXECUTIVE_SPONSOR),
        ("Director of Data", Role.DECISION_MAKER),
        ("Product Manager", Role.INFLUENCER),
        ("Senior Software Engineer", Role.PRACTITIONER),
        ("Poet", Role.UNKNOWN),
        ("", Role.UNKNOWN),
    ],
)
def test_titles_suggest_roles(title: str, role: Role) -> None:
    assert role_of("", title) is role
    assert role_of("END_USER;CHAMPION", title) is Role.CHAMPION


def test_free_text_is_translated_only_when_it_is_known() -> None:
    assert [country_code(name) for name in ("Deutschland", " united states ", "FR", "Atlantis", "")] == [
        "DE",
        "US",
        "FR",
        None,
        None,
    ]
    assert [zone_of(name) for name in ("europe_slash_berlin", "Europe/Paris", "Mars")] == [
        "Europe/Berlin",
        "Europe/Paris",
        None,
    ]
    assert [
        domain_of(text) for text in ("https://www.A-b.example/x", "4b2c13cca3eb58ee", "a b.example", "")
    ] == [
        "a-b.example",
        None,
        None,
        None,
    ]
    assert [email_of(text) for text in ("a@b.example", "a@", "a@@b.example", "4b2c")] == [
        "a@b.example",
        None,
        None,
        None,
    ]
    assert (tier_of("TIER_2"), tier_of("big")) == (Tier.TWO, Tier.THREE)
