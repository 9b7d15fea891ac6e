"""The approvals API: the inbox, cards and answers, for tools that approvers use themselves.

Who speaks is said by the token and by nothing else: no body names a login. What becomes of an answer is the
account's to say, and is the same whatever door it comes through.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field, StringConstraints, model_validator

from domain import (
    BULK_LIMIT,
    Answer,
    AnswerCode,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    ApprovalClaimed,
    ApprovalId,
    ApprovalReleased,
    ApprovalViewed,
    Changes,
    Comment,
    Door,
    ExceptionCard,
    ExceptionKind,
    Frozen,
    Identifier,
    Settlement,
    ShortText,
    Stage,
    WindowAsk,
    bulk_refusal,
)
from gateway._approval_door import PATIENCE, RETRY_AFTER_SECONDS, ApprovalDoor, card_of
from gateway._approvers import TOKENS_SETTING, ApproverTokens
from gateway._problems import Handler, bearer, malformed, problem, whole
from ledger import Inbox, InboxFilter, Ledger, LedgerError
from workflows import AccountError, EngineUnavailableError, UnknownAccountError

MAX_ANSWER_BYTES: Final = 1_048_576
"""A longer body is refused: a changed content of 20,000 characters, escaped, stays below."""
MAX_LISTED: Final = 500
"""Questions that one look into the inbox lists."""

_LOOK_AGAIN: Final = timedelta(minutes=1)  # the account takes looks within this time for one look
_AT_ONCE: Final = 8
_log = structlog.get_logger("tutti.gateway")
_Result = TypeVar("_Result")

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of exactly what was asked about, as the card shows it."""


class AnswerBody(Frozen):
    """An answer. Who gives it is said by the token, and which question it is for by the address."""

    answer_id: Identifier
    """Chosen by the caller: the same id always gets the same result."""
    answer: Answer
    """What is said."""
    digest: Digest
    """Of the approval on the card that the person has seen."""
    code: AnswerCode | None = None
    """Why, as a word; needed for everything but `approve`."""
    comment: Comment | None = None
    """Why, in a sentence; needed for everything but `approve`."""
    changes: Changes | None = None
    """With `modify`: what is to be different."""
    stage: Stage | None = None
    """With `settle` of readings that disagree: what the account's stage is."""
    settlement: Settlement | None = None
    """With `settle` of a touch in doubt: what became of it."""
    window: WindowAsk | None = None
    """With `approve`: the same may go out again for a time."""


class BulkItem(Frozen):
    """One of several questions that get the same answer."""

    account_id: Identifier
    approval_id: ApprovalId
    answer_id: Identifier
    """Chosen by the caller, one for each question: the same id always gets the same result."""
    digest: Digest
    """Of the approval on the card that the person has seen."""


class BulkBody(Frozen):
    """One answer to several questions that one rule asks about one action."""

    answer: Literal[Answer.APPROVE, Answer.REJECT, Answer.SEND_BACK]
    code: AnswerCode | None = None
    comment: Comment | None = None
    items: Annotated[tuple[BulkItem, ...], Field(min_length=1, max_length=BULK_LIMIT)]

    @model_validator(mode="after")
    def _each_once(self) -> BulkBody:
        if len({(item.account_id, item.approval_id) for item in self.items}) < len(self.items):
            msg = "a question is listed twice"
            raise ValueError(msg)
        return self


class BulkOutcome(StrEnum):
    """What became of the answer to one of several questions.

    `recorded`: it counts. `refused`: it does not, and is recorded as refused. `unknown`: there is no such
    question. `not_confirmed`: the engine did not answer; repeat it with the same `answer_id`.
    """

    RECORDED = "recorded"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_CONFIRMED = "not_confirmed"


class BulkResult(Frozen):
    """What became of one item, in the order of the request."""

    account_id: Identifier
    approval_id: ApprovalId
    outcome: BulkOutcome
    message: ShortText
    """One sentence for the person who answered."""
    result: AnswerResult | None = None
    """What the account said, if it has said something."""


