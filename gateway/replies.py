"""Answers by mail: a mail server passes on replies to notices, and the exact words of a person count.

Three proofs are asked for. The bearer token says that our own mail server speaks. The key in the address
says which notice it answers; nobody can guess it. The sender must be the person to whom that notice went, as
far as our mail server can tell. Whoever got hold of a notice has the second, so a mail with a key from
somebody else is recorded on the account as refused.

What is taken goes to the account as a signal: it is durable before it is acknowledged, also while all workers
are away. What became of it the person learns from the inbox, or from the next notice.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from activities.notifying import Addresses
from activities.policies import NoPolicySetError
from domain import Answer, AnswerCode, ApprovalAnswer, Door, Frozen, ShortText
from gateway._approval_door import RETRY_AFTER_SECONDS, ApprovalDoor
from gateway._problems import is_token
from gateway._reply_mail import MAX_REPLY_BYTES, Proof, Reply, UnreadableReplyError, read_reply
from ledger import Ledger, LedgerError, NoticeEntry
from workflows import AccountError, UnknownAccountError

UNVERIFIED: Final = "unverified sender"
"""In whose name a forged reply is refused: no login has a space, so it can never be anybody's."""

_FORGED_KEPT: Final = 1_000
_log = structlog.get_logger("tutti.gateway")
_bearer = HTTPBearer(auto_error=False, description="TUTTI_REPLY_TOKEN")


class ReplyStatus(StrEnum):
    """What became of a reply.

    `accepted`: the engine has the answer. `nothing_to_do`: a program wrote it. `not_understood`: its first
    words are no answer. `refused`: it answers no notice. `forged`: somebody else wrote it; that is on record.
    `unavailable`: pass it on again.
    """

    ACCEPTED = "accepted"
    NOTHING_TO_DO = "nothing_to_do"
    NOT_UNDERSTOOD = "not_understood"
    REFUSED = "refused"
    FORGED = "forged"
    UNAVAILABLE = "unavailable"


class ReplyAnswer(Frozen):
    """Answer to a reply that was passed on."""

    status: ReplyStatus
    answer: Answer | None = None
    """What the account is told."""
    error: ShortText | None = None
    """One line for people, such as the sender."""


_CODES: Final = {
    ReplyStatus.ACCEPTED: 202,
    ReplyStatus.NOTHING_TO_DO: 200,
    ReplyStatus.NOT_UNDERSTOOD: 422,
    ReplyStatus.REFUSED: 404,
    ReplyStatus.FORGED: 403,
    ReplyStatus.UNAVAILABLE: 503,
}


@dataclass(frozen=True)
class Replies:
    """What is asked of a reply and of whoever passes it on.

    Attributes:
        addresses: Where persons are reached by mail, as it stands at this moment.
        bearer: What the mail server must present; None: no replies are taken at all.
    """

    addresses: Addresses
    bearer: SecretStr | None = None


