"""Children are started, watched, restarted and ended; nothing outlives the stack."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.local.helpers import SECONDS, alive, children, names, until, until_gone
from tutti.local import (
    Children,
    ChildSpec,
    ChildState,
    Layout,
    LocalStack,
    Patience,
    Phase,
    Ports,
    StackCode,
    StackError,
    StackEvent,
    serve,
)

EAGER = Patience(deaths=3, within_seconds=30, first_pause_seconds=0.01, longest_pause_seconds=0.02)


def stack_of(home: Path, decide: Children, events: list[StackEvent] | None = None) -> LocalStack:
    return LocalStack(
        home,
        ports=Ports.free(),
        children=decide,
        preloaded=(),
        patience=EAGER,
        on_event=None if events is None else events.append,
    )


async def test_all_are_up_when_it_says_so_and_none_is_left_when_it_is_stopped(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, children(gateway="steady", worker="steady", sinks="steady", tables="once"))
    async with stack:
        pids = stack.pids()
        assert pids.keys() == {"keeper", "gateway", "worker", "sinks"}
        assert all(alive(pid) for pid in pids.values())

    assert not any(alive(pid) for pid in pids.values())


async def test_it_stops_gateway_workers_sinks_and_server_in_this_order(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    async with stack_of(
        tmp_path, children(temporal="steady", sinks="steady", worker="steady", gateway="steady"), events
    ):
        events.clear()

    assert [(event.child, event.state.value) for event in events] == [
        (child, state)
        for child in ("gateway", "worker", "sinks", "temporal")
        for state in ("stopping", "stopped")
    ]


async def test_a_child_that_does_not_stop_is_killed_after_its_time(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    async with stack_of(tmp_path, children(worker="stubborn"), events) as stack:
        pids = stack.pids()
        started = time.monotonic()

    assert time.monotonic() - started < 5
    assert events[-1].state is ChildState.KILLED
    assert not any(alive(pid) for pid in pids.values())


async def test_a_child_that_is_killed_is_started_again_for_all_to_see(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    async with stack_of(tmp_path, children(worker="steady", gateway="steady"), events) as stack:
        before = stack.pids()
        events.clear()

        stack.kill("worker")

        await until(lambda: ChildState.READY in [event.state for event in events], "the restart")
        after = stack.pids()

    assert [event.state for event in events[:4]] == [
        ChildState.DIED,
        ChildState.RESTARTING,
        ChildState.STARTING,
        ChildState.READY,
    ]
    assert events[0].detail == "by SIGKILL"
    assert after["worker"] != before["worker"]
    assert after["gateway"] == before["gateway"]


async def test_what_a_killed_child_had_started_dies_with_it(tmp_path: Path) -> None:
    async with stack_of(tmp_path, children(worker="parent")) as stack:
        own = int(stack.paths.log("worker").read_text().split()[1])
        assert alive(own)

        stack.kill("worker", signal.SIGTERM)

        await until(lambda: not alive(own), "the end of the child's child")


async def test_it_gives_up_on_a_child_that_dies_again_and_again(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    async with stack_of(tmp_path, children(worker="brief", gateway="steady"), events) as stack:
        with pytest.raises(StackError) as caught:
            await asyncio.wait_for(stack.wait(), SECONDS)

    assert caught.value.code is StackCode.GAVE_UP
    assert "stand-in worker died 3 times within 30 s, the last time with code 4" in str(caught.value)
    assert str(stack.paths.log("worker")) in str(caught.value)
    assert '"ready": "brief"' in caught.value.log_tail[-1]
    assert ChildState.GIVEN_UP in [event.state for event in events]


async def test_a_child_that_fails_at_the_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    stack = stack_of(tmp_path, children(gateway="steady", worker="broken"), events)
    with pytest.raises(StackError, match="stand-in worker ended with code 3 before it was ready") as caught:
        await stack.start()

    assert caught.value.log_tail == ("the policy file is gone",)
    assert stack.pid("gateway") is None


async def test_a_child_that_never_gets_ready_is_named(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, children(gateway="steady", worker="mute"))
    with pytest.raises(StackError, match="stand-in worker was not ready within 1 s"):
        await stack.start()

    assert stack.pid("worker") is None


async def test_a_program_that_cannot_run_is_reported_like_any_other_failure(tmp_path: Path) -> None:
    def decide(layout: Layout) -> tuple[ChildSpec, ...]:
        return (
            ChildSpec("worker", "worker", Phase.WORKER, layout.environment, program=("/no/such/program",)),
        )

    with pytest.raises(StackError, match="worker ended with code 127") as caught:
        await stack_of(tmp_path, decide).start()

    assert "No such file" in caught.value.log_tail[-1]


async def test_the_start_can_be_cancelled(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, children(gateway="steady", worker="mute"))
    start = asyncio.create_task(stack.start())
    await until((stack.paths.logs / "gateway.log").exists, "a first child")
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start

    async with stack_of(tmp_path, children(worker="steady")) as successor:
        assert successor.pid("worker")


async def test_children_share_preloaded_modules_and_carry_a_name(tmp_path: Path) -> None:
    stack = LocalStack(
        tmp_path, ports=Ports.free(), children=children(worker="steady"), preloaded=("json", "no.such.module")
    )
    async with stack:
        short, command = names(stack.pids()["worker"])
        assert short == "tutti-worker"
        assert "_keeper.py" in command  # forked, not started anew
        assert "could not preload no.such.module" in stack.paths.log("keeper").read_text()


async def test_children_get_the_secrets_of_the_folder(tmp_path: Path) -> None:
    async with stack_of(tmp_path, children(worker="steady")) as stack:
        said = json.loads(stack.paths.log("worker").read_text())

    assert said["key"] == stack.layout.secrets.signing_key.get_secret_value()


async def test_without_its_keeper_the_stack_cannot_go_on_and_no_child_does(tmp_path: Path) -> None:
    async with stack_of(tmp_path, children(worker="stubborn", gateway="steady")) as stack:
        pids = stack.pids()
        os.kill(pids["keeper"], signal.SIGKILL)

        with pytest.raises(StackError) as caught:
            await asyncio.wait_for(stack.wait(), SECONDS)
        await until_gone(pids)

    assert caught.value.code is StackCode.KEEPER


class OwnStack:
    """A stack in another process, ready."""

    def __init__(self, home: Path, worker: str = "steady") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.local.own_stack", str(home), worker], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.pids: dict[str, int] = json.loads(self.process.stdout.readline())

    def end(self, *numbers: signal.Signals) -> int:
        assert self.process.stdout is not None
        for number in numbers:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self.process.stdout.close()
        return code


async def test_no_process_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    own = await asyncio.to_thread(OwnStack, tmp_path)
    assert own.pids.keys() == {"keeper", "gateway", "worker", "sinks"}

    own.end(signal.SIGKILL)

    await until_gone(own.pids, seconds=5)  # the sinks ignore SIGTERM: they get 2 s


async def test_a_stack_starts_right_after_one_that_was_killed(tmp_path: Path) -> None:
    own = await asyncio.to_thread(OwnStack, tmp_path)
    own.end(signal.SIGKILL)

    async with stack_of(tmp_path, children(worker="steady")):
        left = {name: pid for name, pid in own.pids.items() if alive(pid)}

    assert left.keys() <= {"keeper"}  # which lets go of the folder as its last act


async def test_ctrl_c_stops_in_order_and_in_time(tmp_path: Path) -> None:
    own = await asyncio.to_thread(OwnStack, tmp_path)

    assert await asyncio.to_thread(own.end, signal.SIGINT) == 0
    assert not any(alive(pid) for pid in own.pids.values())


async def test_a_second_ctrl_c_does_not_wait_for_a_child_that_takes_its_time(tmp_path: Path) -> None:
    events: list[StackEvent] = []

    def decide(layout: Layout) -> tuple[ChildSpec, ...]:
        (patient,) = children(worker="stubborn")(layout)
        return (ChildSpec(**{**vars(patient), "stop_seconds": 600.0}),)

    stack = stack_of(tmp_path, decide, events)
    life = asyncio.create_task(serve(stack))
    await until(lambda: ChildState.READY in [event.state for event in events], "the start")

    signal.raise_signal(signal.SIGINT)
    await until(lambda: events[-1].state is ChildState.STOPPING, "the first to be heard")
    signal.raise_signal(signal.SIGINT)
    await life

    assert events[-1].detail == "in a hurry"
