"""Kill switches: people's freezes on everything, on an agent, an action, a channel or an account."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import StringConstraints, model_validator

from domain._base import Frozen, Identifier, Moment, ShortText
from domain._vocabulary import StopScope


class Stop(Frozen):
    """One kill switch that somebody has thrown: nothing in its scope is handed over while it stands."""

    stop_id: Identifier
    scope: StopScope
    name: Identifier | None = None
    """Which agent (actor), action, channel or account; None exactly for the tenant as a whole."""
    reason: Annotated[ShortText, StringConstraints(min_length=1)]
    placed_by: ShortText
    """Login of the person who threw it."""
    placed_at: Moment

    @model_validator(mode="after")
    def _names_what_it_stops(self) -> Self:
        if (self.scope is StopScope.TENANT) != (self.name is None):
            msg = "a stop of the tenant names nothing, and every other one names what it stops"
            raise ValueError(msg)
        return self

    @property
    def subject(self) -> str:
        """What is stopped, as a sentence names it: `everything`, `the agent sdr`."""
        return "everything" if self.name is None else f"the {self.scope.value} {self.name}"

    def covers(self, *, account_id: str, actor: str, action: str, channel: str) -> bool:
        """Tell whether a touch with these names falls under the stop."""
        match self.scope:
            case StopScope.TENANT:
                return True
            case StopScope.AGENT:
                return self.name == actor
            case StopScope.ACTION:
                return self.name == action
            case StopScope.CHANNEL:
                return self.name == channel
            case StopScope.ACCOUNT:
                return self.name == account_id
