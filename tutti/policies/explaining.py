"""`tutti policy explain`: where a rule stands, what it means, and what it has done."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from governance import Entry, PolicySet, Sheet, outline
from ledger import HitCounts, RecordedHit
from tutti.policies.sets import NamedSet, has_ledger, open_ledger
from tutti.render import VERDICT_STYLE, clock, counted, entries, plain, words
from tutti.terminal import CommandError

if TYPE_CHECKING:
    from rich.console import Console

    from tutti.settings import Settings

LATEST: Final = 5
"""Decisions that are shown."""

_BUILT_IN: Final = "engine."
_WHO: Final = ("mode", "owner", "granted_by", "source", "reason", "review", "expires", "valid_until")


async def explain_rule(console: Console, settings: Settings, named: NamedSet, rule_id: str) -> None:
    """Print where a rule stands, what it says, who answers for it, and how often it has fired.

    Raises:
        CommandError: The set has no such rule.
        LedgerError: The ledger cannot be read.
    """
    console.print(_standing(named.policies, rule_id))
    if not has_ledger(settings):
        console.print(Text("\nthere is no ledger here, so nothing is known of what it has done", style="dim"))
        return
    async with open_ledger(settings) as ledger:
        counts = await ledger.rule_hit_counts()
        hits = await ledger.recent_hits(rule_id, limit=LATEST)
    console.print(_history(rule_id, counts, hits))


def _standing(policies: PolicySet, rule_id: str) -> RenderableType:
    if rule_id.startswith(_BUILT_IN):
        return Text.assemble((rule_id, "bold"), "  built in; no policy file can change it")
    sheets = outline(policies.files)
    rules = {
        entry.name: (sheet, entry) for sheet in sheets.values() for entry in sheet.entries if entry.is_rule
    }
    found = rules.get(rule_id)
    if found is None:
        close = difflib.get_close_matches(rule_id, sorted(rules), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise CommandError(f"the policy set has no rule {rule_id!r}{hint}")
    sheet, entry = found
    return Group(*_told(sheet, entry))


def _told(sheet: Sheet, entry: Entry) -> list[RenderableType]:
    place = sheet.place(entry.loc)
    parts: list[RenderableType] = [
        Text.assemble(
            (entry.name, "bold"), f"  {entry.section.replace('_', ' ')} of {place.file}:{place.line}"
        )
    ]
    message = entry.value("message")
    if message is not None:
        parts.append(Text(plain(str(message))))
    about = entries()
    for key in _WHO:
        if entry.value(key) is not None and (key in entry.raw or key == "mode"):
            about.add_row(Text(words(key), style="dim"), Text(plain(words(entry.told(key)))))
    if about.row_count:
        parts.append(Padding(about, (0, 0, 0, 2)))
    parts.append(_excerpt(sheet, entry))
    return parts


def _excerpt(sheet: Sheet, entry: Entry) -> RenderableType:
    first, last = sheet.lines(entry.loc)
    lines = sheet.document.text.content.split("\n")[first - 1 : last]
    shown = [f"{number:>4} | {plain(line)}" for number, line in enumerate(lines, first)]
    # Lines of a file are shown as they are, however narrow the terminal is.
    return Text("\n".join(["", *shown]), style="cyan", no_wrap=True, overflow="ignore")


def _history(rule_id: str, counts: HitCounts, hits: list[RecordedHit]) -> RenderableType:
    known = counts.rules.get(rule_id)
    if known is None:
        return Text(f"\nit has not spoken in any of {counted(counts.decisions, 'decision')} on record")
    said = (
        f"\nit has spoken {counted(known.fired, 'time')} in {counted(counts.decisions, 'decision')} on record"
    )
    table = entries()
    for hit in hits:
        decision = hit.decision
        decided = bool(decision.hits) and decision.hits[0].rule_id == rule_id
        message = next((plain(each.message) for each in decision.hits if each.rule_id == rule_id), "")
        table.add_row(
            Text(clock(decision.decided_at), style="dim"),
            Group(
                Text.assemble(
                    f"{hit.account_id}/{decision.proposal_id}  ",
                    (words(decision.verdict.value), VERDICT_STYLE[decision.verdict]),
                    ("  it decided" if decided else "  another rule decided", "dim"),
                ),
                Text(message),
            ),
        )
    return Group(Text(f"{said}, last at {clock(known.last_at)}"), Padding(table, (0, 0, 0, 2)))
