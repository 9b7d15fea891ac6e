"""`tutti outcome report`: a person tells what came back, such as a reply by telephone."""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from domain import Outcome, digest_of, misdirected
from tutti.render import plain
from tutti.terminal import CommandError
from workflows import AccountClient, EngineUnavailableError, connect

_ID_LENGTH = 40
_ANSWER_SECONDS = 10.0
_REFUSED = "Refused outcome: "


def read_report(  # noqa: PLR0913 - one parameter an argument of the command
    account_id: str, touch_id: str, kind: str, *, contact: str | None, at: str | None, source: str | None
) -> Outcome:
    """Read a report as it was typed.

    Args:
        account_id: Whose touch it is about.
        touch_id: The touch.
        kind: What came back, a value of `OutcomeKind`.
        contact: Whose it is; None: the person the touch was for.
        at: When, as ISO 8601 with an offset; None: now.
        source: Login of whoever heard it; None: that of this process.

    Returns:
        The outcome. Its id follows from what was typed, so the same report is the same outcome.

    Raises:
        CommandError: An argument does not fit; one line that names it.
    """
    why = misdirected(account_id, touch_id)
    if why is not None:
        raise CommandError(why)
    login = source or getpass.getuser()
    typed = [account_id, touch_id, kind, contact, at, login]
    try:
        return Outcome.model_validate(
            {
                "outcome_id": f"report:{digest_of(typed)[:_ID_LENGTH]}",
                "source": login,
                "touch_id": touch_id,
                "kind": kind,
                "at": datetime.now(UTC) if at is None else at,
                "contact_id": contact,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = {"contact_id": "contact", "touch_id": "touch"}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise CommandError(f"{name}: {first['msg']}") from None


async def report(console: Console, account_id: str, outcome: Outcome) -> None:
    """Report an outcome and print what the account made of it.

    Raises:
        CommandError: The account refused it.
        AccountError: There is no such account, or the engine does not answer.
    """
    accounts = AccountClient(await connect())
    before = await _story(accounts, account_id)
    await accounts.report_outcome(account_id, outcome)
    after = await _story(accounts, account_id)
    if before is None or after is None:
        console.print("reported; the account does not answer now and takes it in as soon as its worker runs")
        return
    news = _news(before, after)
    refused = next((line for line in news if _REFUSED in line), None)
    if refused is not None:
        raise CommandError(f"the account refused it: {plain(refused.partition(_REFUSED)[2])}")
    for line in news or ["it was reported before: nothing changed"]:
        console.print(Text(plain(line)), highlight=False)


async def _story(accounts: AccountClient, account_id: str) -> list[str] | None:
    """Return the account's recent story; None while its worker is away."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await accounts.timeline(account_id)
    except (EngineUnavailableError, TimeoutError):
        return None


def _news(before: list[str], after: list[str]) -> list[str]:
    """Return the lines that came after; the story keeps the last ones only, so its beginning may be gone."""
    for start in range(len(before) + 1):
        kept = before[start:]
        if after[: len(kept)] == kept:
            return after[len(kept) :]
    return after
