"""One plugin for client, worker and replayer: the same converter and the same sandbox everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows._codec import PackingCodec

PASSED_THROUGH = ("domain", "workflows", "rfc8785", "email_validator", "annotated_types", "idna", "dns")
"""Deterministic modules shared by all workflows: reloading them per instance costs 74 ms and 1.3 MB."""


class TolerantPayloadConverter(PydanticPayloadConverter):
    """Pydantic's converter, which hands an undecodable payload on as it is where no type is asked for.

    The handlers of the account workflow ask for no types: so garbage reaches them and is recorded as
    refused, instead of being dropped with a log line of the worker.
    """

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode payloads; without type hints, what cannot be decoded becomes a `RawValue`."""
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._tolerant(payload) for payload in payloads]

    def _tolerant(self, payload: Payload) -> Any:  # noqa: ANN401 - payloads hold anything
        try:
            return super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001 - decoders raise anything; the sender's mistake must not be ours
            return RawValue(payload)


def sandbox() -> SandboxedWorkflowRunner:
    """Return the sandbox all account workflows run in."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    )


def _runner(_current: WorkflowRunner | None) -> WorkflowRunner:
    return sandbox()


def tutti_plugin() -> SimplePlugin:
    """Return the plugin that client, worker and replayer are given.

    Give it to the client; workers made from that client inherit it.
    """
    converter = DataConverter(payload_converter_class=TolerantPayloadConverter, payload_codec=PackingCodec())
    return SimplePlugin("tutti.account", data_converter=converter, workflow_runner=_runner)
