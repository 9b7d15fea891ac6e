"""The story of one account, told on a terminal: what each wanted, what happened, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from domain import (
    AccountStatus,
    Assessment,
    Contact,
    Proposal,
    ProposalView,
    RuleHit,
    Verdict,
)
from tutti.render import (
    STATUS_STYLE,
    VERDICT_STYLE,
    cited,
    clock,
    counted,
    entries,
    plain,
    since,
    words,
)
from tutti.scenario import Scenario, WantedTouch
from tutti.simulator import Simulation


def heading(number: int, text: str) -> Text:
    """Return the title of a chapter."""
    return Text.assemble(("\n"), (f" {number} ", "reverse bold"), (f" {plain(text)}", "bold"), "\n")


def aside(text: str, style: str = "") -> Padding:
    """Return a paragraph of the teller, indented also where it wraps."""
    return Padding(Text(plain(text), style=style), (0, 0, 0, 2))


def buying_group(scenario: Scenario) -> RenderableType:
    """Return the people of the account."""
    table = _table("who", "title", "role")
    for person in scenario.contacts:
        table.add_row(Text(person.name), Text(person.title or ""), words(person.role.value))
    return _indented(table)


def readings(wanted: Sequence[WantedTouch]) -> RenderableType:
    """Return how each system reads the same activity."""
    table = _table("system", "stage", "urgency", "sure", "because")
    for touch in wanted:
        reading = touch.reading
        if reading is not None:
            table.add_row(
                reading.system,
                Text(reading.stage.value, style="bold"),
                _bar(reading.urgency),
                f"{reading.confidence:.0%}",
                Text(reading.note or ""),
            )
    return _indented(table)


def wishes(wanted: Sequence[WantedTouch], people: dict[str, Contact]) -> RenderableType:
    """Return what each system proposes."""
    table = _table("system", "wants to", "addressed to", "value", "propensity")
    for column in table.columns[3:]:
        column.justify = "right"
    for touch in wanted:
        table.add_row(
            touch.actor,
            words(touch.action),
            Text(_name(touch.contact_id, people)),
            f"{touch.value:,.0f}",
            f"{touch.propensity:.0%}",
        )
    return _indented(table)


def without_coordination(
    wanted: Sequence[WantedTouch], people: dict[str, Contact], seconds: Sequence[float]
) -> Panel:
    """Return what the account would have felt: every system acting on its own."""
    table = Table.grid(padding=(0, 2, 0, 0))
    width = 16
    last = max(seconds, default=1.0) or 1.0
    for touch, second in zip(wanted, seconds, strict=True):
        dot = " " * round(second / last * width) + "●"
        table.add_row(
            Text(f"{second:.1f} s", style="dim"),
            Text(f"{dot:<{width + 1}}", style="red"),
            Text(f"{words(touch.action)} to {_name(touch.contact_id, people)}"),
        )
    twice = [
        people[key].name
        for key, n in Counter(t.contact_id for t in wanted if t.contact_id).items()
        if n > 1 and key in people
    ]
    verdict = f"{len(wanted)} touches within {last:.1f} seconds"
    if twice:
        verdict += f", two of them in the inbox of {', '.join(twice)}"
    closing = Text(f"\n{verdict}, and nobody was asked about the executive.", style="red")
    return Panel(Group(table, closing), title="without coordination", border_style="red", title_align="left")


def reconciled(assessment: Assessment) -> RenderableType:
    """Return the one assessment, with the dissent."""
    dissent = ", ".join(f"{r.system} still says {r.stage.value}" for r in assessment.dissent)
    one = Text.assemble(
        "one assessment: ",
        (assessment.stage.value, "bold green"),
        f", urgency {assessment.urgency:.2f}, from {counted(assessment.systems, 'reading')}",
    )
    lines = [one, Text(f"dissent kept, not hidden: {dissent}", style="dim")] if dissent else [one]
    return _indented(Group(*lines))


def rulings(views: Sequence[ProposalView], people: dict[str, Contact]) -> RenderableType:
    """Return the verdicts on proposals that were judged together, the best first."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("", Text("verdict", style="dim"), Text("proposal", style="dim"), Text("score", style="dim"))
    ordered = sorted(views, key=lambda v: (v.decision.rank or 99) if v.decision else 99)
    for view in ordered:
        decision = view.decision
        if decision is None:
            continue
        deciding = _deciding(view)
        verdict = decision.verdict
        lines = [_wish(view.proposal, people), Text(_because(view, deciding))]
        if deciding is not None:
            lines.append(cited(deciding))
        table.add_row(
            str(decision.rank or ""),
            Text(words(verdict.value), style=VERDICT_STYLE[verdict]),
            Group(*lines),
            f"{decision.score.total:,.0f}" if decision.score else "",
        )
    return _indented(table)


