"""One life of a worker: the real `worker.py`, with the gap of its death built into what it works with.

`python -m tests.nemesis.life ROLE`, with its fate in `NEMESIS_FATE` (JSON, or empty) and a journal in
`NEMESIS_JOURNAL`. The production code knows nothing of this: the ledger is a subclass of the real one, and
the two clients of the provider are wrapped where they touch the network.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import httpx2 as httpx
from aiosmtplib import SMTPResponse
from aiosmtplib.protocol import SMTPProtocol

import worker
from domain import FactBatch, Frozen, Moment, Receipt, Ruling, RulingRequest, Touch
from ledger import Claim, ClaimState, Ledger, Preflight
from tests.nemesis.plan import Act, Fate, Gap, Memory, Role
from workflows import _world

END_OF_MESSAGE = b"\r\n.\r\n"


class Mark(Frozen):
    """A line of the journal: what happened to which worker, where."""

    at: Moment
    pid: int
    role: Role
    act: Act
    gap: Gap
    touch_id: str | None
    thawed: bool = False


def read_journal(path: Path) -> list[Mark]:
    """Return what is in a journal."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Mark.model_validate_json(line) for line in lines]


class Doom:
    """Ends or freezes this very process when it passes the gap of its fate."""

    def __init__(self, role: Role, fate: Fate | None, journal: Path) -> None:
        self._role = role
        self._fate = fate
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._passed: Counter[Gap] = Counter()

    def meets(self, gap: Gap) -> bool:
        """Whether the next passing of a gap is the one."""
        fate = self._fate
        return fate is not None and fate.gap is gap and fate.nth == self._passed[gap] + 1

    def at(self, gap: Gap, touch_id: str | None = None) -> None:
        """Pass a gap, or do not get past it."""
        met, fate = self.meets(gap), self._fate
        self._passed[gap] += 1
        if fate is None or not met:
            return
        self._note(gap, fate.act, touch_id)
        os.kill(os.getpid(), signal.SIGKILL if fate.act is Act.KILL else signal.SIGSTOP)
        self._note(gap, fate.act, touch_id, thawed=True)

    def _note(self, gap: Gap, act: Act, touch_id: str | None, *, thawed: bool = False) -> None:
        mark = Mark(
            at=datetime.now(UTC),
            pid=os.getpid(),
            role=self._role,
            act=act,
            gap=gap,
            touch_id=touch_id,
            thawed=thawed,
        )
        os.write(self._journal, mark.model_dump_json().encode() + b"\n")


class ChannelLedger(Ledger):
    """The ledger of a channel's worker."""

    doom: ClassVar[Doom]
    looks: ClassVar[Counter[str]] = Counter()

    async def claim(self, touch_id: str, *, channel: str, at: datetime) -> Claim:
        self.doom.at(Gap.BEFORE_CLAIM, touch_id)
        claim = await super().claim(touch_id, channel=channel, at=at)
        if claim.state is ClaimState.NEW:
            self.doom.at(Gap.CLAIMED, touch_id)
        elif claim.state is ClaimState.OPEN:
            self.doom.at(Gap.DOUBT_FOUND, touch_id)
        return claim

    async def preflight(self, touch: Touch) -> Preflight:
        found = await super().preflight(touch)
        self._looked(touch.touch_id)
        return found

    async def suppressed(self, person_keys: Collection[str]) -> frozenset[str]:
        found = await super().suppressed(person_keys)
        self._looked(None)
        return found

    def _looked(self, touch_id: str | None) -> None:
        """The first look at a touch is the protocol's, the second the channel's, right before the line."""
        self.looks[touch_id or ""] += 1
        first = self.looks[touch_id or ""] % 2 == 1
        self.doom.at(Gap.CHECKED if first else Gap.LINE, touch_id)

    async def settle(self, receipt: Receipt) -> None:
        self.doom.at(Gap.RECEIPT, receipt.touch_id)
        await super().settle(receipt)
        self.doom.at(Gap.SETTLED, receipt.touch_id)


class ForgetfulLedger(ChannelLedger):
    """A ledger that forgets who claimed what: without it nobody would know whether the nemesis has teeth."""

    async def claim(self, touch_id: str, *, channel: str, at: datetime) -> Claim:
        await super().claim(touch_id, channel=channel, at=at)
        return Claim(state=ClaimState.NEW)


class OrchestratorLedger(Ledger):
    """The ledger of the orchestrator's worker."""

    doom: ClassVar[Doom]

    async def claim(self, touch_id: str, *, channel: str, at: datetime) -> Claim:
        self.doom.at(Gap.RESOLVING, touch_id)
        claim = await super().claim(touch_id, channel=channel, at=at)
        self.doom.at(Gap.RESOLVED, touch_id)
        return claim

    async def enter_ruling(self, request: RulingRequest, ruling: Ruling) -> bool:
        self.doom.at(Gap.BEFORE_RULING)
        entered = await super().enter_ruling(request, ruling)
        self.doom.at(Gap.RULED)
        return entered

    async def record(self, batch: FactBatch) -> int:
        self.doom.at(Gap.BEFORE_FACTS)
        count = await super().record(batch)
        self.doom.at(Gap.FACTS)
        return count


def doom_mail(doom: Doom) -> None:
    """Put the gaps between the line and the receipt into the SMTP client."""
    write, read_response = SMTPProtocol.write, SMTPProtocol.read_response
    awaited: set[SMTPProtocol] = set()

    def doomed_write(self: SMTPProtocol, data: bytes) -> None:
        if not data.endswith(END_OF_MESSAGE):
            write(self, data)
            return
        doom.at(Gap.CROSSED)
        if doom.meets(Gap.MID_MESSAGE):
            middle = len(data) // 2
            write(self, data[:middle])
            doom.at(Gap.MID_MESSAGE)
            data = data[middle:]
        write(self, data)
        doom.at(Gap.WRITTEN)
        awaited.add(self)

    async def doomed_read(self: SMTPProtocol, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109
        answer = await read_response(self, timeout=timeout)
        if self in awaited:
            awaited.discard(self)
            doom.at(Gap.ANSWERED)
        return answer

    SMTPProtocol.write = doomed_write  # type: ignore[method-assign]
    SMTPProtocol.read_response = doomed_read  # type: ignore[method-assign]


def doom_web(doom: Doom) -> None:
    """Put the gaps around the request into the HTTP client."""
    handle = httpx.AsyncHTTPTransport.handle_async_request

    async def doomed(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        doom.at(Gap.CROSSED)
        answer = await handle(self, request)
        doom.at(Gap.ANSWERED)
        return answer

    httpx.AsyncHTTPTransport.handle_async_request = doomed  # type: ignore[method-assign]


def main() -> None:
    """Live as the worker named on the command line."""
    role = Role(sys.argv[1])
    told = os.environ["NEMESIS_FATE"]
    fate = Fate.model_validate_json(told) if told else None
    doom = Doom(role, fate, Path(os.environ["NEMESIS_JOURNAL"]))
    channels = ForgetfulLedger if os.environ["NEMESIS_MEMORY"] == Memory.FORGETS.value else ChannelLedger
    kind = OrchestratorLedger if role is Role.ORCHESTRATOR else channels
    kind.doom = doom
    worker.Ledger = kind  # type: ignore[attr-defined]
    doom_mail(doom)
    doom_web(doom)
    # As the policy set shortens the channels' waits: whoever is lost in a ruling is missed after seconds.
    _world.GOVERN_TIMEOUT = _world.PROJECT_TIMEOUT = timedelta(seconds=5)
    worker.main()


if __name__ == "__main__":
    main()
