"""What differs between two policy sets, in sentences: rules by their id, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeGuard

from pydantic import BaseModel

from domain import RuleMode
from governance._fields import PolicyModel
from governance._outline import Entry, Setting, Sheet, comparable, outline, spoken, written
from governance._source import Place

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

ORDERED: Final = {"routes": "are now tried in this order", "steps": "now come in this order"}
"""Sections in which the order of entries counts, and how a new one is told; that of others says nothing."""
_ORDERED_SETTINGS: Final = frozenset({"hand over order"})
"""Settings that are lists of which the first entry that matches is taken."""
_NESTED: Final = frozenset({"touch", "wait"})
"""Fields of steps that are groups of fields: told one by one."""

_ROOM: Final = (("limit", "window"), ("touches", "per"))
"""Pairs of fields that only make sense together: how many, in which window."""

_NOUNS: Final = {"actors": "the actor ", "groups": "the group ", "channels": "the channel "} | {
    "steps": "the step ",
    "exit": "the exit ",
    "displaced_by": "the rule ",
}
_SHORT: Final = 80
"""Characters of a text that a sentence quotes."""

_BEARERS: Final = frozenset({"message", "source"})
"""Fields that explain a rule to people; a new or lost rule is described by its message alone."""


class ChangeKind(StrEnum):
    """What has happened to an entry or a setting."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two policy sets.

    Attributes:
        kind: What has happened.
        file: The file in which it stands.
        rule_id: The rule concerned, by its id in the later set unless it is gone; None for what is no rule.
        sentence: What a person reads, with the file in front and without full stop.
        place: Where it stands in the later set; for what is gone, where it stood in the earlier one.
    """

    kind: ChangeKind
    file: str
    rule_id: str | None
    sentence: str
    place: Place


def diff(earlier: PolicySet, later: PolicySet) -> tuple[Change, ...]:
    """Tell what the later policy set does differently, in the order of files and lines.

    Comments, layout, the order of rules and the way a value is written (`14d` or `336h`) make no difference,
    so that two sets with different digests may have none.
    """
    before, after = outline(earlier.files), outline(later.files)
    changes: list[Change] = []
    for file in sorted(before.keys() | after.keys()):
        changes += _Comparison(before.get(file), after.get(file), file).changes()
    return tuple(changes)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One file before and after; either may be missing where one set knows a family the other does not."""

    before: Sheet | None
    after: Sheet | None
    file: str

    def changes(self) -> list[Change]:
        if "/" in self.file and (self.before is None or self.after is None):
            return [self._whole()]
        found = [*self._settings(), *self._entries(), *self._orders()]
        return sorted(found, key=lambda change: (change.place, change.sentence))

    def _whole(self) -> Change:
        """Tell of a play or a content that is new or gone."""
        sheet = self.after or self.before
        settings = _settings_of(sheet)
        called = settings["name" if "name" in settings else "id"].told
        steps = [entry for entry in sheet.entries if entry.section == "steps"] if sheet is not None else []
        what = "play" if steps else "content"
        gist = f"{len(steps)} steps, at most {settings['lasts at most'].told}" if steps else _said(settings)
        kind, word = (ChangeKind.REMOVED, "gone") if self.after is None else (ChangeKind.ADDED, "new")
        sentence = f"{self.file}: the {what} {called} is {word}: {gist}"
        place = sheet.place(settings["id"].loc) if sheet is not None else Place(self.file, 1, 1)
        return Change(kind, self.file, None, sentence, place)

    def _entries(self) -> Iterator[Change]:
        before, after = _by_name(self.before), _by_name(self.after)
        gone = {key: entry for key, entry in before.items() if key not in after}
        new = {key: entry for key, entry in after.items() if key not in before}
        for key, entry in list(new.items()):
            old = next((old for old in gone.values() if _same_but_name(old, entry)), None)
            if old is not None:
                del new[key], gone[_key(old)]
                said = f"{_called(old)} is now called {entry.name}; nothing else about it has changed"
                yield self._about(ChangeKind.RENAMED, entry, said)
        for entry in gone.values():
            yield self._about(ChangeKind.REMOVED, entry, f"{_called(entry)} is gone: {_gist(entry)}")
        for entry in new.values():
            where = _position(entry, after.values())
            yield self._about(ChangeKind.ADDED, entry, f"{_called(entry)} is new{where}: {_gist(entry)}")
        for key in before.keys() & after.keys():
            said = "; ".join(_differences(before[key], after[key]))
            if said:
                yield self._about(ChangeKind.CHANGED, after[key], f"{_called(after[key])} {said}")

    def _settings(self) -> Iterator[Change]:
        before, after = _settings_of(self.before), _settings_of(self.after)
        for name in before.keys() | after.keys():
            old, new = before.get(name), after.get(name)
            if old is not None and new is not None:
                meaning = _exact if name in _ORDERED_SETTINGS else _meaning(self.file)
                if meaning(old.value) != meaning(new.value):
                    yield self._setting(ChangeKind.CHANGED, self.after, new, _setting_change(old, new))
            elif new is not None:
                yield self._setting(ChangeKind.ADDED, self.after, new, f"{name} is new: {new.told}")
            elif old is not None:
                yield self._setting(ChangeKind.REMOVED, self.before, old, f"{name} is gone (was {old.told})")

    def _orders(self) -> Iterator[Change]:
        """Tell where the order of entries matters and those that stayed have changed places."""
        for section in sorted(ORDERED):
            before = [entry for entry in _by_name(self.before).values() if entry.section == section]
            after = [entry for entry in _by_name(self.after).values() if entry.section == section]
            both = {entry.name for entry in before} & {entry.name for entry in after}
            was = [entry.name for entry in before if entry.name in both]
            now = [entry for entry in after if entry.name in both]
            names = [entry.name for entry in now]
            if was != names:
                said = f"{section} {ORDERED[section]}: {', '.join(names)} (was {', '.join(was)})"
                yield Change(
                    ChangeKind.REORDERED,
                    self.file,
                    None,
                    f"{self.file}: {said}",
                    self._place(now[0], self.after),
                )

    def _about(self, kind: ChangeKind, entry: Entry, said: str) -> Change:
        sheet = self.before if kind is ChangeKind.REMOVED else self.after
        rule_id = entry.name if entry.is_rule else None
        return Change(kind, self.file, rule_id, f"{self.file}: {said}", self._place(entry, sheet))

    def _setting(self, kind: ChangeKind, sheet: Sheet | None, setting: Setting, said: str) -> Change:
        return Change(kind, self.file, None, f"{self.file}: {said}", self._place(setting, sheet))

    def _place(self, what: Entry | Setting, sheet: Sheet | None) -> Place:
        return sheet.place(what.loc) if sheet is not None else Place(self.file, 1, 1)


