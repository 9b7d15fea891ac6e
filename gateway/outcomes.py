"""What came back, told by channels and providers: signed callbacks, one outcome or many.

Nothing is kept here: an outcome is accepted once the engine has it, so an answer of 202 survives any crash.
An account counts an outcome once by its source and id, so a callback may be repeated without harm, and a
provider that got no answer shall repeat it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Protocol

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError
from pydantic_core import from_json

from domain import Frozen, Identifier, Outcome, ShortText, misdirected
from gateway._signatures import OutcomeKeys, SignatureError
from workflows import AccountError, UnknownAccountError

MAX_OUTCOMES = 1_000
"""Outcomes in one callback."""
MAX_OUTCOMES_BYTES = 1_048_576
"""A longer callback is refused with 413: about 1,000 bytes for each of 1,000 outcomes."""

_AT_ONCE = 16
_TELL_SECONDS = 5.0
RETRY_AFTER_SECONDS = 30
BOUNCES, UNSUBSCRIBE = "bounces", "unsubscribe"
"""Sources of the gateway itself: nobody else may use up the ids of what it reports."""

_log = structlog.get_logger("tutti.gateway")


class OutcomeDoor(Protocol):
    """The way of an outcome to its account's workflow."""

    async def report_outcome(self, account_id: str, outcome: Outcome) -> None:
        """Deliver an outcome to a known account; durable when it returns.

        Raises:
            UnknownAccountError: There is no workflow for the account.
            AccountError: The engine cannot be reached.
        """


class ReportStatus(StrEnum):
    """What became of one item of a callback.

    `accepted`: the engine has it. `refused`: it can never count; `error` says why. `unknown_account`: there
    is no such account. `unavailable`: the engine is away; repeat the callback.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNAVAILABLE = "unavailable"


class OutcomeReport(Frozen):
    """One item of a callback."""

    account_id: Identifier
    outcome: Outcome


class ReportResult(Frozen):
    """What became of one item, in the order of the callback."""

    index: int
    """Place of the item, from 0."""
    status: ReportStatus
    outcome_id: Identifier | None = None
    """The outcome's id, if the item could be read."""
    error: ShortText | None = None
    """One line for people: what is wrong, and where."""


class OutcomesAnswer(Frozen):
    """Answer to a callback."""

    accepted: int
    """How many items the engine has now."""
    results: Annotated[tuple[ReportResult, ...], Field(max_length=MAX_OUTCOMES)]


def outcome_routes(accounts: OutcomeDoor, keys: OutcomeKeys) -> APIRouter:
    """Make the route of outcome callbacks.

    Args:
        accounts: Where outcomes go.
        keys: Check who reports.

    Returns:
        The route `POST /v1/outcomes/{channel}`.
    """
    router = APIRouter(tags=["outcomes"])

    @router.post(
        "/v1/outcomes/{channel}",
        summary="Report what came back",
        status_code=202,
        response_model=OutcomesAnswer,
        responses=_RESPONSES,
        openapi_extra=_DESCRIBED,
        max_body_size=MAX_OUTCOMES_BYTES,
    )
    async def report(
        channel: Annotated[
            Identifier, Path(description="Source of the outcomes, or what their source begins with.")
        ],
        request: Request,
    ) -> JSONResponse:
        """Take one outcome or a list of up to 1,000, signed as Standard Webhooks prescribe.

        The `source` of every outcome is the channel of the address, or begins with it and a colon
        (`email`, `email:ses`). Outcomes count once by `source` and `outcome_id`, so a callback may be
        repeated; good items of a list count even if others are refused.
        """
        raw = await request.body()
        log = _log.bind(channel=channel)
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            return _problem(400, f"the body is not UTF-8: byte {error.start} does not fit")
        try:
            if channel.partition(":")[0] in {BOUNCES, UNSUBSCRIBE}:
                raise SignatureError("the gateway alone speaks for it")  # noqa: TRY301 - told like a wrong one
            keys.verify(channel, text, request.headers)
        except SignatureError as error:
            log.warning("outcomes.not_signed", reason=str(error))
            return _problem(401, "the signature is missing, wrong or older than five minutes")
        try:
            items = _items(text)
        except ValueError as error:
            return _problem(400, str(error))
        results = await _report(accounts, channel, items)
        return _answer(results, log)

    return router


