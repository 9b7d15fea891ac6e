"""`tutti policy replay` and `coverage`: the rulings of the ledger, judged again under some set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from rich.progress import Progress

from domain import RulingRequest
from governance import (
    Comparison,
    Coverage,
    PastOutcome,
    PastRuling,
    PolicySet,
    Replay,
    RuleUse,
    draws,
    tracked,
)
from tutti.policies.sets import open_ledger, stored
from tutti.terminal import CommandError

if TYPE_CHECKING:
    from rich.console import Console

    from ledger import Ledger, RecordedRuling, RulingKey
    from tutti.settings import Settings

PAGE: Final = 500
"""Rulings read from the ledger at once."""


async def replay(
    console: Console, settings: Settings, policies: PolicySet, since: timedelta | None
) -> Comparison:
    """Judge the recorded rulings under a set and tell what would come out otherwise.

    Args:
        console: Where the progress is shown, on a terminal.
        settings: Where the ledger is.
        policies: The set to judge under.
        since: How far back; None: as far as the record goes.
    """
    judge = Replay(policies)
    await _judge_all(console, settings, policies, since, judge.take)
    return judge.comparison()


async def coverage(
    console: Console, settings: Settings, policies: PolicySet, since: timedelta | None
) -> tuple[tuple[RuleUse, ...], int]:
    """Judge the recorded rulings under a set and count what each rule has to say.

    Returns:
        The counts, and how many rulings were judged.
    """
    judge = Coverage(policies)
    rulings = await _judge_all(console, settings, policies, since, judge.take)
    return judge.uses(), rulings


async def _judge_all(
    console: Console,
    settings: Settings,
    policies: PolicySet,
    since: timedelta | None,
    take: Callable[[PastRuling], None],
) -> int:
    rulings = 0
    async with open_ledger(settings) as ledger:
        total = (await ledger.counts()).get("rulings")
        completer = _Completer(ledger, policies)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("judging again", total=total if since is None else None)
            async for page in _pages(ledger, since):
                for recorded in page:
                    take(PastRuling(await completer.completed(recorded), _outcomes(recorded)))
                rulings += len(page)
                progress.advance(task, len(page))
    return rulings


async def _pages(ledger: Ledger, since: timedelta | None) -> AsyncIterator[list[RecordedRuling]]:
    start = datetime.now(UTC) - since if since is not None else None
    after: RulingKey | None = None
    while page := await ledger.rulings(since=start, after=after, limit=PAGE):
        yield page
        after = page[-1].key


def _outcomes(recorded: RecordedRuling) -> dict[str, PastOutcome]:
    return {
        each.proposal_id: PastOutcome(each.verdict, each.reason, each.rule_id) for each in recorded.outcomes
    }


class _Completer:
    """Adds to a recorded request what its set did not ask the ledger for, and the set at hand does.

    Room in shared limits is asked for as of the moment of the ruling, also in a limit that has kept its name
    and counts otherwise now. How often an actor has done something is only known as of today: where it was
    not recorded, an actor may look more experienced than it was.
    """

    def __init__(self, ledger: Ledger, policies: PolicySet) -> None:
        self._ledger = ledger
        self._policies = policies
        self._earlier: dict[str, PolicySet | None] = {policies.digest: policies}
        self._done: dict[tuple[str, str], int] = {}

    async def completed(self, recorded: RecordedRuling) -> RulingRequest:
        """Return the request with everything the set at hand wants to know."""
        request = recorded.request
        standing = request.standing
        earlier = await self._set_of(recorded.policy_digest)
        asked_then = frozenset(draws(earlier, request)) if earlier is not None else frozenset()
        missing = [
            (proposal_id, draw)
            for proposal_id, draw in draws(self._policies, request)
            if (proposal_id, draw) not in asked_then
            or f"{draw.rule_id}/{proposal_id}" not in standing.room_at
        ]
        asked = [pair for pair in tracked(self._policies, request) if "/".join(pair) not in standing.done]
        if not missing and not asked:
            return request
        room_at, done = dict(standing.room_at), dict(standing.done)
        if missing:
            room_at |= await self._ledger.room(
                missing,
                account_id=request.account_id,
                now=request.now,
                judged=[candidate.proposal.proposal_id for candidate in request.candidates],
                until=request.now,
            )
        for pair in asked:
            done["/".join(pair)] = await self._count(pair, request)
        update = {"standing": standing.model_copy(update={"room_at": room_at, "done": done})}
        return request.model_copy(update=update)

    async def _set_of(self, digest: str) -> PolicySet | None:
        """Return the set that a ruling was made under; None if this code cannot read it any more."""
        if digest not in self._earlier:
            try:
                self._earlier[digest] = (await stored(self._ledger, (digest[:12], digest))).policies
            except CommandError:
                self._earlier[digest] = None
        return self._earlier[digest]

    async def _count(self, pair: tuple[str, str], request: RulingRequest) -> int:
        if pair not in self._done:
            known = await self._ledger.standing([], [pair], account_id=request.account_id, now=request.now)
            self._done[pair] = known.done.get("/".join(pair), 0)
        return self._done[pair]
