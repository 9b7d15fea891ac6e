"""Which processes make up the stack, in what surroundings they run, and what they wait for."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from pathlib import Path

from domain import Frozen
from tutti.local._folder import Paths, Secrets
from tutti.local._ports import LOOPBACK, Ports
from tutti.local._temporal import NAMESPACE, server_command, server_program, server_ready

PRELOADED = (
    "temporalio.client",
    "temporalio.worker",
    "temporalio.contrib.pydantic",
    "sqlmodel",
    "sqlalchemy.ext.asyncio",
    "aiosqlite",
    "alembic.command",
    "fastapi",
    "uvicorn",
    "aiosmtpd.controller",
    "aiosmtplib",
    "httpx2",
    "cel_expr_python.cel",
    "ruamel.yaml",
    "structlog",
    "domain",
    "ledger",
    "governance",
    "activities.channels",
    "workflows",
    "workflows.client",
)
"""What the Python children import anyway: done once, before they are forked."""


_EXECUTIVES = Path(__file__).with_name("executives.yaml")
"""Made-up executives, whose mail ends in the sink."""
_WHO_MAY_COME_IN = ("TUTTI_APPROVER_TOKENS", "TUTTI_REPLY_TOKEN")


class Addresses(Frozen):
    """Where the stack can be reached."""

    temporal: str
    """`host:port` of the Temporal server's gRPC service."""
    ui: str
    gateway: str
    mail: str
    """`host:port` of the SMTP sink."""
    webhook: str
    chat: str
    """Address of the Slack-compatible webhook for notices."""
    vendors: str
    """The CRM, segment store and advertising platform for development."""


