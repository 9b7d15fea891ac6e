"""Large payloads are packed, small ones stay readable, and what is no packed payload is left alone."""

from __future__ import annotations

import zlib

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from domain import AccountState, Frozen
from workflows import tutti_plugin
from workflows._codec import LARGE, LONGEST, PackingCodec
from workflows._contract import AccountInput

PACKED = {"encoding": b"binary/zlib"}


class Note(Frozen):
    text: str


@pytest.mark.parametrize("length", [10, LARGE, 3_000_000])
async def test_what_is_packed_comes_back_as_it_was(length: int) -> None:
    converter = tutti_plugin().data_converter
    assert converter is not None
    assert not callable(converter)
    note = Note(text="x" * length)
    (payload,) = await converter.encode([note])
    assert payload.ByteSize() < LARGE + 100
    assert (payload.metadata["encoding"] == b"binary/zlib") is (length >= LARGE)
    assert await converter.decode([payload], [Note]) == [note]


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata=PACKED, data=b"no such thing"),
        Payload(metadata=PACKED, data=zlib.compress(b"\xff no payload")),
        Payload(metadata=PACKED, data=zlib.compress(bytes(LONGEST + 1))),
        Payload(metadata=PACKED, data=zlib.compress(Payload(data=b"{}").SerializeToString())[:-3]),
    ],
    ids=["not packed", "not a payload", "a bomb", "cut off"],
)
async def test_what_cannot_be_unpacked_is_left_to_whoever_reads_it(payload: Payload) -> None:
    assert await PackingCodec().decode([payload]) == [payload]
    converter = tutti_plugin().data_converter
    assert converter is not None
    assert not callable(converter)
    (read,) = await converter.decode([payload])
    assert isinstance(read, RawValue)


async def test_what_earlier_versions_have_carried_over_is_read() -> None:
    converter = tutti_plugin().data_converter
    assert converter is not None
    assert not callable(converter)
    carried = AccountInput(account_id="northwind", state=AccountState(account_id="northwind"))
    plain = converter.payload_converter.to_payloads([carried])
    assert await converter.decode(plain, [AccountInput]) == [carried]
