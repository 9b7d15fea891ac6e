"""The local vendors as one application: their interfaces, and the requests that only they have."""

from __future__ import annotations

import contextlib
import hmac
import json
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

import structlog
from pydantic import BaseModel, Field, SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from activities.channels import BatchResults, MemberResult, MembersBatch, MemberStatus, SdrTask, SegmentUpdate
from domain import Frozen, Outcome, OutcomeKind, ShortText
from tutti.local._vendor_callbacks import Callbacks, OutcomeCallback
from tutti.local._vendor_conduct import Behaviour, Conduct, Mode
from tutti.local._vendor_records import Change, TaskStatus, VendorKind, VendorRecords

OUTCOMES_VARIABLE = "TUTTI_OUTCOMES_SECRET"
MAX_BODY_BYTES = 4 * 1024 * 1024
SEEN_REQUESTS = 10_000

_CHANNELS = {
    VendorKind.TASKS: "sdr_task",
    VendorKind.SEGMENTS: "web_personalization",
    VendorKind.AUDIENCES: "paid_media",
}
_USUAL_OUTCOMES = {
    VendorKind.TASKS: OutcomeKind.REPLY,
    VendorKind.SEGMENTS: OutcomeKind.OPEN,
    VendorKind.AUDIENCES: OutcomeKind.CLICK,
}
_CHANGED = {
    Change.MADE: 201,
    Change.KNOWN: 200,
    Change.OVERTAKEN: 409,
    Change.ANOTHER: 412,
    Change.MISSING: 404,
}

_log = structlog.get_logger("tutti.vendors")
_Model = TypeVar("_Model", bound=BaseModel)


class VendorsError(Exception):
    """The vendors cannot do their work; the message is one line."""

    code = "VENDORS"


class VendorsSettings(Frozen):
    """Where the vendors listen, what they keep, and whom they tell."""

    port: Annotated[int, Field(ge=0, le=65_535)]
    """0 picks a free one."""
    log: Path
    """File of JSON lines for what they keep."""
    token: Annotated[SecretStr, Field(min_length=1)]
    """The bearer token that the channels use."""
    callback_url: str | None = None
    """Where outcomes go, with `{channel}` for the channel's name; None: nowhere."""
    callback_secret: SecretStr | None = None
    """Signs the callbacks, `whsec_...`."""


class Completion(Frozen):
    """Body of `POST /_complete/{touch_id}`; may be left out."""

    kind: OutcomeKind | None = None
    """None: what is usual, `reply` to a task, `open` of a page, `click` on an advertisement."""
    detail: ShortText | None = None


class _RefusalError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.response = JSONResponse({"detail": detail}, status)


