"""`tutti ledger rebuild`: the ledger is a projection, and the histories hold all it needs.

Every fact left its account as the input of a `project` activity, which stands in the history. Reading
those inputs again, in any order, gives the same rows. The claims of touches with a receipt come back from
those receipts, so that a provider's log still finds its counterpart. What never passed through an account
does not come back: an objection that no account was told of, the releases before the one that the next
worker finds in its folder, with their files, and the rulings recorded for replays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from rich.console import Console
from rich.progress import Progress
from rich.text import Text
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from domain import DecisionFact, Delivery, FactBatch, Receipt, Touch, TouchFact
from ledger import Ledger
from tutti.render import counted
from tutti.settings import Settings
from workflows import PROJECT, WORKFLOW_TYPE, connect

_ACCOUNTS = f"WorkflowType = '{WORKFLOW_TYPE}'"


async def rebuild(console: Console, settings: Settings) -> None:
    """Write every fact in the histories that the engine still keeps; rows from before then stay.

    Raises:
        EngineUnavailableError: Temporal does not answer; the ledger was not touched.
        LedgerError: the ledger cannot be written.
    """
    client = await connect()
    ledger = await Ledger.open(settings.ledger)
    accounts: set[str] = set()
    facts = 0
    try:
        await ledger.migrate()
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("reading histories", total=await count_runs(client))
            async for batches in batches_by_run(client):
                for batch in batches:
                    await ledger.record(batch)
                    facts += len(batch.facts)
                    accounts.add(batch.account_id)
                for touch, receipt in claimed(batches):
                    await ledger.claim(touch.touch_id, channel=touch.channel, at=receipt.at)
                    await ledger.settle(receipt)
                progress.advance(task)
    finally:
        await ledger.close()
    written = f"{counted(facts, 'fact')} of {counted(len(accounts), 'account')} written"
    console.print(Text.assemble(("ok ", "green"), written), highlight=False)


def claimed(batches: Sequence[FactBatch]) -> Iterator[tuple[Touch, Receipt]]:
    """Yield the touches that their channel claimed and answered, with the answer.

    Idempotent channels claim nothing. A touch whose decision stands in another run counts as claimed: an
    unneeded claim does no harm, a missing one could.
    """
    facts = [fact for batch in batches for fact in batch.facts]
    idempotent = {
        fact.decision.decision_id
        for fact in facts
        if isinstance(fact, DecisionFact)
        and fact.decision.handover is not None
        and fact.decision.handover.delivery is Delivery.IDEMPOTENT
    }
    for fact in facts:
        if (
            isinstance(fact, TouchFact)
            and fact.receipt is not None
            and fact.touch.decision_id not in idempotent
        ):
            yield fact.touch, fact.receipt


async def count_runs(client: Client) -> int:
    """Return how many account runs the engine still keeps."""
    return (await client.count_workflows(_ACCOUNTS)).count


async def batches_by_run(client: Client) -> AsyncIterator[list[FactBatch]]:
    """Yield the batches of facts in the history of each account run."""
    async for execution in client.list_workflows(_ACCOUNTS):
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        batches: list[FactBatch] = []
        async for event in handle.fetch_history_events():
            if event.event_type != EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                continue
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_type.name == PROJECT:
                batches += await client.data_converter.decode(scheduled.input.payloads, [FactBatch])
        yield batches
