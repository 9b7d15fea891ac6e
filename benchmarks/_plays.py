"""What a step of a play costs, and how fast an exit signal ends everything that is scheduled."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks._figures import Figure, at_most
from benchmarks._history import history_of, parts
from benchmarks._stage import ROOT, MeasurementError, Stage, staged
from domain import (
    Account,
    AccountStatus,
    Consent,
    Contact,
    Observation,
    Proposal,
    ProposalStatus,
    Role,
    Signal,
    SignalKind,
    Tier,
)
from governance import PolicySet, interpret, load_policy_set

NAME = "plays"
ACCOUNTS = 200
"""Accounts in the middle of a play whose exit is timed."""
AT_ONCE = 10
STEPS = 4
TARGET_SECONDS = 1.0

_PEOPLE = (Role.CHAMPION, Role.DECISION_MAKER, Role.INFLUENCER, Role.PRACTITIONER)
_HEAD = """\
id: {play}
name: Measured
actor: sdr-agent
priority: 50
lasts_at_most: 60d
goal: {{on: [meeting_booked], message: A meeting is booked.}}
entry: {{on: [{kind}]}}
reentry: never
exit:
  - {{id: replied, on: [reply], message: Somebody answered.}}
steps:
"""
_TOUCH = """\
  - id: mail-{number}
    touch: {{channel: email, action: send_email, to: [{role}], content: measured, value: 20000,
            propensity: 0.3, confidence: 0.9, expires_in: 20d}}
"""
_WAIT = """\
  - id: wait-{number}
    wait: {{for: {length}}}
"""
_CONTENT = """\
id: measured
subject: A thought for {{ account.name }}
text: Hello {{ contact.first_name }}, may we talk?
"""


async def measure() -> list[Figure]:
    """Count the events of a play's steps, and time exits in the middle of one."""
    async with staged(_policies) as stage:
        touches = await _events_of(stage, "touches", SignalKind.INTENT_SURGE)
        waits = await _events_of(stage, "waits", SignalKind.FORM_SUBMISSION)
        seconds = await _exits(stage)
    cuts = statistics.quantiles(seconds, n=100)
    return [
        _per_step("history events per touch step of a play, ruling to ledger", touches),
        _per_step("history events per wait step of a play", waits),
        Figure(
            benchmark=NAME,
            what="exit signal until nothing is scheduled any more, p99",
            value=cuts[98] * 1_000,
            unit="ms",
            target=at_most(TARGET_SECONDS * 1_000),
            note=f"{len(seconds)} accounts, {AT_ONCE} at a time; median {cuts[49] * 1_000:.0f} ms, "
            f"longest {max(seconds) * 1_000:.0f} ms; each with a play in a long wait and a scheduled touch "
            "of somebody else; signal and proof together",
        ),
    ]


def _per_step(what: str, measured: tuple[int, str]) -> Figure:
    events, how = measured
    note = f"{events} events for {STEPS} steps, entry and end of the play included: {how}"
    return Figure(benchmark=NAME, what=what, value=events / STEPS, unit="events", note=note)


