"""What the tests of notices share: exceptions to tell of, and what arrived where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from temporalio.testing import ActivityEnvironment

from activities.channels import StartTls
from activities.notices import AnswerLinks, ChatSettings, NoticeChat, NoticeMail, NoticeMailSettings
from activities.notifying import Notifying
from domain import (
    Account,
    Answer,
    Approval,
    ApprovalRoute,
    Consequence,
    Contact,
    Content,
    Decision,
    ExceptionCard,
    Notice,
    NoticeReport,
    Occasion,
    Proposal,
    ReasonCode,
    RuleHit,
    Verdict,
)
from ledger import Ledger
from tests.channels.support import Relay

NOW = datetime.now(UTC)
KEY = SecretStr("k" * 32)
PUBLIC_URL = "https://tutti.example.com"
LINKS = AnswerLinks(PUBLIC_URL, KEY)
PEOPLE: Mapping[str, str] = {
    "dana.reyes": "dana.reyes@example.com",
    "tom.okafor": "tom.okafor@example.com",
    "lena.fischer": "lena.fischer@example.com",
}
SENTENCE = "send_email is worth more than the agent may decide on"


def a_route(**changes: Any) -> ApprovalRoute:  # noqa: ANN401 - whatever the model takes
    said: dict[str, Any] = {
        "group": "sales-leadership",
        "approvers": ("dana.reyes", "tom.okafor"),
        "due_at": NOW + timedelta(hours=4),
        "expires_at": NOW + timedelta(days=2),
        "on_expiry": Verdict.SUPPRESS,
    }
    return ApprovalRoute(**(said | changes))


def an_approval(**changes: Any) -> Approval:  # noqa: ANN401
    said: dict[str, Any] = {
        "approval_id": "p-1/r-2",
        "proposal_id": "p-1",
        "digest": "ab" * 32,
        "reason": ReasonCode.AUTHORITY_EXCEEDED,
        "message": SENTENCE,
        "actor": "sdr-agent",
        "action": "send_email",
        "channel": "email",
        "value": 60_000,
        "route": a_route(),
        "requested_at": NOW,
    }
    return Approval(**(said | changes))


def a_card(
    approval: Approval | None = None,
    *,
    account_name: str = "Northwind",
    **changes: Any,  # noqa: ANN401
) -> ExceptionCard:
    asked = approval or an_approval()
    proposal = Proposal(
        proposal_id="p-1",
        actor="sdr-agent",
        action="send_email",
        channel="email",
        contact_id="c-1",
        value=60_000,
        propensity=0.5,
        confidence=0.8,
        evidence=("visited the price page twice",),
        content=Content(subject="Ten minutes, Ada?", text="Hello Ada,\n\nshall we talk & <decide>?"),
    )
    hit = RuleHit(
        rule_id="large-deals",
        family="authority",
        effect=Verdict.REQUIRE_APPROVAL,
        reason=ReasonCode.AUTHORITY_EXCEEDED,
        message="a person decides above 50,000",
        file="authority.yaml",
        line=12,
    )
    said: dict[str, Any] = {
        "account_id": "northwind",
        "account": Account(account_id="northwind", name="Northwind").model_copy(
            update={"name": account_name}
        ),
        "approval": asked,
        "proposal": proposal,
        "recipient": Contact(contact_id="c-1", name="Ada Lovelace", email="ada@northwind.example"),
        "consent": "granted (contract)",
        "decision": Decision(
            decision_id="d-1",
            proposal_id="p-1",
            verdict=Verdict.REQUIRE_APPROVAL,
            reason=ReasonCode.AUTHORITY_EXCEEDED,
            hits=(hit,),
            policy_digest="1" * 64,
            decided_at=NOW,
            route=asked.route,
        ),
        "consequences": (
            Consequence(
                answer=Answer.APPROVE, text="It is ruled again, and goes out if no rule speaks against it."
            ),
            Consequence(answer=Answer.REJECT, text="It is denied for good."),
            Consequence(answer=None, text="If nobody answers by Friday, it is suppressed; never sent."),
        ),
    }
    return ExceptionCard(**(said | changes))


def a_notice(number: int = 1, occasion: Occasion = Occasion.REQUESTED, **changes: Any) -> Notice:  # noqa: ANN401
    said: dict[str, Any] = {
        "notice_id": f"northwind/p-1/r-2/n{number}",
        "account_id": "northwind",
        "to": ("dana.reyes",),
        "occasion": occasion,
        "message": SENTENCE,
        "card": a_card(),
    }
    return Notice(**(said | changes))


def mail_to(port: int, *, timeout: float = 1.0, **settings: Any) -> NoticeMail:  # noqa: ANN401
    """Notices in front of a mail server on this machine."""
    said: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "sender": "Tutti <tutti@example.com>",
        "reply_to": "approvals@example.com",
        "starttls": StartTls.OFF,
        "timeout_seconds": timeout,
    }
    return NoticeMail(NoticeMailSettings(**(said | settings)), LINKS)


def chat_to(url: str | None = None, *, timeout: float = 1.0, **groups: str) -> NoticeChat:
    """Notices in front of a chat on this machine; groups with `_` for `-`."""
    return NoticeChat(
        ChatSettings(
            webhook_url=SecretStr(url) if url is not None else None,
            webhooks={name.replace("_", "-"): SecretStr(each) for name, each in groups.items()},
            timeout_seconds=timeout,
        )
    )


def notifying(
    ledger: Ledger,
    *,
    mail: NoticeMail | None = None,
    chat: NoticeChat | None = None,
    people: Mapping[str, str] = PEOPLE,
) -> Notifying:
    async def addresses() -> Mapping[str, str]:
        return people

    return Notifying(ledger, addresses, mail=mail, chat=chat)


async def tell(activities: Notifying, notice: Notice) -> NoticeReport:
    """Run the activity the way a worker does."""
    return await ActivityEnvironment().run(activities.notify, notice)


def messages(relay: Relay) -> list[EmailMessage]:
    """What a mail server got, oldest first, as mail programs read it."""
    found = []
    for envelope in relay.envelopes:
        content = envelope.original_content
        assert content is not None
        message = BytesParser(policy=policy.default).parsebytes(content)
        assert isinstance(message, EmailMessage)
        found.append(message)
    return found


@dataclass
class Chat:
    """A chat's webhook that answers as it was told, and what it saw."""

    answers: list[Response] = field(default_factory=list)
    """What it says to the first requests; to all others that it took them."""
    hangs: bool = False
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Path and body of each request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.got.append((request.url.path, await request.json()))
        if self.hangs:
            while (await receive())["type"] != "http.disconnect":
                pass
        answer = self.answers.pop(0) if self.answers else PlainTextResponse("ok")
        await answer(scope, receive, send)
