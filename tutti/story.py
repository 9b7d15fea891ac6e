"""The story of one account, told on a terminal: what each wanted, what happened, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from domain import (
    AccountStatus,
    Assessment,
    Contact,
    ProposalView,
    RuleHit,
    Verdict,
)
from tutti.render import STATUS_STYLE, VERDICT_STYLE, clock, place
from tutti.scenario import Scenario, WantedTouch
from tutti.simulator import Simulation


def heading(number: int, text: str) -> Text:
    """Return the title of a chapter."""
    return Text.assemble(("\n"), (f" {number} ", "reverse bold"), (f" {text}", "bold"))


def buying_group(scenario: Scenario) -> Table:
    """Return the people of the account."""
    table = _table("who", "title", "role")
    for person in scenario.contacts:
        table.add_row(person.name, person.title or "", person.role.value.replace("_", " "))
    return table


def readings(wanted: Sequence[WantedTouch]) -> Table:
    """Return how each system reads the same activity."""
    table = _table("system", "reads the account as", "urgency", "sure", "because")
    for touch in wanted:
        reading = touch.reading
        if reading is not None:
            table.add_row(
                reading.system,
                Text(reading.stage.value, style="bold"),
                _bar(reading.urgency),
                f"{reading.confidence:.0%}",
                reading.note or "",
            )
    return table


def wishes(wanted: Sequence[WantedTouch], people: dict[str, Contact]) -> Table:
    """Return what each system proposes."""
    table = _table("system", "wants to", "who hears it", "value", "works")
    for touch in wanted:
        table.add_row(
            touch.actor,
            _action(touch.action),
            _whom(touch.contact_id, people),
            f"{touch.value:,.0f}",
            f"{touch.propensity:.0%}",
        )
    return table


def without_coordination(
    wanted: Sequence[WantedTouch], people: dict[str, Contact], seconds: Sequence[float]
) -> Panel:
    """Return what the account would have felt: every system acting on its own."""
    lines: list[RenderableType] = []
    width = 40
    last = max(seconds, default=1.0) or 1.0
    for touch, second in zip(wanted, seconds, strict=True):
        bar = " " * round(second / last * width) + "●"
        lines.append(
            Text.assemble(
                (f"{second:4.1f} s ", "dim"),
                (f"{bar:<{width + 2}}", "red"),
                f"{_action(touch.action)} to {_whom(touch.contact_id, people)}",
            )
        )
    twice = [
        people[key].name
        for key, n in Counter(t.contact_id for t in wanted if t.contact_id).items()
        if n > 1 and key in people
    ]
    verdict = f"{len(wanted)} touches within {last:.1f} seconds"
    if twice:
        verdict += f", two of them in the inbox of {', '.join(twice)}"
    lines.append(Text(f"\n{verdict}, and nobody was asked about the executive.", style="red"))
    return Panel(Group(*lines), title="without coordination", border_style="red", title_align="left")


def reconciled(assessment: Assessment) -> Text:
    """Return the one assessment, with the dissent."""
    dissent = ", ".join(f"{r.system} still says {r.stage.value}" for r in assessment.dissent)
    return Text.assemble(
        "  one assessment: ",
        (assessment.stage.value, "bold green"),
        f", urgency {assessment.urgency:.2f}, from {assessment.systems} readings",
        (f"\n  dissent kept, not hidden: {dissent}" if dissent else "", "dim"),
    )


def rulings(views: Sequence[ProposalView], people: dict[str, Contact]) -> Table:
    """Return the verdicts on proposals that were judged together, the best first."""
    table = _table("", "system", "wants to", "score", "verdict", "because", "rule")
    ordered = sorted(views, key=lambda v: (v.decision.rank or 99) if v.decision else 99)
    for view in ordered:
        decision = view.decision
        if decision is None:
            continue
        deciding = _deciding(view)
        verdict = decision.verdict
        table.add_row(
            str(decision.rank or ""),
            view.proposal.actor,
            f"{_action(view.proposal.action)} to {_whom(view.proposal.contact_id, people)}",
            f"{decision.score.total:,.0f}" if decision.score else "",
            Text(verdict.value.replace("_", " "), style=VERDICT_STYLE[verdict]),
            _because(view, deciding),
            place(deciding) if deciding else "",
        )
    return table


def standings(status: AccountStatus, people: dict[str, Contact]) -> Table:
    """Return where every proposal stands now."""
    table = _table("system", "wants to", "stands", "because")
    for view in status.proposals:
        table.add_row(
            view.proposal.actor,
            f"{_action(view.proposal.action)} to {_whom(view.proposal.contact_id, people)}",
            Text(view.status.value.replace("_", " "), style=STATUS_STYLE[view.status]),
            view.message or (view.reason.value if view.reason else ""),
        )
    return table


def simulated(scenario: Scenario, result: Simulation) -> RenderableType:
    """Return what a simulated scenario led to: decisions in order, then touches."""
    people = {person.contact_id: person for person in scenario.contacts}
    decisions = _table("when", "proposal", "verdict", "because", "until", "rule")
    for decision in result.decisions:
        hit = next((h for h in decision.hits if h.reason is decision.reason), None)
        decisions.add_row(
            clock(decision.decided_at),
            decision.proposal_id,
            Text(decision.verdict.value.replace("_", " "), style=VERDICT_STYLE[decision.verdict]),
            hit.message if hit else decision.reason.value,
            clock(decision.until),
            place(hit) if hit else "",
        )
    touches = _table("when", "touch", "to", "ended")
    for moment, touch, status in result.touches:
        whom = _whom(touch.recipient.contact_id if touch.recipient else None, people)
        touches.add_row(clock(moment), f"{_action(touch.action)} over {touch.channel}", whom, status.value)
    ended = _table("proposal", "stands", "because")
    for closed in result.state.closed.values():
        ended.add_row(
            closed.proposal.proposal_id,
            Text(closed.status.value, style=STATUS_STYLE[closed.status]),
            closed.message,
        )
    for item in result.state.open.values():
        ended.add_row(
            item.proposal.proposal_id,
            Text(item.status.value, style=STATUS_STYLE[item.status]),
            f"due {clock(item.due_at)}" if item.due_at else "",
        )
    return Group(
        Text(f"\n{scenario.name}", style="bold"),
        Text("\nDecisions", style="bold"),
        decisions,
        Text(f"\nTouches: {len(result.touches)}", style="bold"),
        touches,
        Text("\nAt the end", style="bold"),
        ended,
    )


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
        return "best of those judged together; no rule objects"
    text = deciding.message if deciding else decision.reason.value
    return f"{text} ({decision.reason.value})"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _bar(share: float) -> Text:
    return Text.assemble(("█" * round(share * 10), "cyan"), ("·" * (10 - round(share * 10)), "dim"))


def _action(action: str) -> str:
    return action.replace("_", " ")


def _whom(contact_id: str | None, people: dict[str, Contact]) -> str:
    if contact_id is None:
        return "the whole account"
    person = people.get(contact_id)
    return f"{person.name} ({person.role.value.replace('_', ' ')})" if person else contact_id
