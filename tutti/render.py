"""What the terminal shows of decisions: why, in words and in a table, with file and line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain import Decision, ProposalStatus, ProposalView, RuleHit, Score, Verdict

VERDICT_STYLE = {
    Verdict.ALLOW: "bold green",
    Verdict.DEFER: "yellow",
    Verdict.REQUIRE_APPROVAL: "bold magenta",
    Verdict.SUPPRESS: "dim",
    Verdict.DENY: "bold red",
}
STATUS_STYLE = {
    ProposalStatus.SENT: "bold green",
    ProposalStatus.IN_FLIGHT: "green",
    ProposalStatus.DEFERRED: "yellow",
    ProposalStatus.IN_WINDOW: "cyan",
    ProposalStatus.PENDING_APPROVAL: "bold magenta",
    ProposalStatus.SUPPRESSED: "dim",
    ProposalStatus.DENIED: "bold red",
    ProposalStatus.FAILED: "red",
    ProposalStatus.IN_DOUBT: "bold red",
}


def clock(moment: datetime | None) -> str:
    """Return a moment as people read it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else ""


def place(hit: RuleHit) -> str:
    """Return where a rule stands, or that no policy can change it."""
    return f"{hit.file}:{hit.line}" if hit.file else "built in"


def hits_table(hits: Iterable[RuleHit]) -> Table:
    """Return every rule that fired, the most restrictive first."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("effect", "reason", "rule", "where", "what it says"):
        table.add_column(column, overflow="fold")
    for hit in sorted(hits, key=lambda item: (-item.effect.rank, item.rule_id)):
        until = f" (until {clock(hit.until)})" if hit.until else ""
        table.add_row(
            Text(hit.effect.value, style=VERDICT_STYLE[hit.effect]),
            hit.reason.value,
            hit.rule_id,
            place(hit),
            f"{hit.message}{until}",
        )
    return table


def score_line(score: Score) -> str:
    """Return the score with each of its factors."""
    factors = " x ".join(f"{factor.name} {factor.factor:g}" for factor in score.factors)
    return f"{score.total:,.0f} = {factors}"


def explained(view: ProposalView) -> RenderableType:
    """Return one proposal with its standing and every rule that fired."""
    proposal, decision = view.proposal, view.decision
    whom = f" to {proposal.contact_id}" if proposal.contact_id else ""
    title = Text.assemble(
        (proposal.proposal_id, "bold"),
        f"  {proposal.actor} wants {proposal.action} over {proposal.channel}{whom}: ",
        (view.status.value, STATUS_STYLE[view.status]),
        f" ({view.reason.value})" if view.reason else "",
    )
    lines: list[RenderableType] = [title]
    if view.message:
        lines.append(f"  {view.message}")
    if view.due_at:
        lines.append(f"  ruled again at {clock(view.due_at)}")
    if decision is not None:
        lines.append(Padding(decided(decision), (0, 0, 0, 2)))
    return Group(*lines)


def decided(decision: Decision) -> RenderableType:
    """Return one decision: verdict, score, rivals, policy version, every hit."""
    parts: list[RenderableType] = [
        Text.assemble(
            ("decision ", "dim"),
            decision.decision_id,
            ("  at ", "dim"),
            clock(decision.decided_at),
            ("  under policy ", "dim"),
            decision.policy_digest[:12],
        )
    ]
    if decision.score is not None:
        rank = f"  rank {decision.rank}" if decision.rank else ""
        parts.append(Text.assemble(("score ", "dim"), score_line(decision.score), (rank, "dim")))
    if decision.rivals:
        parts.append(Text.assemble(("judged with ", "dim"), ", ".join(decision.rivals)))
    if decision.hits:
        parts.append(hits_table(decision.hits))
    else:
        parts.append(Text("no rule objected", style="dim"))
    return Group(*parts)
