"""What conditions of plays can read: the account's world, and how the run stands."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from governance._facts import AccountFacts, AssessmentFacts, ContactFacts, DaysSince
from governance.cel._conditions import Vocabulary


class RunFacts(NamedTuple):
    """`run`: how the run stands; null in the entry condition."""

    days: float
    """Days since it started."""
    moves: int
    """Steps it has entered."""
    touches: int
    """Its touches that went out."""
    done: tuple[str, ...]
    """Steps whose touches went out."""


PLAYS = Vocabulary(
    {
        "account": AccountFacts,
        # The person addressed last; null before the first touch that addresses a person.
        "contact": ContactFacts | None,
        "assessment": AssessmentFacts | None,
        "days_since": DaysSince,
        "now": datetime,
        "run": RunFacts | None,
    }
)
"""The names conditions of plays may use."""
