"""What fields of policy files may hold: names, sentences, durations, times of day."""

from __future__ import annotations

import re
from collections.abc import Sized
from contextlib import suppress
from datetime import date, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from domain import Duration as AnyDuration
from domain import Identifier, RuleMode, ShortText

LONGEST_WINDOW = timedelta(days=90)
"""Longest rolling window: accounts remember their touches a little longer than that."""
LONGEST_DURATION = timedelta(days=3_650)
"""Ten years: a moment that lies further ahead leaves the calendar of the language."""
MINUTES_A_DAY = 24 * 60
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME_OF_DAY = re.compile(r"(\d{2}):(\d{2})")


class PolicyModel(BaseModel):
    """Base of everything read from a policy file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=False)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing, such as 30s")
    return value


def _within_ten_years(value: timedelta) -> timedelta:
    if value > LONGEST_DURATION:
        raise ValueError(f"must be at most {LONGEST_DURATION.days}d, which is ten years")
    return value


def _day(value: object) -> object:
    if isinstance(value, str) and _DAY.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    return value  # Refused as no date; on its own, a number in quotes would count as seconds since 1970.


def _within_memory(value: timedelta) -> timedelta:
    if value > LONGEST_WINDOW:
        raise ValueError(f"must be at most {LONGEST_WINDOW.days}d: older touches are not remembered")
    return value


def _at_most_an_hour(value: timedelta) -> timedelta:
    if value > timedelta(hours=1):
        raise ValueError("must be at most 1h")
    return value


def _time_of_day(value: object) -> int:
    match = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
    minutes = int(match[1]) * 60 + int(match[2]) if match else -1
    if match is None or int(match[2]) > 59 or not 0 <= minutes <= MINUTES_A_DAY:  # noqa: PLR2004 - minutes
        raise ValueError(f'{value!r} is no time of day; write it like "20:00"')
    return minutes


def _not_the_engines(value: str) -> str:
    if value == "engine" or value.startswith("engine."):
        raise ValueError("names that begin with `engine` belong to the engine's own rules")
    return value


def _not_empty(value: Sized) -> Sized:
    if len(value) == 0:
        raise ValueError("needs at least 1 entry")
    return value


NotEmpty = AfterValidator(_not_empty)
"""For lists; unlike a minimum length it stays silent about lists whose entries have mistakes of their own."""

Span = AnyDuration
"""A duration, zero allowed; written `30s`, `15m`, `4h`, `7d` or `1.5s`."""

Duration = Annotated[AnyDuration, AfterValidator(_positive), AfterValidator(_within_ten_years)]
"""A duration longer than nothing, at most ten years."""

Window = Annotated[AnyDuration, AfterValidator(_positive), AfterValidator(_within_memory)]
"""A duration that the account's memory of touches covers."""

ShortSpan = Annotated[Span, AfterValidator(_at_most_an_hour)]
"""A duration from nothing to an hour."""

Day = Annotated[date, BeforeValidator(_day)]
"""A day of the calendar, written `2027-12-31`."""

TimeOfDay = Annotated[int, BeforeValidator(_time_of_day)]
"""Minutes after midnight, 0 to 1440; written `"20:00"`."""

RuleId = Annotated[Identifier, Field(max_length=80), AfterValidator(_not_the_engines)]
"""Name of a rule, unique over all files of a policy set."""

Sentence = Annotated[ShortText, StringConstraints(strip_whitespace=True, min_length=1, max_length=160)]
"""What a person reads when the rule has spoken: one line, at most 160 characters."""

ConditionText = Annotated[str, StringConstraints(min_length=1)]
"""A CEL condition, compiled when the set is loaded."""


class RuleEntry(PolicyModel):
    """What every rule that judges has."""

    id: RuleId
    mode: RuleMode = RuleMode.ENFORCE
    """`log_only`: tried out, recorded with every decision, and not binding."""
