"""What the terminal shows of policy sets: differences, test results, comparisons, how much rules are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from governance import CaseResult, Change, ChangeKind, Comparison, PastOutcome, RuleUse, Shift
from tutti.render import VERDICT_STYLE, clock, counted, entries, hits_table, plain, words

if TYPE_CHECKING:
    from domain import Verdict
    from ledger import Release

TOP: Final = 20
"""Accounts, rules and actors that are listed."""

_MARKS: Final = {
    ChangeKind.ADDED: ("+", "green"),
    ChangeKind.REMOVED: ("-", "red"),
    ChangeKind.CHANGED: ("~", "yellow"),
    ChangeKind.RENAMED: ("~", "yellow"),
    ChangeKind.REORDERED: ("~", "yellow"),
}


def told_changes(changes: Sequence[Change], *, same_bytes: bool) -> RenderableType:
    """Return differences, one sentence a line."""
    if not changes:
        return Text(
            "no difference"
            if same_bytes
            else "no rule differs; only comments, layout or the way of writing have changed",
            style="dim",
        )
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for change in changes:
        mark, style = _MARKS[change.kind]
        table.add_row(Text(mark, style=style), Text(plain(change.sentence)))
    return table


def told_result(result: CaseResult) -> RenderableType:
    """Return a line for a test, and what came out otherwise with every rule that spoke."""
    line = Text.assemble(
        ("pass ", "green") if result.passed else ("FAIL ", "bold red"),
        plain(result.case.name),
        (f"  {result.case.place.file}:{result.case.place.line}", "dim"),
    )
    if result.passed:
        return line
    details: list[RenderableType] = []
    for miss in result.misses:
        said = f"{miss.proposal_id}: {miss.what} expected {miss.expected}, got {miss.actual}"
        details.append(Text(plain(said), style="bold"))
    for proposal_id in dict.fromkeys(miss.proposal_id for miss in result.misses):
        decision = result.decisions[proposal_id]
        until = f" until {clock(decision.until)}" if decision.until else ""
        verdict = Text(
            f"{proposal_id}: {words(decision.verdict.value)}{until}", VERDICT_STYLE[decision.verdict]
        )
        hits: RenderableType = (
            hits_table(decision.hits) if decision.hits else Text("no rule spoke", style="dim")
        )
        details.append(Group(verdict, Padding(hits, (0, 0, 0, 2))))
    return Group(line, Padding(Group(*details), (0, 0, 0, 5)))


def told_releases(releases: Sequence[Release]) -> RenderableType:
    """Return the releases, the one in force first."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("number", "policy set", "since", "who", "how", "why"):
        table.add_column(heading, no_wrap=heading != "why", ratio=1 if heading == "why" else None)
    for index, release in enumerate(releases):
        style = "bold green" if index == 0 else ""
        table.add_row(
            Text(str(release.number), style),
            Text(release.digest[:12]),
            Text(clock(release.at)),
            Text(plain(release.author)),
            Text(release.kind.value),
            Text(plain(release.reason)),
        )
    return table


def told_comparison(label: str, comparison: Comparison) -> RenderableType:
    """Return what would have been decided otherwise."""
    if not comparison.rulings:
        return Text(
            f"no rulings on record for that time, so nothing can be said of {plain(label)}", style="yellow"
        )
    changed = (
        f"{comparison.changed:,} of {counted(comparison.decisions, 'decision')} would come out otherwise"
    )
    parts: list[RenderableType] = [
        Text.assemble(
            (changed, "bold"),
            f" under {plain(label)}; {counted(comparison.rulings, 'ruling')} judged again",
        ),
        Text(
            "Each ruling was judged on its own, in the world recorded with it: what another decision would "
            "have led to later is not played on.",
            style="dim",
        ),
    ]
    if comparison.reasons:
        parts.append(Text(f"{comparison.reasons:,} more would keep their verdict for another reason."))
    if not comparison.changed:
        return Group(*parts)
    parts.append(_counts("verdict", {_change(*each): n for each, n in comparison.verdicts.items()}))
    parts += [
        _counts(title, counts)
        for title, counts in (
            ("decided by this rule now", comparison.stops),
            ("decided by this rule before", comparison.frees),
            ("by who proposed", comparison.actors),
            ("by account", comparison.accounts),
        )
        if counts
    ]
    parts += [Text("\nexamples", style="bold"), *(_example(shift) for shift in comparison.examples)]
    return Group(*parts)


