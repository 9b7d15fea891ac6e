"""What the JSON APIs have in common: the size of a body, the token in a header, and how a refusal looks."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import SecretStr

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
"""What a route does with a request."""

_MOST_PROBLEMS = 100
_LONGEST_NAME = 100


def problem(
    status: int,
    error: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    problems: Iterable[str] = (),
) -> JSONResponse:
    """Return a refusal.

    Args:
        status: The HTTP status code.
        error: What is wrong, as a stable word for programs.
        message: What is wrong and what to do, as one line for a person.
        headers: Further headers.
        problems: Each field that does not fit, and why; the first hundred are told.
    """
    content: dict[str, Any] = {"error": error, "message": message}
    listed = list(problems)[:_MOST_PROBLEMS]
    if listed:
        content["problems"] = listed
    return JSONResponse(content, status, headers)


def malformed(error: RequestValidationError) -> JSONResponse:
    """Return the refusal of a body or an address that does not fit the contract; it repeats no value."""
    problems = [f"{_place(each['loc'])}: {each['msg']}" for each in error.errors()]
    return problem(422, "malformed", f"the body does not fit the contract: {problems[0]}", problems=problems)


def bearer(request: Request) -> str | None:
    """Return what a request shows as its bearer token; None if it shows none."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else None


def is_token(shown: str, token: SecretStr) -> bool:
    """Return whether a token was shown; takes as long for a wrong one, whatever it looks like."""
    wanted = token.get_secret_value().encode()
    return hmac.compare_digest(sha256(shown.encode(errors="replace")).digest(), sha256(wanted).digest())


async def whole(request: Request, longest: int) -> Request | None:
    """Read the body before anything is done; None if it is longer than so many bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            return None

    async def again() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return Request(request.scope, again)


def _place(loc: Sequence[int | str]) -> str:
    # Names come from outside too: what cannot be written as UTF-8 must not break the answer.
    parts = (str(part).encode(errors="replace").decode()[:_LONGEST_NAME] for part in loc if part != "body")
    return ".".join(parts) or "the body"
