"""An account that a worker has forgotten, and whose last task commanded nothing, takes an update."""

from __future__ import annotations

from pathlib import Path

from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from domain import Answer
from tests.workflows.approving import THREE, asked_and_idle, at_rest, give, says
from tests.workflows.stage import staged
from tests.workflows.test_continuity import visit
from workflows import AccountWorkflow, tutti_plugin

ROUNDS = 4


async def test_an_answer_to_a_forgotten_account_leaves_a_history_that_replays(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given a worker that keeps no account in memory, and an account whose last task only took in that the
    ledger has its facts, when an answer comes, then later workers find the same order of things in its
    history. The engine's library joins the two tasks once and splits them later: `workflows._contract.SHELL`.
    """
    replayer = Replayer(workflows=[AccountWorkflow], plugins=[tutti_plugin()])
    async with staged(temporal.client, tmp_path, edits=THREE, max_cached_workflows=0) as stage:
        for number in range(ROUNDS):
            stage.account_id = f"{stage.task_queue}-{number}"
            approval = await asked_and_idle(stage)
            await stage.quiet()
            if number == ROUNDS - 1:  # a task that only absorbs a signal commands nothing, and may
                await stage.accounts.observe(stage.account_id, [visit(number)])
                await stage.status_when(lambda s: s.signals_absorbed == 1, "the signal")
                await stage.quiet()
            assert (await give(stage, says(approval, Answer.REJECT))).accepted
            await at_rest(stage)
            history = await stage.handle.fetch_history()
            result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
            assert result.replay_failure is None
