"""Three levels of escalation in working time, across a weekend and a holiday, on the engine's own clock."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays
import pytest
from temporalio.testing import WorkflowEnvironment

from domain import Approval, ApprovalStatus, ProposalStatus, ReasonCode
from tests.workflows.approving import give, says
from tests.workflows.cast import profile, wanted
from tests.workflows.stage import ROOT, Stage, staged

pytestmark = pytest.mark.timeout(240)

BERLIN = ZoneInfo("Europe/Berlin")
FILES = {
    "people.yaml": """
actors:
  - {id: dana.reyes, kind: person}
  - {id: tom.okafor, kind: person}
  - {id: lena.fischer, kind: person}
  - {id: mara.lindqvist, kind: person}
  - {id: ines.castell, kind: person}
  - {id: sdr-agent, kind: ai_agent, owner: lena.fischer}
  - {id: personalization, kind: ai_agent, owner: mara.lindqvist}
  - {id: paid-media, kind: ai_agent, owner: mara.lindqvist}
  - {id: executive-office, kind: ai_agent, owner: tom.okafor}
  - {id: nurture, kind: system}
  - {id: plays, kind: system, owner: mara.lindqvist}

groups:
  - name: sales-leadership
    members: [dana.reyes, tom.okafor]
    hours: {from: "09:00", until: "17:00", time_zone: Europe/Berlin, holidays: DE}
  - {name: revenue-operations, members: [mara.lindqvist]}
  - {name: legal, members: [lena.fischer]}
  - {name: executives, members: [ines.castell]}
""",
    "approvals.yaml": """
require:
  - id: executive-sponsors
    when: contact != null && contact.role == Role.EXECUTIVE_SPONSOR
    message: Executive sponsors hear from us only after a person has agreed.

routes: []

default_route:
  id: three-levels
  group: sales-leadership
  clock: business_hours
  due_in: 3h
  remind: [1h, 3h]
  escalate:
    - {after: 4h, to: revenue-operations}
    - {after: 12h, to: legal}
    - {after: 16h, to: executives}
  answer_within: 20h
  on_expiry: deny

exceptions:
  ambiguity: {id: about-readings, group: revenue-operations, answer_within: 1d}