class Layout(Frozen):
    """Everything that is decided before the first process starts."""

    paths: Paths
    ports: Ports
    secrets: Secrets
    policies: Path
    """Folder of the policy set."""

    @property
    def addresses(self) -> Addresses:
        """Where the stack can be reached, for printing."""
        return Addresses(
            temporal=f"{LOOPBACK}:{self.ports.temporal}",
            ui=f"http://{LOOPBACK}:{self.ports.ui}",
            gateway=f"http://{LOOPBACK}:{self.ports.gateway}",
            mail=f"{LOOPBACK}:{self.ports.mail}",
            webhook=f"http://{LOOPBACK}:{self.ports.webhook}",
            chat=f"http://{LOOPBACK}:{self.ports.webhook}/chat",
            vendors=f"http://{LOOPBACK}:{self.ports.vendors}",
        )

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the Python children.

        Whatever this terminal says about Temporal, mail or webhooks is left out: a stack for trying things
        must not reach a production server or a real mailbox because a variable was still set.
        """
        token = self.secrets.vendors_token.get_secret_value()
        vendors: dict[str, str] = {}
        for channel in _VENDOR_CHANNELS:
            prefix = f"TUTTI_{channel.upper()}"
            vendors |= {f"{prefix}_BASE_URL": self.addresses.vendors, f"{prefix}_TOKEN": token}
        return _inherited("TEMPORAL_", "TUTTI_") | {
            "TEMPORAL_ADDRESS": self.addresses.temporal,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TEMPORAL_CONFIG_FILE": os.devnull,  # else keys and TLS of the user's profile would be used
            "TUTTI_HOME": str(self.paths.home),
            "TUTTI_POLICIES": str(self.policies),
            "TUTTI_LEDGER_URL": f"sqlite+aiosqlite:///{self.paths.ledger_database}",
            "TUTTI_PUBLIC_URL": self.addresses.gateway,
            "TUTTI_GATEWAY_PORT": str(self.ports.gateway),
            "TUTTI_SIGNING_KEY": self.secrets.signing_key.get_secret_value(),
            "TUTTI_CHANNEL_TOKEN": self.secrets.channel_token.get_secret_value(),
            "TUTTI_EMAIL_HOST": LOOPBACK,
            "TUTTI_EMAIL_PORT": str(self.ports.mail),
            "TUTTI_EMAIL_SENDER": "Tutti <tutti@example.com>",
            "TUTTI_EMAIL_STARTTLS": "off",
            "TUTTI_EMAIL_BOUNCE_ADDRESS": "bounces@example.com",
            "TUTTI_EMAIL_POSTAL_ADDRESS": "Tutti, 1 Example Street, Exampleton",
            "TUTTI_EXECUTIVE_HOST": LOOPBACK,
            "TUTTI_EXECUTIVE_PORT": str(self.ports.mail),
            "TUTTI_EXECUTIVE_SENDER": "Tutti <tutti@example.com>",
            "TUTTI_EXECUTIVE_STARTTLS": "off",
            "TUTTI_EXECUTIVE_DIRECTORY": str(_EXECUTIVES),
            "TUTTI_NOTICES_HOST": LOOPBACK,
            "TUTTI_NOTICES_PORT": str(self.ports.mail),
            "TUTTI_NOTICES_SENDER": "Tutti <tutti@example.com>",
            "TUTTI_NOTICES_STARTTLS": "off",
            "TUTTI_NOTICES_REPLY_TO": "approvals@example.com",
            "TUTTI_CHAT_WEBHOOK_URL": self.addresses.chat,
            # What a sink or vendor of this stack calls back with is the secret that it was called with.
            "TUTTI_OUTCOMES_SECRET": self.secrets.webhook_secret.get_secret_value(),
            "TUTTI_WEBHOOK_URL": f"{self.addresses.webhook}/",
            "TUTTI_WEBHOOK_SECRET": self.secrets.webhook_secret.get_secret_value(),
            "TUTTI_VENDORS_TOKEN": token,
            **vendors,
            # Who may come in at the gateway is the user's to say, and reaches nothing outside.
            **{name: os.environ[name] for name in _WHO_MAY_COME_IN if name in os.environ},
        }


class Readiness(Enum):
    """How a child shows that others may rely on it."""

    SAYS_SO = auto()
    """It prints a line `{"ready": ...}`."""
    ENDS_WELL = auto()
    """It does one thing and ends with code 0; it is not kept running."""
    PROBED = auto()
    """Its `probe` returns."""


class Phase(IntEnum):
    """When a child is stopped; lower ones first, those of one phase together."""

    DOOR = 1
    WORKER = 2
    SINK = 3
    ENGINE = 4


@dataclass(frozen=True)
class ChildSpec:
    """One process of the stack.

    Attributes:
        name: Short name, used for its log file and for `LocalStack.kill`.
        title: What it is called in front of people.
        phase: When it is stopped.
        environment: Its whole environment.
        program: Full path and arguments; or else
        module: a Python module to run as a program, with
        arguments: its arguments.
        readiness: How it shows that it is ready.
        probe: For `Readiness.PROBED`: returns once it is ready.
        after: Names of the children that must be ready before it starts.
        ready_seconds: How long it may take to become ready.
        stop_seconds: How long it may take to stop before it is killed.
    """

    name: str
    title: str
    phase: Phase
    environment: Mapping[str, str] = field(repr=False)  # holds secrets
    program: tuple[str, ...] = ()
    module: str | None = None
    arguments: tuple[str, ...] = ()
    readiness: Readiness = Readiness.SAYS_SO
    probe: Callable[[], Awaitable[None]] | None = None
    after: tuple[str, ...] = ()
    ready_seconds: float = 60.0
    stop_seconds: float = 5.0

    def __post_init__(self) -> None:
        if bool(self.program) == bool(self.module):
            raise ValueError(f"{self.name}: give either a program or a module")
        if (self.readiness is Readiness.PROBED) != (self.probe is not None):
            raise ValueError(f"{self.name}: a probe is for Readiness.PROBED, and that needs one")


_SINK_CHANNELS = {
    "email": "e-mail channel",
    "webhook": "webhook channel",
    "executive": "executive channel",
}
_VENDOR_CHANNELS = {
    "sdr_task": "task channel",
    "web_personalization": "site channel",
    "paid_media": "audience channel",
}
_CHANNELS = _SINK_CHANNELS | _VENDOR_CHANNELS
"""The channels that come with Tutti, as they are called in front of people."""

Children = Callable[[Layout], tuple[ChildSpec, ...]]
"""Decides on the children once the layout is known."""


def server(layout: Layout) -> ChildSpec:
    """The embedded Temporal server with its UI.

    Raises:
        StackError: The server is not installed.
    """
    return ChildSpec(
        name="temporal",
        title="Temporal server and UI",
        phase=Phase.ENGINE,
        environment=_inherited("TEMPORAL_"),
        program=server_command(server_program(), layout.ports, layout.paths.temporal_database),
        readiness=Readiness.PROBED,
        probe=lambda: server_ready(layout.ports),
        stop_seconds=10.0,
    )


def standard_children(
    layout: Layout, channels: Sequence[str] = tuple(_SINK_CHANNELS)
) -> tuple[ChildSpec, ...]:
    """The whole product on one machine.

    Args:
        layout: Where everything is.
        channels: Names of the channels in the policy set. One that did not come with Tutti gets no worker
            here: its own team runs that. The local vendors run if one of them has a channel.

    Raises:
        StackError: The Temporal server is not installed.
    """
    environment = layout.environment
    return (
        server(layout),
        ChildSpec(
            name="migrate",
            title="ledger tables",
            phase=Phase.ENGINE,
            environment=environment,
            module="tutti.local.migrate",
            readiness=Readiness.ENDS_WELL,
        ),
        ChildSpec(
            name="sinks",
            title="mail and webhook sinks",
            phase=Phase.SINK,
            environment=environment,
            module="tutti.local.sinks",
            arguments=(
                "--mail-port",
                str(layout.ports.mail),
                "--mail-dir",
                str(layout.paths.mail),
                "--webhook-port",
                str(layout.ports.webhook),
                "--webhook-log",
                str(layout.paths.webhooks),
                "--chat-log",
                str(layout.paths.chat),
            ),
        ),
        *([_vendors(layout)] if not _VENDOR_CHANNELS.keys().isdisjoint(channels) else []),
        *(
            ChildSpec(
                name=role,
                title=title,
                phase=Phase.WORKER,
                environment=environment,
                module="worker",
                arguments=(role,),
                after=("temporal", "migrate"),
                stop_seconds=15.0,  # it finishes what it has begun
            )
            for role, title in (
                ("orchestrator", "account orchestrator"),
                *((name, title) for name, title in _CHANNELS.items() if name in channels),
            )
        ),
        ChildSpec(
            name="gateway",
            title="gateway",
            phase=Phase.DOOR,
            environment=environment,
            module="tutti.local.serve_gateway",
            after=("temporal", "migrate"),
        ),
    )


def _vendors(layout: Layout) -> ChildSpec:
    return ChildSpec(
        name="vendors",
        title="local vendors",
        phase=Phase.SINK,
        environment=layout.environment,
        module="tutti.local.vendors",
        arguments=(
            "--vendors-port",
            str(layout.ports.vendors),
            "--vendors-log",
            str(layout.paths.vendors),
            "--callback-url",
            f"{layout.addresses.gateway}/v1/outcomes/{{channel}}",
        ),
    )


def _inherited(*without: str) -> dict[str, str]:
    """This process's environment less the variables with one of the prefixes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(without)}
