"""The settings of notices: a mail server with a sender of its own, and chat webhooks; both are optional."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableSetting

from activities.channels._settings import ChannelSettings, ChannelSettingsError, read_settings
from activities.channels._smtp import SmtpSettings, parse_address
from activities.notices._links import REPLY_KEY_LENGTH

MAIL_PREFIX: Final = "TUTTI_NOTICES_"
CHAT_PREFIX: Final = "TUTTI_CHAT_"

_LONGEST_LOCAL_PART: Final = 64  # RFC 5321, 4.5.3.1.1
_LONGEST_MAILBOX: Final = _LONGEST_LOCAL_PART - REPLY_KEY_LENGTH - 1
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def _mailbox(value: str | None) -> str | None:
    if value is None:
        return None
    address = parse_address(value)
    if address.display_name or "+" in address.username or len(address.username) > _LONGEST_MAILBOX:
        raise ValueError(
            f"write an address without a name and without +, with at most {_LONGEST_MAILBOX} characters "
            "before the @"
        )
    return value


def _webhook(value: SecretStr) -> SecretStr:
    """Accept what a secret may be sent to; what is wrong is said without showing it."""
    try:
        parts = urlsplit(value.get_secret_value())
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if not host or scheme not in {"http", "https"}:
        raise ValueError("it is no web address such as https://chat.example.com/hooks/...")
    if scheme == "http" and host not in _LOOPBACK:
        raise ValueError("it must begin with https://, because whoever reads it can post there")
    return value


Webhook = Annotated[SecretStr, AfterValidator(_webhook)]
"""The address of an incoming webhook: whoever knows it can post there."""


class NoticeMailSettings(SmtpSettings):
    """How notices are mailed, read from `TUTTI_NOTICES_*`; the names are those of the e-mail channel."""

    model_config = SettingsConfigDict(env_prefix=MAIL_PREFIX)

    reply_to: Annotated[
        str | None,
        AfterValidator(_mailbox),
        Field(description="the mailbox for answers, such as approvals@example.com"),
    ] = None
    timeout_seconds: Annotated[
        float, Field(gt=0.0, le=10.0, description="seconds to wait for each answer, up to 10")
    ] = 8.0


class ChatSettings(ChannelSettings):
    """Where notices are posted, read from `TUTTI_CHAT_*`."""

    model_config = SettingsConfigDict(env_prefix=CHAT_PREFIX)

    webhook_url: Annotated[
        Webhook | None, Field(description="the address of a Slack-compatible incoming webhook")
    ] = None
    webhooks: Annotated[
        dict[str, Webhook],
        Field(description='webhooks of single groups, as JSON such as {"legal": "https://..."}'),
    ] = {}
    timeout_seconds: Annotated[
        float, Field(gt=0.0, le=10.0, description="seconds to wait for the answer, up to 10")
    ] = 8.0


@dataclass(frozen=True)
class NoticeSettings:
    """By which media people are told; None: not by this one."""

    mail: NoticeMailSettings | None = None
    chat: ChatSettings | None = None


def read_notice_settings(environ: Mapping[str, str] | None = None) -> NoticeSettings:
    """Read by which media people are told from the process environment.

    A medium of which no variable is set is not used.

    Args:
        environ: Where to look for variables that are set; the process environment if left out.

    Raises:
        ChannelSettingsError: A variable is missing, wrong or unknown; the line names it, never its value.
    """
    variables = os.environ if environ is None else environ
    used = {name.upper() for name, value in variables.items() if value}
    mail = any(name.startswith(MAIL_PREFIX) for name in used)
    chat = any(name.startswith(CHAT_PREFIX) for name in used)
    try:
        return NoticeSettings(
            mail=read_settings(NoticeMailSettings, environ) if mail else None,
            chat=read_settings(ChatSettings, environ) if chat else None,
        )
    except UnreadableSetting:
        raise ChannelSettingsError(
            f'{CHAT_PREFIX}WEBHOOKS is no JSON; write it like {{"legal": "https://..."}}'
        ) from None
