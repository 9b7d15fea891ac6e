"""Channels: one module each, one activity `hand_over` each, on a task queue of its own.

A new channel is a module like `webhook` or `email` with a `build` function, and an entry in `CHANNELS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from activities.channels import email, webhook
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
    ChannelEnvironment,
    Crossing,
    HandOver,
)
from activities.channels._settings import (
    ChannelError,
    ChannelSettings,
    ChannelSettingsError,
    UnknownChannelError,
    read_settings,
)
from activities.channels._unsubscribe import UnsubscribeClaim, UnsubscribeLinks, UnsubscribeTokenError
from activities.channels.email import EmailSettings, StartTls
from activities.channels.webhook import WebhookPayload, WebhookSettings
from ledger import Ledger

__all__ = [
    "CHANNELS",
    "LEDGER_UNAVAILABLE",
    "MAX_BOUNCE_BYTES",
    "AtMostOnce",
    "Bounce",
    "BounceNature",
    "BounceTokens",
    "ChannelEnvironment",
    "ChannelError",
    "ChannelSettings",
    "ChannelSettingsError",
    "Crossing",
    "EmailSettings",
    "ForgedBounceError",
    "HandOver",
    "NotABounceError",
    "StartTls",
    "UnknownChannelError",
    "UnknownTouchError",
    "UnreadableBounceError",
    "UnsubscribeClaim",
    "UnsubscribeLinks",
    "UnsubscribeTokenError",
    "WebhookPayload",
    "WebhookSettings",
    "build_channel",
    "read_bounce",
    "read_settings",
]

CHANNELS: Mapping[str, Callable[[ChannelEnvironment], HandOver]] = MappingProxyType(
    {
        "email": lambda environment: email.build(environment, read_settings(EmailSettings)),
        "webhook": lambda environment: webhook.build(environment, read_settings(WebhookSettings)),
    }
)
"""How to build each channel's activity; the settings come from the process environment."""


def build_channel(name: str, *, ledger: Ledger, unsubscribe: UnsubscribeLinks) -> HandOver:
    """Build the activity of one channel.

    Args:
        name: The channel, a key of `CHANNELS`.
        ledger: An open ledger; it stays the caller's to close.
        unsubscribe: Makes the links that messages carry.

    Returns:
        The activity `hand_over`: takes a `Touch`, returns a `Receipt`.

    Raises:
        UnknownChannelError: There is no such channel.
        ChannelSettingsError: A setting is missing, wrong or unknown; the line names its variable.
    """
    factory = CHANNELS.get(name)
    if factory is None:
        raise UnknownChannelError(f"there is no channel '{name}'; known are {', '.join(sorted(CHANNELS))}")
    return factory(ChannelEnvironment(ledger=ledger, unsubscribe=unsubscribe))
