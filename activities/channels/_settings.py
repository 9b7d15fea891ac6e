"""How a channel reads its settings from the environment, and what it says when they are wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class ChannelError(Exception):
    """A channel cannot be built; the message is one line for the person who starts the worker.

    Attributes:
        code: Stable machine-readable code.
    """

    code = "CHANNEL"


class ChannelSettingsError(ChannelError):
    """A setting of a channel is missing, wrong or unknown."""

    code = "CHANNEL_SETTINGS"


class UnknownChannelError(ChannelError):
    """There is no channel with the name asked for."""

    code = "UNKNOWN_CHANNEL"


class ChannelSettings(BaseSettings):
    """Base of all channel settings: immutable, read from the environment, secrets kept out of prints."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True)


SettingsT = TypeVar("SettingsT", bound=ChannelSettings)


def read_settings(kind: type[SettingsT], environ: Mapping[str, str] | None = None) -> SettingsT:
    """Read a channel's settings from the process environment.

    Args:
        kind: The settings class; its `env_prefix` names the variables.
        environ: Where to look for misspelt variables; the process environment if left out.

    Returns:
        The settings.

    Raises:
        ChannelSettingsError: A variable is missing, wrong or unknown; the line names it, never its value.
    """
    prefix = kind.model_config.get("env_prefix", "")
    known = sorted(f"{prefix}{name}".upper() for name in kind.model_fields)
    for variable in sorted(os.environ if environ is None else environ):
        if variable.upper().startswith(prefix) and variable.upper() not in known:
            close = get_close_matches(variable.upper(), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
            raise ChannelSettingsError(f"{variable} is no setting of this channel; {hint}")
    try:
        return kind()
    except ValidationError as error:
        raise ChannelSettingsError(_line(error, kind, prefix)) from None


def _line(error: ValidationError, kind: type[ChannelSettings], prefix: str) -> str:
    """Put the first problem into one line; the value stays out because it may be a secret."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if not field:
        return str(first["msg"]).removeprefix("Value error, ")
    variable = f"{prefix}{field}".upper()
    meaning = kind.model_fields[field].description if field in kind.model_fields else None
    if first["type"] == "missing":
        return f"{variable} is not set; it must hold {meaning}"
    reason = str(first["msg"]).removeprefix("Value error, ")
    return f"{variable} is wrong: {reason[:1].lower()}{reason[1:]} (it must hold {meaning})"
