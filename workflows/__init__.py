"""The durable shells, and the client's side of them."""

from workflows._contract import (
    CONTINUE_AFTER_EVENTS,
    GOVERN,
    HAND_OVER,
    PROJECT,
    RESOLVE_TOUCH,
    TASK_QUEUE,
    WORKFLOW_TYPE,
    AccountInput,
    workflow_id,
)
from workflows._plugin import tutti_plugin
from workflows.account import AccountWorkflow
from workflows.client import (
    AccountClient,
    AccountError,
    EngineUnavailableError,
    UnknownAccountError,
    connect,
)
from workflows.conformance import ChannelCall, ChannelCallWorkflow, ChannelReply, ReplyKind

__all__ = [
    "CONTINUE_AFTER_EVENTS",
    "GOVERN",
    "HAND_OVER",
    "PROJECT",
    "RESOLVE_TOUCH",
    "TASK_QUEUE",
    "WORKFLOW_TYPE",
    "AccountClient",
    "AccountError",
    "AccountInput",
    "AccountWorkflow",
    "ChannelCall",
    "ChannelCallWorkflow",
    "ChannelReply",
    "EngineUnavailableError",
    "ReplyKind",
    "UnknownAccountError",
    "connect",
    "tutti_plugin",
    "workflow_id",
]
