"""What pydantic says about a policy file, reworded for the people who edit it."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

from pydantic import BaseModel

from governance.cel._findings import closest
from governance.cel._shapes import Annotation, bare_type, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

Plain: TypeAlias = Any
"""What a policy file holds: dictionaries, lists, text, numbers, truth values and None."""

_WORDS: Final[Mapping[str, str]] = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "none_required": "must be left empty",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a group of keys and values",
    "model_type": "must be a group of keys and values",
    "model_attributes_type": "must be a group of keys and values",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "union_tag_invalid": "must have {discriminator} set to one of {expected_tags}",
    "union_tag_not_found": "must have the key {discriminator}",
    "timezone_aware": "must be a time with its zone",
}
_PREFIXES: Final[Mapping[str, str]] = {
    "datetime_": "must be a date and time such as 2026-01-31T09:00:00Z",
    "date_": "must be a date such as 2026-01-31",
    "time_delta_": "must be a length of time such as P30D or PT4H",
    "time_": "must be a time of day such as 09:00",
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One mistake: the path to mark (at its key or at its value), a sentence and perhaps a guess."""

    path: tuple[str | int, ...]
    message: str
    code: str
    suggestion: str | None = None
    at_key: bool = False


def explain(
    details: ErrorDetails, model: type[BaseModel], data: Plain, keys: frozenset[str | int]
) -> Complaint:
    """Reword one error of pydantic for data that was to become `model`.

    Args:
        details: The error.
        model: The outermost model.
        data: The whole file as plain data.
        keys: Every key of the file. What else pydantic's location holds names the branch of a union.
    """
    loc, kind = details["loc"], details["type"]
    if kind == "missing":
        return Complaint(loc[:-1], f"the key `{loc[-1]}` is missing", "missing-key")
    if kind == "extra_forbidden":
        names = {name for owner in _models(model, loc[:-1]) for name in _keys(owner)}
        guess = closest(str(loc[-1]), names - _present(data, loc[:-1]))
        return Complaint(loc, f"there is no key `{loc[-1]}` here", "unknown-key", guess, at_key=True)
    if loc and loc[-1] == "[key]":
        return Complaint(loc[:-1], f"`{loc[-2]}`: {_sentence(details)}", "invalid-key", at_key=True)
    name = next((step for step in reversed(loc) if isinstance(step, str) and step in keys), None)
    named = f"`{name}` " if name else "this "
    sentence = _sentence(details)
    if kind == "value_error":
        # A validator's own sentence already says what it is about.
        return Complaint(loc, sentence, "invalid")
    found = details["input"]
    suggestion = None
    if kind in {"enum", "literal_error", "union_tag_invalid"}:
        context = details.get("ctx", {})
        listed = str(context.get("expected") or context.get("expected_tags") or "")
        words = [word.strip(" '") for part in listed.split(" or ") for word in part.split(",")]
        suggestion = (
            closest(str(context.get("tag", found)), words) if isinstance(found, (str, dict)) else None
        )
    shown = "" if isinstance(found, (dict, list)) else f"; found {_show(found)}"
    return Complaint(loc, f"{named}{sentence}{shown}", "invalid", suggestion)


def _sentence(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error", details["msg"])).rstrip(".")
    if kind in {"too_short", "too_long"} and isinstance(details["input"], str):
        kind = f"string_{kind}"
    if kind in _WORDS:
        words = _WORDS[kind].format(**{key: _listed(value) for key, value in context.items()})
        return words.replace(" 1 entries", " 1 entry").replace(" 1 characters", " 1 character")
    for prefix, words in _PREFIXES.items():
        if kind.startswith(prefix):
            return words
    message = details["msg"]
    return message[:1].lower() + message[1:]


def _listed(value: object) -> str:
    return str(value).replace(" or ", ", ").replace("'", "")


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _present(data: Plain, loc: tuple[str | int, ...]) -> set[str]:
    """Return the keys that the mapping at `loc` already has."""
    for step in loc:
        listed = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if listed or (isinstance(data, dict) and step in data):
            data = data[step]
    return set(data) if isinstance(data, dict) else set()


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield info.alias or name


def _models(annotation: Annotation, loc: tuple[str | int, ...]) -> Iterator[type[BaseModel]]:
    """Yield the models that may stand at `loc`."""
    annotation = bare_type(annotation)
    arguments = typing.get_args(annotation)
    if origin_of(annotation) in (Union, types.UnionType):
        branches = [branch for branch in arguments if _named(branch, loc[0])] if loc else []
        for branch in branches or arguments:
            yield from _models(branch, loc[1:] if branches else loc)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel) and not arguments:
        if not loc:
            yield annotation
            return
        for name, info in annotation.model_fields.items():
            if loc[0] in {name, info.alias}:
                yield from _models(info.annotation, loc[1:])
    elif arguments and loc:
        yield from _models(arguments[-1] if arguments[-1] is not Ellipsis else arguments[0], loc[1:])


def _named(branch: Annotation, step: str | int) -> bool:
    """Tell whether pydantic would call a branch of a union by this step: its class name or its tag."""
    branch = bare_type(branch)
    if not (isinstance(branch, type) and issubclass(branch, BaseModel)):
        return False
    tags = {
        str(getattr(v, "value", v))
        for f in branch.model_fields.values()
        for v in typing.get_args(f.annotation)
    }
    return step == branch.__name__ or str(step) in tags
