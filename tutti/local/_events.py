"""What a stack tells about its children, and how patient it is with them."""

from __future__ import annotations

from enum import StrEnum

from domain import Frozen


class ChildState(StrEnum):
    """What has just happened to a child."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    RESTARTING = "restarting"
    GIVEN_UP = "given_up"
    STOPPING = "stopping"
    STOPPED = "stopped"
    KILLED = "killed"


class StackEvent(Frozen):
    """Something happened to a child; for a live list."""

    child: str
    title: str
    state: ChildState
    seconds: float
    """Since the stack's start."""
    detail: str = ""
    """A clause for people, e.g. why it died."""


class Patience(Frozen):
    """How often a child that dies is started again."""

    deaths: int = 5
    """This many deaths ..."""
    within_seconds: float = 60.0
    """... in this time, and the stack gives up."""
    first_pause_seconds: float = 0.2
    """Pause before the first restart; doubled with each death."""
    longest_pause_seconds: float = 5.0
