"""The page behind the link in a notice: one person reads one card, and answers once.

Opening the page answers nothing and records nothing: mail scanners open every link, and would be taken for
persons who have read the card. That somebody has seen it is recorded when they send the form.

The link names person, question and digest, and its nonce is the id of the answer. So a double click, two
tabs or a link that somebody else sends again end in what the first answer did, and whether the person may
answer is judged by the account, as for every other answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from activities.notices import AnswerLinkError, AnswerLinks, AnswerTicket, LinkFault
from domain import (
    Answer,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    ApprovalStatus,
    ApprovalViewed,
    Door,
    ExceptionCard,
)
from gateway._answer_form import Complaints, Filled, answer_of, read_form
from gateway._approval_door import PATIENCE, RETRY_AFTER_SECONDS, ApprovalDoor, card_of
from gateway._pages import End, Tone, card_page, end_page, headline, when
from workflows import AccountError, EngineUnavailableError

_FAULTS: Final = {
    LinkFault.MALFORMED: 404,
    LinkFault.FOREIGN: 404,
    LinkFault.UNREADABLE: 404,
    LinkFault.EXPIRED: 410,
}
_STANDS: Final = {
    ApprovalStatus.APPROVED: "approved",
    ApprovalStatus.REJECTED: "rejected",
    ApprovalStatus.MODIFIED: "changed",
    ApprovalStatus.SENT_BACK: "sent back",
    ApprovalStatus.SETTLED: "settled",
}
_LEADS_TO: Final = {
    Answer.APPROVE: frozenset({ApprovalStatus.APPROVED, ApprovalStatus.PENDING}),
    Answer.REJECT: frozenset({ApprovalStatus.REJECTED}),
    Answer.SEND_BACK: frozenset({ApprovalStatus.SENT_BACK}),
    Answer.SETTLE: frozenset({ApprovalStatus.SETTLED}),
}

_AWAY: Final = 503
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)

_log = structlog.get_logger("tutti.gateway")


@dataclass(frozen=True)
class _Opened:
    """A link that serves, and the card it leads to."""

    ticket: AnswerTicket
    card: ExceptionCard
    now: datetime

    @property
    def about(self) -> str:
        """Which question it is, for the foot of a page."""
        return headline(self.card)


def answer_routes(accounts: ApprovalDoor, links: AnswerLinks) -> APIRouter:
    """Make the routes behind answer links.

    Args:
        accounts: Where cards come from and answers go.
        links: Reads the links.

    Returns:
        The routes `GET`, `HEAD` and `POST /answer/{token}`.
    """
    router = APIRouter(tags=["approvals"], default_response_class=HTMLResponse)

    @router.head("/answer/{token}", include_in_schema=False)
    @router.get("/answer/{token}", summary="Show a question and its form", responses=_RESPONSES)
    async def look(token: str) -> HTMLResponse:
        """Show the card of the question as it is now; this answers nothing and records nothing."""
        opened = await _open(accounts, links, token)
        if isinstance(opened, End):
            return end_page(opened)
        over = _over(opened)
        if over is not None:
            return end_page(over)
        shown = links.stamp(opened.ticket, opened.now)
        return card_page(opened.ticket, opened.card, opened.now, shown=shown)

    @router.post(
        "/answer/{token}", summary="Answer a question", responses=_RESPONSES, openapi_extra=_DESCRIBED
    )
    async def answer(token: str, request: Request) -> HTMLResponse:
        """Give the answer in the form; sent again, it ends in what it did the first time."""
        filled = read_form(await request.body())
        if filled is None:
            return end_page(_NO_FORM)
        opened = await _open(accounts, links, token, and_expired=True)
        if isinstance(opened, End):
            # What somebody has written is not lost because the engine is away for a moment.
            return end_page(replace(opened, again=_again(filled)) if opened.status == _AWAY else opened)
        return await _answered(accounts, links, opened, filled)

    return router


async def _open(
    accounts: ApprovalDoor, links: AnswerLinks, token: str, *, and_expired: bool = False
) -> _Opened | End:
    """Read a link and fetch its card.

    With `and_expired`, a link whose time is over is followed once its question has ended: then the account
    can only refuse the answer, and that somebody tried goes on record.
    """
    now = datetime.now(UTC)
    fault: AnswerLinkError | None = None
    try:
        ticket = links.read(token, now=now)
    except AnswerLinkError as error:
        # Never the token: whoever reads the log could use it.
        _log.warning("answer_link.refused", fault=error.fault.value)
        if error.fault is not LinkFault.EXPIRED or not and_expired:
            return _faulty(error)
        fault, ticket = error, links.read(token, now=_BEFORE_ALL)
    try:
        card = await card_of(accounts, ticket.account_id, ticket.approval_id)
    except EngineUnavailableError:
        return _faulty(fault) if fault is not None else _unavailable(ticket.login)
    except AccountError:
        return _faulty(fault) if fault is not None else _forgotten(ticket.login)
    if fault is not None and card.approval.status is ApprovalStatus.PENDING:
        return _faulty(fault)
    return _Opened(ticket, card, now)


async def _answered(
    accounts: ApprovalDoor, links: AnswerLinks, opened: _Opened, filled: Filled
) -> HTMLResponse:
    held = _held(opened)
    if held is not None:
        return end_page(held)
    ticket, card = opened.ticket, opened.card
    given = answer_of(filled, ticket, card)
    if isinstance(given, Complaints):
        over = _over(opened)
        if over is not None:
            return end_page(over)
        shown = filled.shown or links.stamp(ticket, opened.now)
        return card_page(ticket, card, opened.now, shown=shown, filled=filled, complaints=given)
    log = _log.bind(account_id=ticket.account_id, approval_id=ticket.approval_id, login=ticket.login)
    try:
        if card.approval.status is ApprovalStatus.PENDING:
            await accounts.viewed(
                ticket.account_id,
                ApprovalViewed(
                    approval_id=ticket.approval_id,
                    viewed_by=ticket.login,
                    via=Door.LINK,
                    shown_at=links.shown_at(ticket, filled.shown),
                ),
            )
        result = await accounts.answer(ticket.account_id, given, patience=PATIENCE)
    except EngineUnavailableError:
        log.warning("answer_link.not_confirmed")
        return end_page(_not_confirmed(opened, filled))
    except AccountError as error:
        log.warning("answer_link.not_taken", why=str(error))
        return end_page(_forgotten(ticket.login))
    log.info("answer_link.answered", accepted=result.accepted, answer=given.answer.value)
    return end_page(_result(opened, given, result))


def _over(opened: _Opened) -> End | None:
    """Return the page that takes the card's place when there is nothing to answer; None if there is."""
    approval, ticket = opened.card.approval, opened.ticket
    if approval.status is not ApprovalStatus.PENDING:
        return _ended(opened, approval)
    if approval.digest != ticket.digest:
        return End(
            409,
            "This has changed since we wrote to you",
            ("The link was for another version. You will get a mail about the one that counts now.",),
            Tone.BAD,
            ticket.login,
            opened.about,
        )
    if approval.route.expires_at <= opened.now:
        return End(
            410,
            "It is too late to answer",
            (f"The time for an answer ended on {when(approval.route.expires_at)}. Nothing went out.",),
            Tone.PLAIN,
            ticket.login,
            opened.about,
        )
    if ticket.login in approval.approvers:
        return End(
            200,
            "You have approved this",
            (f"Your answer is recorded: {approval.progress}.", "You need not do anything more."),
            Tone.GOOD,
            ticket.login,
            opened.about,
        )
    return _held(opened)