def as_plain(label: str, comparison: Comparison) -> dict[str, object]:
    """Return a comparison for programs: names and numbers only."""
    return {
        "set": label,
        "policy_digest": comparison.policy_digest,
        "rulings": comparison.rulings,
        "decisions": comparison.decisions,
        "changed": comparison.changed,
        "other_reason": comparison.reasons,
        "verdicts": [
            {"before": before.value, "after": after.value, "decisions": count}
            for (before, after), count in comparison.verdicts.items()
        ],
        "rules_now": dict(comparison.stops),
        "rules_before": dict(comparison.frees),
        "actors": dict(comparison.actors),
        "accounts": dict(list(comparison.accounts.items())[:TOP]),
        "examples": [
            {
                "account_id": shift.account_id,
                "proposal_id": shift.proposal_id,
                "actor": shift.actor,
                "at": shift.at.isoformat(),
                "before": _plain_outcome(shift.before),
                "after": _plain_outcome(shift.after),
            }
            for shift in comparison.examples
        ],
    }


def _plain_outcome(outcome: PastOutcome) -> dict[str, str | None]:
    return {"verdict": outcome.verdict.value, "reason": outcome.reason.value, "rule": outcome.rule_id}


def _change(before: Verdict, after: Verdict) -> str:
    return f"{words(before.value)} -> {words(after.value)}"


def _counts(title: str, counts: Mapping[str, int]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    for name, count in list(counts.items())[:TOP]:
        table.add_row(Text(f"{count:,}"), Text(plain(name)))
    if len(counts) > TOP:
        table.add_row(
            Text(f"{sum(list(counts.values())[TOP:]):,}", style="dim"),
            Text(f"{len(counts) - TOP} more", "dim"),
        )
    return Group(Text(f"\n{title}", style="bold"), Padding(table, (0, 0, 0, 2)))


def _example(shift: Shift) -> RenderableType:
    table = entries()
    table.add_row(
        Text("was", style="dim"),
        Text.assemble(
            (words(shift.before.verdict.value), VERDICT_STYLE[shift.before.verdict]),
            f"  {shift.before.reason.value}  {shift.before.rule_id or 'no rule'}",
        ),
    )
    table.add_row(
        Text("now", style="dim"),
        Text.assemble(
            (words(shift.after.verdict.value), VERDICT_STYLE[shift.after.verdict]),
            f"  {shift.after.reason.value}  {shift.after.rule_id or 'no rule'}  {plain(shift.after.message)}",
        ),
    )
    title = Text(f"{shift.account_id}/{shift.proposal_id} of {shift.actor} at {clock(shift.at)}")
    return Padding(Group(title, Padding(table, (0, 0, 0, 2))), (0, 0, 0, 2))


def told_coverage(uses: Sequence[RuleUse], rulings: int) -> RenderableType:
    """Return how much rules are used: those that deserve a look first, then all the others."""
    groups = (
        ("never spoke", [use for use in uses if use.fired == 0]),
        ("always spoke", [use for use in uses if use.always]),
        ("spoke now and then", [use for use in uses if use.fired and not use.always]),
    )
    if not rulings:
        return Text("no rulings on record for that time, so nothing can be said of any rule")
    parts: list[RenderableType] = [
        Text(f"{counted(rulings, 'ruling')} judged again; routes are not counted", style="dim")
    ]
    for title, some in groups:
        if not some:
            continue
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        for use in some:
            share = f"{use.fired:,} of {use.applicable:,}" if use.applicable else "not asked"
            table.add_row(Text(share), Text(use.rule_id), Text(f"{use.file}:{use.line}", style="dim"))
        parts.append(
            Group(
                Text(f"\n{title}: {counted(len(some), 'rule')}", style="bold"), Padding(table, (0, 0, 0, 2))
            )
        )
    return Group(*parts)
