"""Plays a scenario on the running engine: every step as the message a real source would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from domain import AnswerResult, Approval, ApprovalAnswer, Outcome, ProposalView
from tutti.scenario import CameBack, GivenAnswer, Scenario, ScenarioStep
from tutti.simulator import ScenarioError, outcome_of
from workflows import AccountClient

PATIENCE_SECONDS = 20.0
"""How long a person of the script waits to be asked."""


class Played(NamedTuple):
    """A step that was played, and what the account said to it."""

    step: ScenarioStep
    view: ProposalView | None = None
    result: AnswerResult | None = None


class LivePlayer:
    """Sends one account's scenario through the client's door."""

    def __init__(self, accounts: AccountClient, scenario: Scenario) -> None:
        """Take the door and the script."""
        self._accounts = accounts
        self._scenario = scenario
        self.account_id = scenario.account.account_id

    async def introduce(self) -> None:
        """Report the account and its contacts."""
        await self._accounts.observe(self.account_id, self._scenario.profile)

    async def play(self, step: ScenarioStep, moment: datetime) -> Played:
        """Send one step as happening at a moment; a proposal comes back with its ruling.

        Raises:
            ScenarioError: the step makes no sense now, e.g. an answer where nothing was asked.
            AccountError: the account or the engine refused it.
        """
        accounts, account_id = self._accounts, self.account_id
        if step.propose is not None:
            return Played(step, view=await accounts.propose(account_id, step.propose.at(moment)))
        if step.answer is not None:
            answer = await self._answer(step.answer)
            return Played(step, result=await accounts.answer(account_id, answer))
        if step.observe is not None:
            await accounts.observe(account_id, [step.observe.at(moment)])
        elif step.outcome is not None:
            await accounts.report_outcome(account_id, await self._outcome(step.outcome, moment))
        elif step.hold is not None:
            await accounts.place_hold(account_id, step.hold.at(moment))
        elif step.start_play is not None:
            await accounts.start_play(account_id, step.start_play.play, started_by=step.start_play.by)
        elif step.release is not None:
            await accounts.release_hold(account_id, step.release.hold_id, step.release.released_by)
        return Played(step)

    async def play_from(self, start: datetime) -> AsyncIterator[Played]:
        """Play all steps at their pace, counted from `start`, and yield each when it has its answer.

        Proposals are sent without waiting for each other's ruling, so that they meet in one window.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting: list[asyncio.Task[Played]] = []
        for moment, step in self._scenario.moments(start):
            if step.propose is None:
                for asked in waiting:
                    yield await asked
                waiting.clear()
            delay = step.at.total_seconds() - (loop.time() - began)
            await asyncio.sleep(max(0.0, delay))
            task = asyncio.create_task(self.play(step, moment))
            if step.propose is None:
                yield await task
            else:
                waiting.append(task)
        for asked in waiting:
            yield await asked

    async def _answer(self, given: GivenAnswer) -> ApprovalAnswer:
        return given.to(await self._asked(given))

    async def _asked(self, given: GivenAnswer) -> Approval:
        """Wait until somebody is asked: on a slow machine that may be later than the script thinks."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            status = await self._accounts.status(self.account_id)
            pending = next((a for a in status.approvals if given.meets(a)), None)
            if pending is not None:
                return pending
            view = next((v for v in status.proposals if v.proposal.proposal_id == given.proposal), None)
            over = given.proposal is not None and (view is None or view.status.final)
            if over or asyncio.get_running_loop().time() > deadline:
                msg = f"{given.approver} answers about {given.about}, but nobody was asked"
                raise ScenarioError(msg)
            await asyncio.sleep(0.05)

    async def _outcome(self, came_back: CameBack, moment: datetime) -> Outcome:
        status = await self._accounts.status(self.account_id)
        return outcome_of(came_back, moment, status.touches)