def _meaning(file: str) -> Callable[[object], object]:
    """Return how values of a file are compared: in plays the order of a list says what is tried first."""
    return _exact if "/" in file else comparable


def _exact(value: object) -> object:
    """Return a value so that two that mean the same are equal, where the order of a list counts."""
    if isinstance(value, (tuple, list)):
        return [_exact(each) for each in value]
    if isinstance(value, BaseModel):
        return {name: _exact(getattr(value, name)) for name in type(value).model_fields}
    return comparable(value)


def _said(settings: Mapping[str, Setting]) -> str:
    """Return what a content says in short: its subject, else its text, else its fields."""
    found = next((settings[part].told for part in ("subject", "text", "fields") if part in settings), "")
    return f"“{found if len(found) <= _SHORT else found[: _SHORT - 1] + '…'}”"


def _key(entry: Entry) -> tuple[str, str]:
    """Rules have ids of their own over all sections; an actor and a group may share a name."""
    return ("" if entry.is_rule else entry.section, entry.name)


def _by_name(sheet: Sheet | None) -> dict[tuple[str, str], Entry]:
    return {_key(entry): entry for entry in sheet.entries} if sheet is not None else {}


def _settings_of(sheet: Sheet | None) -> dict[str, Setting]:
    return {setting.name: setting for setting in sheet.settings} if sheet is not None else {}


def _called(entry: Entry) -> str:
    return f"{_NOUNS.get(entry.section, '') if not entry.is_rule else ''}{entry.name}"


def _same_but_name(one: Entry, other: Entry) -> bool:
    meaning = _meaning(one.file)

    def content(entry: Entry) -> Mapping[str, object]:
        return {key: meaning(value) for key, value in entry.values() if key not in {"id", "name"}}

    return one.section == other.section and content(one) == content(other)


