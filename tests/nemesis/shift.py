"""Manning a role: a life after the other, each ended by its fate, the last ones in good health."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.nemesis.arena import Arena, Lane
from tests.nemesis.evidence import Found
from tests.nemesis.plan import Act, Fate, Role
from tutti.local._link import Running

ZOMBIE_SECONDS = 1.0
"""How long a worker that was frozen gets to do its worst."""
KILLED = -signal.SIGKILL


class StuckError(Exception):
    """Something did not come about in bounded time."""


class Shift:
    """Keeps one role manned: a life after the other, each with its fate, the last ones without."""

    def __init__(self, role: Role, arena: Arena, lane: Lane, home: Path, found: Found) -> None:
        self._role, self._arena, self._lane, self._home, self._found = role, arena, lane, home, found
        self._fates = list(found.plan.fates[role])
        self._living: list[Running] = []
        self._zombies: set[asyncio.Task[None]] = set()
        self._asked: set[Running] = set()
        self._begun = asyncio.Event()
        self.doomed: Running | None = None
        self.fated = asyncio.Event()
        """Set once every fate has come true."""

    async def work(self) -> None:
        """Start life after life until cancelled."""
        while True:
            fate = self._fates.pop(0) if self._fates else None
            if fate is None:
                self.fated.set()
            running = self._arena.start(self._role, fate, self._lane, self._home)
            self._living.append(running)
            self._begun.set()
            self.doomed = running if fate is not None else None
            await self._until_lost(running, fate)

    async def manned(self) -> None:
        """Wait until the first worker polls."""
        await self._begun.wait()
        await self._living[0].said_ready.wait()

    async def _until_lost(self, running: Running, fate: Fate | None) -> None:
        if fate is not None and fate.act is Act.FREEZE:
            pid = await running.pid
            while not running.over:
                if _is_frozen(pid):
                    zombie = asyncio.create_task(self._thaw(running, fate.pause))
                    self._zombies.add(zombie)
                    return
                await asyncio.sleep(0.03)
        code = await running.ended()
        if code != KILLED and running not in self._asked:
            log = (self._home / f"{self._role.value}.log").read_text(encoding="utf-8", errors="replace")
            last = next(iter(reversed(log.splitlines())), "")
            raise StuckError(f"{self._role.value} ended by itself with code {code}: {last}")
        if fate is not None:
            await asyncio.sleep(fate.pause)

    async def _thaw(self, running: Running, after: float) -> None:
        await asyncio.sleep(after)
        self._arena.keeper.signal(running, signal.SIGCONT)
        self._found.note(f"{self._role.value} wakes from its freeze")
        await asyncio.sleep(ZOMBIE_SECONDS)

    def restart(self) -> None:
        """Ask the latest worker to stop in an orderly way."""
        if self._living and not self._living[-1].over:
            self._asked.add(self._living[-1])
            self._arena.keeper.signal(self._living[-1], signal.SIGTERM)
            self._found.note(f"{self._role.value} is asked to stop")

    def heal(self) -> None:
        """Let no further fate come true: a worker that still waits for its own is replaced."""
        self._fates.clear()
        if self.doomed is not None and not self.fated.is_set():
            self._arena.keeper.signal(self.doomed, signal.SIGKILL)

    async def laid_to_rest(self) -> None:
        """Wait until every frozen worker went on and had its time."""
        if self._zombies:
            await asyncio.wait(self._zombies)

    async def end(self) -> None:
        """Kill whatever lives, and wait for its end."""
        for zombie in self._zombies:
            zombie.cancel()
        for running in self._living:
            self._arena.keeper.signal(running, signal.SIGKILL)
        for running in self._living:
            await running.ended()


def _is_frozen(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