class BulkAnswer(Frozen):
    """Answer to several answers."""

    recorded: int
    """How many count."""
    results: tuple[BulkResult, ...]


class ApprovalProblem(Frozen):
    """Body of every refusal that is not an account's."""

    error: ShortText
    """What is wrong, as a stable word for programs."""
    message: str
    """What is wrong and what to do, as one line for a person."""
    problems: tuple[str, ...] = ()
    """With `malformed`: each field that does not fit, and why."""


def approval_routes(accounts: ApprovalDoor, ledger: Ledger, tokens: ApproverTokens) -> APIRouter:
    """Make the routes of the approvals API.

    Args:
        accounts: Where cards come from and answers go.
        ledger: Keeper of the inbox.
        tokens: Tell whose token was shown; without any the routes are off.

    Returns:
        The routes under `/v1/approvals`, but for mail replies.
    """
    router = APIRouter(
        prefix="/v1/approvals",
        tags=["approvals"],
        route_class=_guarded(tokens),
        # For the description only: the guard looks at the header before it reads the body.
        dependencies=[Depends(HTTPBearer(auto_error=False, description=f"A token of {TOKENS_SETTING}."))],
        max_body_size=sys.maxsize,  # the guard counts: the framework would answer in plain text
        responses=_PROBLEMS,
    )

    @router.get("", summary="List the questions that wait for you")
    async def inbox(
        login: _Login,
        group: Annotated[ShortText | None, Query(description="Only what this group was asked.")] = None,
        kind: Annotated[ExceptionKind | None, Query(description="Only exceptions of this kind.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many are listed.")] = 50,
    ) -> Inbox:
        """List what is due first, then what is riskier; all are counted.

        The ledger follows the accounts by moments: the card and the result of an answer are the truth.
        """
        wanted = InboxFilter(login=login, group=group, kind=kind)
        return await ledger.inbox(wanted, at=datetime.now(UTC), limit=limit)

    @router.post(
        "/answers",
        summary="Give one answer to several questions",
        response_model=BulkAnswer,
        responses={409: {"model": ApprovalProblem, "description": "They cannot be answered together."}},
    )
    async def answer_several(body: BulkBody, login: _Login) -> JSONResponse:
        """Answer questions together that one rule asks about one action, each with an outcome of its own.

        What is of high risk is answered alone. With 503, some are `not_confirmed`: repeat the request.
        """
        cards = await asyncio.gather(*(_found(accounts, item) for item in body.items))
        approvals = [card.approval for card in cards if isinstance(card, ExceptionCard)]
        refusal = bulk_refusal(approvals)
        if refusal is not None:
            return problem(409, "not_together", refusal)
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(item: BulkItem, card: ExceptionCard | AccountError) -> BulkResult:
            async with at_once:
                return await _answered(accounts, login, body, item, card)

        results = await asyncio.gather(*(one(*each) for each in zip(body.items, cards, strict=True)))
        outcomes = [result.outcome for result in results]
        answer = BulkAnswer(recorded=outcomes.count(BulkOutcome.RECORDED), results=tuple(results))
        again = BulkOutcome.NOT_CONFIRMED in outcomes
        return _json(answer, 503 if again else 200)

    @router.get(
        "/{account_id}/{approval_id:path}",
        summary="Show a card",
        responses={404: {"model": ApprovalProblem, "description": "There is no such question."}},
    )
    async def card(account_id: Identifier, approval_id: ApprovalId, login: _Login) -> ExceptionCard:
        """Return everything that a person needs to answer, and record that they have seen it."""
        found = await card_of(accounts, account_id, approval_id)
        last = found.approval.views.get(login)
        if last is None or datetime.now(UTC) - last >= _LOOK_AGAIN:
            look = ApprovalViewed(approval_id=approval_id, viewed_by=login, via=Door.HTTP)
            await accounts.viewed(account_id, look)
        return found

    @router.post(
        "/{account_id}/{approval_id:path}/answer",
        summary="Answer a question",
        response_model=AnswerResult,
        responses={
            404: {"model": ApprovalProblem, "description": "There is no such question."},
            409: {
                "model": AnswerResult,
                "description": "The answer does not count; it is recorded as refused.",
            },
        },
        openapi_extra={"requestBody": {"content": {"application/json": {"example": _EXAMPLE}}}},
    )
    async def answer(
        account_id: Identifier, approval_id: ApprovalId, body: AnswerBody, login: _Login
    ) -> JSONResponse:
        """Answer, and learn what became of it. Without an answer, repeat the request as it was."""
        given = ApprovalAnswer(**dict(body), approval_id=approval_id, approver=login, via=Door.HTTP)
        call = accounts.answer(account_id, given, patience=PATIENCE)
        result = await _said(accounts, account_id, approval_id, call)
        _log.info(
            "approvals.answered",
            account_id=account_id,
            approval_id=approval_id,
            login=login,
            answer=given.answer.value,
            accepted=result.accepted,
        )
        if not result.accepted and result.status is None:
            return problem(404, "unknown", result.message)
        return _json(result, 200 if result.accepted else 409)

    @router.post("/{account_id}/{approval_id:path}/claim", summary="Take a question on", responses=_HELD)
    async def claim(account_id: Identifier, approval_id: ApprovalId, login: _Login) -> Approval:
        """Have others leave a question alone for a while; claiming again holds it for longer."""
        event = ApprovalClaimed(approval_id=approval_id, claimed_by=login, via=Door.HTTP)
        call = accounts.claim_approval(account_id, event)
        return await _said(accounts, account_id, approval_id, call)

    @router.post("/{account_id}/{approval_id:path}/release", summary="Give a question back", responses=_HELD)
    async def release(account_id: Identifier, approval_id: ApprovalId, login: _Login) -> Approval:
        """Let others answer again what you had taken on."""
        event = ApprovalReleased(approval_id=approval_id, released_by=login, via=Door.HTTP)
        call = accounts.release_approval(account_id, event)
        return await _said(accounts, account_id, approval_id, call)

    return router


