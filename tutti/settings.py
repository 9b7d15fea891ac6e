"""Settings that every process reads from its environment.

The connection to Temporal is not among them: it follows Temporal's own convention (`TEMPORAL_ADDRESS`,
`TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, profiles), read by `temporalio.envconfig`, so
that one environment serves Temporal's tools and these processes alike. Settings of a channel live with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AnyHttpUrl, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableSetting

from domain import Identifier

if TYPE_CHECKING:
    from temporalio.envconfig import ClientConnectConfig  # slow to import, and most commands need no engine

PREFIX = "TUTTI_"
SHORTEST_SIGNING_KEY = 32
"""Bytes: the output size of the hash behind the signatures; a shorter key would be their weakest part."""


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names the variable."""

    code = "SETTINGS"


def _absolute(value: object) -> object:
    if isinstance(value, str):
        if not value.strip():
            msg = "is empty; give the path of a folder, or unset it"
            raise ValueError(msg)
        return Path(value).expanduser().absolute()
    return value


Folder = Annotated[Path, BeforeValidator(_absolute)]
"""A folder's path: `~` stands for the user's home, relative paths count from the current folder."""


def _several(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_several)]
"""One or more secrets, separated by spaces."""


class Settings(BaseSettings):
    """What all processes of Tutti need to know about their surroundings.

    Every field is read from the environment variable `TUTTI_<FIELD>`. Build it with `Settings.load()`, which
    turns a wrong value into one line.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", validate_default=True)

    home: Folder = Field(default_factory=lambda: Path(".tutti").absolute())
    """TUTTI_HOME: the folder in which the local stack keeps everything. Default: `.tutti` here."""

    policies: Folder = Field(default_factory=lambda: Path("policies").absolute())
    """TUTTI_POLICIES: the folder of the policy set. Default: `policies` here."""

    ledger_url: str = ""
    """TUTTI_LEDGER_URL: SQLAlchemy URL of the ledger. Default: the SQLite file `ledger.db` in `home`."""

    public_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8321")
    """TUTTI_PUBLIC_URL: where contacts and approvers reach the gateway; unsubscribe and answer links start
    with it."""

    gateway_port: int = Field(default=8321, ge=1, le=65535)
    """TUTTI_GATEWAY_PORT: the loopback port on which the gateway of the local stack listens."""

    signing_key: SecretStr | None = None
    """TUTTI_SIGNING_KEY: signs unsubscribe and answer links, at least 32 bytes. A new one voids links sent
    before."""

    outcomes_secret: Annotated[Secrets, NoDecode] = ()
    """TUTTI_OUTCOMES_SECRET: signs outcome callbacks of all channels, `whsec_...`; several, separated by
    spaces, are all valid while one replaces another."""

    outcomes_secrets: dict[str, Secrets] = {}
    """TUTTI_OUTCOMES_SECRETS: the same for single channels, as JSON such as `{"email": "whsec_..."}`; they
    count instead of the common one."""

    bounce_token: SecretStr | None = None
    """TUTTI_BOUNCE_TOKEN: what the mail server presents that passes on returned mail, at least 32 bytes.
    Without it none is taken."""

    channel_token: SecretStr | None = None
    """TUTTI_CHANNEL_TOKEN: what channel workers show at the gateway's hand-over API, at least 32 bytes."""

    approver_tokens: dict[Identifier, Secrets] = {}
    """TUTTI_APPROVER_TOKENS: what approvers show at the approvals API, as JSON such as
    `{"dana.reyes": "..."}`, each at least 32 bytes; several of one person, separated by spaces, are all valid
    while one replaces another. Without any the API is off."""

    reply_token: SecretStr | None = None
    """TUTTI_REPLY_TOKEN: what the mail server presents that passes on replies to notices, at least 32 bytes.
    Without it none is taken."""

    channel_module: str | None = None
    """TUTTI_CHANNEL_MODULE: the importable module of a team's own channel, for `python -m worker NAME`."""

    @field_validator("signing_key", "bounce_token", "channel_token", "reply_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        short = _too_short(value) if value is not None else None
        if short is not None:
            raise ValueError(short)
        return value

    @field_validator("approver_tokens")
    @classmethod
    def _one_for_each(cls, value: dict[str, tuple[SecretStr, ...]]) -> dict[str, tuple[SecretStr, ...]]:
        seen: set[str] = set()
        for login, tokens in value.items():
            if not tokens:
                msg = f"has no token of {login!r}; make one with `openssl rand -hex 32`"
                raise ValueError(msg)
            for token in tokens:
                short = _too_short(token)
                if short is not None:
                    msg = f"the token of {login!r} {short}"
                    raise ValueError(msg)
                if token.get_secret_value() in seen:
                    msg = f"the token of {login!r} is somebody else's too; each person needs their own"
                    raise ValueError(msg)
                seen.add(token.get_secret_value())
        return value

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Returns:
            The settings.

        Raises:
            SettingsError: A value is wrong. One line that names each wrong variable; never shows a secret.
        """
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError("; ".join(_complaints(error))) from None
        except UnreadableSetting as error:
            raise SettingsError(" ".join(str(error).split())) from None

    @property
    def ledger(self) -> str:
        """The ledger's SQLAlchemy URL, whether set or derived from `home`."""
        return self.ledger_url or f"sqlite+aiosqlite:///{self.home / 'ledger.db'}"

    def required_signing_key(self) -> SecretStr:
        """Return the signing key for a process that cannot work without it.

        Raises:
            SettingsError: TUTTI_SIGNING_KEY is not set.
        """
        if self.signing_key is None:
            raise SettingsError(
                f"{PREFIX}SIGNING_KEY is not set, and the links in mails need it; "
                "make one with `openssl rand -hex 32`"
            )
        return self.signing_key


def _too_short(secret: SecretStr) -> str | None:
    length = len(secret.get_secret_value().encode())
    if length >= SHORTEST_SIGNING_KEY:
        return None
    return f"has {length} bytes, fewer than {SHORTEST_SIGNING_KEY}; make one with `openssl rand -hex 32`"


def temporal_config() -> ClientConnectConfig:
    """Read how to reach Temporal, by Temporal's own convention.

    Returns:
        Arguments for `temporalio.client.Client.connect`; without any setting, `localhost:7233`.

    Raises:
        SettingsError: The profile or its file is wrong.
    """
    from temporalio.envconfig import ClientConfig

    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise SettingsError(f"the TEMPORAL_* settings do not work: {' '.join(str(error).split())}") from None
    config.setdefault("target_host", "localhost:7233")
    return config


def _complaints(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        variable = PREFIX + "_".join(str(part) for part in problem["loc"]).upper()
        lines.append(f"{variable}: {problem['msg'].removeprefix('Value error, ')}")
    return lines
