"""`tutti channel verify`: the conformance suite against a running worker, and how it is told."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from temporalio.client import Client

from governance import PolicySet, load_policy_set
from ledger import Ledger
from tutti.channels.bench import Bench, BrokenError, SkippedError
from tutti.channels.calling import calling, look_at_queue
from tutti.channels.probes import PROBES, Probe
from tutti.channels.subject import Subject, Touches, subject_of
from tutti.policies.sets import has_ledger, open_ledger, stored
from tutti.terminal import CommandError
from workflows import connect

if TYPE_CHECKING:
    from tutti.settings import Settings


class Result(StrEnum):
    """How a probe ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found.

    Attributes:
        name: The probe.
        demand: What was demanded.
        result: How it ended.
        why: What was seen.
        seconds: How long it took.
    """

    name: str
    demand: str
    result: Result
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for.

    Attributes:
        channel: The channel's name.
        policies: Folder of the policy set; None: the set in force, or the folder of the settings.
        task_queue: Where the worker listens, if not where the set says.
        to: Whom the synthetic touches are for.
        action: What kind they are.
        fields: Further values that the channel wants.
        probes: Names of the probes to run; empty: all.
    """

    channel: str
    policies: Path | None
    task_queue: str | None
    to: str
    action: str
    fields: dict[str, str]
    probes: tuple[str, ...]

    def chosen(self) -> tuple[Probe, ...]:
        """Return the probes to run.

        Raises:
            CommandError: There is no such probe.
        """
        known = {probe.name: probe for probe in PROBES}
        for name in self.probes:
            if name not in known:
                raise CommandError(f"there is no probe {name!r}; known are {', '.join(known)}")
        return tuple(known[name] for name in self.probes) or PROBES


async def verify_channel(out: Console, settings: Settings, request: Request, *, as_json: bool) -> int:
    """Run the suite and tell what it found.

    Args:
        out: Where to print.
        settings: Where ledger and policies are.
        request: What to check.
        as_json: Whether to print JSON and nothing else.

    Returns:
        Exit code: 0 if nothing failed.

    Raises:
        CommandError: The suite cannot run: no such channel, nobody polls the queue.
        EngineUnavailableError: The engine does not answer.
        LedgerError: The ledger cannot be used.
        PolicyError: The policy set has mistakes.
    """
    chosen = request.chosen()
    async with open_ledger(settings) as ledger:
        in_force = await ledger.release_in_force()
        if in_force is None:
            raise CommandError(
                "no policy set is in force, so nothing may be handed over; start the stack with `tutti up`, "
                "or run `tutti policy publish`"
            )
        policies, source = await policies_of(ledger, settings, request.policies)
        subject = subject_of(request.channel, policies, source, request.task_queue)
        client = await connect()
        run = uuid.uuid4().hex[:8]
        touches = Touches(subject.name, run, in_force.digest, request.to, request.action, request.fields)
        await _somebody_polls(client, subject)
        if not as_json:
            _tell_start(out, subject, request.to)
        tell: Callable[[Finding], None] = (lambda _: None) if as_json else lambda each: _tell(out, each)
        async with calling(client, subject.handover, run) as caller:
            bench = Bench(subject, touches, caller, ledger)
            try:
                findings = await run_probes(bench, chosen, tell)
            finally:
                await bench.give_back()
    failed = sum(each.result is Result.FAILED for each in findings)
    if as_json:
        report = {
            "channel": subject.name,
            "task_queue": subject.handover.task_queue,
            "run": run,
            "passed": not failed,
            "probes": [asdict(each) for each in findings],
        }
        out.print(json.dumps(report, indent=2), highlight=False, markup=False, soft_wrap=True)
    else:
        _tell_end(out, subject, findings, failed)
    return 1 if failed else 0


async def run_probes(bench: Bench, probes: Sequence[Probe], tell: Callable[[Finding], None]) -> list[Finding]:
    """Run probes one after the other.

    Args:
        bench: What they work with.
        probes: Which.
        tell: Called with each finding as soon as it is there.
    """
    findings = []
    for probe in probes:
        began = time.monotonic()
        try:
            result, why = Result.PASSED, await probe.check(bench)
        except BrokenError as error:
            result, why = Result.FAILED, str(error)
        except SkippedError as error:
            result, why = Result.SKIPPED, str(error)
        finding = Finding(probe.name, probe.demand, result, why, round(time.monotonic() - began, 2))
        findings.append(finding)
        tell(finding)
    return findings


@asynccontextmanager
async def ledger_of(settings: Settings) -> AsyncIterator[Ledger | None]:
    """Open the ledger, if there is one: a channel's team may run the check where there is none."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_ledger(settings)) if has_ledger(settings) else None


async def policies_of(
    ledger: Ledger | None, settings: Settings, folder: Path | None
) -> tuple[PolicySet, str]:
    """Return the set that describes the channel, and what to call it."""
    if folder is None and ledger is not None:
        release = await ledger.release_in_force()
        if release is not None:
            found = await stored(ledger, (f"release {release.number}", release.digest))
            return found.policies, found.label
    chosen = folder or settings.policies
    if not chosen.is_dir():
        raise CommandError(
            f"{chosen}: no such folder of policies, and no set is in force; name a folder with --policies"
        )
    return load_policy_set(chosen), str(chosen)


async def _somebody_polls(client: Client, subject: Subject) -> None:
    queue = subject.handover.task_queue
    state = await look_at_queue(client, queue)
    if not state.pollers:
        raise CommandError(
            f"no worker polls the task queue {queue} in namespace {client.namespace}; start the channel's "
            f"worker there, or name its queue with --task-queue"
        )


def _tell_start(out: Console, subject: Subject, to: str) -> None:
    handover = subject.handover
    out.print(
        Text.assemble(
            ("channel ", "dim"),
            (subject.name, "bold"),
            f" ({handover.delivery.value}{', takes back' if handover.recalls else ''})",
            (" on ", "dim"),
            handover.task_queue,
            (", as in ", "dim"),
            f"{subject.source}\n",
            (
                f"Touches are really sent, to {to} and through whatever the worker is connected to.\n",
                "yellow",
            ),
        ),
        highlight=False,
        soft_wrap=True,
    )


_LOOKS = {
    Result.PASSED: ("pass", "green"),
    Result.FAILED: ("FAIL", "bold red"),
    Result.SKIPPED: ("skip", "yellow"),
}


def _tell(out: Console, finding: Finding) -> None:
    word, style = _LOOKS[finding.result]
    out.print(
        Text.assemble(
            (word, style), f"  {finding.name:<17} {finding.demand}\n", (f"      {finding.why}", "dim")
        ),
        highlight=False,
        soft_wrap=True,
    )


def _tell_end(out: Console, subject: Subject, findings: Sequence[Finding], failed: int) -> None:
    skipped = sum(each.result is Result.SKIPPED for each in findings)
    passed = len(findings) - failed - skipped
    verdict = (
        (f"{subject.name} does not keep the contract: ", "bold red")
        if failed
        else (f"{subject.name} keeps the contract: ", "bold green")
    )
    out.print(
        Text.assemble("\n", verdict, f"{passed} passed, {failed} failed, {skipped} skipped"),
        highlight=False,
        soft_wrap=True,
    )
