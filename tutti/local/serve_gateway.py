"""Serves the gateway on loopback: `python -m tutti.local.serve_gateway`.

Prints `{"ready": "gateway"}` once it takes connections, and ends with code 0 on SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn
from temporalio.client import Client

from activities.channels import BounceTokens, UnsubscribeLinks
from activities.notices import AnswerLinks
from activities.notifying import addresses_of
from activities.policies import PolicyKeeper
from gateway.app import Approvals, ApproverTokens, Bounces, OutcomeKeys, Replies, create_app
from ledger import Ledger, LedgerError
from tutti.local._ports import LOOPBACK
from tutti.settings import Settings, SettingsError, temporal_config
from workflows import AccountClient, tutti_plugin

_GRACE_SECONDS = 3


class _Server(uvicorn.Server):
    """Announces itself when it listens, and leaves signals to us: its own handling exits by the signal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(json.dumps({"ready": "gateway"}) + "\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def ask_to_exit(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


async def serve_gateway(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        LedgerError: The ledger cannot be reached or its tables are not up to date.
        SettingsError: A setting is missing or wrong.
    """
    links = UnsubscribeLinks(str(settings.public_url), settings.required_signing_key())
    bounces = Bounces(BounceTokens(settings.required_signing_key()), settings.bounce_token)
    answer_links = AnswerLinks(str(settings.public_url), settings.required_signing_key())
    keys = OutcomeKeys(settings.outcomes_secrets, settings.outcomes_secret)
    # Lazy: opt-outs must be recorded in the ledger even while the engine is away.
    client = await Client.connect(**temporal_config(), lazy=True, plugins=[tutti_plugin()])
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.check()
        accounts = AccountClient(client)
        app = create_app(
            ledger=ledger,
            accounts=accounts,
            links=links,
            outcome_keys=keys,
            bounces=bounces,
            channel_token=settings.channel_token,
            approvals=Approvals(
                accounts=accounts,
                links=answer_links,
                tokens=ApproverTokens(settings.approver_tokens),
                replies=Replies(addresses_of(PolicyKeeper(ledger)), settings.reply_token),
            ),
        )
        server = _Server(
            uvicorn.Config(
                app,
                host=LOOPBACK,
                port=settings.gateway_port,
                access_log=False,  # paths hold unsubscribe tokens and answer links
                log_level="warning",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.ask_to_exit)
        await server.serve()
    finally:
        await ledger.close()


def main() -> int:
    """Serve the gateway with the settings of the environment.

    Returns:
        Exit code: 0, or 1 after one line on stderr.
    """
    try:
        asyncio.run(serve_gateway(Settings.load()))
    except (LedgerError, SettingsError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
