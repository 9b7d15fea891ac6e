"""The tables of a HubSpot export: the columns Tutti cannot do without, the tables it has no use for."""

from __future__ import annotations

from typing import NamedTuple

SUFFIXES = (".csv", "_data.csv")
"""Endings of a table's file name."""


class TableSpec(NamedTuple):
    """What Tutti expects of one table."""

    name: str
    required: tuple[str, ...] = ()
    """Columns without which the table cannot be read."""
    useful: bool = True


CATALOG = (
    TableSpec("company", ("id",)),
    TableSpec("company_property_history", ("company_id", "name", "value", "timestamp")),
    TableSpec("contact", ("id",)),
    TableSpec("contact_form_submission", ("contact_id", "timestamp")),
    TableSpec("contact_list", useful=False),
    TableSpec("contact_list_member", useful=False),
    TableSpec("contact_merge_audit", ("canonical_vid", "vid_to_merge")),
    TableSpec("contact_property_history", ("contact_id", "name", "value", "timestamp")),
    TableSpec("deal", ("deal_id",)),
    TableSpec("deal_company", ("deal_id", "company_id")),
    TableSpec("deal_contact", ("deal_id", "contact_id")),
    TableSpec("deal_pipeline", ("pipeline_id",)),
    TableSpec("deal_pipeline_stage", ("stage_id",)),
    TableSpec("deal_property_history", ("deal_id", "name", "value", "timestamp")),
    TableSpec("deal_stage", ("deal_id", "value", "date_entered")),
    TableSpec("email_campaign", ("id",)),
    TableSpec("email_event", ("id", "type", "created", "recipient")),
    TableSpec("email_event_bounce", ("id",)),
    TableSpec("email_event_click", ("id",)),
    TableSpec("email_event_deferred", ("id",)),
    TableSpec("email_event_delivered", ("id",)),
    TableSpec("email_event_dropped", ("id",)),
    TableSpec("email_event_forward", ("id",)),
    TableSpec("email_event_open", ("id",)),
    TableSpec("email_event_print", ("id",)),
    TableSpec("email_event_sent", ("id",)),
    TableSpec("email_event_spam_report", ("id",)),
    TableSpec("email_event_status_change", ("id", "portal_subscription_status")),
    TableSpec("engagement", ("id",)),
    TableSpec("engagement_call", ("engagement_id",)),
    TableSpec("engagement_communication", ("engagement_id",)),
    TableSpec("engagement_company", ("engagement_id", "company_id")),
    TableSpec("engagement_contact", ("engagement_id", "contact_id")),
    TableSpec("engagement_deal", ("engagement_id", "deal_id")),
    TableSpec("engagement_email", ("engagement_id",)),
    TableSpec("engagement_meeting", ("engagement_id",)),
    TableSpec("engagement_note", ("engagement_id",)),
    TableSpec("engagement_task", useful=False),
    TableSpec("form", ("guid",)),
    TableSpec("merged_deal", ("deal_id", "merged_deal_id")),
    TableSpec("owner", ("owner_id",)),
    TableSpec("owner_team", useful=False),
    TableSpec("property", useful=False),
    TableSpec("property_option", useful=False),
    TableSpec("role", useful=False),
    TableSpec("team", useful=False),
    TableSpec("team_user", useful=False),
    TableSpec("ticket", ("id",)),
    TableSpec("ticket_company", ("ticket_id", "company_id")),
    TableSpec("ticket_contact", ("ticket_id", "contact_id")),
    TableSpec("ticket_deal", ("ticket_id", "deal_id")),
    TableSpec("ticket_engagement", ("ticket_id", "engagement_id")),
    TableSpec("ticket_pipeline", ("pipeline_id",)),
    TableSpec("ticket_pipeline_stage", ("stage_id",)),
    TableSpec("ticket_property_history", ("ticket_id", "name", "value")),
    TableSpec("users", useful=False),
)