def _held(opened: _Opened) -> End | None:
    """Return the page for a question that somebody else has taken on; the link stays good."""
    approval, ticket = opened.card.approval, opened.ticket
    until = approval.claimed_until
    if (
        approval.status is not ApprovalStatus.PENDING
        or approval.claimed_by in {None, ticket.login}
        or until is None
        or until <= opened.now
    ):
        return None
    return End(
        409,
        f"{approval.claimed_by} is answering this",
        (
            f"They have taken it on until {when(until)}. Nothing was recorded for you.",
            "Your link stays good: open it again then, if it is still open.",
        ),
        Tone.HELD,
        ticket.login,
        opened.about,
    )


def _ended(opened: _Opened, approval: Approval) -> End:
    login, about = opened.ticket.login, opened.about
    on = f" on {when(approval.answered_at)}" if approval.answered_at else ""
    sentences: tuple[str, ...]
    match approval.status:
        case ApprovalStatus.EXPIRED:
            sentences = (f"Nobody answered in time, so it ended{on}. Nothing went out.",)
            return End(410, "This has expired", sentences, Tone.PLAIN, login, about)
        case ApprovalStatus.WITHDRAWN:
            why = f" {approval.comment}." if approval.comment else ""
            sentences = (f"It was withdrawn{on}.{why}", "You need not answer any more.")
            return End(410, "You need not answer this any more", sentences, Tone.PLAIN, login, about)
        case _:
            pass
    said = _STANDS.get(approval.status, approval.status.value)
    if login == approval.answered_by or login in approval.approvers:
        sentences = (f"Your answer is recorded: {said} by {_everybody(approval)}{on}.",)
        return End(200, "You have answered this", sentences, Tone.GOOD, login, about)
    sentences = (f"It was {said} by {_everybody(approval)}{on}.", "Your answer is not needed any more.")
    return End(410, f"This was {said} already", sentences, Tone.PLAIN, login, about)


