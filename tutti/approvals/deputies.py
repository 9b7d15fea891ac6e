"""Delegations: who answers in whose place, and for how long."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from domain import Delegation
from governance import PolicyError, PolicySet, compile_policy_set, delegation_problem
from ledger import Ledger
from tutti.approvals.wording import when
from tutti.render import clock, entries, plain
from tutti.settings import Settings
from tutti.terminal import CommandError


def a_delegation(  # noqa: PLR0913 - who, for whom, from when to when, and who says so
    principal: str, delegate: str, starts_at: datetime, ends_at: datetime, *, made_by: str, now: datetime
) -> Delegation:
    """Return a delegation as somebody typed it.

    Raises:
        CommandError: it cannot be one.
    """
    if principal == delegate:
        raise CommandError(f"{principal} cannot stand in for themselves; name another login with --to")
    if ends_at <= starts_at:
        raise CommandError(f"it would end at {clock(ends_at)}, before it starts at {clock(starts_at)}")
    if ends_at <= now:
        raise CommandError(f"it would have ended at {clock(ends_at)}; name a later end with --ends")
    try:
        return Delegation(
            delegation_id=f"d-{uuid.uuid4().hex[:12]}",
            principal=principal,
            delegate=delegate,
            starts_at=starts_at,
            ends_at=ends_at,
            made_by=made_by,
            made_at=now,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        option = {"principal": "--from", "delegate": "--to", "made_by": "--as"}.get(str(first["loc"][0]), "")
        raise CommandError(f"{option} {first['msg']}".strip()) from None


async def delegate(console: Console, settings: Settings, delegation: Delegation) -> None:
    """Put a delegation on record.

    Raises:
        CommandError: it could never be used under the policy set in force.
        LedgerError: the ledger cannot be written.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        policies = await _in_force(ledger)
        existing = await ledger.delegations(delegation.made_at)
        problem = delegation_problem(policies, delegation, existing) if policies is not None else None
        if problem is not None:
            raise CommandError(f"nothing was delegated: {problem}")
        await ledger.delegate(delegation)
    finally:
        await ledger.close()
    console.print(Text.assemble(("ok ", "bold green"), told(delegation, datetime.now(UTC))), highlight=False)
    console.print("end it early: " + f"tutti delegate --end {delegation.delegation_id}", highlight=False)


async def end(console: Console, settings: Settings, delegation_id: str, *, login: str) -> None:
    """End a delegation now.

    Raises:
        CommandError: there never was one with this id.
        LedgerError: the ledger cannot be written.
    """
    now = datetime.now(UTC)
    ledger = await Ledger.open(settings.ledger)
    try:
        ended = await ledger.end_delegation(delegation_id, by=login, at=now)
    finally:
        await ledger.close()
    if ended is None:
        raise CommandError(f"there is no delegation {delegation_id!r}; see `tutti approval deputies`")
    over = min(ended.ends_at, ended.ended_at or ended.ends_at)
    console.print(
        Text.assemble(
            ("ok ", "bold green"),
            f"{delegation_id}: {ended.delegate} no longer answers for {ended.principal}, since {clock(over)}",
        ),
        highlight=False,
    )


async def show_deputies(console: Console, settings: Settings, at: datetime, *, as_json: bool) -> None:
    """Print who answers in whose place at a moment, or will later.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        found = await ledger.delegations(at)
    finally:
        await ledger.close()
    if as_json:
        console.print_json(json.dumps([each.model_dump(mode="json") for each in found]))
        return
    if not found:
        console.print(f"from {clock(at)} on nobody answers in another's place", highlight=False)
        return
    table = entries()
    for each in found:
        table.add_row(Text(each.delegation_id, "bold" if each.covers(at) else "dim"), told(each, at))
    console.print(table, highlight=False)


def told(delegation: Delegation, now: datetime) -> Text:
    """Return what a person reads of a delegation."""
    whom = f"{delegation.delegate} answers for {delegation.principal}"
    period = f"from {when(delegation.starts_at, now)} to {when(delegation.ends_at, now)}"
    return Text(plain(f"{whom} {period}, entered by {delegation.made_by}"))


async def _in_force(ledger: Ledger) -> PolicySet | None:
    """Return the policy set in force; None if there is none, or this code cannot read it."""
    release = await ledger.release_in_force()
    files = await ledger.policy_set(release.digest) if release is not None else None
    if files is None:
        return None
    try:
        return compile_policy_set(files)
    except PolicyError:
        return None
