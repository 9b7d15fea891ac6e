"""The keeper: a process that starts the children of a local stack and outlives none of its duties.

It runs apart from the stack's own process, so that children end even if that one is killed with SIGKILL:
the keeper then reads the end of its control socket, and ends every child's process group. On Linux the
kernel also kills the children should the keeper itself die.

It is single-threaded and imports the standard library only, until it is told to preload modules. Then
children that run a Python module are forked from it with these imports already done: on two cores, five
processes are up in 1.2 s rather than 3.2 s. A fork is safe in a process with one thread only; if an import
started another thread, or on macOS (whose system libraries refuse it), children are started as fresh
interpreters instead.

Control socket, one JSON object a line. To the keeper: `start` (number, name, log, env, cwd and either
program or module with arguments), `preload` (modules), `signal` (number, signal, group). From it: `started`
(number, pid), `ready` (number), `exited` (number, code; negative for a signal). `ready` means that the child
printed a line `{"ready": ...}`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

GRACE_SECONDS = 2.0
_CHUNK = 65_536
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CANNOT_START = 127  # the shell's convention


@dataclass(frozen=True)
class Job:
    """What a forked child is to become: a Python module run as a program."""

    module: str
    arguments: tuple[str, ...]

    def run(self) -> None:
        """Run the module as `python -m` would."""
        sys.argv = [self.module, *self.arguments]
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)


class Become(BaseException):
    """Leaves the keeper's loop in a forked child; no handler for ordinary exceptions may catch it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.module)
        self.job = job


@dataclass
class Child:
    """A running child, its output pipe and its log."""

    number: int
    pid: int
    output: int
    log: int
    ready: bool = False
    rest: bytes = b""
    open: bool = True


