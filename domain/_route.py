"""Routes: who may answer an exception, in which order they are asked, and what their silence means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from domain._base import Frozen, Identifier, Moment, ShortText
from domain._exception_words import Risk
from domain._vocabulary import Verdict


class Seat(Frozen):
    """One of several groups that must each be heard."""

    group: ShortText
    approvers: tuple[ShortText, ...]
    """Logins of the persons who may speak for it."""


class EscalationLevel(Frozen):
    """Who may answer as well from a moment on, because nobody has."""

    at: Moment
    group: ShortText
    approvers: tuple[ShortText, ...]
    """Logins of the persons who are asked then; those asked before may still answer."""


class Delegation(Frozen):
    """A person lets another answer in their place for a time; it cannot be passed on."""

    delegation_id: Identifier
    principal: Identifier
    """Login of the person who is away."""
    delegate: Identifier
    """Login of the person who answers in their place."""
    starts_at: Moment
    ends_at: Moment
    made_by: Identifier
    """Login of whoever entered it."""
    made_at: Moment
    ended_at: Moment | None = None
    """When it was ended early; None: it runs to its end."""

    def covers(self, moment: Moment) -> bool:
        """Return whether it holds at a moment."""
        ends_at = self.ends_at if self.ended_at is None else min(self.ends_at, self.ended_at)
        return self.starts_at <= moment < ends_at


class ApprovalRoute(Frozen):
    """Who may answer an exception, by when, and what happens if nobody does."""

    route_id: ShortText | None = None
    """Id of the route in approvals.yaml."""
    group: ShortText
    """The group, or several in words (`legal and sales-leadership`)."""
    approvers: tuple[ShortText, ...]
    """Logins of the persons who may answer from the beginning."""
    excluded: tuple[ShortText, ...] = ()
    """Logins that may never answer this one: the proposer, the owner of the proposing agent, editors."""
    quorum: Annotated[int, Field(ge=1)] = 1
    """How many different persons must approve; one rejection is enough to end it."""
    seats: tuple[Seat, ...] = ()
    """If there are any, those who approve must speak for different ones (four eyes from distinct groups)."""
    delegates: dict[ShortText, ShortText] = {}
    """By login of a delegate: the login of the person for whom they answer."""
    due_at: Moment | None = None
    """By when an answer is expected; later ones still count. None: asked before there were due dates."""
    reminders: tuple[Moment, ...] = ()
    """When those who are asked are reminded, in order."""
    levels: tuple[EscalationLevel, ...] = ()
    """Who is asked as well if nobody answers, in order."""
    expires_at: Moment
    on_expiry: Verdict
    """`suppress` or `deny`; nothing is ever allowed by a timeout."""
    claim_seconds: Annotated[float, Field(gt=0.0)] = 1_800.0
    """How long a claim lasts before others may answer again."""
    risk: Risk = Risk.NORMAL
    window_days: Annotated[int, Field(ge=1)] | None = None
    """For how long the same may be approved in advance at most; None: not at all."""
    window_touches: Annotated[int, Field(ge=1)] | None = None
    """How many touches may be approved in advance at most; None: none."""
    window_segments: tuple[ShortText, ...] = ()
    """Segments for whose accounts something may be approved in advance."""


def seats_filled(spoken_for: Sequence[frozenset[str]]) -> int:
    """Return how many different seats persons can take at most, each person one of those they speak for.

    Args:
        spoken_for: For each person, the seats they may take.
    """
    taken: dict[str, int] = {}

    def place(person: int, tried: set[str]) -> bool:
        for seat in sorted(spoken_for[person] - tried):
            tried.add(seat)
            if seat not in taken or place(taken[seat], tried):
                taken[seat] = person
                return True
        return False

    return sum(place(person, set()) for person in range(len(spoken_for)))
