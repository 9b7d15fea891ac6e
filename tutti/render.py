"""What the terminal shows of decisions: why, in words, with the rule and its place in the policy files.

Whatever comes from outside (names, messages, reasons) goes through `plain` and `Text`, never through
markup: a bracket in it stays a bracket, and an escape sequence does not reach the terminal.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

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
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""All but the line break: escape sequences, and what turns the direction of writing."""


def plain(text: str) -> str:
    """Return text from outside with nothing in it that a terminal would obey; line breaks stay."""
    return _CONTROL.sub(" ", text)


def words(value: str) -> str:
    """Return a name of the language as people say it: `require_approval` becomes `require approval`."""
    return value.replace("_", " ")


def clock(moment: datetime | None) -> str:
    """Return a moment as people read it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else ""


def since(start: datetime, moment: datetime) -> str:
    """Return a moment as its distance from a start: `+2s`, `+1.5s`, `+3d 4h`; two units at most."""
    distance = moment - start
    sign = "-" if distance < timedelta() else "+"
    seconds = round(abs(distance).total_seconds(), 1)
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{sign}{seconds:g}s"
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return sign + " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 touch`, `3 signals`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def command() -> str:
    """Return how this program is called from here: its bare name only if the shell would find this one."""
    this = Path(sys.argv[0]).absolute()
    on_path = shutil.which(this.name)
    if on_path is not None and Path(on_path).absolute() == this:
        return this.name
    return shown_path(this) if this.is_file() else "tutti"


def shown_path(path: Path) -> str:
    """Return a path as one would type it here: relative if below the current folder, quoted if need be."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def place(hit: RuleHit) -> str:
    """Return where a rule stands, or that no policy can change it."""
    return f"{hit.file}:{hit.line}" if hit.file else "built in"


def cited(hit: RuleHit) -> Text:
    """Return reason, rule and place of a hit on one line, dim."""
    return Text(f"{hit.reason.value}  {hit.rule_id}  {place(hit)}", style="dim")


def entries() -> Table:
    """Return an empty list with a word on the left and any number of lines on the right."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    return table


def hits_table(hits: Iterable[RuleHit]) -> Table:
    """Return every rule that fired, the most restrictive first: what it says, then where it stands.

    Rules that are only tried out come last, and are told as what they would have done.
    """
    table = entries()
    for hit in sorted(hits, key=lambda item: (item.log_only, -item.effect.rank, item.rule_id)):
        lines: list[RenderableType] = [Text(plain(hit.message))]
        if hit.until:
            lines.append(Text(f"until {clock(hit.until)}"))
        effect = words(hit.effect.value)
        word = (
            Text(f"would {effect}", style="dim")
            if hit.log_only
            else Text(effect, style=VERDICT_STYLE[hit.effect])
        )
        table.add_row(word, Group(*lines, cited(hit)))
    return table


def score_line(score: Score) -> str:
    """Return the score with each of its factors."""
    factors = " x ".join(
        f"{factor.name} {factor.factor:,.10g}" + (f" ({factor.rule_id})" if factor.rule_id else "")
        for factor in score.factors
    )
    return f"{score.total:,.0f} = {factors}"


def explained(view: ProposalView) -> RenderableType:
    """Return one proposal with its standing and every rule that fired."""
    proposal, decision = view.proposal, view.decision
    whom = f" to {proposal.contact_id}" if proposal.contact_id else ""
    lines: list[RenderableType] = [
        Text.assemble(
            (proposal.proposal_id, "bold"),
            "  ",
            (words(view.status.value), STATUS_STYLE[view.status]),
            f" ({view.reason.value})" if view.reason else "",
        ),
        _indented(Text(f"{proposal.actor} wants {proposal.action} over {proposal.channel}{whom}")),
    ]
    if view.message:
        lines.append(_indented(Text(plain(view.message))))
    if view.due_at:
        lines.append(_indented(Text(f"ruled again at {clock(view.due_at)}")))
    if decision is not None:
        lines.append(_indented(decided(decision)))
    return Group(*lines)


def decided(decision: Decision) -> RenderableType:
    """Return one decision: verdict, score, rivals, policy version, every hit."""
    facts = entries()
    facts.add_row(
        Text("decision", style="dim"),
        f"{decision.decision_id} at {clock(decision.decided_at)} under policy {decision.policy_digest[:12]}",
    )
    if decision.score is not None:
        rank = f", rank {decision.rank}" if decision.rank else ""
        facts.add_row(Text("score", style="dim"), Text(f"{score_line(decision.score)}{rank}"))
    if decision.rivals:
        facts.add_row(Text("against", style="dim"), Text(", ".join(decision.rivals)))
    if decision.draws:
        takes = ", ".join(draw.rule_id for draw in decision.draws)
        facts.add_row(Text("takes", style="dim"), Text(f"a place in {takes}, shared by all accounts"))
    hits: RenderableType = (
        hits_table(decision.hits) if decision.hits else Text("no rule objected", style="dim")
    )
    return Group(facts, hits)


def _indented(content: RenderableType) -> Padding:
    return Padding(content, (0, 0, 0, 2))
