"""How the local vendors tell what came back: signed as Standard Webhooks prescribe, twice if told so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx2 as httpx
from pydantic import SecretStr
from standardwebhooks import Webhook

from domain import Frozen, Identifier, Outcome

_PATIENCE_SECONDS = 10.0


class OutcomeCallback(Frozen):
    """Body of a callback."""

    account_id: Identifier
    outcome: Outcome


class Callbacks:
    """Posts outcomes to whoever wants them.

    Args:
        url: Where to; `{channel}` in it is replaced by the channel's name.
        secret: Shared with the receiver, `whsec_...`.

    Raises:
        ValueError: The secret cannot be read.
    """

    def __init__(self, url: str, secret: SecretStr) -> None:
        self._url = url
        self._webhook = Webhook(secret.get_secret_value())

    async def tell(self, channel: str, callback: OutcomeCallback, *, copies: int) -> list[int | str]:
        """Make the callbacks at the same time; return the status of each answer, or the kind of error."""
        return list(await asyncio.gather(*(self._post(channel, callback) for _ in range(copies))))

    async def _post(self, channel: str, callback: OutcomeCallback) -> int | str:
        now, body, outcome_id = datetime.now(UTC), callback.model_dump_json(), callback.outcome.outcome_id
        headers = {
            "content-type": "application/json",
            "webhook-id": outcome_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(outcome_id, now, body),
        }
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE_SECONDS, trust_env=False) as client:
                answer = await client.post(
                    self._url.replace("{channel}", channel), content=body, headers=headers
                )
        except httpx.HTTPError as error:
            return type(error).__name__
        return answer.status_code