class _RefusedError(Exception):
    """An account knows the question and does not take what was said; the text is for the person."""


async def _said(
    accounts: ApprovalDoor, account_id: str, approval_id: str, call: Awaitable[_Result]
) -> _Result:
    """Return what an account says, and tell what it refuses from what it does not know."""
    try:
        return await call
    except (EngineUnavailableError, UnknownAccountError):
        raise
    except AccountError as error:
        await card_of(accounts, account_id, approval_id)
        raise _RefusedError(str(error)) from error


async def _found(accounts: ApprovalDoor, item: BulkItem) -> ExceptionCard | AccountError:
    try:
        return await card_of(accounts, item.account_id, item.approval_id)
    except AccountError as error:
        return error


async def _answered(
    accounts: ApprovalDoor, login: str, body: BulkBody, item: BulkItem, card: ExceptionCard | AccountError
) -> BulkResult:
    def told(outcome: BulkOutcome, message: str, result: AnswerResult | None = None) -> BulkResult:
        return BulkResult(
            account_id=item.account_id,
            approval_id=item.approval_id,
            outcome=outcome,
            message=message[:300],
            result=result,
        )

    given = ApprovalAnswer(
        answer_id=item.answer_id,
        approval_id=item.approval_id,
        answer=body.answer,
        approver=login,
        digest=item.digest,
        code=body.code,
        comment=body.comment,
        via=Door.HTTP,
    )
    try:
        if isinstance(card, AccountError):
            raise card
        result = await accounts.answer(item.account_id, given, patience=PATIENCE)
    except EngineUnavailableError:
        return told(BulkOutcome.NOT_CONFIRMED, _REPEAT)
    except AccountError as error:
        return told(BulkOutcome.UNKNOWN, str(error))
    if not result.accepted:
        outcome = BulkOutcome.UNKNOWN if result.status is None else BulkOutcome.REFUSED
        return told(outcome, result.message, result)
    return told(BulkOutcome.RECORDED, result.message, result)


