"""Conflicts in arbitration.yaml: intents that do not go together, and intents that do not fit the moment."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Literal

from domain import Identifier, ReasonCode, TouchRecord, Verdict
from governance._builder import Builder, Loc
from governance._case import FAR, Case, Origin
from governance._fields import ConditionText, NotEmpty, RuleEntry, Sentence, Window
from governance._limits import Limit, NotBefore
from governance.cel._conditions import Condition

_MISSPELT = 0.85
"""How alike two names are, from 0 to 1, if one is taken for the other's spelling mistake."""

IntentOf = Callable[[str, str | None], str | None]
"""Returns what an action is after, given what its proposal said."""


class ConflictEntry(RuleEntry):
    """Intents that an account does not see together, or one that it does not see in some situations."""

    intents: Annotated[tuple[Identifier, ...], NotEmpty]
    """Two or more: never side by side. One: not while `when` holds."""
    when: ConditionText | None = None
    """Leave out to have two or more intents apart always; one alone needs it."""
    apart: Window | None = None
    """A touch of one intent holds back the others for that long."""
    keeps: Identifier | None = None
    """Which intent stays; left out: that of the better proposal."""
    then: Literal["suppress", "defer"]
    message: Sentence


@dataclass(frozen=True, slots=True)
class Misfit:
    """An intent that does not fit while a condition holds."""

    origin: Origin
    when: Condition | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Intents that an account does not see side by side.

    Attributes:
        origin: The rule.
        intents: At least two.
        when: Condition on the proposal that would have to stand back; None: always.
        apart: How long a touch of one holds back the others; None: only open proposals get in the way.
        keeps: The intent that stays; None: that of the better proposal.
        effect: What becomes of the one that stands back: `defer` or `suppress`.
    """

    origin: Origin
    intents: frozenset[str]
    when: Condition | None
    apart: timedelta | None
    keeps: str | None
    effect: Verdict

    def between(self, intent: str | None, other: str | None) -> bool:
        """Tell whether two proposals with these intents are kept from going side by side."""
        return intent != other and intent in self.intents and other in self.intents


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The compiled rules by each intent they name, in the order of their ids."""

    misfits: Mapping[str, tuple[Misfit, ...]]
    pairs: Mapping[str, tuple[Conflict, ...]]


def build_conflicts(
    entries: Sequence[ConflictEntry], intents: Collection[str], builder: Builder
) -> Conflicts:
    """Compile the rules.

    Args:
        entries: The rules as written.
        intents: The intents that the file lists.
        builder: Notes mistakes.
    """
    misfits: dict[str, list[Misfit]] = {}
    pairs: dict[str, list[Conflict]] = {}
    before: dict[str, dict[str, str]] = {}
    for index, entry in sorted(enumerate(entries), key=lambda each: each[1].id):
        loc = ("conflicts", index)
        origin = builder.origin(loc, entry.id, entry.message, entry.mode)
        when = builder.condition((*loc, "when"), entry.when)
        _check_names(entry, loc, intents, builder)
        if len(entry.intents) == 1:
            _check_alone(entry, loc, builder)
            misfits.setdefault(entry.intents[0], []).append(Misfit(origin, when))
            continue
        if entry.keeps is not None:
            _check_circle(entry, loc, before, builder)
        named = frozenset(entry.intents)
        rule = Conflict(origin, named, when, entry.apart, entry.keeps, Verdict(entry.then))
        for intent in named:
            pairs.setdefault(intent, []).append(rule)
    return Conflicts(
        {intent: tuple(rules) for intent, rules in misfits.items()},
        {intent: tuple(rules) for intent, rules in pairs.items()},
    )


