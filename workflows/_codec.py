"""Large payloads travel compressed: what an account carries into its next run must fit into one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

LARGE: Final = 512 * 1024
"""Bytes from which a payload is compressed. Below, people can read it in the Temporal UI, and so can channels
in any language: no touch is that large."""
LONGEST: Final = 64 * 1024 * 1024
"""Bytes that a payload may have once it is unpacked: more is no state of an account, but an attack."""

_ENCODING: Final = b"binary/zlib"


class PackingCodec(PayloadCodec):
    """Compresses large payloads. The engine takes 2 MB in one, and an account of many questions has more."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Compress what is large, and leave the rest as it is."""
        return [_packed(payload) if payload.ByteSize() >= LARGE else payload for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Unpack what was compressed, and leave the rest as it is.

        What cannot be unpacked is left too: whoever reads it refuses it, and no message holds an account up.
        """
        return [
            _unpacked(payload) if payload.metadata.get("encoding") == _ENCODING else payload
            for payload in payloads
        ]


def _packed(payload: Payload) -> Payload:
    return Payload(metadata={"encoding": _ENCODING}, data=zlib.compress(payload.SerializeToString()))


def _unpacked(payload: Payload) -> Payload:
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(payload.data, LONGEST)
        whole = unpacking.eof and not unpacking.unconsumed_tail
        return Payload.FromString(data) if whole else payload
    except (zlib.error, DecodeError):
        return payload
