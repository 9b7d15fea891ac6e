"""Channels: one module each, on a task queue of its own: an activity `hand_over`, and perhaps a `recall`.

A new channel is a module like `webhook` or `email` with a `build` function, and an entry in `CHANNELS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from activities.channels import email, executive, paid_media, sdr_task, web_personalization, webhook
from activities.channels._bounce_tokens import BounceTokens
from activities.channels._bounces import (
    MAX_BOUNCE_BYTES,
    Bounce,
    BounceNature,
    ForgedBounceError,
    NotABounceError,
    UnknownTouchError,
    UnreadableBounceError,
    read_bounce,
)
from activities.channels._contract import (
    LEDGER_UNAVAILABLE,
    AtMostOnce,
    ChannelActivities,
    ChannelEnvironment,
    Crossing,
    HandOver,
    TakeBack,
    preflight,
    receipt_for,
)
from activities.channels._idempotent import Line, hand_over_again
from activities.channels._settings import (
    ChannelError,
    ChannelSettings,
    ChannelSettingsError,
    UnknownChannelError,
    read_settings,
)
from activities.channels._smtp import StartTls
from activities.channels._unsubscribe import UnsubscribeClaim, UnsubscribeLinks, UnsubscribeTokenError
from activities.channels.email import EmailSettings
from activities.channels.executive import ExecutiveSettings
from activities.channels.paid_media import (
    BatchResults,
    Matching,
    Member,
    MemberOperation,
    MemberResult,
    MembersBatch,
    MemberStatus,
    MemberType,
    Operation,
    PaidMediaSettings,
)
from activities.channels.sdr_task import SdrTask, SdrTaskSettings
from activities.channels.web_personalization import SegmentUpdate, WebPersonalizationSettings
from activities.channels.webhook import WebhookPayload, WebhookSettings
from ledger import Ledger

__all__ = [
    "CHANNELS",
    "LEDGER_UNAVAILABLE",
    "MAX_BOUNCE_BYTES",
    "AtMostOnce",
    "BatchResults",
    "Bounce",
    "BounceNature",
    "BounceTokens",
    "ChannelActivities",
    "ChannelEnvironment",
    "ChannelError",
    "ChannelSettings",
    "ChannelSettingsError",
    "Crossing",
    "EmailSettings",
    "ExecutiveSettings",
    "ForgedBounceError",
    "HandOver",
    "Line",
    "Matching",
    "Member",
    "MemberOperation",
    "MemberResult",
    "MemberStatus",
    "MemberType",
    "MembersBatch",
    "NotABounceError",
    "Operation",
    "PaidMediaSettings",
    "SdrTask",
    "SdrTaskSettings",
    "SegmentUpdate",
    "StartTls",
    "TakeBack",
    "UnknownChannelError",
    "UnknownTouchError",
    "UnreadableBounceError",
    "UnsubscribeClaim",
    "UnsubscribeLinks",
    "UnsubscribeTokenError",
    "WebPersonalizationSettings",
    "WebhookPayload",
    "WebhookSettings",
    "build_channel",
    "hand_over_again",
    "preflight",
    "read_bounce",
    "read_settings",
    "receipt_for",
]

CHANNELS: Mapping[str, Callable[[ChannelEnvironment], ChannelActivities]] = MappingProxyType(
    {
        "email": lambda environment: email.build(environment, read_settings(EmailSettings)),
        "paid_media": lambda environment: paid_media.build(environment, read_settings(PaidMediaSettings)),
        "sdr_task": lambda environment: sdr_task.build(environment, read_settings(SdrTaskSettings)),
        "web_personalization": lambda environment: web_personalization.build(
            environment, read_settings(WebPersonalizationSettings)
        ),
        "executive": lambda environment: executive.build(environment, read_settings(ExecutiveSettings)),
        "webhook": lambda environment: webhook.build(environment, read_settings(WebhookSettings)),
    }
)
"""How to build each channel's activities; the settings come from the process environment."""


def build_channel(
    name: str, *, ledger: Ledger, unsubscribe: UnsubscribeLinks, module: str | None = None
) -> ChannelActivities:
    """Build the activities of one channel.

    Args:
        name: The channel, a key of `CHANNELS`.
        ledger: An open ledger; it stays the caller's to close.
        unsubscribe: Makes the links that messages carry.
        module: The importable module of a team's own channel, with a function `build` that takes a
            `ChannelEnvironment`; None: the channel is one of `CHANNELS`.

    Returns:
        The activity `hand_over`, which takes a `Touch` and returns a `Receipt`; and, where what was handed
        over can be taken back, `recall`, which takes a `Recall` and returns `Recalled`.

    Raises:
        UnknownChannelError: There is no such channel, or no such module.
        ChannelSettingsError: A setting is missing, wrong or unknown; the line names its variable.
    """
    factory = CHANNELS.get(name) if module is None else _build_of(module)
    if factory is None:
        raise UnknownChannelError(
            f"there is no channel '{name}'; known are {', '.join(sorted(CHANNELS))}; name the module of your "
            "own one with TUTTI_CHANNEL_MODULE"
        )
    return factory(ChannelEnvironment(ledger=ledger, unsubscribe=unsubscribe))


def _build_of(module: str) -> Callable[[ChannelEnvironment], ChannelActivities]:
    """Return the function `build` of a team's own module.

    Raises:
        UnknownChannelError: It cannot be imported, or has none.
    """
    try:
        build: Callable[[ChannelEnvironment], ChannelActivities] = import_module(module).build
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownChannelError(
            f"TUTTI_CHANNEL_MODULE={module} cannot be used: {error}; name a module that Python finds, with a "
            "function `build`"
        ) from error
    return build