def _position(entry: Entry, entries: Iterable[Entry]) -> str:
    if entry.section not in ORDERED:
        return ""
    listed = [each.name for each in entries if each.section == entry.section]
    index = listed.index(entry.name)
    if not entry.is_rule:
        return f", before {listed[index + 1]}" if index + 1 < len(listed) else ", as the last one"
    return f", tried before {listed[index + 1]}" if index + 1 < len(listed) else ", tried last of its list"


def _gist(entry: Entry) -> str:
    """Return what an entry says: its message and its effect, or else its fields."""
    fields = [(key, value) for key, value in entry.values() if key not in {"id", "name", *_BEARERS}]
    mode = "; only tried out" if entry.value("mode") is RuleMode.LOG_ONLY else ""
    message = entry.value("message")
    details = [
        f"{spoken(key)} {entry.told(key)}"
        for key, value in fields
        if key != "mode" and key in entry.raw and comparable(value) is not None
    ]
    said = ", ".join(details) or "nothing else"
    return f"“{written(message)}” ({said}{mode})" if message is not None else f"{said}{mode}"


def _differences(old: Entry, new: Entry) -> Iterator[str]:
    before, after = dict(old.values()), dict(new.values())
    meaning = _meaning(new.file)
    changed = [
        key
        for key in [*after, *(key for key in before if key not in after)]
        if meaning(before.get(key)) != meaning(after.get(key))
    ]
    if old.section != new.section:
        yield f"has moved from {old.section} to {new.section}"
    for many, window in _ROOM:
        if {many, window} <= after.keys() & before.keys() and {many, window} & set(changed):
            yield f"now allows {_room(new, many, window)} (was {_room(old, many, window)})"
            changed = [key for key in changed if key not in {many, window}]
    for key in changed:
        was, now = before.get(key), after.get(key)
        if key in _NESTED and isinstance(was, PolicyModel) and isinstance(now, PolicyModel):
            yield from _differences(
                replace(old, content=was, raw=old.raw[key]), replace(new, content=now, raw=new.raw[key])
            )
        else:
            yield _field_change(key, old, new, was, now)


def _room(entry: Entry, many: str, window: str) -> str:
    what = spoken(written(entry.value("counts") or "touches"))
    count = entry.told(many)
    if count == "1":
        what = {"touches": "touch", "new contacts": "new contact"}.get(what, what)
    return f"{count} {what} in {entry.told(window)}"


def _field_change(key: str, old: Entry, new: Entry, was: object, now: object) -> str:
    if key == "when":
        if now is None:
            return f"now applies always (before: only when `{old.told(key)}`)"
        before = f"when `{old.told(key)}`" if was is not None else "always"
        return f"now applies when `{new.told(key)}` (before: {before})"
    if key == "mode":
        tried = now is RuleMode.LOG_ONLY
        return "is now only tried out (was binding)" if tried else "now binds (was only tried out)"
    if key == "message":
        return f"now says “{new.told(key)}” (was “{old.told(key)}”)"
    if key == "then":
        return f"now leads to {new.told(key)} (was {old.told(key)})"
    if _plain_list(was) and _plain_list(now):
        return _list_change(was, now, f"under {spoken(key)}")
    before = "nothing" if was is None else _quoted(was, old.told(key))
    return f"now has {spoken(key)} {'unset' if now is None else _quoted(now, new.told(key))} (was {before})"


def _quoted(value: object, told: str) -> str:
    """Return a sentence as a quotation, so that nobody takes its words for ours."""
    return f"“{told}”" if isinstance(value, str) and " " in told else told


def _setting_change(old: Setting, new: Setting) -> str:
    if _plain_list(old.value) and _plain_list(new.value):
        return f"{new.name} {_list_change(old.value, new.value, 'there')}"
    return f"{new.name} is now {new.told} (was {old.told})"


def _list_change(was: Sequence[object], now: Sequence[object], where: str) -> str:
    before, after = [written(each) for each in was], [written(each) for each in now]
    added = [each for each in after if each not in before]
    lost = [each for each in before if each not in after]
    said = [f"now also lists {', '.join(added)} {where}"] if added else []
    said += [f"no longer lists {', '.join(lost)} {where}"] if lost else []
    said = said or [f"now lists {', '.join(after)} {where}, in this order"]
    return " and ".join(said)


def _plain_list(value: object) -> TypeGuard[Sequence[object]]:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and not any(isinstance(each, (Mapping, BaseModel)) for each in value)
    )
