"""This process's end of the keeper: start children, signal them, hear of their lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tutti.local import _keeper
from tutti.local._errors import StackCode, StackError

_KEEPER_EXIT_SECONDS = 5.0
LOST = -signal.SIGKILL
"""Exit code reported for children whose keeper died: on Linux the kernel killed them with it."""


class Running:
    """One run of a child, from its start to its end."""

    def __init__(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.pid: asyncio.Future[int] = loop.create_future()
        self.exit: asyncio.Future[int] = loop.create_future()
        """Resolves to the exit code; negative for the signal that ended it."""
        self.said_ready = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self.exit.done()

    async def ended(self) -> int:
        """Wait for the end and return the exit code; cancelling the caller leaves `exit` alone."""
        await asyncio.wait({self.exit})
        return self.exit.result()


class KeeperLink:
    """Owns the keeper process. When this process dies, the link breaks and the keeper ends the children."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._runs: dict[int, Running] = {}
        self._count = 0
        self._closing = False
        self.broken = asyncio.Event()
        """Set when the keeper ends without having been told to."""
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def open(cls, *, lock: int, log: Path) -> KeeperLink:
        """Start the keeper.

        Args:
            lock: Descriptor of the folder's lock; the keeper holds it too, until it has ended all children.
            log: File for the keeper's own complaints.

        Raises:
            StackError: The interpreter cannot be started.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own interface
        try:
            with theirs:
                process = _spawn(theirs.fileno(), lock, log)
            reader, writer = await asyncio.open_connection(sock=ours)
        except OSError as error:
            ours.close()
            raise StackError(
                StackCode.KEEPER, f"cannot start {sys.executable}: {error.strerror}; run `make env` again"
            ) from None
        except BaseException:
            ours.close()  # the keeper, if it runs already, ends with it
            raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._process.pid

    def preload(self, modules: Sequence[str]) -> None:
        """Have the keeper import modules, so that children forked later need not."""
        self._send(op="preload", modules=list(modules))

    def start(  # noqa: PLR0913 - what a process consists of
        self,
        name: str,
        *,
        program: Sequence[str] = (),
        module: str | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str],
        log: Path,
    ) -> Running:
        """Start a child: a program with its arguments, or a Python module.

        Args:
            name: Short name; processes show it on Linux as `tutti-<name>`.
            program: Full path and arguments, if no module is given.
            module: Python module to run as a program.
            arguments: Its arguments.
            environment: The child's whole environment.
            log: File to which its output is appended.

        Returns:
            The run, whose process may not exist yet.
        """
        self._count += 1
        running = Running(self._count)
        if self.broken.is_set() or self._closing:
            running.pid.cancel()
            running.exit.set_result(LOST)
            return running
        self._runs[running.number] = running
        self._send(
            op="start",
            number=running.number,
            name=name,
            program=list(program),
            module=module,
            arguments=list(arguments),
            env=dict(environment),
            cwd=os.getcwd(),  # noqa: PTH109 - a string for the wire
            log=str(log),
        )
        return running

    def signal(self, running: Running, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to a child, or to its whole process group. Nothing happens if it has ended."""
        if not running.over:
            self._send(op="signal", number=running.number, signal=int(number), group=group)

    async def close(self) -> None:
        """Let the keeper end whatever still runs, and wait for its own end; bounded."""
        self._closing = True
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._listener
        try:
            await asyncio.to_thread(self._process.wait, _KEEPER_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _send(self, **request: object) -> None:
        self._writer.write(json.dumps(request).encode() + b"\n")

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except OSError:
            pass  # the keeper is gone, as at a regular end of the stream
        finally:
            for running in list(self._runs.values()):
                self._end(running, LOST)
            if not self._closing:
                self.broken.set()

    def _take(self, event: dict[str, Any]) -> None:
        running = self._runs[event["number"]]
        if event["event"] == "started":
            running.pid.set_result(event["pid"])
        elif event["event"] == "ready":
            running.said_ready.set()
        else:
            self._end(running, event["code"])

    def _end(self, running: Running, code: int) -> None:
        del self._runs[running.number]
        if not running.pid.done():
            running.pid.cancel()
        running.exit.set_result(code)


def _spawn(control: int, lock: int, log: Path) -> subprocess.Popen[bytes]:
    # By path and with -P: neither the current folder nor the package's own may shadow the children's modules.
    with log.open("ab") as complaints:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", _keeper.__file__, str(control), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=(control, lock),
            start_new_session=True,  # Ctrl-C in the terminal must reach the stack only
        )