class Keeper:
    """Starts, watches and ends children until the control socket closes."""

    def __init__(self, control: socket.socket, *, lock: int) -> None:
        self._control = control
        self._lock = lock
        self._children: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._wakeup, self._wakeup_end = os.pipe()
        for end in (self._wakeup, self._wakeup_end):
            os.set_blocking(end, False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        for number in _HANDLED:
            signal.signal(number, _noted)  # with a handler the number reaches the wake-up pipe
        signal.set_wakeup_fd(self._wakeup_end)
        self._requests = b""
        self._asked_to_end = False
        # Loaded before any fork; only Linux has the call.
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None

    def run(self) -> None:
        """Serve until the stack's process closes the control socket, dies, or the keeper is told to end."""
        while not self._asked_to_end:
            self._turn(None)
        self._end_all()

    # -- events -------------------------------------------------------------------------------------------

    def _turn(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._control:
                self._read_requests()
            elif key.fd == self._wakeup:
                self._read_signals()
            elif key.data.open:  # collecting a child closes its output, whatever this round still says of it
                self._pump(key.data)

    def _read_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            numbers = os.read(self._wakeup, _CHUNK)
            if any(number != signal.SIGCHLD for number in numbers):
                self._asked_to_end = True
        self._collect()

    def _read_requests(self) -> None:
        try:
            data = self._control.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            self._asked_to_end = True
            self._selector.unregister(self._control)
            return
        *lines, self._requests = (self._requests + data).split(b"\n")
        for line in lines:
            request: dict[str, Any] = json.loads(line)
            if request["op"] == "start":
                self._start(request)
            elif request["op"] == "preload":
                _preload(request["modules"])
            else:
                self._signal(request)

    def _report(self, **event: object) -> None:
        # If nobody listens any more, the end of the socket says so in the next turn.
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(event).encode() + b"\n")

    # -- children -----------------------------------------------------------------------------------------

    def _start(self, request: dict[str, Any]) -> None:
        number = int(request["number"])
        try:
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            log = os.open(os.devnull, os.O_WRONLY)  # no room for logs is no reason to leave a child down
        output, output_end = os.pipe()
        execute = request["module"] is None or not _may_fork()  # asked here: a fork has always one thread
        pid = os.fork()
        if pid == 0:
            os.close(output)
            os.close(log)
            self._become_child(request, output_end, execute=execute)
        with contextlib.suppress(OSError):  # the child does the same; whoever comes first
            os.setpgid(pid, pid)
        os.close(output_end)
        os.set_blocking(output, False)
        child = Child(number=number, pid=pid, output=output, log=log)
        self._children[number] = child
        self._selector.register(output, selectors.EVENT_READ, child)
        self._report(event="started", number=number, pid=pid)

    def _become_child(self, request: dict[str, Any], output: int, *, execute: bool) -> NoReturn:
        """In the fork: take on the child's surroundings, then run its program. Never returns."""
        try:
            self._let_go()
            os.setpgid(0, 0)
            self._tie_to_keeper(request["name"])
            source = os.open(os.devnull, os.O_RDONLY)
            for descriptor, standard in ((source, 0), (output, 1), (output, 2)):
                os.dup2(descriptor, standard)
            os.close(source)
            os.close(output)
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            if execute:
                _execute(request)
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        except BaseException as error:  # noqa: BLE001 - a fork must never run on as a second keeper
            with contextlib.suppress(OSError):
                os.write(2, f"cannot start: {error}\n".encode())
            os._exit(_CANNOT_START)
        raise Become(Job(request["module"], tuple(request["arguments"])))

    def _let_go(self) -> None:
        """Give up everything that is the keeper's: descriptors and signal handlers."""
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._selector.close()
        self._control.close()
        for descriptor in (self._wakeup, self._wakeup_end, self._lock):
            os.close(descriptor)
        for sibling in self._children.values():
            os.close(sibling.log)
            if sibling.open:
                os.close(sibling.output)

    def _tie_to_keeper(self, name: str) -> None:
        if self._prctl is None:
            return
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self._prctl(_PR_SET_NAME, f"tutti-{name}".encode()[:15], 0, 0, 0)

    def _pump(self, child: Child) -> None:
        """Move output to the log and look for the line that says the child is ready."""
        try:
            data = os.read(child.output, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._close_output(child)
            return
        with contextlib.suppress(OSError):  # a full disk must not stop the child
            os.write(child.log, data)
        if not child.ready:
            *lines, child.rest = (child.rest + data).split(b"\n")
            child.rest = child.rest[-_CHUNK:]
            if any(_says_ready(line) for line in lines):
                child.ready = True
                child.rest = b""
                self._report(event="ready", number=child.number)

    def _close_output(self, child: Child) -> None:
        if child.open:
            child.open = False
            self._selector.unregister(child.output)
            os.close(child.output)

    def _signal(self, request: dict[str, Any]) -> None:
        child = self._children.get(int(request["number"]))
        if child is None:
            return  # it ended meanwhile; `exited` is on its way
        # Only `_collect` frees a pid, so this one is the child's for certain.
        with contextlib.suppress(OSError):
            (os.killpg if request["group"] else os.kill)(child.pid, request["signal"])

    def _collect(self) -> None:
        for child in list(self._children.values()):
            status = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if status is None:
                continue
            # While the leader is not collected, its group id cannot pass to strangers.
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            _, code = os.waitpid(child.pid, 0)
            self._drain(child)
            os.close(child.log)
            del self._children[child.number]
            self._report(event="exited", number=child.number, code=os.waitstatus_to_exitcode(code))

    def _drain(self, child: Child) -> None:
        """Take what the child wrote last; bounded, since a stranger might hold the pipe open and write on."""
        for _ in range(64):
            if not child.open:
                return
            before = _readable(child.output)
            if not before:
                break
            self._pump(child)
        self._close_output(child)

    def _end_all(self) -> None:
        """End every child: ask, wait a little, kill."""
        for child in self._children.values():
            for number in (signal.SIGTERM, signal.SIGCONT):  # a stopped process would not see the first
                with contextlib.suppress(OSError):
                    os.kill(child.pid, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._children and (left := deadline - time.monotonic()) > 0:
            self._turn(left)
            self._collect()
        for child in self._children.values():
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
        while self._children:
            self._turn(0.05)
            self._collect()


def _noted(_number: int, _frame: object) -> None:
    """Do nothing: the wake-up pipe carries the news."""


def _says_ready(line: bytes) -> bool:
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        said = json.loads(line)
    except ValueError:
        return False
    return isinstance(said, dict) and "ready" in said


def _readable(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _may_fork() -> bool:
    """Whether this process has one thread only and the platform allows a fork to go on as a program."""
    try:
        return sys.platform == "linux" and sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
    except OSError:
        return False


def _execute(request: dict[str, Any]) -> NoReturn:
    program: list[str] = request["program"]
    if request["module"] is not None:
        program = [sys.executable, "-P", "-u", "-m", request["module"], *request["arguments"]]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvpe(program[0], program, os.environ)  # noqa: S606 - no shell is the point


def _preload(modules: list[str]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - the child that needs it fails with the full story
            sys.stderr.write(f"could not preload {module}: {error!r}\n")
    # Keeps the collector from touching, and so copying, the pages that children share.
    gc.collect()
    gc.freeze()


def main() -> None:
    """Run the keeper: `_keeper.py CONTROL_FD LOCK_FD`. In a forked child: run its module instead."""
    control, lock = (int(argument) for argument in sys.argv[1:3])
    for inherited in (control, lock):
        os.set_inheritable(inherited, False)  # noqa: FBT003 - positional only
    try:
        Keeper(socket.socket(fileno=control), lock=lock).run()
    except Become as become:
        job = become.job
    else:
        return
    job.run()


if __name__ == "__main__":
    main()