def _policies(folder: Path) -> PolicySet:
    """Compile the demo's set with a short rest between touches and the plays that are measured."""
    copy = folder / "policies"
    shutil.copytree(ROOT / "examples" / "demo" / "policies", copy)
    _edit(copy / "timing.yaml", "decision_window: 2s", "decision_window: 1s")
    _edit(copy / "timing.yaml", "at_least: 12s", "at_least: 0.1s")
    _edit(copy / "frequency.yaml", "limit: 2\n    window: 14s", "limit: 20\n    window: 14s")
    _edit(copy / "frequency.yaml", "limit: 3\n    window: 14s", "limit: 20\n    window: 14s")
    (copy / "plays").mkdir(exist_ok=True)
    (copy / "content").mkdir(exist_ok=True)
    mails = "".join(_TOUCH.format(number=n, role=role.value) for n, role in enumerate(_PEOPLE))
    waits = "".join(_WAIT.format(number=n, length="1s") for n in range(STEPS))
    long = _TOUCH.format(number=0, role=Role.CHAMPION.value) + _WAIT.format(number=0, length="30d")
    for play, kind, steps in (
        ("touches", "intent_surge", mails),
        ("waits", "form_submission", waits),
        ("long", "meeting_held", long),
    ):
        text = _HEAD.format(play=play, kind=kind) + steps
        (copy / "plays" / f"{play}.yaml").write_text(text, encoding="utf-8")
    (copy / "content" / "measured.yaml").write_text(_CONTENT, encoding="utf-8")
    return load_policy_set(copy)


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    if old not in text:
        msg = f"{file} is not laid out as expected: it does not say {old!r}"
        raise MeasurementError(msg)
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def _profile(account_id: str) -> list[Observation]:
    people = [
        Contact(
            contact_id=f"{account_id}-{role.value}",
            name="Sam Doe",
            email=f"{role.value}@{account_id}.example.com",
            role=role,
            country="GB",
            consent=Consent.GRANTED,
        )
        for role in _PEOPLE
    ]
    profile = Account(account_id=account_id, name=account_id, country="GB", tier=Tier.ONE)
    return [profile, *people]


async def _seen(stage: Stage, account_id: str, kind: SignalKind) -> None:
    signal = Signal(signal_id=kind.value, source="bench", kind=kind, observed_at=datetime.now(UTC))
    await stage.accounts.observe(account_id, [interpret(stage.policies, signal)])


async def _events_of(stage: Stage, account_id: str, kind: SignalKind) -> tuple[int, str]:
    """Run a play from its entry to its end; return the events it took and their parts."""
    people = _profile(account_id)
    await stage.accounts.observe(account_id, people)
    await stage.status_when(account_id, lambda s: s.contacts == len(people) - 1, "the profile")
    before = len((await history_of(stage.client, account_id)).events)
    await _seen(stage, account_id, kind)
    status = await stage.status_when(account_id, lambda s: bool(s.ended_plays), "the end of the play")
    (run,) = status.ended_plays
    if any(step.status is not ProposalStatus.SENT for step in run.steps):
        msg = f"a step of {run.run_id} was not sent"
        raise MeasurementError(msg)
    await stage.status_when(account_id, lambda s: s.unsent_facts == 0, "an empty outbox")
    events = (await history_of(stage.client, account_id)).since(before)
    return len(events), parts(events)


async def _exits(stage: Stage) -> list[float]:
    """Time, for each account, from its exit signal until a look at it shows nothing scheduled."""
    ids = [f"exit-{number}" for number in range(ACCOUNTS)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def prepared(account_id: str) -> None:
        async with gate:
            await stage.accounts.observe(account_id, _profile(account_id))
            await stage.accounts.propose(account_id, _scheduled(account_id))
            await _seen(stage, account_id, SignalKind.MEETING_HELD)
            await stage.status_when(account_id, _in_the_middle, "the play to wait")

    async def timed(account_id: str) -> float:
        async with gate:
            began = time.perf_counter()
            await _seen(stage, account_id, SignalKind.REPLY)
            await stage.status_when(account_id, _is_clear, "everything to be cancelled")
            return time.perf_counter() - began

    await asyncio.gather(*(prepared(each) for each in ids))
    return list(await asyncio.gather(*(timed(each) for each in ids)))


def _scheduled(account_id: str) -> Proposal:
    """A proposal that waits for weeks."""
    return Proposal(
        proposal_id="later",
        actor="sdr-agent",
        action="send_email",
        channel="email",
        contact_id=f"{account_id}-{Role.INFLUENCER.value}",
        value=1_000,
        propensity=0.2,
        confidence=0.9,
        earliest=datetime.now(UTC).replace(year=datetime.now(UTC).year + 1),
        expires_at=None,
    )


def _in_the_middle(status: AccountStatus) -> bool:
    return bool(status.plays) and status.plays[0].step == "wait-0"


def _is_clear(status: AccountStatus) -> bool:
    return not status.plays and all(view.status.final for view in status.proposals)