async def report_one(accounts: OutcomeDoor, account_id: str, outcome: Outcome) -> ReportResult:
    """Deliver one outcome and say what became of it; never raises.

    Args:
        accounts: Where it goes.
        account_id: Whose touch it is about.
        outcome: What came back.

    Returns:
        The result, as item 0.
    """
    return await _deliver(accounts, 0, OutcomeReport(account_id=account_id, outcome=outcome))


async def _report(accounts: OutcomeDoor, channel: str, items: Sequence[object]) -> list[ReportResult]:
    places = asyncio.Semaphore(_AT_ONCE)
    away = asyncio.Event()

    async def one(index: int, item: object) -> ReportResult:
        report = _read(channel, index, item)
        if isinstance(report, ReportResult):
            return report
        async with places:
            if away.is_set():
                # Found to be away a moment ago: the others need not wait for it one by one.
                return _unavailable(index, report.outcome)
            result = await _deliver(accounts, index, report)
            if result.status is ReportStatus.UNAVAILABLE:
                away.set()
            return result

    return list(await asyncio.gather(*(one(index, item) for index, item in enumerate(items))))


async def _deliver(accounts: OutcomeDoor, index: int, report: OutcomeReport) -> ReportResult:
    outcome = report.outcome
    try:
        async with asyncio.timeout(_TELL_SECONDS):
            await accounts.report_outcome(report.account_id, outcome)
    except UnknownAccountError:
        return ReportResult(
            index=index,
            status=ReportStatus.UNKNOWN_ACCOUNT,
            outcome_id=outcome.outcome_id,
            error=f"there is no account {report.account_id}",
        )
    except Exception as error:  # noqa: BLE001 - whatever keeps the account from hearing, it shall be repeated
        known = isinstance(error, (AccountError, TimeoutError))
        _log.warning("outcomes.engine_away", error=type(error).__name__, expected=known)
        return _unavailable(index, outcome)
    return ReportResult(index=index, status=ReportStatus.ACCEPTED, outcome_id=outcome.outcome_id)


def _items(text: str) -> list[object]:
    """Read the body as JSON.

    Raises:
        ValueError: It is no JSON (NaN and endless nesting are none), or not a list of 1 to 1,000 items.
    """
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"the body cannot be read as JSON: {_line(str(error))}") from None
    items = value if isinstance(value, list) else [value]
    if not 1 <= len(items) <= MAX_OUTCOMES:
        raise ValueError(f"a list holds 1 to {MAX_OUTCOMES} outcomes; found {len(items)}")
    return items


def _read(channel: str, index: int, item: object) -> OutcomeReport | ReportResult:
    try:
        report = OutcomeReport.model_validate(item)
    except ValidationError as error:
        return ReportResult(index=index, status=ReportStatus.REFUSED, error=_explained(error))
    except Exception as error:  # noqa: BLE001 - a value that trips a validator is refused like any other
        return ReportResult(
            index=index, status=ReportStatus.REFUSED, error=f"cannot be read ({type(error).__name__})"
        )
    outcome = report.outcome
    why = misdirected(report.account_id, outcome.touch_id)
    if outcome.source != channel and not outcome.source.startswith(f"{channel}:"):
        why = f"outcome.source: must be {channel} or begin with {channel}: (whose secret signed the callback)"
    if why is None:
        return report
    return ReportResult(
        index=index, status=ReportStatus.REFUSED, outcome_id=outcome.outcome_id, error=_line(why)
    )


def _unavailable(index: int, outcome: Outcome) -> ReportResult:
    return ReportResult(
        index=index,
        status=ReportStatus.UNAVAILABLE,
        outcome_id=outcome.outcome_id,
        error="the engine does not answer; repeat the callback",
    )


