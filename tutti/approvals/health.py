"""`tutti approval health`: how well people answer, for each approver and each rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ledger import Ledger
from tutti.approvals.figures import (
    FEWEST,
    QUICK,
    ApproverHealth,
    Health,
    Ratio,
    RuleHealth,
    Spread,
    health_of,
)
from tutti.render import counted, entries, plain, since
from tutti.settings import Settings

_BAR: Final = 10
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)


async def show_health(out: Console, settings: Settings, days: int, *, as_json: bool) -> None:
    """Print how people have answered the questions of the last days.

    Args:
        out: Where to print.
        settings: Where the ledger is.
        days: How far back questions count.
        as_json: Print JSON and nothing else.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.check()
        health = health_of(await ledger.questions(datetime.now(UTC) - timedelta(days=days)))
    finally:
        await ledger.close()
    if as_json:
        out.print(health.model_dump_json(), highlight=False, markup=False, soft_wrap=True)
        return
    out.print(Text(_heading(health, days), style="bold"))
    if health.approvers:
        out.print(_people(health.approvers))
    if health.rules:
        out.print(Text("by the rule that asks", style="bold"))
        out.print(_rules(health.rules))
    if health.approvers or health.rules:
        few = f"few: of fewer than {FEWEST}, so judge nobody by it; in brackets the 95 % interval"
        out.print(Text(few, style="dim"))


def _heading(health: Health, days: int) -> str:
    planted = f", and {health.planted:,} planted" if health.planted else ""
    return f"{counted(health.questions, 'question')} of the last {counted(days, 'day')}{planted}"


def _people(approvers: tuple[ApproverHealth, ...]) -> Table:
    table = entries()
    for each in approvers:
        table.add_row(Text(plain(each.login), style="bold"), Group(*_person(each)))
    return table


def _person(each: ApproverHealth) -> list[Text]:
    lines = []
    if each.answered:
        lines.append(Text.assemble(_bar(each.approved), " approved ", _told(each.approved)))
    if each.to_answer is not None:
        lines.append(_line("answers after", each.to_answer))
    if each.to_decide is not None:
        lines.append(_line("looks for", each.to_decide))
    if each.unseen:
        lines.append(Text(f"{each.unseen:,} of {each.answered:,} without a recorded look", style="dim"))
    if each.quick.of:
        quick = f" yes within {QUICK.total_seconds():.0f} s of looking "
        lines.append(Text.assemble(_bar(each.quick), quick, _told(each.quick)))
    if each.rubber_stamp.count:
        style = "yellow" if each.rubber_stamp.few else "bold red"
        lines.append(Text("says nearly always yes, and often hardly looks: a rubber stamp?", style=style))
    if each.caught.of:
        lines.append(Text.assemble(_bar(each.caught), " planted ones caught ", _told(each.caught)))
    return lines


def _rules(rules: tuple[RuleHealth, ...]) -> Table:
    table = entries()
    for each in rules:
        lines = [Text(f"asked {each.asked:,} times, {each.open:,} open")]
        for what, ratio in (
            ("approved", each.approved),
            ("expired", each.expired),
            ("escalated", each.escalated),
            ("withdrawn", each.withdrawn),
        ):
            if ratio.of and (ratio.count or what in {"approved", "expired"}):
                lines.append(Text.assemble(_bar(ratio), f" {what} ", _told(ratio)))
        if each.to_answer is not None:
            lines.append(_line("answered after", each.to_answer))
        table.add_row(Text(plain(each.rule_id), style="bold"), Group(*lines))
    return table


def _line(what: str, spread: Spread) -> Text:
    return Text(f"{what} {_time(spread.median)} (median), nine of ten within {_time(spread.p90)}")


def _time(length: timedelta) -> str:
    return since(_START, _START + length).removeprefix("+")


def _bar(ratio: Ratio) -> Text:
    filled = round(_BAR * (ratio.share or 0.0))
    return Text.assemble(("█" * filled, "cyan"), ("░" * (_BAR - filled), "dim"))


def _told(ratio: Ratio) -> Text:
    """Return a share with its count, its denominator and its interval, and with a mark if these are few."""
    if ratio.share is None or ratio.interval is None:
        return Text("none")
    low, high = ratio.interval
    text = f"{ratio.count:,} of {ratio.of:,} = {ratio.share:.0%} ({low:.0%} to {high:.0%})"
    return Text.assemble(text, (" few", "yellow")) if ratio.few else Text(text)