def _check_names(entry: ConflictEntry, loc: Loc, known: Collection[str], builder: Builder) -> None:
    """Note intents that are named twice, or that look like a listed one with a spelling mistake.

    Proposals may say intents that no file lists, so an unlisted name is no mistake by itself.
    """
    for index, intent in enumerate(entry.intents):
        if intent in entry.intents[:index]:
            builder.reject((*loc, "intents", index), f"{intent!r} is listed twice", code="duplicate")
        if intent not in known:
            close = difflib.get_close_matches(intent, sorted(known), n=1, cutoff=_MISSPELT)
            if close:
                builder.reject(
                    (*loc, "intents", index),
                    f"`intents` lists no {intent!r}; if it is meant, add it there as `{intent}: []`",
                    code="unknown-name",
                    suggestion=close[0],
                )
    if entry.keeps is not None:
        builder.known((*loc, "keeps"), entry.keeps, entry.intents, "intent in this conflict named")


def _check_alone(entry: ConflictEntry, loc: Loc, builder: Builder) -> None:
    if entry.when is None:
        builder.reject(
            (*loc, "intents"),
            "one intent alone needs `when`: say what it does not go with",
            code="incomplete",
        )
    for key, value in (("apart", entry.apart), ("keeps", entry.keeps)):
        if value is not None:
            builder.reject((*loc, key), f"`{key}` needs two intents or more", code="useless", key=True)
    if entry.then != "suppress":
        builder.reject(
            (*loc, "then"),
            "nobody knows how long a condition holds, so one intent alone can only be suppressed",
            code="useless",
        )


def _check_circle(
    entry: ConflictEntry, loc: Loc, before: dict[str, dict[str, str]], builder: Builder
) -> None:
    """Note that an intent is kept before another that is, by other rules, kept before it."""
    kept = entry.keeps or ""
    for other in sorted(set(entry.intents) - {kept}):
        rules = _way(other, kept, before)
        if rules:
            builder.reject(
                (*loc, "keeps"),
                f"{kept!r} cannot stay instead of {other!r}: {' and '.join(rules)} says the opposite",
                code="contradiction",
            )
        else:
            before.setdefault(kept, {}).setdefault(other, entry.id)


def _way(start: str, end: str, before: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the rules by which one intent is kept before another, directly or through others."""
    ways: list[tuple[str, tuple[str, ...]]] = [(start, ())]
    seen = {start}
    for intent, rules in ways:
        for other, rule_id in sorted(before.get(intent, {}).items()):
            if other == end:
                return (*rules, rule_id)
            if other not in seen:
                seen.add(other)
                ways.append((other, (*rules, rule_id)))
    return ()


def apply_misfits(conflicts: Conflicts, case: Case) -> None:
    """Collect the rules by which the proposal's intent does not fit now."""
    for rule in conflicts.misfits.get(case.intent or "", ()):
        if case.holds(rule.when, rule.origin):
            case.hits.append(rule.origin.hit(Verdict.SUPPRESS, ReasonCode.CONFLICTING_INTENT))


def applicable_conflicts(conflicts: Conflicts, case: Case) -> tuple[Conflict, ...]:
    """Return the rules by which the proposal may have to stand back for others."""
    rules = conflicts.pairs.get(case.intent or "", ())
    return tuple(rule for rule in rules if case.holds(rule.when, rule.origin))


def apart_limits(
    conflicts: Sequence[Conflict], intent: str | None, touches: Sequence[TouchRecord], intent_of: IntentOf
) -> Iterator[Limit]:
    """Yield a limit for each rule that a touch after something else has started.

    Args:
        conflicts: The rules that apply to the proposal.
        intent: What it is after.
        touches: Touches that count.
        intent_of: Tells what a touch was after.
    """
    for rule in conflicts:
        if rule.apart is None:
            continue
        others = [touch for touch in touches if rule.between(intent, intent_of(touch.action, touch.intent))]
        if others:
            last = max(others, key=lambda touch: (touch.at, touch.touch_id))
            message = f"{rule.origin.message.removesuffix('.')} ({last.action} on {last.at:%Y-%m-%d})."
            origin = replace(rule.origin, message=message)
            yield NotBefore(origin, ReasonCode.CONFLICTING_INTENT, min(last.at + rule.apart, FAR))
