"""YAML text to plain data with the offsets of every key and value, built from ruamel's events."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Event: TypeAlias = Any
"""An event of ruamel's parser, which is not typed."""

Path = tuple[str | int, ...]
Nodes = dict[Path, "Node"]

_FOLD: Final = re.compile(r"[ \t]*(?:\n[ \t]*)+")
_ESCAPE_WIDTHS: Final = {"x": 4, "u": 6, "U": 10}
_INT: Final = re.compile(r"[-+]?[0-9]+")
_RADIX: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: Final[Mapping[str, bool | None]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAX_DIGITS: Final = 30


@dataclass(frozen=True, slots=True)
class Node:
    """Where a value and its key stand, as offsets into the text; `style` is None, `'`, `"`, `|` or `>`."""

    start: int
    end: int
    style: str | None = None
    value: str | None = None
    key_start: int | None = None
    key_end: int = 0


@dataclass(frozen=True, slots=True)
class Flaw:
    """A reason to refuse the file; `other` is the offset of a second place the message speaks of."""

    offset: int
    length: int
    code: str
    message: str
    other: int | None = None


class Text:
    """The text of a file, and the way from offsets to lines and columns."""

    __slots__ = ("_starts", "content")

    def __init__(self, content: str) -> None:
        self.content = content
        self._starts = [0, *(match.end() for match in re.finditer("\n", content))]

    def __str__(self) -> str:
        return self.content

    def line_column(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, both from 1."""
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line_end(self, offset: int) -> int:
        """Return the offset of the end of the line an offset is on."""
        end = self.content.find("\n", offset)
        return len(self.content) if end < 0 else end

    def inside(self, node: Node, line: int, column: int) -> int | None:
        """Return the offset of a line and column of a text value, or None where it cannot be told.

        A column one past the end of the value is where a missing character would stand.
        """
        if node.value is None:
            return None
        lines = node.value.split("\n")
        if not 1 <= line <= len(lines) or not 1 <= column <= len(lines[line - 1]) + 1:
            return None
        index = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
        block = node.style in {"|", ">"}
        offsets = _block_offsets(self.content, node) if block else _flow_offsets(self.content, node)
        if offsets is None:
            return None
        if index < len(offsets):
            return offsets[index]
        return offsets[-1] + 1 if offsets else None


def _block_offsets(text: str, node: Node) -> list[int] | None:
    """Align a `|` or `>` value with its text, character by character."""
    value = node.value or ""
    at = text.find("\n", node.start) + 1
    first = re.match(r"(?:[ ]*\n)*([ ]*)", text[at:])
    lead = re.match(r"\n*([ ]*)", value)
    if at == 0 or first is None or lead is None:
        return None
    indent = len(first.group(1)) - len(lead.group(1))
    if indent < 1:
        return None

    def line_start(offset: int) -> int:
        spaces = 0
        while spaces < indent and text.startswith(" ", offset + spaces):
            spaces += 1
        return offset + spaces

    offsets: list[int] = []
    at = line_start(at)
    for character in value:
        while node.style == ">" and text.startswith("\n", at) and character not in " \n":
            at = line_start(at + 1)
        here = text[at : at + 1]
        folded = node.style == ">" and character == " " and here == "\n"
        if here != character and not folded:
            return None
        offsets.append(at)
        at = line_start(at + 1) if here == "\n" else at + 1
    return offsets


def _flow_offsets(text: str, node: Node) -> list[int] | None:
    """Align a plain or quoted value with its text, through escapes and line folds."""
    value, offsets = node.value or "", list[int]()
    at = node.start + (1 if node.style else 0)
    while len(offsets) < len(value):
        width, gives = _flow_step(text, at, node.style)
        if gives is None:
            offsets.append(at)
        elif value.startswith(gives, len(offsets)):
            offsets.extend([at] * len(gives))
        else:
            return None
        at += width
        if at > node.end:
            return None
    return offsets


def _flow_step(text: str, at: int, style: str | None) -> tuple[int, str | None]:
    """Return how many characters of text come next and what they stand for; None is any one character."""
    if fold := _FOLD.match(text, at):
        breaks = fold.group().count("\n")
        return len(fold.group()), "\n" * (breaks - 1) or " "
    here = text[at : at + 1]
    if style == "'" and text.startswith("''", at):
        return 2, "'"
    if style == '"' and here == "\\":
        if joined := re.compile(r"\\[ \t]*\n(?:[ \t]*\n)*[ \t]*").match(text, at):
            return len(joined.group()), "\n" * (joined.group().count("\n") - 1)
        return _ESCAPE_WIDTHS.get(text[at + 1 : at + 2], 2), None
    return 1, here


def pointer(nodes: Nodes, loc: Sequence[str | int]) -> Path:
    """Return the longest path in the file that follows `loc`, skipping steps the file does not have."""
    path: Path = ()
    for step in loc:
        longer = (*path, step)
        if longer in nodes:
            path = longer
    return path


def parse(text: Text, max_depth: int) -> tuple[Any, Nodes] | list[Flaw]:
    """Read one YAML document; return its data with the nodes by path, or what is wrong with it."""
    builder = _Builder(max_depth)
    try:
        for event in YAML(typ="safe", pure=True).parse(text.content):
            builder.take(event)
    except _StopError:
        pass
    except YAMLError as error:
        builder.flaws.append(_syntax(error, text))
    except (ValueError, OverflowError, IndexError) as error:
        # ruamel lets a few malformed escapes and marks surface as plain Python errors.
        builder.flaws.append(Flaw(0, 1, "syntax", f"the file is not YAML ({error})"))
    if builder.flaws:
        return builder.flaws
    if not builder.nodes or builder.data is None:
        return [Flaw(0, 1, "empty", "the file is empty")]
    return builder.data, builder.nodes


class _StopError(Exception):
    """Reading on would make no sense."""


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being filled."""

    path: Path
    start: int
    into: dict[str, Any] | list[Any]
    key: ScalarEvent | None = None
    own_key: tuple[int | None, int] = (None, 0)


class _Builder:
    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self._frames: list[_Frame] = []
        self._documents = 0
        self.data: Any = None
        self.nodes: Nodes = {}
        self.flaws: list[Flaw] = []

    def take(self, event: Event) -> None:
        """Take the next event of the parser."""
        if isinstance(event, DocumentStartEvent):
            self._document(event)
        elif isinstance(event, AliasEvent):
            self._stop(
                event, "alias", f"`*{event.anchor}` repeats another part of the file; write it out instead"
            )
        elif isinstance(event, (ScalarEvent, MappingStartEvent, SequenceStartEvent)):
            self._refuse_marks(event)
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            else:
                self._open(event)
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            frame = self._frames.pop()
            start, end = frame.own_key
            self.nodes[frame.path] = Node(frame.start, event.end_mark.index, key_start=start, key_end=end)

    def _document(self, event: Event) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(event, "second-document", "`---` starts a second document; a policy file holds one")
        if event.version or event.tags:
            self._stop(event, "directive", "lines that start with `%` are not used in policy files")

    def _refuse_marks(self, event: Event) -> None:
        if event.anchor:
            message = f"`&{event.anchor}` names a part to repeat elsewhere; write it out instead"
            self._stop(event, "anchor", message)
        if event.tag and event.tag != "!":
            self._stop(event, "tag", f"the tag `{event.tag}` is not used in policy files")

    def _open(self, event: Event) -> None:
        if len(self._frames) >= self._max_depth:
            self._stop(event, "too-deep", f"more than {self._max_depth} levels inside each other")
        start = event.start_mark.index
        path, key = self._slot(event)
        into: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        self._put(into)
        self._frames.append(_Frame(path, start, into, own_key=key))

    def _scalar(self, event: Event) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.into, dict) and frame.key is None:
            self._key(frame, event)
            return
        path, (key_start, key_end) = self._slot(event)
        start, end = event.start_mark.index, event.end_mark.index
        value = self._value(event)
        held = value if isinstance(value, str) else None
        self.nodes[path] = Node(start, end, event.style or None, held, key_start, key_end)
        self._put(value)

    def _key(self, frame: _Frame, event: Event) -> None:
        frame.key = event
        earlier = self.nodes.get((*frame.path, event.value))
        if earlier is not None:
            start = event.start_mark.index
            message = f"`{event.value}` is given twice; the first one is on"
            length = event.end_mark.index - start
            self.flaws.append(Flaw(start, length, "duplicate-key", message, earlier.key_start))

    def _slot(self, event: Event) -> tuple[Path, tuple[int | None, int]]:
        """Return the path of the value that comes now and the offsets of its key."""
        if not self._frames:
            return (), (None, 0)
        frame = self._frames[-1]
        if isinstance(frame.into, list):
            return (*frame.path, len(frame.into)), (None, 0)
        if frame.key is None:
            self._stop(event, "complex-key", "a key must be a plain word or text")
        return (*frame.path, frame.key.value), (frame.key.start_mark.index, frame.key.end_mark.index)

    def _put(self, value: object) -> None:
        if not self._frames:
            self.data = value
            return
        frame = self._frames[-1]
        if isinstance(frame.into, list):
            frame.into.append(value)
        elif frame.key is not None:
            frame.into[frame.key.value] = value
            frame.key = None

    def _value(self, event: Event) -> str | float | bool | None:
        text: str = event.value
        if event.style or event.tag == "!":
            if any("\ud800" <= character <= "\udfff" for character in text):
                self._stop(event, "syntax", "this text holds half of a character code")
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INT.fullmatch(text) or _RADIX.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                self._stop(event, "number", "this number is too long")
            return int(text, 10 if _INT.fullmatch(text) else 0)
        if not _FLOAT.fullmatch(text):
            return text
        number = float(text)
        if isinf(number):
            self._stop(event, "number", "this number is too large")
        return number

    def _stop(self, event: Event, code: str, message: str) -> NoReturn:
        start, end = event.start_mark.index, event.end_mark.index
        self.flaws.append(Flaw(start, max(end - start, 1), code, message))
        raise _StopError


def _syntax(error: YAMLError, text: Text) -> Flaw:
    if not isinstance(error, MarkedYAMLError):
        offset = getattr(error, "position", 0)
        return Flaw(offset, 1, "syntax", "the file contains a control character")
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index, len(text.content)) if mark is not None else 0
    problem = str(error.problem or "")
    if "'\\t'" in problem or text.content[offset : offset + 1] == "\t":
        return Flaw(offset, 1, "tab", "a tab cannot indent a line; use spaces")
    wording = {
        "mapping values are not allowed": "a `:` and a space are not expected here; put the text in quotes",
        "could not find expected ':'": "a `:` is missing after this key",
        "expected <block end>": "this line is not indented like the ones it belongs to",
        "found unexpected end of stream": "a quoted text is not closed",
        "expected ',' or": "a `,` or the closing bracket is missing",
        "found undefined alias": "this repeats a part that does not exist",
        "cannot start any token": "this character must stand in quotes",
        "found unknown escape": "this backslash code is unknown; write `\\\\` for a backslash",
    }
    words = next(
        (words for sign, words in wording.items() if sign in problem), f"this is not YAML: {problem}"
    )
    return Flaw(offset, 1, "syntax", words)
