"""The ports of the local stack: defaults, free ones, and the check before anything starts."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterator
from typing import Self

from pydantic import Field

from domain import Frozen
from tutti.local._errors import StackCode, StackError

LOOPBACK = "127.0.0.1"

# Below the range from which Linux (32768) and macOS (49152) take ports for outgoing connections, so that a
# connection cannot take a port away while its owner is being restarted.
_FREE_FROM, _FREE_TO = 20_000, 32_000

_USES = {
    "temporal": "the Temporal server",
    "ui": "the Temporal UI",
    "gateway": "the gateway",
    "mail": "the mail sink",
    "webhook": "the webhook sink",
    "vendors": "the local vendors",
}


class Ports(Frozen):
    """The loopback ports of the stack, 1 to 65535."""

    temporal: int = Field(default=7233, ge=1, le=65535)
    ui: int = Field(default=8233, ge=1, le=65535)
    gateway: int = Field(default=8321, ge=1, le=65535)
    mail: int = Field(default=2525, ge=1, le=65535)
    webhook: int = Field(default=8322, ge=1, le=65535)
    vendors: int = Field(default=8323, ge=1, le=65535)

    @classmethod
    def free(cls) -> Self:
        """Pick ports that nobody listens on at this moment.

        Raises:
            StackError: The machine has too few free ports.
        """
        candidates = random.SystemRandom().sample(range(_FREE_FROM, _FREE_TO), 500)
        free = [port for port in candidates if _obstacle(port) is None][: len(_USES)]
        if len(free) < len(_USES):
            raise StackError(
                StackCode.PORT, f"found no {len(_USES)} free ports between {_FREE_FROM} and {_FREE_TO}"
            )
        return cls(**dict(zip(_USES, free, strict=True)))

    def check(self) -> None:
        """Make sure that every port can be taken.

        Raises:
            StackError: One line with each port that cannot, what it is for, and the option to change it.
        """
        problems = [*self._doubles(), *self._taken()]
        if problems:
            raise StackError(
                StackCode.PORT,
                f"{'; '.join(problems)}; stop what uses it or choose others (--free-ports picks free ones)",
            )

    def _doubles(self) -> Iterator[str]:
        seen: dict[int, str] = {}
        for name, use in _USES.items():
            port = getattr(self, name)
            if port in seen:
                yield f"port {port} is asked for twice, for {seen[port]} and {use} (--{name}-port)"
            seen[port] = use

    def _taken(self) -> Iterator[str]:
        for name, use in _USES.items():
            port = getattr(self, name)
            if (obstacle := _obstacle(port)) is not None:
                yield f"port {port} for {use} {obstacle} (--{name}-port)"


def _obstacle(port: int) -> str | None:
    """Say why the port cannot be taken, or None if it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this, connections that a stopped stack left in TIME_WAIT would count as in use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is in use"
            return f"cannot be taken: {error.strerror}"
    return None
