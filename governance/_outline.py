"""What a policy set says, entry by entry: the common ground of the tools for people who own policies.

Nothing here knows a family by its fields. A file's model is found by the file's name, an entry by its `id` or
`name`, and the words for a value are those of the file, so that a new field or family needs no change here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from governance import families
from governance._fields import PolicyModel
from governance._source import Document, Place, load_document
from governance.content import ContentFile
from governance.plays import PlayFile

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Loc = tuple[str | int, ...]

UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_NAMES: Final = ("id", "name")
_NO_RULES: Final = frozenset({"people.yaml", "channels.yaml"})
"""Their entries are people and channels, not rules; and so are the parts of plays and contents."""
FOLDERS: Final[Mapping[str, type[PolicyModel]]] = {"content": ContentFile, "plays": PlayFile}
"""What each file of a folder is."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing a file lists under a name: a rule, an actor, a group, a channel.

    Attributes:
        file: Name of the file.
        section: Top-level key below which it stands, such as `caps`.
        name: Its `id` or `name`.
        loc: Keys and indexes that lead to it.
        content: The entry, validated.
        raw: The entry as written: without what was left out.
    """

    file: str
    section: str
    name: str
    loc: Loc
    content: PolicyModel
    raw: Mapping[str, Any]

    @property
    def is_rule(self) -> bool:
        """Whether it judges proposals, and is known by its id over all files."""
        return self.file not in _NO_RULES and "/" not in self.file

    def values(self) -> Iterator[tuple[str, object]]:
        """Yield every field by the name it has in the file, its default where nothing was written."""
        for name, info in type(self.content).model_fields.items():
            yield info.alias or name, getattr(self.content, name)

    def value(self, key: str) -> object:
        """Return a field by the name it has in the file; None if entries of this kind have no such field."""
        return dict(self.values()).get(key)

    def told(self, key: str) -> str:
        """Return a field in the words of the file, or its default in words of the same kind."""
        return written(self.raw[key] if key in self.raw else self.value(key))


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a file that stands outside all entries.

    Attributes:
        file: Name of the file.
        name: Its keys joined by blanks, such as `signals reply`.
        loc: The keys.
        value: What it is.
        told: The same in the words of the file.
    """

    file: str
    name: str
    loc: Loc
    value: object
    told: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One policy file.

    Attributes:
        document: The file with the places of its values.
        entries: What it lists by name, in the order of the file.
        settings: Everything else.
    """

    document: Document
    entries: tuple[Entry, ...]
    settings: tuple[Setting, ...]

    def place(self, loc: Loc) -> Place:
        """Return where something stands; an entry stands where its name does."""
        for name in _NAMES:
            if (*loc, name) in self.document.nodes:
                return self.document.place((*loc, name))
        return self.document.place(loc)

    def lines(self, loc: Loc) -> tuple[int, int]:
        """Return the first and last line of something, both from 1."""
        node, text = self.document.nodes[loc], self.document.text
        # A block ends where the next thing begins: what lies between belongs to neither.
        length = len(text.content[node.start : node.end].rstrip())
        written = text.content[node.start : node.start + length].split("\n")
        while len(written) > 1 and (not written[-1].strip() or written[-1].lstrip().startswith("#")):
            written.pop()
        first, _ = text.line_column(node.start)
        return first, first + len(written) - 1


def file_names() -> tuple[str, ...]:
    """Return the names of the files that every policy set has, in alphabetical order."""
    modules = (module.name for module in pkgutil.iter_modules(families.__path__))
    return tuple(
        f"{name[1:]}.yaml"
        for name in sorted(modules)
        if hasattr(importlib.import_module(f"{families.__name__}.{name}"), f"{name[1:].title()}File")
    )


def file_model(file: str) -> type[PolicyModel]:
    """Return the model of a policy file: `frequency.yaml` is a `FrequencyFile`.

    Args:
        file: Name of one of the files of a policy set.
    """
    folder, inside, _ = file.partition("/")
    if inside:
        return FOLDERS[folder]
    family = file.removesuffix(".yaml")
    module = importlib.import_module(f"{families.__name__}._{family}")
    model: type[PolicyModel] = getattr(module, f"{family.title()}File")
    return model


def outline(files: Mapping[str, str]) -> dict[str, Sheet]:
    """Take the files of a policy set apart.

    Args:
        files: Text of each file by its name, of a set that was compiled.

    Raises:
        PolicyFileError: A file is not as its model says; cannot happen for files of a `PolicySet`.
    """
    sheets = {}
    for name in sorted(files):
        document = load_document(name, files[name].encode())
        content = document.validate(file_model(name))
        entries: list[Entry] = []
        settings: list[Setting] = []
        for key, value, raw in _fields(content, document.data):
            _sort_out(name, (key,), value, raw, entries, settings)
        sheets[name] = Sheet(document, tuple(entries), tuple(settings))
    return sheets


def rule_ids(files: Mapping[str, str]) -> frozenset[str]:
    """Return the ids of all rules of a policy set."""
    return frozenset(
        entry.name for sheet in outline(files).values() for entry in sheet.entries if entry.is_rule
    )


def _fields(model: BaseModel, raw: object) -> Iterator[tuple[str, object, object]]:
    info: FieldInfo
    for name, info in type(model).model_fields.items():
        key = info.alias or name
        value = getattr(model, name)
        yield key, value, raw[key] if isinstance(raw, dict) and key in raw else value


def _sort_out(  # noqa: PLR0913, PLR0917 - a walk carries what it has found
    file: str, loc: Loc, value: object, raw: object, entries: list[Entry], settings: list[Setting]
) -> None:
    if isinstance(value, PolicyModel) and (name := _name_of(value)) is not None and isinstance(raw, dict):
        entries.append(Entry(file, str(loc[0]), name, loc, value, raw))
    elif isinstance(value, tuple) and value and all(_is_named(each) for each in value):
        listed = raw if isinstance(raw, list) else value
        for index, each in enumerate(value):
            _sort_out(file, (*loc, index), each, listed[index], entries, settings)
    elif isinstance(value, PolicyModel) and _holds_named(value):
        for key, each, inner in _fields(value, raw):
            _sort_out(file, (*loc, key), each, inner, entries, settings)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            inner = raw[key] if isinstance(raw, dict) and key in raw else each
            _sort_out(file, (*loc, str(key)), each, inner, entries, settings)
    elif value is not None and not (len(loc) == 1 and isinstance(value, tuple) and not value):
        # A part that is left out, or a list without entries, says nothing.
        settings.append(Setting(file, _setting_name(loc), loc, value, written(raw)))


def _setting_name(loc: Loc) -> str:
    """Return the keys in words; those below the first are names, which stay as they are."""
    return " ".join([spoken(str(loc[0])), *(str(step) for step in loc[1:])])


def _is_named(value: object) -> bool:
    return isinstance(value, PolicyModel) and _name_of(value) is not None


def _holds_named(model: PolicyModel) -> bool:
    """Tell whether a part without a name of its own is made of rules."""
    return any(
        _is_named(value := getattr(model, name)) or _is_part(value) for name in type(model).model_fields
    )


def _is_part(value: object) -> bool:
    return isinstance(value, PolicyModel) and _holds_named(value)


def _name_of(model: PolicyModel) -> str | None:
    return next((str(getattr(model, name)) for name in _NAMES if name in type(model).model_fields), None)


def spoken(key: str) -> str:
    """Return a key as people say it: `max_value` becomes `max value`."""
    return key.replace("_", " ")


def comparable(value: object) -> object:
    """Return a value so that two that mean the same are equal: the order of a list says nothing."""
    if isinstance(value, (tuple, list, frozenset, set)):
        return sorted(repr(comparable(each)) for each in value)
    if isinstance(value, BaseModel):
        return {name: comparable(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): comparable(each) for key, each in sorted(value.items())}
    if isinstance(value, str) and not isinstance(value, Enum):
        return " ".join(value.split())
    return value


def written(value: object) -> str:
    """Return a value as it would be written in a file, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, timedelta):
        return span(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:,.10g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, BaseModel):
        return written(
            {info.alias or name: getattr(value, name) for name, info in type(value).model_fields.items()}
        )
    if isinstance(value, Mapping):
        return ", ".join(f"{spoken(str(key))} {written(each)}" for key, each in value.items())
    if isinstance(value, (tuple, list, frozenset, set)):
        # A list of groups needs a stronger mark between them than the comma within them.
        mark = "; " if any(isinstance(each, (Mapping, BaseModel)) for each in value) else ", "
        return mark.join(written(each) for each in value) or "nothing"
    return " ".join(str(value).split())


def span(length: timedelta) -> str:
    """Return a duration as files have it, in the largest unit that fits: `14d`, `90m`, `1.5s`."""
    seconds = length.total_seconds()
    for unit, size in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"
