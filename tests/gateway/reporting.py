"""Providers that report to a gateway in front of the real engine, and what the accounts' workflows got."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
from pydantic import SecretStr
from standardwebhooks import Webhook
from temporalio.client import Client

from activities.channels import BounceTokens
from domain import Outcome
from gateway.app import Bounces, OutcomeKeys, create_app
from ledger import Ledger
from tests.builders import account
from tests.channels.support import KEY, LINKS, http_server
from workflows import AccountClient, workflow_id

OURS = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEXT = "whsec_" + "bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0"
THEIRS = "whsec_" + "dGhlaXJzdGhlaXJzdGhlaXJzdGhlaXJz"
BEARER = "b" * 32
KEYS = OutcomeKeys({"email": [SecretStr(OURS), SecretStr(NEXT)]}, [SecretStr(THEIRS)])
TOKENS = BounceTokens(KEY)


@dataclass
class Office:
    """A gateway, the engine behind it, and an account that the engine knows."""

    http: httpx.AsyncClient
    client: Client
    account_id: str

    def report(self, **changes: object) -> dict[str, Any]:
        """One item of a callback, as a provider would write it."""
        outcome: dict[str, object] = {
            "outcome_id": "evt-1",
            "source": "email",
            "touch_id": f"{self.account_id}/p-1/1",
            "kind": "reply",
            "at": "2026-03-02T09:30:00Z",
        }
        return {"account_id": self.account_id, "outcome": outcome | changes}

    async def post(
        self,
        body: object,
        *,
        channel: str = "email",
        secret: str = OURS,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Sign a callback and post it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = signature(content, secret) | dict(headers or {})
        return await self.http.post(f"/v1/outcomes/{channel}", content=content, headers=signed)

    async def arrived(self) -> list[Outcome]:
        """What the account's workflow was told, as the engine has it in its history."""
        history = await self.client.get_workflow_handle(workflow_id(self.account_id)).fetch_history()
        told = []
        for event in history.events:
            signaled = event.workflow_execution_signaled_event_attributes
            if signaled.signal_name == "report_outcome":
                told += await self.client.data_converter.decode(signaled.input.payloads, [Outcome])
        return told


def signature(content: bytes, secret: str, at: datetime | None = None) -> dict[str, str]:
    """The headers of Standard Webhooks for a body."""
    moment = at or datetime.now(UTC)
    text = content.decode(errors="replace")
    return {
        "webhook-id": "msg-1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg-1", moment, text),
    }


@asynccontextmanager
async def opened(
    client: Client, ledger: Ledger, bearer: str | None = BEARER, keys: OutcomeKeys = KEYS
) -> AsyncIterator[Office]:
    """A gateway on the engine. No worker runs: what the engine took is durable all the same."""
    name = uuid.uuid4().hex[:12]
    accounts = AccountClient(client, task_queue=f"gateway-{name}", decision_window=timedelta(seconds=1))
    account_id = f"acme-{name}"
    app = create_app(
        ledger=ledger,
        accounts=accounts,
        links=LINKS,
        outcome_keys=keys,
        bounces=Bounces(TOKENS, SecretStr(bearer) if bearer else None),
    )
    await accounts.observe(account_id, [account(account_id)])
    try:
        async with (
            http_server(app) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
        ):
            yield Office(http, client, account_id)
    finally:
        await client.get_workflow_handle(workflow_id(account_id)).terminate("the test is over")


def statuses(answer: httpx.Response) -> Sequence[str]:
    """What became of each item."""
    return [result["status"] for result in answer.json()["results"]]