def _answer(results: Sequence[ReportResult], log: structlog.typing.FilteringBoundLogger) -> JSONResponse:
    counts = {status: sum(result.status is status for result in results) for status in ReportStatus}
    log.info("outcomes.reported", **{status.value: count for status, count in counts.items() if count})
    answer = OutcomesAnswer(accepted=counts[ReportStatus.ACCEPTED], results=tuple(results))
    headers: dict[str, str] = {}
    if counts[ReportStatus.UNAVAILABLE]:
        status, headers = 503, {"retry-after": str(RETRY_AFTER_SECONDS)}
    elif counts[ReportStatus.ACCEPTED]:
        status = 202
    else:
        status = 404 if counts[ReportStatus.UNKNOWN_ACCOUNT] == len(results) else 422
    return JSONResponse(answer.model_dump(mode="json"), status, headers)


def _problem(status: int, line: str) -> JSONResponse:
    return JSONResponse({"error": line}, status)


def _explained(error: ValidationError) -> str:
    """Say in one line what does not fit and where, without repeating values: they may be personal."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in first["loc"])[:100] or "item"
    more = f" (and {len(others)} more)" if others else ""
    return _line(f"{place}: {first['msg']}")[: 300 - len(more)] + more


def _line(text: str) -> str:
    """Cut to one printable line that fits a `ShortText`."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300]


_EXAMPLE = {
    "account_id": "northwind",
    "outcome": {
        "outcome_id": "evt-4711",
        "source": "email",
        "touch_id": "northwind/sdr-1/1",
        "kind": "reply",
        "at": "2026-03-02T09:30:00Z",
        "contact_id": "amira",
    },
}
_BOUNCED = {
    "account_id": "northwind",
    "outcome": {
        "outcome_id": "evt-4712",
        "source": "email:ses",
        "touch_id": "northwind/sdr-2/1",
        "kind": "bounce",
        "at": "2026-03-02T09:31:00Z",
        "detail": "550 5.1.1 no such user",
    },
}


def _schema() -> Mapping[str, Any]:
    """Return the items' schema with its definitions in place: it is read as it stands here."""
    schema = OutcomeReport.model_json_schema(ref_template="{model}")
    definitions = schema.pop("$defs", {})

    def inlined(node: object) -> object:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                return inlined({**definitions[reference], **{k: v for k, v in node.items() if k != "$ref"}})
            return {key: inlined(value) for key, value in node.items()}
        if isinstance(node, list):
            return [inlined(value) for value in node]
        return node

    return json.loads(json.dumps(inlined(schema)))  # type: ignore[no-any-return]  # a JSON object stays one


_ITEM = _schema()
_HEADERS = (
    ("webhook-id", "Id of the callback; the same in every repetition of it."),
    ("webhook-timestamp", "Seconds since 1970, at most five minutes from now."),
    ("webhook-signature", "`v1,` and the base64 of the HMAC-SHA256; several, separated by spaces."),
)
_DESCRIBED: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in _HEADERS
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        _ITEM,
                        {"type": "array", "items": _ITEM, "minItems": 1, "maxItems": MAX_OUTCOMES},
                    ]
                },
                "examples": {
                    "one": {"summary": "A reply", "value": _EXAMPLE},
                    "many": {"summary": "A batch", "value": [_EXAMPLE, _BOUNCED]},
                },
            }
        },
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"description": "The engine has every item whose status is `accepted`; others say what is wrong."},
    400: {"description": "The body is not UTF-8, not JSON, or holds no or too many items."},
    401: {"description": "The signature is missing, wrong or older than five minutes."},
    404: {"description": "No item counts: there is no such account.", "model": OutcomesAnswer},
    413: {"description": f"The body is longer than {MAX_OUTCOMES_BYTES:,} bytes."},
    422: {"description": "No item counts; each says in one line what is wrong.", "model": OutcomesAnswer},
    503: {
        "description": "The engine did not answer for every item: repeat the callback after `Retry-After`.",
        "model": OutcomesAnswer,
    },
}
