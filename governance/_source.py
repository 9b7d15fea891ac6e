"""Policy files in YAML 1.2, with the place of every value.

Only the core schema is read: `NO`, `on` and `12:30` are text; `true`, `null`, `3` and `2.5` are values.
Keys are always text. Anchors, aliases, tags and directives are refused, so a file means what it shows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from governance._complaints import explain
from governance.cel._tree import Flaw, Node, Text, parse, pointer

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Document", "Place", "PolicyFileError", "Problem", "load_document"]

MAX_BYTES: Final = 1024 * 1024
"""Largest policy file in bytes."""

MAX_DEPTH: Final = 32
"""Most mappings and lists inside each other."""

_CONTEXT: Final = 100
"""Characters of a very long line that are shown on each side of a mistake."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A spot in a policy file; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """The form editors and terminals turn into a link: `file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a policy file.

    Attributes:
        place: Where it starts.
        message: One sentence without full stop.
        suggestion: What to write instead of the marked text, if that can be guessed.
        code: Stable name of the sort of mistake.
        length: How many characters are meant, at least 1.
    """

    place: Place
    message: str
    suggestion: str | None = None
    code: str = "invalid"
    length: int = 1

    def __str__(self) -> str:
        """Place, sentence and guess in one line."""
        hint = f"; did you mean `{self.suggestion}`?" if self.suggestion else ""
        return f"{self.place}: error: {self.message}{hint}"

    def render(self, source_text: str) -> str:
        """Return the one-line form, the line of the file and carets below the mistake."""
        lines = source_text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if not 1 <= self.place.line <= len(lines):
            return str(self)
        line = lines[self.place.line - 1]
        number = f"{self.place.line:>3}"
        start = max(self.place.column - 1 - _CONTEXT, 0)
        before, line = line[start : self.place.column - 1], line[start : start + 2 * _CONTEXT]
        # A tab in the margin keeps the caret below its character whatever the width of tabs.
        margin = "".join("\t" if character == "\t" else " " for character in before)
        carets = "^" * max(1, min(self.length, len(line) - len(before)))
        return f"{self}\n{number} | {line}\n{' ' * len(number)} | {margin}{carets}"


class PolicyFileError(Exception):
    """A policy file cannot be used; `problems` holds every mistake in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.place))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Document:
    """A policy file that is well-formed.

    Attributes:
        name: The file as messages call it.
        text: Its text with plain line feeds, for `Problem.render`.
        data: Dictionaries, lists, text, numbers, truth values and None.
    """

    name: str
    text: Text
    data: Any
    nodes: dict[tuple[str | int, ...], Node]

    def validate(self, model: type[M]) -> M:
        """Build a model from the file.

        Values are read as JSON would be: `"3"` is no number and `true` is no 1, while lists fill tuples and
        sets, and text fills enums, times and durations.

        Raises:
            PolicyFileError: With every mistake found, each at its place.
        """
        try:
            return model.model_validate_json(json.dumps(self.data), strict=True)
        except ValidationError as error:
            keys = frozenset(step for path in self.nodes for step in path)
            complaints = [
                explain(details, model, self.data, keys) for details in error.errors(include_url=False)
            ]
            raise PolicyFileError(
                self.problem(c.path, c.message, suggestion=c.suggestion, code=c.code, key=c.at_key)
                for c in complaints
            ) from None

    def place(self, loc: tuple[str | int, ...], within: tuple[int, int] | None = None) -> Place:
        """Return where a value stands.

        Args:
            loc: Keys and list indexes from the top. What the file does not contain is skipped, so the place
                of a missing value is that of its mapping.
            within: Line and column inside a text value, both from 1. Exact for every style of YAML text; a
                spot that cannot be mapped gives the start of the value.
        """
        node = self._node(loc)
        offset = self._inside(node, within) if within else None
        return self._at(node.start if offset is None else offset)

    def problem(  # noqa: PLR0913 -- every part of a problem may be known
        self,
        loc: tuple[str | int, ...],
        message: str,
        *,
        within: tuple[int, int] | None = None,
        length: int | None = None,
        suggestion: str | None = None,
        code: str = "invalid",
        key: bool = False,
    ) -> Problem:
        """Return a problem at a value.

        Args:
            loc: Keys and list indexes from the top, as for `place`.
            message: One sentence without full stop.
            within: Line and column inside a text value, both from 1.
            length: Characters to mark; by default the whole key or one-line value.
            suggestion: What to write instead.
            code: Stable name of the sort of mistake.
            key: Mark the key instead of the value.
        """
        node = self._node(loc)
        # A value that is left empty has nothing to mark but its key.
        if node.key_start is not None and (key or node.start == node.end):
            start, end = node.key_start, node.key_end
        else:
            start, end = node.start, node.end
        offset = self._inside(node, within) if within else None
        if offset is not None:
            start, end = offset, offset + (length or 1)
        elif length is None or within:
            # The spot is unknown or the value spans lines: mark what can be marked on the first line.
            end = min(end, self.text.line_end(start))
        else:
            end = start + length
        return Problem(self._at(start), message, suggestion, code, max(end - start, 1))

    def _node(self, loc: tuple[str | int, ...]) -> Node:
        return self.nodes[pointer(self.nodes, loc)]

    def _inside(self, node: Node, within: tuple[int, int]) -> int | None:
        line, column = within
        return self.text.inside(node, line, column)

    def _at(self, offset: int) -> Place:
        line, column = self.text.line_column(offset)
        return Place(self.name, line, column)


def load_document(name: str | PurePath, text: bytes) -> Document:
    """Read a policy file.

    Args:
        name: The file as messages shall call it; it is not opened.
        text: Its bytes, UTF-8 with or without a byte order mark, at most `MAX_BYTES`.

    Raises:
        PolicyFileError: It is too large, not UTF-8, empty, not YAML, nested more than `MAX_DEPTH` deep, or
            has duplicate keys, anchors, aliases, tags or directives.
    """
    called = name.as_posix() if isinstance(name, PurePath) else name
    if len(text) > MAX_BYTES:
        message = f"the file has {len(text):,} bytes; a policy file has at most {MAX_BYTES:,}"
        raise PolicyFileError([Problem(Place(called, 1, 1), message, code="too-large")])
    try:
        source = Text(text.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"byte {error.start} (0x{text[error.start]:02X}) is not UTF-8; save the file as UTF-8"
        raise PolicyFileError([Problem(Place(called, line, column), message, code="not-utf-8")]) from None
    found = parse(source, MAX_DEPTH)
    if isinstance(found, tuple):
        data, nodes = found
        return Document(called, source, data, nodes)
    raise PolicyFileError(_problem(called, source, flaw) for flaw in found)


def _problem(name: str, source: Text, flaw: Flaw) -> Problem:
    line, column = source.line_column(flaw.offset)
    message = flaw.message
    if flaw.other is not None:
        message = f"{message} line {source.line_column(flaw.other)[0]}"
    return Problem(Place(name, line, column), message, code=flaw.code, length=flaw.length)
