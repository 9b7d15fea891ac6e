"""Three vendors in one process, for development: a CRM, a segment store, an advertising platform.

They listen on the loopback address only, want the bearer token, take each touch once, keep what they get in a
file of JSON lines, and do what the real ones do on bad days when told to. `docs/channels.md` has their
interfaces; beside those there are

| request | what it does |
|---|---|
| `POST /_behave` | misbehave, see `Behaviour` |
| `DELETE /_behave` | behave again |
| `GET /_seen` | what arrived, oldest first; `?path=/v1/tasks` for some of it |
| `POST /_complete/{touch_id}` | somebody did the task, saw the page or clicked: call back the outcome |
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from pydantic import SecretStr, ValidationError

from tutti.local._listening import served
from tutti.local._ports import LOOPBACK
from tutti.local._vendor_app import OUTCOMES_VARIABLE, Vendors, VendorsError, VendorsSettings

__all__ = [
    "OUTCOMES_VARIABLE",
    "TOKEN_VARIABLE",
    "Vendors",
    "VendorsError",
    "VendorsSettings",
    "main",
    "run_vendors",
]

TOKEN_VARIABLE = "TUTTI_VENDORS_TOKEN"  # noqa: S105 - a variable's name


async def run_vendors(
    settings: VendorsSettings, stop: asyncio.Event, *, started: Callable[[int], None] | None = None
) -> None:
    """Run the vendors until told to stop.

    Args:
        settings: Where to listen, what to keep, whom to tell.
        stop: Set it to end.
        started: Called with the port once they listen.

    Raises:
        VendorsError: The port is taken, or the file or the secret cannot be used.
    """
    vendors = Vendors(settings)
    try:
        listener = socket.create_server((LOOPBACK, settings.port))
    except OSError as error:
        raise VendorsError(
            f"cannot listen on {LOOPBACK}:{settings.port}: {error.strerror}; "
            "choose another with --vendors-port"
        ) from error
    async with served(vendors.app, listener) as port:
        if started is not None:
            started(port)
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the vendors as a program until SIGTERM or SIGINT.

    Once they listen it prints one line, `{"ready": "vendors", "port": N}`.

    Returns:
        The exit code: 0 after an orderly stop, 1 with one line on stderr if they cannot work.
    """
    # The ready line has stdout for itself.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    parser = argparse.ArgumentParser(
        prog="python -m tutti.local.vendors", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--vendors-port", type=int, required=True, help="loopback port")
    parser.add_argument("--vendors-log", type=Path, required=True, help="file for what they keep")
    parser.add_argument(
        "--callback-url", help="where outcomes go, such as http://127.0.0.1:8321/v1/outcomes/{channel}"
    )
    options = parser.parse_args(arguments)
    try:
        settings = VendorsSettings(
            port=options.vendors_port,
            log=options.vendors_log,
            token=SecretStr(_secret(TOKEN_VARIABLE, "the bearer token that the channels use")),
            callback_url=options.callback_url,
            callback_secret=SecretStr(_secret(OUTCOMES_VARIABLE, "the secret that signs callbacks"))
            if options.callback_url
            else None,
        )
        asyncio.run(_serve(settings))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        print(f"vendors: --vendors-{first['loc'][0]}: {first['msg']}", file=sys.stderr)  # noqa: T201 - a program's last word
        return 1
    except VendorsError as error:
        print(f"vendors: {error}", file=sys.stderr)  # noqa: T201 - a program's last word
        return 1
    return 0


def _secret(variable: str, meaning: str) -> str:
    secret = os.environ.get(variable, "")
    if not secret:
        raise VendorsError(f"{variable} is not set; it must hold {meaning}")
    return secret


async def _serve(settings: VendorsSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def say_ready(port: int) -> None:
        print(json.dumps({"ready": "vendors", "port": port}), flush=True)  # noqa: T201 - who started this program waits for the line

    await run_vendors(settings, stop, started=say_ready)


if __name__ == "__main__":
    sys.exit(main())