def _everybody(approval: Approval) -> str:
    agreed = ", ".join(each.in_words for each in approval.agreements)
    together = approval.status is ApprovalStatus.APPROVED and agreed
    return together or approval.answered_by or "somebody"


def _result(opened: _Opened, given: ApprovalAnswer, result: AnswerResult) -> End:
    login, about = opened.ticket.login, opened.about
    sentences: tuple[str, ...]
    if not result.accepted:
        by = f" by {result.answered_by}" if result.answered_by else ""
        on = f" on {when(result.answered_at)}" if result.answered_at else ""
        decided = (f"It was decided{by}{on}.",) if by or on else ()
        why = f"Your answer does not count: {result.message}."
        return End(409, "Your answer was refused", (why, *decided), Tone.BAD, login, about)
    if result.status not in _LEADS_TO.get(given.answer, frozenset()):
        sentences = (
            f"This link had been used before, and what it said then counts. {_sentence(result.message)}",
            "What you sent now changed nothing.",
        )
        return End(409, "This link was used before", sentences, Tone.BAD, login, about)
    then = (each.text for each in opened.card.consequences if each.answer is given.answer)
    sentences = (_sentence(result.message), *then)
    return End(200, "Your answer is recorded", sentences, Tone.GOOD, login, about)


def _sentence(message: str) -> str:
    text = message.removeprefix("recorded: ")
    return f"{text[:1].upper()}{text[1:]}."


def _faulty(error: AnswerLinkError) -> End:
    status = _FAULTS[error.fault]
    title = "This link has expired" if error.fault is LinkFault.EXPIRED else "This link does not work"
    return End(status, title, (str(error),), Tone.BAD)


def _unavailable(login: str) -> End:
    sentences = ("We could not look up the question just now. Please try again in a minute.",)
    retry = {"retry-after": str(RETRY_AFTER_SECONDS)}
    return End(_AWAY, "That did not work yet", sentences, Tone.BAD, login, headers=retry)


def _forgotten(login: str) -> End:
    sentences = ("It is not known here any more, so there is nothing left to answer.",)
    return End(404, "This question is gone", sentences, Tone.BAD, login)


def _not_confirmed(opened: _Opened, filled: Filled) -> End:
    return End(
        _AWAY,
        "Your answer is not confirmed yet",
        (
            "It may have arrived, and it may not have.",
            "Please send it again: it counts once, however often it is sent.",
        ),
        Tone.BAD,
        opened.ticket.login,
        opened.about,
        again=_again(filled),
        headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    )


def _again(filled: Filled) -> dict[str, str]:
    return {name: value for name, value in vars(filled).items() if value}


_NO_FORM = End(422, "That cannot be read", ("Please open the link from the mail again.",), Tone.BAD)

_RESPONSES: Final[dict[int | str, dict[str, object]]] = {
    404: {"description": "The link was not made by this gateway or was damaged, or the question is gone."},
    409: {"description": "The answer does not count, or somebody else has taken the question on."},
    410: {"description": "The link or the question has expired, was withdrawn, or is answered."},
    422: {"description": "The form is not complete; nothing was recorded and the link stays good."},
    503: {"description": "Not confirmed: the same form may be sent again."},
}
_DESCRIBED: Final[dict[str, object]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        name: {"type": "string"}
                        for name in ("answer", "code", "comment", "stage", "settlement")
                    },
                    "required": ["answer"],
                }
            }
        },
    }
}