def _json(content: BaseModel, status: int) -> JSONResponse:
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if status == 503 else None  # noqa: PLR2004 - HTTP
    return JSONResponse(content.model_dump(mode="json"), status, headers)


def _login(request: Request) -> str:
    login: str = request.state.login
    return login


_Login = Annotated[str, Depends(_login)]


def _guarded(tokens: ApproverTokens) -> type[APIRoute]:
    """Make a route class that knows whose token is shown, and answers every problem in one shape."""

    class Guarded(APIRoute):
        def get_route_handler(self) -> Handler:
            inner = super().get_route_handler()

            async def handler(request: Request) -> Response:
                admitted = _admitted(request, tokens)
                if not isinstance(admitted, str):
                    return admitted
                read = await whole(request, MAX_ANSWER_BYTES)
                if read is None:
                    return problem(413, "too_long", f"the body is longer than {MAX_ANSWER_BYTES} bytes")
                read.state.login = admitted
                response = await _told(inner, read)
                # Cards hold personal data.
                response.headers["cache-control"] = "no-store"
                return response

            return handler

    return Guarded


def _admitted(request: Request, tokens: ApproverTokens) -> str | Response:
    """Return the login that a request speaks for, or why it speaks for nobody."""
    if not tokens:
        return problem(
            503,
            "no_tokens",
            f"the approvals API is off because {TOKENS_SETTING} is not set at the gateway; make a token for "
            'each person with `openssl rand -hex 32` and set it as JSON such as {"dana.reyes": "..."}',
        )
    login = tokens.login_of(bearer(request) or "")
    if login is None:
        return problem(
            401,
            "unauthorized",
            f"show your token of {TOKENS_SETTING} in the header `Authorization: Bearer ...`",
            headers={"www-authenticate": "Bearer"},
        )
    return login


async def _told(inner: Handler, request: Request) -> Response:
    again = {"retry-after": str(RETRY_AFTER_SECONDS)}
    try:
        return await inner(request)
    except RequestValidationError as error:
        return malformed(error)
    except EngineUnavailableError as error:
        _log.warning("approvals.engine_away", reason=str(error))
        return problem(503, "not_confirmed", _REPEAT, headers=again)
    except _RefusedError as error:
        return problem(409, "refused", str(error))
    except AccountError as error:
        return problem(404, "unknown", str(error))
    except LedgerError as error:
        _log.warning("approvals.ledger_away", code=str(error.code), reason=str(error))
        # The sentence may name files and hosts, so it goes to the log only.
        return problem(503, "ledger_unavailable", "the ledger does not answer; ask again", headers=again)


_REPEAT: Final = (
    "not confirmed: the engine did not answer; repeat the request as it was, with the same answer_id"
)
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": ApprovalProblem, "description": "The token is missing or nobody's."},
    413: {"model": ApprovalProblem, "description": "The body is too long."},
    422: {"model": ApprovalProblem, "description": "The request is not what the contract says."},
    503: {
        "model": ApprovalProblem,
        "description": "Not confirmed: repeat the request as it was. Or no token is set.",
    },
}
_HELD: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ApprovalProblem, "description": "There is no such question."},
    409: {
        "model": ApprovalProblem,
        "description": "Somebody else holds it (`message` says who and until when), or it is over.",
    },
}
_EXAMPLE: Final = {
    "answer_id": "3f0c9a52",
    "answer": "reject",
    "digest": "0" * 64,
    "code": "wrong_time",
    "comment": "They are in the middle of their yearly stocktaking.",
}
