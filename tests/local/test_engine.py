"""The real server under the stack's care."""

from pathlib import Path

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from tests.local.helpers import listening_addresses, until
from tutti.local import ChildSpec, ChildState, Layout, LocalStack, Phase, Ports, Readiness, StackEvent, server


def engine_only(layout: Layout) -> tuple[ChildSpec, ...]:
    return (server(layout),)


def engine_and_tables(layout: Layout) -> tuple[ChildSpec, ...]:
    return (
        server(layout),
        ChildSpec(
            name="migrate",
            title="ledger tables",
            phase=Phase.ENGINE,
            environment=layout.environment,
            module="tutti.local.migrate",
            readiness=Readiness.ENDS_WELL,
        ),
    )


async def start_something(client: Client) -> None:
    stage = SearchAttributePair(SearchAttributeKey.for_keyword("AccountStage"), "engaged")
    await client.start_workflow(
        "Anything",
        id="kept",
        task_queue="nobody-works-here",
        search_attributes=TypedSearchAttributes([stage]),
    )


async def is_kept(address: str) -> bool:
    client = await Client.connect(address)
    description = await client.get_workflow_handle("kept").describe()
    return description.status is WorkflowExecutionStatus.RUNNING


async def test_workflows_survive_a_killed_server_and_a_stopped_stack(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    ports = Ports.free()
    stack = LocalStack(
        tmp_path, ports=ports, children=engine_and_tables, preloaded=(), on_event=events.append
    )
    async with stack:
        await start_something(await Client.connect(stack.addresses.temporal))
        assert stack.paths.ledger_database.stat().st_size > 0

        events.clear()
        stack.kill("temporal")
        await until(lambda: ChildState.READY in [event.state for event in events], "the server's restart")
        assert await is_kept(stack.addresses.temporal)

    async with LocalStack(tmp_path, ports=ports, children=engine_only, preloaded=()) as again:
        assert await is_kept(again.addresses.temporal)
        await (await Client.connect(again.addresses.temporal)).get_workflow_handle("kept").terminate()


async def test_the_server_listens_on_loopback_only(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, ports=Ports.free(), children=engine_only, preloaded=())
    async with stack:
        listening = listening_addresses(stack.pids()["temporal"])

    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}