class Vendors:
    """The three vendors.

    Args:
        settings: What they keep and whom they tell.

    Raises:
        VendorsError: The file or the secret cannot be used.
    """

    def __init__(self, settings: VendorsSettings) -> None:
        self._token = settings.token.get_secret_value()
        self._conduct = Conduct()
        self._seen: deque[dict[str, Any]] = deque(maxlen=SEEN_REQUESTS)
        self._callbacks: Callbacks | None = None
        try:
            self._records = VendorRecords(settings.log)
        except OSError as error:
            raise VendorsError(
                f"cannot use {settings.log}: {error.strerror}; change --vendors-log"
            ) from error
        if settings.callback_url is not None and settings.callback_secret is not None:
            try:
                self._callbacks = Callbacks(settings.callback_url, settings.callback_secret)
            except Exception as error:  # the library raises what the decoding happens to raise
                raise VendorsError(f"{OUTCOMES_VARIABLE} must be whsec_ followed by base64") from error
        self.app = Starlette(
            routes=[
                self._route("/v1/tasks", GET=self._get_tasks),
                self._route(
                    "/v1/tasks/{touch_id:path}",
                    GET=self._get_task,
                    PUT=self._put_task,
                    DELETE=self._cancel_task,
                ),
                self._route(
                    "/v1/segments/{account_id}",
                    GET=self._get_segment,
                    PUT=self._put_segment,
                    DELETE=self._clear_segment,
                ),
                self._route("/v1/audiences/{audience:path}/members:batch", POST=self._change_members),
                self._route("/v1/audiences/{audience:path}", GET=self._get_members),
                Route("/_behave", self._behave, methods=["POST", "DELETE"]),
                Route("/_seen", self._show_seen, methods=["GET"]),
                Route("/_complete/{touch_id:path}", self._complete, methods=["POST"]),
            ]
        )

    def _route(self, path: str, **acts: Callable[[Request, bytes], Awaitable[Response]]) -> Route:
        """Make the route of a vendor: it takes down the request, wants the token, and behaves as told."""

        async def answer(request: Request) -> Response:
            body, entry = b"", self._take_down(request)
            try:
                body = await _body(request)
                self._want_token(request)
                act = acts["GET" if request.method == "HEAD" else request.method]
                response = await self._conduct.answer(request.url.path, lambda: _kept(act, request, body))
            except _RefusalError as refusal:
                response = refusal.response
            entry.update(status=response.status_code, body=_shown(body))
            return response

        return Route(path, answer, methods=list(acts))

    def _take_down(self, request: Request) -> dict[str, Any]:
        entry = {
            "at": datetime.now(UTC).isoformat(),
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "idempotency_key": request.headers.get("idempotency-key"),
            "status": None,
        }
        self._seen.append(entry)
        return entry

    def _want_token(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise _RefusalError(401, "the bearer token is missing or wrong")

    # The CRM --------------------------------------------------------------------------------------------

    async def _get_tasks(self, _request: Request, _body: bytes) -> Response:
        return JSONResponse({"tasks": self._records.tasks()})

    async def _get_task(self, request: Request, _body: bytes) -> Response:
        wanted = request.path_params["touch_id"]
        found = [task for task in self._records.tasks() if task["external_id"] == wanted]
        return JSONResponse(found[0] if found else {"detail": "no such task"}, 200 if found else 404)

    async def _put_task(self, request: Request, body: bytes) -> Response:
        change, task = await self._records.put_task(request.path_params["touch_id"], _read(SdrTask, body))
        return JSONResponse(task, _CHANGED[change])

    async def _cancel_task(self, request: Request, _body: bytes) -> Response:
        change, task = await self._records.end_task(request.path_params["touch_id"], TaskStatus.CANCELLED)
        if change is Change.OVERTAKEN:
            raise _RefusalError(409, "the task has been completed")
        return JSONResponse(task or {"detail": "no such task"}, 200 if task else 404)

    # The segment store ----------------------------------------------------------------------------------

    async def _put_segment(self, request: Request, body: bytes) -> Response:
        change, record = await self._records.put_segment(*_whose(request), _read(SegmentUpdate, body))
        if change is Change.OVERTAKEN:
            raise _RefusalError(409, "a later hand-over has set or cleared the segment")
        return JSONResponse(record, _CHANGED[change])

    async def _get_segment(self, request: Request, _body: bytes) -> Response:
        record = self._records.segment(*_whose(request))
        return JSONResponse(record or {"detail": "no segment"}, 200 if record else 404)

    async def _clear_segment(self, request: Request, _body: bytes) -> Response:
        wanted = request.headers.get("if-match")
        if wanted is None:
            raise _RefusalError(428, "say whose segment is to be cleared: If-Match with the touch id")
        change = await self._records.clear_segment(*_whose(request), unquote(wanted.strip('"')))
        if change in {Change.MADE, Change.KNOWN}:
            return Response(status_code=204)
        raise _RefusalError(
            _CHANGED[change], "another touch has set it" if change is Change.ANOTHER else "no segment"
        )

    # The advertising platform ---------------------------------------------------------------------------

    async def _change_members(self, request: Request, body: bytes) -> Response:
        operations = _read(MembersBatch, body).operations
        for operation in operations:
            if operation.member is not None and operation.member.value.endswith(".invalid"):
                # RFC 2606 keeps these names for tests; some platforms refuse all for the sake of one.
                raise _RefusalError(422, f"{operation.member.value} exists nowhere")
        refused = tuple(
            (operation.id, told.mode)
            for operation in operations
            if (told := self._conduct.take(request.url.path, Mode.REFUSE_MEMBERS, Mode.FAIL_MEMBERS))
        )
        ids = {touch_id for touch_id, _ in refused}
        results = await self._records.change_members(
            request.path_params["audience"], tuple(o for o in operations if o.id not in ids)
        )
        refusals = tuple(
            MemberResult(
                id=touch_id,
                status=MemberStatus.REJECTED if mode is Mode.REFUSE_MEMBERS else MemberStatus.FAILED,
                detail="nobody matches" if mode is Mode.REFUSE_MEMBERS else "shard unavailable",
            )
            for touch_id, mode in refused
        )
        return _json(BatchResults(results=refusals + results))

    async def _get_members(self, request: Request, _body: bytes) -> Response:
        return JSONResponse({"members": self._records.members(request.path_params["audience"])})

    # What only these vendors have -----------------------------------------------------------------------

    async def _behave(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._conduct.forget()
            return Response(status_code=204)
        try:
            behaviour = _read(Behaviour, await _body(request))
        except _RefusalError as refusal:
            return refusal.response
        self._conduct.tell(behaviour)
        return _json(behaviour)

    async def _show_seen(self, request: Request) -> Response:
        wanted = request.query_params.get("path", "/")
        return JSONResponse([entry for entry in self._seen if entry["path"].startswith(wanted)])

    async def _complete(self, request: Request) -> Response:
        touch_id = request.path_params["touch_id"]
        origin = self._records.origin(touch_id)
        if origin is None:
            return JSONResponse({"detail": f"no vendor has got the touch {touch_id}"}, 404)
        try:
            body = await _body(request)
            completion = _read(Completion, body) if body else Completion()
        except _RefusalError as refusal:
            return refusal.response
        channel = _CHANNELS[origin.vendor]
        if origin.vendor is VendorKind.TASKS:
            change, _ = await self._records.end_task(touch_id, TaskStatus.COMPLETED)
            if change is Change.OVERTAKEN:
                return JSONResponse({"detail": "the task has been cancelled"}, 409)
        outcome = Outcome(
            outcome_id=f"{channel}-{uuid.uuid4().hex}",
            source=channel,
            touch_id=touch_id,
            kind=completion.kind or _USUAL_OUTCOMES[origin.vendor],
            at=datetime.now(UTC),
            contact_id=origin.contact_id,
            detail=completion.detail,
        )
        callback = OutcomeCallback(account_id=origin.account_id, outcome=outcome)
        answers: list[int | str] = []
        if self._callbacks is not None:
            place = f"/v1/{origin.vendor}/{touch_id}"
            twice = self._conduct.take(place, Mode.DUPLICATE_CALLBACKS) is not None
            answers = await self._callbacks.tell(channel, callback, copies=2 if twice else 1)
        return JSONResponse({"callback": callback.model_dump(mode="json"), "answers": answers})


async def _kept(
    act: Callable[[Request, bytes], Awaitable[Response]], request: Request, body: bytes
) -> Response:
    try:
        return await act(request, body)
    except OSError as error:
        _log.warning("vendors.not_kept", error=error.strerror)
        raise _RefusalError(503, "could not be kept; try again later") from error


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _RefusalError(413, f"longer than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _read(model: type[_Model], body: bytes) -> _Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _RefusalError(422, f"{place}: {first['msg']}" if place else first["msg"]) from None


def _whose(request: Request) -> tuple[str, str | None]:
    return request.path_params["account_id"], request.query_params.get("contact_id")


def _json(value: Frozen) -> Response:
    return Response(value.model_dump_json(), media_type="application/json")


def _shown(body: bytes) -> Any:  # noqa: ANN401 - whatever JSON it is
    with contextlib.suppress(ValueError):
        return json.loads(body)
    return None
