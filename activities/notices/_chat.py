"""Notices in a chat: a Slack-compatible incoming webhook for each group, or one for all.

Many people read a channel, so a message there names the question and where to answer it, and carries neither
an answer link nor the content nor a contact's name.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import httpx2 as httpx
from temporalio.exceptions import ApplicationError

from activities.channels._http import Answer, Door
from activities.notices._delivery import Delivery, Outage
from activities.notices._settings import ChatSettings
from activities.notices._wording import OPEN_OCCASIONS, Wording, clock, company, words
from domain import Approval, ChannelFault, Notice
from ledger import NoticeStatus

# At INFO the client writes down addresses, and whoever reads that of a webhook can post there.
logging.getLogger("httpx2").setLevel(logging.WARNING)

EVERYBODY: Final = "everybody"
"""Who is told by the webhook that belongs to no single group."""
SHORT_WAIT: Final = timedelta(seconds=5)
"""Up to here a `Retry-After` is waited for at once: chat services ask for a second between two messages."""

_LONGEST_HEADER: Final = 150  # characters that Slack takes in a header block
_LONGEST_SECTION: Final = 3_000
_TRY_LATER: Final = frozenset({408, 425, 429})


class NoticeChat:
    """Posts notices to chat webhooks.

    Args:
        settings: The webhooks.
    """

    def __init__(self, settings: ChatSettings) -> None:
        self._settings = settings
        self._door = Door("the chat", timeout_seconds=settings.timeout_seconds)
        self._outages: dict[str, Outage] = defaultdict(Outage)

    def recipients(self, notice: Notice) -> tuple[str, ...]:
        """Return whom a notice is posted for: groups that have a webhook, and `everybody` for all others."""
        own = self._settings.webhooks
        found = dict.fromkeys(group if group in own else EVERYBODY for group in _groups(notice.card.approval))
        if self._settings.webhook_url is None:
            found.pop(EVERYBODY, None)
        return tuple(found)

    async def post(self, recipient: str, notice: Notice, wording: Wording, until: float) -> Delivery:
        """Post a notice for one of the recipients and say what became of it.

        A chat that asks for a short pause gets it; one that fails is tried later.

        Args:
            recipient: One of `recipients`.
            notice: What happened.
            wording: The same in words.
            until: The moment, on the clock of the event loop, from which no request is begun.
        """
        secret = self._settings.webhooks.get(recipient, self._settings.webhook_url)
        if secret is None:
            return Delivery(NoticeStatus.REFUSED, "it has no webhook")
        outage = self._outages[recipient]
        if (shut := outage.delivery) is not None:
            return shut
        body = json.dumps(payload(notice, wording))
        clock_of = asyncio.get_running_loop().time
        delivery = Delivery(NoticeStatus.NOT_SENT, "the chat was too slow to get to it")
        while clock_of() < until:
            try:
                answer = await self._door.ask(
                    "POST", secret.get_secret_value(), headers={"content-type": "application/json"}, body=body
                )
            except ApplicationError as error:
                if error.type == ChannelFault.IN_DOUBT.value:
                    return Delivery(NoticeStatus.IN_DOUBT, "the chat did not say whether it took it")
                outage.begin("the chat cannot be reached")
                return Delivery(NoticeStatus.NOT_SENT, "the chat cannot be reached")
            delivery = _meaning(answer)
            if not _wants_a_pause(answer):
                break
            await asyncio.sleep((answer.retry_after or SHORT_WAIT).total_seconds())
        return delivery


def payload(notice: Notice, wording: Wording) -> dict[str, Any]:
    """Return the JSON of a message: blocks for chats that lay them out, the same as text for all others."""
    title, lines = escaped(wording.title), [escaped(line) for line in _lines(notice, wording)]
    text = "\n".join(lines)[:_LONGEST_SECTION]
    return {
        "text": f"{title}\n{text}",
        "mrkdwn": False,  # an asterisk in a company's name is an asterisk
        "unfurl_links": False,
        "blocks": [
            _block("header", title[:_LONGEST_HEADER]),
            _block("section", text),
        ],
    }


def escaped(text: str) -> str:
    """Escape what a chat would obey: `<!channel>` calls everybody, `<https://...>` is a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _block(kind: str, text: str) -> dict[str, Any]:
    return {"type": kind, "text": {"type": "plain_text", "text": text, "emoji": False}}


def _lines(notice: Notice, wording: Wording) -> list[str]:
    approval = notice.card.approval
    lines = [wording.heading, wording.message, f"Account: {company(notice.card)} ({notice.account_id})"]
    if approval.action is not None and approval.channel is not None:
        lines.append(f"Action: {words(approval.action)} over {words(approval.channel)}, by {approval.actor}")
    lines.append(f"Asked: {approval.route.group}")
    if notice.occasion in OPEN_OCCASIONS:
        due = approval.route.due_at or approval.route.expires_at
        lines += [
            f"Due: {clock(due)}",
            f"No answer: {wording.silence}",
            f"Answer in your mail or with: tutti inbox ({notice.account_id}/{approval.approval_id})",
        ]
    else:
        lines.append(f"Question: {notice.account_id}/{approval.approval_id}")
    return lines


def _groups(approval: Approval) -> tuple[str, ...]:
    """Return the groups that are asked by now."""
    route = approval.route
    first = tuple(seat.group for seat in route.seats) or (route.group,)
    return (*first, *(level.group for level in route.levels[: approval.level]))


def _wants_a_pause(answer: Answer) -> bool:
    return (
        answer.status == HTTPStatus.TOO_MANY_REQUESTS
        and answer.retry_after is not None
        and answer.retry_after <= SHORT_WAIT
    )


def _meaning(answer: Answer) -> Delivery:
    """Say what an answer means; only its code is kept, because its words may hold anything."""
    said = f"the chat answered HTTP {answer.status}"
    if answer.success:
        return Delivery(NoticeStatus.DELIVERED, said)
    later = answer.status in _TRY_LATER or httpx.codes.is_server_error(answer.status)
    return Delivery(NoticeStatus.NOT_SENT if later else NoticeStatus.REFUSED, said)