def reply_routes(accounts: ApprovalDoor, ledger: Ledger, proofs: Replies) -> APIRouter:
    """Make the route of mail replies.

    Args:
        accounts: Where answers go.
        ledger: Knows to which notice a key belongs.
        proofs: What is asked of a reply and of whoever passes it on.

    Returns:
        The route `POST /v1/approvals/replies`.
    """
    router = APIRouter(tags=["approvals"])
    clerk = _Clerk(accounts, ledger, proofs.addresses)

    @router.post(
        "/v1/approvals/replies",
        summary="Pass on a reply to a notice",
        response_model=ReplyAnswer,
        responses=_RESPONSES,
        openapi_extra=_DESCRIBED,
        max_body_size=MAX_REPLY_BYTES,
    )
    async def take(
        request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> JSONResponse:
        """Read a reply, and tell the account what its person says.

        The body is the mail as the server got it. `approve` alone in the first paragraph approves, and
        `reject: why` or `reject CODE: why` rejects; anything else is not understood and answers nothing. The
        same mail may be passed on again: it is the same answer.
        """
        if proofs.bearer is None or shown is None or not is_token(shown.credentials, proofs.bearer):
            _log.warning("replies.not_allowed", token_is_set=proofs.bearer is not None)
            return JSONResponse(
                {"error": "present the token for mail replies as Authorization: Bearer ..."},
                401,
                {"www-authenticate": "Bearer"},
            )
        raw = await request.body()
        try:
            # In a thread: the worst mail takes a second or so to read.
            reply = await asyncio.to_thread(read_reply, raw)
        except UnreadableReplyError as error:
            _log.info("replies.unreadable")
            return _answer(ReplyAnswer(status=ReplyStatus.NOT_UNDERSTOOD, error=str(error)[:300]))
        return _answer(await clerk.take(reply))

    return router


class _Clerk:
    """Judges replies, and passes on what counts."""

    def __init__(self, accounts: ApprovalDoor, ledger: Ledger, addresses: Addresses) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._addresses = addresses
        self._forged: OrderedDict[str, None] = OrderedDict()

    async def take(self, reply: Reply) -> ReplyAnswer:
        """Judge one reply."""
        if reply.automatic:
            _log.info("replies.automatic")
            return ReplyAnswer(status=ReplyStatus.NOTHING_TO_DO)
        if len(reply.keys) != 1:
            _log.info("replies.without_key", keys=len(reply.keys))
            return _refused("the mail came to no address of a notice, or to several")
        try:
            notice = await self._ledger.notice_of_reply(reply.keys[0])
            addresses = await self._addresses() if notice is not None else {}
        except (LedgerError, NoPolicySetError) as error:
            _log.warning("replies.ledger_away", reason=str(error))
            return ReplyAnswer(status=ReplyStatus.UNAVAILABLE, error="pass the mail on again later")
        if notice is None:
            # Never the key: with it and the right sender somebody answers.
            _log.warning("replies.unknown_key")
            return _refused("the mail answers no notice of ours")
        why = _why_forged(reply, addresses.get(notice.login))
        if why is not None:
            return await self._refuse(reply, notice, why)
        if reply.said is None:
            _log.info("replies.not_understood", account_id=notice.about.account_id, login=notice.login)
            return ReplyAnswer(
                status=ReplyStatus.NOT_UNDERSTOOD,
                error='write "approve" alone in the first line, or "reject: why"; nothing was answered',
            )
        given = ApprovalAnswer(
            answer_id=reply.reply_id,
            approval_id=notice.about.approval_id,
            answer=reply.said.answer,
            approver=notice.login,
            digest=notice.about.digest,
            code=reply.said.code,
            comment=reply.said.comment,
            via=Door.MAIL,
        )
        failed = await self._deliver(notice, given)
        return failed or ReplyAnswer(status=ReplyStatus.ACCEPTED, answer=given.answer)

    async def _refuse(self, reply: Reply, notice: NoticeEntry, why: str) -> ReplyAnswer:
        """Put on record that somebody tried, once for each key."""
        about, key = notice.about, reply.keys[0]
        _log.warning(
            "replies.forged", account_id=about.account_id, approval_id=about.approval_id, login=notice.login
        )
        told = ReplyAnswer(status=ReplyStatus.FORGED, error=why)
        if key in self._forged:
            return told
        said = reply.said.answer.value if reply.said is not None else "nothing that could be an answer"
        attempt = ApprovalAnswer(
            answer_id=f"forged-{sha256(key.encode()).hexdigest()[:32]}",
            approval_id=about.approval_id,
            # Whatever it said: if an account ever took it by mistake, nothing would go out.
            answer=Answer.REJECT,
            approver=UNVERIFIED,
            digest=about.digest,
            code=AnswerCode.OTHER,
            comment=f"A mail under the key of {notice.login} was refused: {why}. It said: {said}.",
            via=Door.MAIL,
        )
        failed = await self._deliver(notice, attempt)
        if failed is None:
            self._forged[key] = None
            while len(self._forged) > _FORGED_KEPT:
                self._forged.popitem(last=False)
        return failed or told

    async def _deliver(self, notice: NoticeEntry, given: ApprovalAnswer) -> ReplyAnswer | None:
        """Hand an answer in; returns what to say if that failed."""
        about = notice.about
        log = _log.bind(account_id=about.account_id, approval_id=about.approval_id, login=notice.login)
        try:
            await self._accounts.answer_later(about.account_id, given)
        except UnknownAccountError:
            log.warning("replies.unknown_account")
            return _refused("the account that asked is gone")
        except AccountError as error:
            log.warning("replies.engine_away", reason=str(error))
            return ReplyAnswer(status=ReplyStatus.UNAVAILABLE, error="pass the mail on again later")
        log.info("replies.delivered", answer=given.answer.value, by=given.approver)
        return None


def _why_forged(reply: Reply, address: str | None) -> str | None:
    """Say why a reply is not from the person to whom the notice went; None if nothing speaks against it."""
    if address is None:
        return "people.yaml has no address of the person any more"
    if reply.sender is None or reply.sender.casefold() != address.casefold():
        return "it does not come from the address of the person"
    if reply.proof is Proof.REFUTED:
        return "the mail server says that its sender is not who they say"
    return None


def _refused(why: str) -> ReplyAnswer:
    return ReplyAnswer(status=ReplyStatus.REFUSED, error=why)


def _answer(answer: ReplyAnswer) -> JSONResponse:
    away = answer.status is ReplyStatus.UNAVAILABLE
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if away else None
    return JSONResponse(answer.model_dump(mode="json"), _CODES[answer.status], headers)


_EXAMPLE: Final = """From: Dana Reyes <dana.reyes@example.com>
To: approvals+mfrggzdfmztwq2lkmfrggzdf@example.com
Subject: Re: May this go out?
Message-ID: <4711@example.com>

reject wrong_time: they are closing their books

> May this go out?
"""
_DESCRIBED: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "message/rfc822": {
                "schema": {"type": "string", "format": "binary"},
                "examples": {"reply": {"summary": "A reply that rejects", "value": _EXAMPLE}},
            }
        },
    }
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A program wrote it: nothing to do.", "model": ReplyAnswer},
    202: {"description": "The engine has the answer.", "model": ReplyAnswer},
    401: {"description": "The bearer token is missing or wrong, or none is set for this gateway."},
    403: {"description": "Somebody else wrote it; that is on record.", "model": ReplyAnswer},
    404: {"description": "It answers no notice of ours.", "model": ReplyAnswer},
    413: {"description": f"The mail is longer than {MAX_REPLY_BYTES:,} bytes."},
    422: {"description": "Its first words are no answer; nothing was answered.", "model": ReplyAnswer},
    503: {"description": "Pass the mail on again after `Retry-After`.", "model": ReplyAnswer},
}