""",
}
OPEN, CLOSE = time(9), time(17)
"""Working days of eight hours, as the policy set above says it."""


class Step(NamedTuple):
    """An entry of the audit trail."""

    kind: str
    at: datetime
    detail: str


def working_days(start: date, count: int) -> list[date]:
    """The next working days in Germany from a day on, counted by hand."""
    off = holidays.country_holidays("DE")
    days = (start + timedelta(days=number) for number in range(60))
    return [day for day in days if day.weekday() < 5 and day not in off][:count]


def next_long_weekend(now: datetime) -> date:
    """The next working day after which a weekend and a public holiday come together."""
    for number in range(2, 400):
        day = now.date() + timedelta(days=number)
        today, following = working_days(day, 2)
        if today == day and following - day > timedelta(days=3):
            return day
    pytest.fail("no holiday beside a weekend within a year")


def berlin(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), BERLIN).astimezone(UTC)


async def steps(stage: Stage, approval: Approval) -> list[Step]:
    query = (
        "SELECT kind, at, json_extract(body, '$.step.detail') FROM approval_steps "
        "WHERE account_id = ? AND approval_id = ? ORDER BY seq"
    )
    with closing(sqlite3.connect(stage.database)) as connection:
        rows = connection.execute(query, (stage.account_id, approval.approval_id)).fetchall()
    return [Step(kind, datetime.fromisoformat(at).replace(tzinfo=UTC), detail) for kind, at, detail in rows]


async def timers(stage: Stage) -> list[str]:
    """What an operator reads beside the timers in the Temporal UI."""
    history = await stage.handle.fetch_history()
    return [
        event.user_metadata.summary.data.decode().strip('"')
        for event in history.events
        if event.HasField("timer_started_event_attributes")
    ]


async def asked_before_a_long_weekend(environment: WorkflowEnvironment, stage: Stage) -> Approval:
    """Have the question asked at three in the afternoon of the last working day before the holiday."""
    now = await environment.get_current_time()
    moment = berlin(next_long_weekend(now), 15)
    await environment.sleep(moment - now)
    stage.account_id = "northwind"
    await stage.accounts.observe(stage.account_id, profile(stage.account_id))
    proposal = wanted("exec-1", expires_at=moment + timedelta(days=20), reading=None, evidence=())
    asking = asyncio.create_task(stage.propose(proposal))
    status = await stage.status_when(lambda s: bool(s.approvals), "the question")
    await asking
    (approval,) = status.approvals
    assert abs(approval.requested_at - moment) < timedelta(minutes=2)
    return approval


async def sleep_to(environment: WorkflowEnvironment, moment: datetime) -> None:
    await environment.sleep(max(moment - await environment.get_current_time(), timedelta(0)))


async def level_now(stage: Stage) -> tuple[int, Sequence[str]]:
    (approval,) = (await stage.accounts.status(stage.account_id)).approvals
    return approval.level, approval.asked


async def test_three_levels_over_four_working_days_count_no_night_no_weekend_and_no_holiday(
    time_skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given a question at 15:00 before a long weekend and a group that works from nine to five, then level
    after level is asked at its hour of work, nobody is reminded at night, and silence in the end is a no."""
    async with staged(
        time_skipping.client,
        tmp_path,
        edits={},
        original=ROOT / "policies",
        files=FILES,
        continue_after_events=10_000,
    ) as stage:
        approval = await asked_before_a_long_weekend(time_skipping, stage)
        first, second, third, fourth = working_days(approval.requested_at.date(), 4)
        assert second - first > timedelta(days=3), "a weekend and a holiday lie between"
        route = approval.route
        assert route.due_at is not None
        seconds = route.due_at - berlin(second, 10)
        assert timedelta(0) <= seconds < timedelta(minutes=2), "three working hours from fifteen o'clock on"
        expected = {
            "due": berlin(second, 10) + seconds,
            "level 1": berlin(second, 11) + seconds,
            "level 2": berlin(third, 11) + seconds,
            "level 3": berlin(third, 15) + seconds,
            "end": berlin(fourth, 11) + seconds,
        }
        assert [level.at for level in route.levels] == [expected[f"level {n}"] for n in (1, 2, 3)]
        assert route.expires_at == expected["end"]
        assert approval.asked == ("dana.reyes",), "Tom owns the agent"

        a_little = timedelta(minutes=1)
        groups = ("mara.lindqvist", "lena.fischer", "ines.castell")
        for number in (1, 2, 3):
            await sleep_to(time_skipping, expected[f"level {number}"] - a_little)
            assert await level_now(stage) == (number - 1, ("dana.reyes", *groups[: number - 1]))
            await sleep_to(time_skipping, expected[f"level {number}"] + a_little)
            assert await level_now(stage) == (number, ("dana.reyes", *groups[:number]))
        await sleep_to(time_skipping, expected["end"] + a_little)
        status = await stage.status_when(lambda s: not s.approvals, "the end of the question")
        (view,) = status.proposals
        assert (view.status, view.reason) == (ProposalStatus.DENIED, ReasonCode.APPROVAL_EXPIRED)
        assert not stage.relay.envelopes
        assert not status.touches

        await sleep_to(time_skipping, expected["end"] + timedelta(minutes=30))
        await stage.status_when(lambda s: not s.unsent_facts, "an empty outbox")
        trail = await steps(stage, approval)
        close = timedelta(seconds=5)
        for step, moment in zip(
            [step for step in trail if step.kind == "escalated"],
            [expected[f"level {number}"] for number in (1, 2, 3)],
            strict=True,
        ):
            assert abs(step.at - moment) < close, step
        reminded = [step.at for step in trail if step.kind == "reminded"]
        assert [abs(at - due) < close for at, due in zip(
            reminded, (berlin(first, 16) + seconds, expected["due"]), strict=True
        )] == [True, True]  # fmt: skip
        (expired,) = [step for step in trail if step.kind == "expired"]
        assert abs(expired.at - expected["end"]) < close

        waits = "\n".join(await timers(stage))
        name = approval.approval_id
        for group, number in (("revenue-operations", 1), ("legal", 2), ("executives", 3)):
            assert f"approval {name} goes to {group} (level {number} of 3)" in waits
        assert f"remind sales-leadership of {name} (1 of 2)" in waits
        assert f"approval {name} expires (deny)" in waits
        late = await give(stage, says(approval))
        assert (late.accepted, late.status) == (False, ApprovalStatus.EXPIRED)
        await stage.handle.terminate()


async def test_whoever_is_asked_last_can_still_let_it_go_out(
    time_skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Before their level somebody is refused; from then on their yes counts like anybody's."""
    async with staged(
        time_skipping.client,
        tmp_path,
        edits={},
        original=ROOT / "policies",
        files=FILES,
        continue_after_events=10_000,
    ) as stage:
        approval = await asked_before_a_long_weekend(time_skipping, stage)
        early = await give(stage, says(approval, approver="ines.castell"))
        assert not early.accepted
        assert "ines.castell is asked only if nobody answers until" in early.message
        last = approval.route.levels[-1].at
        await sleep_to(time_skipping, last + timedelta(minutes=1))
        told = await give(stage, says(approval, approver="ines.castell"))
        assert told.accepted, told.message
        await sleep_to(time_skipping, last + timedelta(minutes=30))
        assert len(stage.relay.envelopes) == 1
        await stage.handle.terminate()
