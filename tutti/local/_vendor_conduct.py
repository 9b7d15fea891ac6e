"""How the local vendors misbehave when they are told to: for development and for tests."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from starlette.responses import JSONResponse, Response

from domain import Frozen


class Mode(StrEnum):
    """The ways to misbehave."""

    RATE_LIMIT = "rate_limit"
    """From now on at most `per_second` requests a second, beyond that 429; `times` does not matter."""
    TOO_MANY = "too_many"
    """429, nothing done."""
    FAIL_AFTER_ACCEPT = "fail_after_accept"
    """Everything done, then 500."""
    SLOW = "slow"
    """Everything done, after `delay` seconds."""
    DOWN = "down"
    """503, nothing done."""
    REFUSE_MEMBERS = "refuse_members"
    """The next `times` members of audiences are refused, the rest of their batches is not."""
    FAIL_MEMBERS = "fail_members"
    """The same, but they may be sent again."""
    DUPLICATE_CALLBACKS = "duplicate_callbacks"
    """The next `times` callbacks are made twice."""


class Behaviour(Frozen):
    """Body of `POST /_behave`."""

    path: Annotated[str, Field(pattern=r"^/", max_length=500)] = "/"
    """Beginning of the addresses that are meant."""
    mode: Mode
    times: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """How often; 0 takes the behaviour back."""
    retry_after: Annotated[float, Field(ge=0.0, le=86_400.0)] | None = None
    """Seconds in the header `Retry-After` of a 429 or 503, in whole ones; left out: no header."""
    delay: Annotated[float, Field(ge=0.0, le=600.0)] = 1.0
    per_second: Annotated[float, Field(gt=0.0, le=100_000.0)] = 1.0


class Conduct:
    """What the vendors were told, and how much of it is left."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, Mode], Behaviour] = {}
        self._arrivals: dict[str, deque[float]] = {}

    def tell(self, behaviour: Behaviour) -> None:
        """Take on a behaviour; it replaces an earlier one of the same path and mode."""
        place = (behaviour.path, behaviour.mode)
        self._told.pop(place, None)
        if behaviour.times:
            self._told[place] = behaviour
        self._arrivals.pop(behaviour.path, None)

    def forget(self) -> None:
        """Behave well again."""
        self._told.clear()
        self._arrivals.clear()

    def take(self, path: str, *modes: Mode) -> Behaviour | None:
        """Use up one time of the first behaviour told for a path."""
        for place, told in self._told.items():
            if told.mode in modes and path.startswith(told.path):
                left = told.times - 1
                if left:
                    self._told[place] = told.model_copy(update={"times": left})
                else:
                    del self._told[place]
                return told
        return None

    async def answer(self, path: str, act: Callable[[], Awaitable[Response]]) -> Response:
        """Answer a request as told: with an error in place of the action, after it, or late."""
        limited = self._over_limit(path)
        if limited is not None:
            return limited
        told = self.take(path, Mode.TOO_MANY, Mode.DOWN, Mode.FAIL_AFTER_ACCEPT, Mode.SLOW)
        match told:
            case Behaviour(mode=Mode.TOO_MANY):
                return _try_later(429, "too many requests", told.retry_after)
            case Behaviour(mode=Mode.DOWN):
                return _try_later(503, "down", told.retry_after)
            case Behaviour(mode=Mode.SLOW):
                await asyncio.sleep(told.delay)
            case Behaviour(mode=Mode.FAIL_AFTER_ACCEPT):
                await act()
                return JSONResponse({"detail": "something went wrong"}, 500)
        return await act()

    def _over_limit(self, path: str) -> Response | None:
        for told in self._told.values():
            if told.mode is not Mode.RATE_LIMIT or not path.startswith(told.path):
                continue
            now = time.monotonic()
            # A limit below one a second is one request in a longer window.
            window, most = (1.0, int(told.per_second)) if told.per_second >= 1 else (1 / told.per_second, 1)
            arrivals = self._arrivals.setdefault(told.path, deque())
            while arrivals and arrivals[0] <= now - window:
                arrivals.popleft()
            if len(arrivals) >= most:
                left = arrivals[0] + window - now
                return _try_later(429, "over the rate limit", told.retry_after or math.ceil(left))
            arrivals.append(now)
        return None


def _try_later(status: int, detail: str, retry_after: float | None) -> Response:
    headers = {} if retry_after is None else {"retry-after": str(math.ceil(retry_after))}
    return JSONResponse({"detail": detail}, status, headers)
