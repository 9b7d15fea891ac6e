"""`tutti ledger rebuild`: the ledger is a projection, and the histories hold all it needs.

Every fact left its account as the input of a `project` activity, which stands in the history. Reading
those inputs again, in any order, gives the same rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from rich.console import Console
from rich.progress import Progress
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from domain import FactBatch
from ledger import Ledger
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
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("reading histories", total=await count_runs(client))
            async for batches in batches_by_run(client):
                for batch in batches:
                    await ledger.record(batch)
                    facts += len(batch.facts)
                    accounts.add(batch.account_id)
                progress.advance(task)
    finally:
        await ledger.close()
    console.print(f"[green]ok[/] {facts} facts of {len(accounts)} accounts written", highlight=False)


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