def standings(status: AccountStatus, people: dict[str, Contact]) -> RenderableType:
    """Return where every proposal stands now."""
    table = entries()
    for view in status.proposals:
        table.add_row(
            Text(words(view.status.value), style=STATUS_STYLE[view.status]),
            Group(
                _wish(view.proposal, people),
                Text(plain(view.message or (view.reason.value if view.reason else "")), style="dim"),
            ),
        )
    return _indented(table)


def simulated(scenario: Scenario, result: Simulation) -> RenderableType:
    """Return what a simulated scenario led to: decisions in order, then touches, then where all stands."""
    people = {person.contact_id: person for person in scenario.contacts}
    start = scenario.start
    parts: list[RenderableType] = [
        Text.assemble(
            "\n",
            (plain(scenario.name), "bold"),
            (f"\nstarts {clock(start)}, watched for ", "dim"),
            (since(start, start + scenario.length).lstrip("+"), "dim"),
        ),
        Text("\nDecisions", style="bold"),
        _decisions(result, start),
        Text(f"\nTouches: {len(result.touches)}", style="bold"),
        _touches(result, start, people),
        Text("\nAt the end", style="bold"),
        _endings(result, start),
    ]
    if result.notes:
        notes = Table.grid(padding=(0, 2, 0, 0))
        for note in result.notes:
            notes.add_row(Text(since(start, note.at), style="dim"), Text(plain(note.text), style="yellow"))
        parts += [Text("\nWhat the script expected and did not happen", style="bold"), _indented(notes)]
    return Group(*parts)


def _decisions(result: Simulation, start: datetime) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for decision in result.decisions:
        hit = next((h for h in decision.hits if h.reason is decision.reason), None)
        until = f" Until {since(start, decision.until)}." if decision.until else ""
        said: RenderableType = Text(decision.reason.value)
        if hit is not None:
            said = Group(Text(f"{plain(hit.message)}{until}"), cited(hit))
        table.add_row(
            since(start, decision.decided_at),
            Text(words(decision.verdict.value), style=VERDICT_STYLE[decision.verdict]),
            decision.proposal_id,
            said,
        )
    return _indented(table)


def _touches(result: Simulation, start: datetime, people: dict[str, Contact]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    for moment, touch, status in result.touches:
        whom = _name(touch.recipient.contact_id if touch.recipient else None, people)
        table.add_row(
            since(start, moment),
            words(status.value),
            Text(f"{words(touch.action)} over {touch.channel} to {whom}"),
        )
    return _indented(table)


def _endings(result: Simulation, start: datetime) -> RenderableType:
    table = entries()
    for closed in result.state.closed.values():
        table.add_row(
            Text(words(closed.status.value), style=STATUS_STYLE[closed.status]),
            Text.assemble((closed.proposal.proposal_id, "bold"), f"  {plain(closed.message)}"),
        )
    for item in result.state.open.values():
        again = f"  ruled again at {since(start, item.due_at)}" if item.due_at else ""
        table.add_row(
            Text(words(item.status.value), style=STATUS_STYLE[item.status]),
            Text.assemble((item.proposal.proposal_id, "bold"), again),
        )
    return _indented(table)


def _deciding(view: ProposalView) -> RuleHit | None:
    decision = view.decision
    if decision is None:
        return None
    same = [hit for hit in decision.hits if hit.effect is decision.verdict]
    return next((hit for hit in same if hit.reason is decision.reason), same[0] if same else None)


def _because(view: ProposalView, deciding: RuleHit | None) -> str:
    decision = view.decision
    if decision is None:
        return ""
    if decision.verdict is Verdict.ALLOW:
        return "Best of those judged together; no rule objects."
    return plain(deciding.message) if deciding else decision.reason.value


def _wish(proposal: Proposal, people: dict[str, Contact]) -> Text:
    return Text.assemble(
        (proposal.actor, "bold"), f": {words(proposal.action)} to {_name(proposal.contact_id, people)}"
    )


def _table(*columns: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False, padding=(0, 1, 0, 0)
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _indented(content: RenderableType) -> Padding:
    return Padding(content, (0, 0, 0, 2))


def _bar(share: float) -> Text:
    return Text.assemble(("█" * round(share * 10), "cyan"), ("·" * (10 - round(share * 10)), "dim"))


def _name(contact_id: str | None, people: dict[str, Contact]) -> str:
    if contact_id is None:
        return "the whole account"
    person = people.get(contact_id)
    return plain(person.name) if person else contact_id
