"""Promise 10: an acknowledged answer survives any crash, and one that was not is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from domain import Answer, ApprovalStatus, TouchStatus
from tests.mortal import MortalServer, MortalWorker, mortal_server
from tests.workflows.approving import THREE, asked, asked_and_idle, at_rest, give, says, sent
from tests.workflows.stage import Stage, staged
from tests.workflows.test_lost_workers import environment
from workflows import TASK_QUEUE, AccountClient, EngineUnavailableError

A_MOMENT = 0.5
"""Long enough for a message to be on its way."""
LATE = 80.0
"""Whatever a worker had in hand when it was killed is given to the next one a minute later."""

pytestmark = pytest.mark.timeout(240)


@asynccontextmanager
async def mortal_stage(folder: Path) -> AsyncIterator[tuple[MortalServer, MortalWorker, Stage]]:
    """A stage whose server can be killed, and whose accounts live in a worker process that can be killed."""
    async with mortal_server(folder) as (server, client), staged(client, folder, edits=THREE) as stage:
        accounts = AccountClient(client, decision_window=stage.policies.decision_window)
        own = replace(stage, accounts=accounts, task_queue=TASK_QUEUE)
        worker = MortalWorker("orchestrator", environment(own, folder))
        await worker.start()
        try:
            yield server, worker, own
        finally:
            await worker.kill()


async def released_once(stage: Stage) -> None:
    await sent(stage, patience=LATE)
    status = await at_rest(stage, patience=LATE)
    assert [t.status for t in status.touches] == [TouchStatus.HANDED_OVER]
    assert len(stage.relay.envelopes) == 1


async def test_an_acknowledged_answer_survives_the_death_of_the_server(tmp_path: Path) -> None:
    """Given Dana was told "recorded", when the server is killed that very moment and comes back with its
    file, then the answer is there, and the touch goes out once."""
    async with mortal_stage(tmp_path) as (server, _, stage):
        approval = await asked(stage)
        yes = says(approval)
        told = await give(stage, yes)
        await server.kill()
        assert told.accepted

        await server.start()
        await released_once(stage)
        assert await give(stage, yes) == told
        late = await give(stage, says(approval, Answer.REJECT, approver="mara.lindqvist"))
        assert (late.accepted, late.answered_by) == (False, "dana.reyes")


async def test_an_acknowledged_answer_survives_the_death_of_the_worker(tmp_path: Path) -> None:
    async with mortal_stage(tmp_path) as (_, worker, stage):
        yes = says(await asked(stage))
        told = await give(stage, yes)
        await worker.kill()
        assert told.accepted

        await worker.start()
        await released_once(stage)
        assert await give(stage, yes) == told


async def test_an_answer_that_nobody_acknowledged_is_sent_again_until_somebody_does(tmp_path: Path) -> None:
    """Given no worker, so that the engine has the answer and nobody has accepted it, when the server is
    killed too, then the answer is lost there, and the caller that waits gets it through all the same."""
    async with mortal_stage(tmp_path) as (server, worker, stage):
        approval = await asked_and_idle(stage)
        await worker.kill()
        answering = asyncio.create_task(give(stage, says(approval)))
        done, _ = await asyncio.wait({answering}, timeout=A_MOMENT)
        assert not done, "nobody can have accepted it"
        await server.kill()

        await server.start()
        await worker.start()
        assert (await answering).status is ApprovalStatus.APPROVED
        await released_once(stage)


async def test_an_answer_by_signal_waits_for_a_worker_through_the_death_of_the_server(tmp_path: Path) -> None:
    """A mail reply cannot wait and cannot ask again: it is durable as soon as the engine has it."""
    async with mortal_stage(tmp_path) as (server, worker, stage):
        approval = await asked_and_idle(stage)
        await worker.kill()
        yes = says(approval)
        await stage.accounts.answer_later(stage.account_id, yes)
        await server.kill()

        await server.start()
        await worker.start()
        await released_once(stage)
        assert (await give(stage, yes)).accepted


async def test_whoever_gives_up_waiting_is_told_to_ask_again_with_the_same_id(tmp_path: Path) -> None:
    """A time-out is no refusal: the answer may count. Asked again, it counts once."""
    async with mortal_stage(tmp_path) as (_, worker, stage):
        yes = says(await asked_and_idle(stage))
        await worker.kill()
        with pytest.raises(EngineUnavailableError, match=f"same answer id .{yes.answer_id}") as unconfirmed:
            await stage.accounts.answer(stage.account_id, yes, patience=timedelta(seconds=A_MOMENT))
        assert "not confirmed" in str(unconfirmed.value)

        await worker.start()
        told = await give(stage, yes)
        assert told.accepted
        assert await give(stage, yes) == told
        await released_once(stage)
