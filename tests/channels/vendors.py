"""What the tests of the vendor channels share: real vendors over real HTTP, and channels in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
from pydantic import HttpUrl, SecretStr

from activities.channels import (
    ChannelActivities,
    ChannelEnvironment,
    PaidMediaSettings,
    SdrTaskSettings,
    WebPersonalizationSettings,
    paid_media,
    sdr_task,
    web_personalization,
)
from domain import Recall, Recalled, Receipt, Touch
from ledger import Ledger
from tests.channels.support import LINKS, a_touch, allow, an_environment, http_server
from tutti.local.vendors import Vendors, VendorsSettings

TOKEN = "token-of-the-vendors"
FIELDS = {
    "sdr_task": {"assignee": "lena.fischer"},
    "web_personalization": {"segment": "security-buyers"},
    "paid_media": {"audience": "in-market"},
}
"""What a touch of each channel needs."""
PATHS = {"sdr_task": "/v1/tasks", "web_personalization": "/v1/segments", "paid_media": "/v1/audiences"}


@dataclass
class World:
    """The vendors, the three channels, and a window to what arrived."""

    url: str
    ledger: Ledger
    http: httpx.AsyncClient
    timeout: float = 5.0

    def channel(self, name: str, **settings: object) -> ChannelActivities:
        """Build a channel's activities as its worker does."""
        given: dict[str, Any] = {
            "base_url": HttpUrl(self.url),
            "token": SecretStr(TOKEN),
            "timeout_seconds": self.timeout,
            **settings,
        }
        environment = ChannelEnvironment(ledger=self.ledger, unsubscribe=LINKS)
        match name:
            case "sdr_task":
                return sdr_task.build(environment, SdrTaskSettings(**given))
            case "web_personalization":
                return web_personalization.build(environment, WebPersonalizationSettings(**given))
            case _:
                return paid_media.build(environment, PaidMediaSettings(**{"batch_seconds": 0.05} | given))

    async def several(self, channel: str, count: int, **changes: object) -> list[Touch]:
        """Make touches of as many accounts, each allowed by a ruling."""
        touches = [
            touch_for(
                channel, touch_id=f"acme-{n}/p-{n}/1", account_id=f"acme-{n}", proposal_id=f"p-{n}", **changes
            )
            for n in range(count)
        ]
        for touch in touches:
            await allow(self.ledger, touch)
        return touches

    async def hand_over(self, channel: str, touch: Touch, **settings: object) -> Receipt:
        environment = an_environment(scheduled=datetime.now(UTC))
        return await environment.run(self.channel(channel, **settings).hand_over, touch)

    async def recall(self, channel: str, recall: Recall, **settings: object) -> Recalled:
        activity = self.channel(channel, **settings).recall
        assert activity is not None
        return await an_environment().run(activity, recall)

    async def behave(self, mode: str, path: str = "/", **how: object) -> None:
        answer = await self.http.post("/_behave", json={"path": path, "mode": mode, **how})
        assert answer.status_code == 200, answer.text

    async def behave_well(self) -> None:
        await self.http.delete("/_behave")

    async def seen(self, path: str = "/") -> list[dict[str, Any]]:
        """Requests that arrived, oldest first."""
        return list((await self.http.get("/_seen", params={"path": path})).json())

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers={"authorization": f"Bearer {TOKEN}"})

    async def count(self, channel: str, touch: Touch) -> int:
        """How often a touch stands at its vendor."""
        if channel == "paid_media":
            members = (await self.get(f"/v1/audiences/{touch.fields['audience']}")).json()["members"]
            return sum(member["added_by"].count(touch.touch_id) for member in members)
        if channel == "web_personalization":
            answer = await self.get(segment_path(touch))
            return int(answer.status_code == 200 and answer.json()["touch_id"] == touch.touch_id)
        tasks = (await self.get("/v1/tasks")).json()["tasks"]
        return sum(t["external_id"] == touch.touch_id and t["status"] != "cancelled" for t in tasks)


def segment_path(touch: Touch) -> str:
    whose = f"?contact_id={touch.recipient.contact_id}" if touch.recipient else ""
    return f"/v1/segments/{touch.account_id}{whose}"


@asynccontextmanager
async def vendors(ledger: Ledger, log: Path, **changes: object) -> AsyncIterator[World]:
    """Run the vendors on a free port, with channels in front of them."""
    async with vendors_alone(log, **changes) as http:
        yield World(url=str(http.base_url).rstrip("/"), ledger=ledger, http=http)


@asynccontextmanager
async def vendors_alone(log: Path, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
    """Run the vendors on a free port; yields a client of theirs."""
    settings = VendorsSettings.model_validate({"port": 0, "log": log, "token": SecretStr(TOKEN), **changes})
    async with (
        http_server(Vendors(settings).app) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        yield client


def touch_for(channel: str, **changes: object) -> Touch:
    """A touch that a channel accepts."""
    return a_touch(**{"channel": channel, "fields": FIELDS[channel], **changes})


def recall_of(touch: Touch, receipt: Receipt | None = None) -> Recall:
    return Recall(
        touch_id=touch.touch_id,
        account_id=touch.account_id,
        channel=touch.channel,
        action=touch.action,
        contact_id=touch.recipient.contact_id if touch.recipient else None,
        provider_ref=receipt.provider_ref if receipt else None,
        reason="the account replied",
    )
