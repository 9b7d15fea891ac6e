"""Whole plays over a quarter: the real engine with its real channels, and the simulator, tell the same story.

The clock of the server jumps over every wait. The people live where clocks are changed while their play runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.testservice.v1 import UnlockTimeSkippingRequest
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
)
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.channels import ChannelEnvironment, ExecutiveSettings, StartTls
from activities.channels import executive as executive_channel
from domain import (
    Account,
    Answered,
    Contact,
    Event,
    Observed,
    OutcomeReported,
    PlayFact,
    PlayRun,
    PlayStatus,
    Reading,
    SignalKind,
    Touch,
    TouchFact,
    TouchStatus,
)
from domain import (
    Stage as HowFar,
)
from governance import PolicySet
from governance.plays._play import Wait
from tests.builders import account, signal
from tests.channels.vendors import World, vendors
from tests.plays.walking import PEOPLE, STIMULI, Recording, agreement, person
from tests.workflows.stage import LINKS, ROOT, Stage, staged
from tests.workflows.test_two_shells import CLOSE
from workflows import workflow_id

AGREE: Final = "people agree"
LOOK_SECONDS: Final = 1.5
QUARTER: Final = timedelta(days=90)
DAY: Final = timedelta(days=1)
VENDORS: Final = ("sdr_task", "web_personalization", "paid_media")
DIRECTORY: Final = "tom.okafor: {name: Tom Okafor, email: tom.okafor@seller.example.com}\n"


@dataclass(frozen=True)
class Script:
    """What happens to one account: when, counted from the start, and what."""

    play_id: str
    zone: str
    country: str
    start: str
    """The local hour at which the play begins."""
    happens: tuple[tuple[timedelta, str], ...] = ()
    """Stimuli by name, after the one that starts the play."""
    begins_with: tuple[str, ...] = ()
    """Stimuli before the signal that starts it."""
    signal: SignalKind = SignalKind.INTENT_SURGE
    stage: HowFar = HowFar.EVALUATING
    urgency: float = 0.7
    changes: str = ""
    """The local day on which the clocks are changed while it runs."""

    def __str__(self) -> str:
        return f"{self.play_id}-{self.zone.rpartition('/')[2]}-{self.start[:10]}"


SCRIPTS: Final = (
    Script("surge-response", "Europe/Berlin", "DE", "2027-03-15 09:00", changes="2027-03-28"),
    Script("surge-response", "Australia/Sydney", "AU", "2027-09-20 11:00", changes="2027-10-03"),
    Script(
        "surge-response",
        "America/New_York",
        "US",
        "2027-11-03 15:00",
        happens=((5 * DAY, "outcome click"),),
        changes="2027-11-07",
    ),
    Script(
        "champion-nurture",
        "America/New_York",
        "US",
        "2027-03-01 10:00",
        happens=((20 * DAY, "outcome click"),),
        signal=SignalKind.FORM_SUBMISSION,
        stage=HowFar.ENGAGED,
        changes="2027-03-14",
    ),
    Script(
        "champion-nurture",
        "Europe/Berlin",
        "DE",
        "2027-10-11 10:00",
        signal=SignalKind.FORM_SUBMISSION,
        stage=HowFar.ENGAGED,
        changes="2027-10-31",
    ),
    Script(
        "event-follow-up",
        "Australia/Sydney",
        "AU",
        "2027-04-01 16:00",
        signal=SignalKind.MEETING_HELD,
        stage=HowFar.ENGAGED,
        changes="2027-04-04",
    ),
    Script(
        "renewal-risk",
        "America/New_York",
        "US",
        "2027-11-01 09:30",
        begins_with=("case of severity 1",),
        signal=SignalKind.STAGE_CHANGE,
        stage=HowFar.CUSTOMER,
        changes="2027-11-07",
    ),
    Script(
        "executive-sponsor-introduction",
        "Europe/Berlin",
        "DE",
        "2027-03-22 09:00",
        happens=((timedelta(days=3, hours=2), AGREE),),
        signal=SignalKind.STAGE_CHANGE,
        changes="2027-03-28",
    ),
)


def started_at(script: Script) -> datetime:
    local = datetime.strptime(script.start, "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo(script.zone))
    return local.astimezone(UTC)


def profile(script: Script, account_id: str) -> list[Account | Contact]:
    where = {"time_zone": script.zone, "country": script.country}
    company = account(
        account_id, tier="tier_1", domain="northwind.example.com", owner="lena.fischer", **where
    )
    people = [
        person(name, role=role, consent_at=started_at(script) - DAY, **where) for name, role in PEOPLE.items()
    ]
    return [company, *people]


Sent = list[tuple[datetime, tuple[Event, ...]]]


def simulated(script: Script, set_: PolicySet, account_id: str) -> tuple[Recording, Sent]:
    """Play a script in virtual time, and note everything that was reported, and when."""
    start = started_at(script)
    sim = Recording(set_, account_id, start)
    sent: Sent = []

    def report(*events: Event) -> None:
        sent.append((sim.now, events))
        sim.send(events)

    report(*(Observed(observation=each) for each in profile(script, account_id)))
    for name in script.begins_with:
        report(*STIMULI[name](sim))
    reading = Reading(
        system="crm", stage=script.stage, urgency=script.urgency, confidence=1.0, observed_at=start
    )
    begins = signal("begins", kind=script.signal, source="crm", observed_at=start, reading=reading)
    # One play in each test: what else the signal may start would have to wait anyway.
    report(Observed(observation=begins.model_copy(update={"enters": (script.play_id,)})))
    for after, name in script.happens:
        sim.run_to(start + after)
        report(*(agreement(sim) if name == AGREE else STIMULI[name](sim)))
    sim.run_to(start + QUARTER)
    return sim, sent


@asynccontextmanager
async def every_channel(stage: Stage, folder: Path) -> AsyncIterator[World]:
    """Run the channels that a stage does not: three in front of vendors, and the executive one."""
    directory = folder / "executives.yaml"
    directory.write_text(DIRECTORY, encoding="utf-8")
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(vendors(stage.ledger, folder / "vendors.jsonl"))
        activities = {name: world.channel(name) for name in VENDORS}
        activities["executive"] = executive_channel.build(
            ChannelEnvironment(ledger=stage.ledger, unsubscribe=LINKS),
            ExecutiveSettings(
                host="127.0.0.1",
                port=stage.relay.port,
                sender="Tutti <tutti@seller.example.com>",
                starttls=StartTls.OFF,
                directory=directory,
            ),
        )
        for name, each in activities.items():
            queue = stage.policies.channels[name].handover.task_queue
            await stack.enter_async_context(Worker(stage.client, task_queue=queue, activities=list(each)))
        yield world


async def described(stage: Stage) -> DescribeWorkflowExecutionResponse:
    """Describe the account's workflow as the server does; the client cannot read this one's dates."""
    return await stage.client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=stage.client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id(stage.account_id)),
        )
    )


async def nothing_under_way(stage: Stage) -> bool:
    told = await described(stage)
    return not told.pending_activities and not told.HasField("pending_workflow_task")


async def played(environment: WorkflowEnvironment, stage: Stage, sent: Sent, until: datetime) -> None:
    """Report to the real account what was reported to the simulated one, at the same moments."""

    async def sleep_to(moment: datetime) -> None:
        left = max(moment - await environment.get_current_time(), timedelta(0))
        asleep = asyncio.create_task(environment.sleep(left))
        idle = 0
        while not (await asyncio.wait({asleep}, timeout=LOOK_SECONDS))[0]:
            idle = idle + 1 if await nothing_under_way(stage) else 0
            if idle > 1:
                # What was under way when a run continued as new holds this server's clock for good.
                await environment.client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest())
                idle = 0
        await asleep

    for moment, events in sent:
        await sleep_to(moment)
        seen = [event.observation for event in events if isinstance(event, Observed)]
        if seen:
            await stage.accounts.observe(stage.account_id, seen)
        for event in events:
            if isinstance(event, OutcomeReported):
                await stage.accounts.report_outcome(stage.account_id, event.outcome)
            elif isinstance(event, Answered):
                await stage.accounts.answer(stage.account_id, event.answer)
    await sleep_to(until)


def made_in(facts: Sequence[object]) -> dict[str, tuple[datetime, TouchStatus, Touch]]:
    return {
        fact.touch.touch_id: (fact.at, fact.status, fact.touch)
        for fact in facts
        if isinstance(fact, TouchFact) and fact.receipt is not None
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
async def test_a_whole_play_is_the_same_on_the_engine_and_in_the_simulator(
    script: Script, time_skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    # The first one also starts its workflow anew every few events, and keeps none of it in memory.
    small = script is SCRIPTS[0]
    async with (
        staged(
            time_skipping.client,
            tmp_path,
            edits={},
            original=ROOT / "policies",
            channels=("email",),
            continue_after_events=60 if small else 10_000,
            max_cached_workflows=0 if small else 1_000,
        ) as stage,
        every_channel(stage, tmp_path),
    ):
        sim, sent = simulated(script, stage.policies, stage.account_id)
        await played(time_skipping, stage, sent, started_at(script) + QUARTER)
        status = await stage.status_when(lambda s: s.unsent_facts == 0, "an empty outbox")
        real = made_in(await stage.ledger.touches(stage.account_id, limit=1_000))
        if small:
            told = (await described(stage)).workflow_execution_info
            assert told.execution.run_id != told.first_run_id
        await stage.handle.terminate()

    virtual = made_in((*sim.facts, *sim.state.outbox))
    assert {touch_id: status for touch_id, (_, status, _) in real.items()} == {
        touch_id: status for touch_id, (_, status, _) in virtual.items()
    }
    for touch_id, (at, _, touch) in real.items():
        assert abs(at - virtual[touch_id][0]) < CLOSE, touch_id
        expected = virtual[touch_id][2]
        assert (touch.subject, touch.text, touch.html, touch.fields, touch.recipient) == (
            expected.subject,
            expected.text,
            expected.html,
            expected.fields,
            expected.recipient,
        )
    assert len(virtual) >= 2
    assert {status for _, status, _ in virtual.values()} == {TouchStatus.HANDED_OVER}
    (ended,), (alone,) = status.ended_plays, tuple(sim.state.ended_runs.values())
    same_end(ended, alone)
    on_their_clocks(script, sim, alone)


def same_end(real: PlayRun, virtual: PlayRun) -> None:
    assert (real.run_id, real.status, real.end_id, real.end_message, real.step, real.moves) == (
        virtual.run_id,
        virtual.status,
        virtual.end_id,
        virtual.end_message,
        virtual.step,
        virtual.moves,
    )
    assert [(s.step, s.proposal_id, s.channel, s.contact_id, s.status, s.reason) for s in real.steps] == [
        (s.step, s.proposal_id, s.channel, s.contact_id, s.status, s.reason) for s in virtual.steps
    ]
    assert real.status is not PlayStatus.ACTIVE
    assert real.ended_at is not None
    assert virtual.ended_at is not None
    assert abs(real.ended_at - virtual.ended_at) < CLOSE


def on_their_clocks(script: Script, sim: Recording, run: PlayRun) -> None:
    """Check waits and mails against the clock on the wall of the people."""
    zone = ZoneInfo(script.zone)
    assert run.ended_at is not None
    change = datetime.fromisoformat(script.changes).replace(tzinfo=zone)
    assert change.utcoffset() != (change + DAY).utcoffset(), "the clocks are changed on that day"
    assert run.started_at < change.astimezone(UTC) < run.ended_at, "and the play runs across it"
    for at, touch in sim.handed_over(run.run_id):
        if touch.channel == "email":
            local = at.astimezone(zone)
            assert local.weekday() < 5
            assert 8 <= local.hour < 20
    play = sim.policies.plays[run.play_id]
    facts = [f.run for f in (*sim.facts, *sim.state.outbox) if isinstance(f, PlayFact)]
    entered = {fact.step: fact.entered_at for fact in facts if fact.step is not None}
    for name, step in play.steps.items():
        if not isinstance(step, Wait) or name not in entered:
            continue
        due = next(fact.due_at for fact in reversed(facts) if fact.step == name and fact.due_at is not None)
        began, ends = entered[name].astimezone(zone), due.astimezone(zone)
        if step.weekday is not None:
            assert (ends.weekday(), ends.hour * 60 + ends.minute) == (step.weekday, step.minute), name
            assert timedelta(0) < due - entered[name] <= timedelta(days=7, hours=1)
        elif step.business_days is not None:
            assert ends.time() == began.time(), "the same time of day, whatever the clocks did"
            assert ends.weekday() < 5
