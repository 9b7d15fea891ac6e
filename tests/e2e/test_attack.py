"""Whoever can reach the engine can send anything: the account counts it as refused and works on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue

from domain import AccountStatus, ProposalStatus
from tests.e2e.stack import Stack, letter, until

MEGABYTE = "x" * 1_000_000


def raw(data: bytes, encoding: bytes | None = b"json/plain") -> RawValue:
    metadata = {} if encoding is None else {"encoding": encoding}
    return RawValue(Payload(metadata=metadata, data=data))


ARGUMENTS: dict[str, Sequence[object]] = {
    "nothing": (),
    "a number": (42,),
    "null": (None,),
    "an empty object": ({},),
    "two arguments": ({"type": "signal"}, {"type": "signal"}),
    "an unknown field": ({"type": "signal", "admin": True},),
    "a megabyte of text": (MEGABYTE,),
    "a megabyte in a field": ({"type": "signal", "signal_id": MEGABYTE},),
    "bytes that are no JSON": (raw(b"\xff\x00\xfe{{{"),),
    "half a JSON object": (raw(b'{"type": "sig'),),
    "an encoding nobody knows": (raw(b"payload", b"binary/evil"),),
    "encrypted with a stranger's key": (raw(b"\x00" * 64, b"binary/encrypted"),),
    "a protobuf of an unknown type": (raw(b"\x08\x01", b"binary/protobuf"),),
    "no metadata at all": (raw(b"payload", None),),
    "JSON nested a thousand deep": (raw(b"[" * 1_000 + b"]" * 1_000),),
    "a number too big for any float": (raw(b"1" + b"0" * 400),),
    "not a number": (raw(b"NaN"),),
    "a lone surrogate": (raw(b'"\\ud800"'),),
}
SIGNALS = ("observe", "report_outcome", "answer_approval_signal")
UPDATES = ("propose", "answer_approval", "place_hold", "release_hold")
UNKNOWN = ("drop_table", "observe ", "Observe", "run", "x" * 900, "../../account/other", "\u202eevil\n")


async def refusals(handle: WorkflowHandle[object, object]) -> int:
    status: AccountStatus = await handle.query("status", result_type=AccountStatus)
    return status.refusals


async def test_an_account_refuses_and_counts_whatever_it_cannot_read_and_works_on(stack: Stack) -> None:
    # Given an account, and an attacker with a plain client of the engine
    accounts = await stack.introduce("besieged", "amira")
    attacker = await Client.connect(stack.addresses["Temporal"])
    handle = attacker.get_workflow_handle("account/besieged")
    ours = (await stack.client()).get_workflow_handle("account/besieged")

    # When every signal is sent with everything that is wrong, and signals that do not exist
    for name in SIGNALS:
        for arguments in ARGUMENTS.values():
            await handle.signal(name, args=arguments)
    for name in UNKNOWN:
        await handle.signal(name, args=[{"type": "signal"}, 2])
    sent = len(SIGNALS) * len(ARGUMENTS) + len(UNKNOWN)

    # Then each is counted as refused
    async def counted() -> bool:
        return await refusals(ours) >= sent

    await until(counted, "the account to have read them all")
    assert await refusals(ours) == sent

    # And updates are refused with a reason, and counted; unknown updates and queries only fail their caller
    for name in UPDATES:
        for what in ("nothing", "a number", "two arguments", "a megabyte of text", "bytes that are no JSON"):
            with pytest.raises(WorkflowUpdateFailedError) as caught:
                await handle.execute_update(name, args=ARGUMENTS[what])
            assert "malformed" in str(caught.value.cause), what
            assert len(str(caught.value.cause)) < 3_000
            sent += 1
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("become_admin")
    for name, arguments in (("why", ARGUMENTS["bytes that are no JSON"]), ("secrets", ())):
        with pytest.raises(WorkflowQueryFailedError):
            await handle.query(name, args=arguments)
    assert await refusals(ours) == sent

    # And the account works as before: no task failed, and a proposal is sent
    failed = [
        event
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    assert failed == []
    await accounts.propose("besieged", letter("still-here"))

    async def delivered() -> bool:
        (view,) = (await accounts.status("besieged")).proposals
        return view.status is ProposalStatus.SENT

    await until(delivered, "the proposal to be sent")
    assert len(stack.mails_to("amira@besieged.example.com")) == 1

    # And an operator sees how many there were, in a terminal that nothing of it can command
    shown = await stack.tutti("status", "besieged")
    assert f"  refused  {sent} messages" in shown.out
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out
