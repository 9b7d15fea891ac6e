"""What a question is about: the exact action, whom it would reach and what it would say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from domain import ApprovalStatus, Content, ExceptionCard, Proposal, Touch, visible
from tutti.approvals.wording import when
from tutti.render import clock, entries, plain, words


def exactly(card: ExceptionCard, proposal: Proposal) -> RenderableType:
    """Return the exact action and content that a question is about."""
    table = entries()
    table.add_row(Text("what", "dim"), Text(f"{words(proposal.action)} over {proposal.channel}"))
    table.add_row(Text("to", "dim"), Text(_whom(card, proposal)))
    if proposal.template is not None:
        table.add_row(Text("template", "dim"), proposal.template)
    if proposal.claims:
        table.add_row(Text("claims", "dim"), ", ".join(proposal.claims))
    if card.edited_by:
        by = ", ".join(plain(login) for login in card.edited_by)
        table.add_row(Text("changed by", "dim"), Text(f"{by}, who cannot approve it"))
    for what, value in _amounts(proposal):
        table.add_row(Text(what, "dim"), value)
    parts: list[RenderableType] = [table, _content(proposal.content)]
    if card.approval.status is not ApprovalStatus.PENDING:
        parts.append(Text("It is over, and the account may hold no more of what it said than this.", "dim"))
    if card.original is not None:
        parts += [Text("as it was proposed at first", "dim"), _content(card.original.content)]
    return Group(*parts)


def _whom(card: ExceptionCard, proposal: Proposal) -> str:
    person = card.recipient
    if person is None:
        return proposal.contact_id or "nobody in particular: the account as a whole"
    title = f", {plain(person.title)}" if person.title else ""
    country = f", {person.country}" if person.country else ""
    address = person.email or person.phone or "no address"
    return f"{plain(person.name)} <{plain(address)}>, {words(person.role.value)}{title}{country}"


def _amounts(proposal: Proposal) -> Iterator[tuple[str, str]]:
    if proposal.cost:
        yield "costs", f"{proposal.cost:,.2f}"
    if proposal.reach > 1:
        yield "reaches", f"{proposal.reach:,} people at most"
    if proposal.earliest is not None:
        yield "not before", clock(proposal.earliest)
    if proposal.expires_at is not None:
        yield "good until", clock(proposal.expires_at)


def _content(content: Content) -> RenderableType:
    lines: list[RenderableType] = []
    if content.subject:
        lines.append(Text(visible(content.subject), "bold"))
    if content.text:
        lines.append(Text(visible(content.text.rstrip())))
    lines += [
        Text.assemble((f"{visible(name)}: ", "dim"), visible(value)) for name, value in content.fields.items()
    ]
    if content.html is not None:
        lines.append(
            Text(f"with an HTML version of {len(content.html):,} characters; --html shows it", "yellow")
        )
    return Panel(Group(*lines) if lines else Text("it says nothing", "dim"), box=box.ROUNDED, style="none")


def in_doubt(card: ExceptionCard, touch: Touch, now: datetime) -> RenderableType:
    """Return the touch in doubt, with what is known of it."""
    table = entries()
    whom = touch.recipient
    table.add_row(Text("touch", "dim"), Text(touch.touch_id, overflow="fold"))
    table.add_row(Text("what", "dim"), f"{words(touch.action)} over {touch.channel}")
    if whom is not None:
        table.add_row(Text("to", "dim"), Text(plain(f"{whom.name} <{whom.email or 'no address'}>")))
    if card.doubt_since is not None:
        table.add_row(Text("in doubt since", "dim"), when(card.doubt_since, now))
    if card.doubt is not None:
        table.add_row(Text("what happened", "dim"), Text(plain(card.doubt)))
    content = Content(subject=touch.subject, text=touch.text, html=touch.html, fields=touch.fields)
    return Group(table, _content(content))
