"""What a decision window and an executed touch cost, in history events and in time."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from benchmarks._cast import RIVALS, profile, proposal
from benchmarks._figures import Figure
from benchmarks._history import history_of, parts
from benchmarks._stage import WINDOW_SECONDS, MeasurementError, Stage, staged, until
from domain import Proposal, ProposalStatus

NAME = "decisions"
UNSURE = 0.01
"""A confidence below every grant's `ask_at`: the proposal is dropped."""


class Course(NamedTuple):
    """When things had happened after a proposal: seconds, less the decision window."""

    ruled: float
    sent: float
    known: float


async def measure() -> list[Figure]:
    """Count the events of a window with one proposal, with four, and of one touch end to end."""
    async with staged() as stage:
        one = await _window(stage, "one", [proposal("nurture-1", confidence=UNSURE)])
        four = await _window(stage, "four", [proposal(name, confidence=UNSURE) for name in RIVALS])
        rivals = await _rivals(stage)
        touch, course = await _touch(stage)
    return [
        _figure("events of a window, one proposal suppressed", *one),
        _figure("events of a window, four proposals suppressed", *four),
        _figure("events of the demo's window: one sent, three explained", *rivals),
        _figure("events of one executed touch, proposal to ledger", *touch),
        Figure(
            benchmark=NAME,
            what="time of one executed touch, without its window",
            value=course.known * 1_000,
            unit="ms",
            note=f"ruled after {course.ruled * 1_000:.0f} ms, e-mail taken after {course.sent * 1_000:.0f}, "
            f"then facts in the ledger; all less the window of {WINDOW_SECONDS:g} s",
        ),
    ]


def _figure(what: str, events: int, how: str) -> Figure:
    return Figure(benchmark=NAME, what=what, value=events, unit="events", note=how)


async def _introduce(stage: Stage, account_id: str) -> int:
    """Introduce an account, and return how long its history is then."""
    people = list(profile(account_id))
    await stage.accounts.observe(account_id, people)
    await stage.status_when(account_id, lambda s: s.contacts == len(people) - 1, "the profile")
    return len((await history_of(stage.client, account_id)).events)


async def _settled(stage: Stage, account_id: str, before: int) -> tuple[int, str]:
    """Wait until the ledger has everything; return the events since and their parts."""
    await stage.status_when(account_id, lambda s: s.unsent_facts == 0, "an empty outbox")
    events = (await history_of(stage.client, account_id)).since(before)
    return len(events), parts(events)


async def _window(stage: Stage, account_id: str, proposals: list[Proposal]) -> tuple[int, str]:
    before = await _introduce(stage, account_id)
    views = await asyncio.gather(*(stage.accounts.propose(account_id, each) for each in proposals))
    wrong = [view for view in views if view.status is not ProposalStatus.SUPPRESSED]
    if wrong:
        msg = f"expected suppression, not: {wrong[0].proposal.proposal_id} {wrong[0].status.value}"
        raise MeasurementError(msg)
    return await _settled(stage, account_id, before)


async def _rivals(stage: Stage) -> tuple[int, str]:
    before = await _introduce(stage, "rivals")
    await asyncio.gather(*(stage.accounts.propose("rivals", proposal(name)) for name in RIVALS))
    status = await stage.status_when(
        "rivals", lambda s: any(v.status is ProposalStatus.SENT for v in s.proposals), "the touch"
    )
    if len(status.approvals) != 1:
        msg = f"expected one approval to be asked for, found {len(status.approvals)}"
        raise MeasurementError(msg)
    return await _settled(stage, "rivals", before)


async def _touch(stage: Stage) -> tuple[tuple[int, str], Course]:
    before = await _introduce(stage, "touch")
    mails = await _mails(stage)
    began = time.perf_counter()
    await stage.accounts.propose("touch", proposal("sdr-1"))
    ruled = time.perf_counter() - began - WINDOW_SECONDS
    await until(lambda: _one_more(stage, mails), "the e-mail")
    sent = time.perf_counter() - began - WINDOW_SECONDS
    await until(lambda: _in_ledger(stage), "the touch in the ledger")
    known = time.perf_counter() - began - WINDOW_SECONDS
    return await _settled(stage, "touch", before), Course(ruled, sent, known)


async def _mails(stage: Stage) -> int:
    return await asyncio.to_thread(lambda: len(list(stage.mails.glob("*.eml"))))


async def _one_more(stage: Stage, mails: int) -> bool | None:
    return await _mails(stage) > mails or None


async def _in_ledger(stage: Stage) -> bool | None:
    facts = await stage.ledger.proposals("touch")
    return any(fact.status is ProposalStatus.SENT for fact in facts) or None
