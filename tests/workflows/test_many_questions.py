"""Five hundred questions about one account: what it can hold stays quick, the rest is refused in words."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import ApprovalStatus, Content, ProposalView
from tests.workflows.approving import THREE, give, says
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import Stage, staged
from tests.workflows.test_continuity import runs_of, visit
from workflows import AccountError

pytestmark = pytest.mark.timeout(400)

ASKED = 500
HELD = 200
"""Open proposals that an account can hold: `domain._state.OPEN_LIMIT`."""
AT_ONCE = 8
"""The engine takes ten updates of one workflow at a time."""
LONG = {
    "evidence": ("The account has read the page about prices. " * 6,) * 20,
    "content": Content(text="word " * 390),
}
"""As much as two hundred proposals can say together: what an account carries is more than two megabytes."""
QUICK_SECONDS = 5.0
"""For a card, on a machine that does a lot else; without the others it is some milliseconds."""


async def propose_all(stage: Stage) -> list[ProposalView | AccountError]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def propose(number: int) -> ProposalView | AccountError:
        proposal = wanted("exec-1", proposal_id=f"exec-{number}", reading=None, **LONG)
        async with gate:
            try:
                return await stage.accounts.propose(stage.account_id, proposal)
            except AccountError as error:
                return error

    return list(await asyncio.gather(*(propose(number) for number in range(ASKED))))


async def test_what_an_account_cannot_hold_is_refused_and_the_rest_stays_quick(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    edits = THREE | {"timing.yaml": [("decision_window: 2s", "decision_window: 0.1s")]}
    async with staged(temporal.client, tmp_path, edits=edits, continue_after_events=2_000) as stage:
        await set_up(stage)
        results = await propose_all(stage)
        refused = [str(result) for result in results if isinstance(result, AccountError)]
        assert len(refused) == ASKED - HELD
        assert all("too many are open" in why for why in refused)
        status = await stage.status_when(
            lambda s: len(s.approvals) == HELD and not s.unsent_facts, "two hundred questions", patience=60
        )
        assert status.refusals == len(refused), "each of them is on record"

        began = time.monotonic()
        card = await stage.accounts.card(stage.account_id, status.approvals[-1].approval_id)
        assert time.monotonic() - began < QUICK_SECONDS
        assert card.approval == status.approvals[-1]
        assert len(card.rivals) <= 20

        run, number = (await runs_of(stage))[-1], 0
        while (await runs_of(stage))[-1] == run:
            number += 1
            await stage.accounts.observe(stage.account_id, [visit(number * 10 + n) for n in range(10)])
        carried = await stage.accounts.status(stage.account_id)
        assert {a.approval_id for a in carried.approvals} == {a.approval_id for a in status.approvals}
        told = await give(stage, says(carried.approvals[0]))
        assert told.status is ApprovalStatus.APPROVED, "after a new run with all of them, an answer counts"
