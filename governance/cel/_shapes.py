"""What kinds of values conditions know, and how Python types are read."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, NewType, TypeAlias

import typing_extensions

Annotation: TypeAlias = Any
"""A type as an annotation writes it."""

Value: TypeAlias = Any
"""A value of a pydantic model, or what protobuf takes for it."""


class VocabularyError(TypeError):
    """A variable cannot be offered to conditions; a mistake of the developer, never of a policy author."""


class Kind(StrEnum):
    """What a value is; the text is how messages call it."""

    TEXT = "text"
    WHOLE = "a whole number"
    DECIMAL = "a decimal number"
    TRUTH = "true or false"
    INSTANT = "a point in time"
    SPAN = "a length of time"
    CHOICE = "one of fixed names"
    MODEL = "a group of fields"
    LIST = "a list"
    TABLE = "a table"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Shape:
    """The type of a value as conditions see it.

    Attributes:
        kind: What it is.
        optional: Whether it may be absent; an absent value is `null` in a condition.
        name: Message name of a MODEL, class name of a CHOICE, otherwise empty.
        choices: Member names of a CHOICE, the allowed texts of a `Literal`, otherwise empty.
        item: The element of a LIST or the value of a TABLE.
        key: The key of a TABLE.
        source: The enum behind a CHOICE.
    """

    kind: Kind
    optional: bool = False
    name: str = ""
    choices: tuple[str, ...] = ()
    item: Shape | None = None
    key: Shape | None = None
    source: type[Enum] | None = None

    def __str__(self) -> str:
        """How a message calls a value of this shape, such as `text` or `a Role`."""
        named = self.kind in {Kind.CHOICE, Kind.MODEL} and self.name
        if not named:
            return self.kind.value
        return f"{'an' if self.name[0] in 'AEIOU' else 'a'} {self.name}"


class UnavailableError(Exception):
    """A Python type has no counterpart in conditions; the text says why."""


def bare_type(annotation: Annotation) -> Annotation:
    """Strip `Annotated`, `NewType` and type aliases, which change no value."""
    while True:
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, typing_extensions.TypeAliasType):
            annotation = annotation.__value__
        elif origin_of(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        else:
            return annotation


def origin_of(annotation: Annotation) -> Annotation:
    """Return what a generic type is made from, such as `list` for `list[str]`, or None."""
    origin: Annotation = typing.get_origin(annotation)
    return origin
