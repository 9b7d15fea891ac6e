"""The local stack: start everything, keep it running, stop it in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tutti.local._children import (
    PRELOADED,
    Addresses,
    Children,
    ChildSpec,
    Layout,
    Phase,
    Readiness,
    standard_children,
)
from tutti.local._errors import StackCode, StackError
from tutti.local._events import ChildState, Patience, StackEvent
from tutti.local._folder import Paths, StackFolder, tail
from tutti.local._link import KeeperLink, Running
from tutti.local._ports import Ports

_KILLED_SECONDS = 5.0


@dataclass
class _Child:
    spec: ChildSpec
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    running: Running | None = None
    deaths: deque[float] = field(default_factory=deque)


class LocalStack:
    """All processes of Tutti on one machine, as an asynchronous context manager.

    Entering returns when every child is ready. Leaving stops them in order: first the gateway, then the
    workers, which finish what they have begun, then the sinks, last the server. Started again on the same
    folder it goes on where it was. If this process dies, however it dies, the children end too.
    """

    def __init__(  # noqa: PLR0913 - each has a default that serves
        self,
        home: Path = Path(".tutti"),
        *,
        ports: Ports | None = None,
        policies: Path = Path("policies"),
        children: Children = standard_children,
        preloaded: Iterable[str] = PRELOADED,
        on_event: Callable[[StackEvent], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Decide on a stack; nothing happens before `start`.

        Args:
            home: Folder for all data; made if its parent exists.
            ports: Loopback ports; the well-known ones by default, `Ports.free()` for any.
            policies: Folder of the policy set.
            children: Decides which processes there are.
            preloaded: Modules that Python children share; a missing one is skipped.
            on_event: Called with everything that happens to a child. Must not block or raise.
            patience: How often to restart what dies.
        """
        self._folder = StackFolder(home)
        self._ports = ports or Ports()
        self._policies = policies.expanduser().absolute()
        self._decide = children
        self._preloaded = tuple(preloaded)
        self._on_event = on_event
        self._patience = patience or Patience()
        self._layout: Layout | None = None
        self._link: KeeperLink | None = None
        self._children: dict[str, _Child] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._trouble: asyncio.Future[StackError] | None = None
        self._hurry = asyncio.Event()
        self._preparing: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._started_at = time.monotonic()

    # -- what others may know -------------------------------------------------------------------------------

    @property
    def paths(self) -> Paths:
        """Where the data is."""
        return self._folder.paths

    @property
    def ports(self) -> Ports:
        """The ports in use."""
        return self._ports

    @property
    def layout(self) -> Layout:
        """Folder, ports, secrets and the environment made from them; known once started.

        Raises:
            RuntimeError: The stack was not started.
        """
        if self._layout is None:
            raise RuntimeError("the stack is not started")
        return self._layout

    @property
    def addresses(self) -> Addresses:
        """Where the stack can be reached; known once started."""
        return self.layout.addresses

    def pid(self, child: str) -> int | None:
        """Return a child's process id, or None if it does not run at the moment.

        Raises:
            KeyError: There is no such child.
        """
        running = self._children[child].running
        if running is None or running.over or not running.pid.done():
            return None
        return running.pid.result()

    def pids(self) -> dict[str, int]:
        """Return the process ids of all that runs at the moment, by child; `keeper` is what keeps them."""
        known = {name: pid for name in self._children if (pid := self.pid(name)) is not None}
        return known if self._link is None else {"keeper": self._link.pid, **known}

    # -- life -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and return when all of it is ready; after a failure nothing is left running.

        Raises:
            StackError: The folder or a port is taken, a program is missing, or a child did not get ready.
        """
        self._started_at = time.monotonic()
        self._trouble = asyncio.get_running_loop().create_future()
        try:
            # Shielded, because a thread cannot be cancelled: `_stop` waits for it, then unlocks the folder.
            self._preparing = asyncio.create_task(asyncio.to_thread(self._prepare))
            await asyncio.shield(self._preparing)
            specs = self._decide(self.layout)
            await self._start_children(specs)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> None:
        """Wait until the stack is stopped.

        Raises:
            StackError: It cannot go on, because a child kept dying. The stack is still to be stopped.
        """
        if self._trouble is None:
            raise RuntimeError("the stack is not started")
        await asyncio.wait({self._trouble})
        if not self._trouble.cancelled():
            raise self._trouble.result()

    async def stop(self) -> None:
        """Stop everything in order; bounded in time, safe to call twice, harmless if nothing runs.

        Cancelling the caller does not stop the stopping; `hurry` shortens it.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    def hurry(self) -> None:
        """Kill what has not stopped yet, now and for the rest of the stop."""
        self._hurry.set()

    def kill(self, child: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a child's process group. A child that dies of it is started again.

        Args:
            child: Its name.
            number: The signal.

        Raises:
            KeyError: There is no such child.
            StackError: It does not run at the moment.
        """
        running = self._children[child].running
        if self._link is None or running is None or running.over:
            raise StackError(StackCode.CHILD, f"{child} does not run at the moment; try again when it does")
        self._link.signal(running, number, group=True)

    # -- start ----------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Everything that can be refused before a process starts. Blocking."""
        self._folder.take()
        self._ports.check()
        self._layout = Layout(
            paths=self.paths, ports=self._ports, secrets=self._folder.secrets(), policies=self._policies
        )

    async def _start_children(self, specs: tuple[ChildSpec, ...]) -> None:
        self._children = {spec.name: _Child(spec) for spec in specs}
        self._link = await KeeperLink.open(lock=self._folder.lock_descriptor, log=self.paths.log("keeper"))
        self._watch(self._watch_keeper(self._link))
        # Programs first: they start while the keeper is busy with its imports.
        order = sorted(self._children.values(), key=lambda child: child.spec.module is not None)
        try:
            async with asyncio.TaskGroup() as group:
                for child in order:
                    if child.spec.module is not None and self._preloaded:
                        self._link.preload(self._preloaded)
                        self._preloaded = ()
                    if child.spec.after:
                        group.create_task(self._bring_up_after(child))
                    else:
                        self._launch(child)
                        group.create_task(self._bring_up(child))
        except ExceptionGroup as errors:
            refusals = errors.subgroup(StackError)
            if refusals is None:
                raise
            raise _first(refusals) from None

    async def _bring_up_after(self, child: _Child) -> None:
        for name in child.spec.after:
            await self._children[name].ready.wait()
        self._launch(child)
        await self._bring_up(child)

    async def _bring_up(self, child: _Child) -> None:
        await self._until_ready(child)
        if child.spec.readiness is not Readiness.ENDS_WELL:
            self._watch(self._look_after(child))

    def _launch(self, child: _Child) -> None:
        if self._link is None:
            raise RuntimeError("the keeper is not started")
        spec = child.spec
        child.ready.clear()
        self._tell(child, ChildState.STARTING)
        child.running = self._link.start(
            spec.name,
            program=spec.program,
            module=spec.module,
            arguments=spec.arguments,
            environment=spec.environment,
            log=self.paths.log(spec.name),
        )

    async def _until_ready(self, child: _Child) -> None:
        """Wait for readiness.

        Raises:
            StackError: The child ended, or took too long (and is killed).
        """
        running, spec = _running(child), child.spec
        sign = asyncio.create_task(_sign_of_readiness(spec, running))
        try:
            await _first_of(sign, running.exit, timeout=spec.ready_seconds)
            if sign.done():
                sign.result()
            elif self._link is not None and self._link.broken.is_set():
                raise self._keeper_failure(self._link)
            elif not running.over:
                await self._kill(running)
                raise self._failure(child, f"was not ready within {spec.ready_seconds:g} s")
            elif spec.readiness is not Readiness.ENDS_WELL or running.exit.result() != 0:
                raise self._failure(child, f"ended {_ending(running.exit.result())} before it was ready")
        finally:
            sign.cancel()
        child.ready.set()
        self._tell(child, ChildState.READY)

    def _failure(self, child: _Child, what: str, code: StackCode = StackCode.CHILD) -> StackError:
        log = self.paths.log(child.spec.name)
        return StackError(code, f"{child.spec.title} {what}; see {log}", log_tail=tail(log))

    # -- run ------------------------------------------------------------------------------------------------

    async def _look_after(self, child: _Child) -> None:
        """Start a child again whenever it dies, until it dies too often."""
        while True:
            code = await _running(child).ended()
            child.ready.clear()
            if self._link is None or self._link.broken.is_set():
                return  # the keeper's watcher has the word
            self._tell(child, ChildState.DIED, _ending(code))
            if self._too_many_deaths(child):
                self._tell(child, ChildState.GIVEN_UP)
                deaths, seconds = self._patience.deaths, self._patience.within_seconds
                what = f"died {deaths} times within {seconds:g} s, the last time {_ending(code)}"
                self._fail(self._failure(child, what, StackCode.GAVE_UP))
                return
            pause = min(
                self._patience.first_pause_seconds * 2 ** (len(child.deaths) - 1),
                self._patience.longest_pause_seconds,
            )
            self._tell(child, ChildState.RESTARTING, f"in {pause:.1f} s")
            await asyncio.sleep(pause)
            self._launch(child)
            # If it does not get ready it has ended, which the next turn counts as a death.
            with contextlib.suppress(StackError):
                await self._until_ready(child)

    def _too_many_deaths(self, child: _Child) -> bool:
        now = time.monotonic()
        child.deaths.append(now)
        while child.deaths[0] < now - self._patience.within_seconds:
            child.deaths.popleft()
        return len(child.deaths) >= self._patience.deaths

    async def _watch_keeper(self, link: KeeperLink) -> None:
        await link.broken.wait()
        self._fail(self._keeper_failure(link))

    def _keeper_failure(self, link: KeeperLink) -> StackError:
        log = self.paths.log("keeper")
        return StackError(
            StackCode.KEEPER,
            f"the process that keeps the others (process {link.pid}) ended; start the stack again, see {log}",
            log_tail=tail(log),
        )

    def _fail(self, error: StackError) -> None:
        if self._trouble is not None and not self._trouble.done():
            self._trouble.set_result(error)

    def _watch(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._watched)
        self._watchers.add(task)

    def _watched(self, task: asyncio.Task[None]) -> None:
        """Never let a child go unwatched in silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(
                StackError(StackCode.GAVE_UP, f"the supervision failed: {error!r}; start the stack again")
            )

    def _tell(self, child: _Child, state: ChildState, detail: str = "") -> None:
        if self._on_event is not None:
            self._on_event(
                StackEvent(
                    child=child.spec.name,
                    title=child.spec.title,
                    state=state,
                    seconds=time.monotonic() - self._started_at,
                    detail=detail,
                )
            )

    # -- stop -----------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        try:
            if self._preparing is not None:
                await asyncio.wait({self._preparing})
            for watcher in self._watchers:
                watcher.cancel()
            await asyncio.gather(*self._watchers, return_exceptions=True)
            if self._link is not None:
                for phase in Phase:
                    await asyncio.gather(
                        *(self._stop_child(c) for c in self._children.values() if c.spec.phase is phase)
                    )
                await self._link.close()
        finally:
            self._folder.release()
            if self._trouble is not None and not self._trouble.done():
                self._trouble.cancel()

    async def _stop_child(self, child: _Child) -> None:
        running = child.running
        if running is None or running.over or self._link is None:
            return
        self._tell(child, ChildState.STOPPING)
        self._link.signal(running, signal.SIGTERM)
        self._link.signal(running, signal.SIGCONT)  # a stopped process would not see the first
        hurry = asyncio.create_task(self._hurry.wait())
        await _first_of(hurry, running.exit, timeout=child.spec.stop_seconds)
        hurry.cancel()
        if running.exit.done():
            self._tell(child, ChildState.STOPPED)
            return
        await self._kill(running)
        why = "in a hurry" if self._hurry.is_set() else f"still ran after {child.spec.stop_seconds:g} s"
        self._tell(child, ChildState.KILLED, why)

    async def _kill(self, running: Running) -> None:
        if self._link is not None:
            self._link.signal(running, signal.SIGKILL, group=True)
            await asyncio.wait({running.exit}, timeout=_KILLED_SECONDS)


async def _first_of(task: asyncio.Task[Any], ended: asyncio.Future[int], *, timeout: float) -> None:  # noqa: ASYNC109 - the two may both be unfinished afterwards
    await asyncio.wait({task, ended}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


async def _sign_of_readiness(spec: ChildSpec, running: Running) -> None:
    if spec.probe is not None:
        await spec.probe()
    elif spec.readiness is Readiness.SAYS_SO:
        await running.said_ready.wait()
    else:
        await asyncio.Event().wait()  # its end, which the caller sees, is the sign


def _running(child: _Child) -> Running:
    if child.running is None:
        raise RuntimeError(f"{child.spec.name} was not started")
    return child.running


def _ending(code: int) -> str:
    if code >= 0:
        return f"with code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _first(errors: ExceptionGroup[StackError]) -> StackError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
