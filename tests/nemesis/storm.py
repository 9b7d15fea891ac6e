"""One run: the storm that a seed decides on, then healthy workers, and what was found at the end."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from benchmarks._history import history_of
from domain import (
    Account,
    AccountStatus,
    Contact,
    Content,
    Hold,
    Observation,
    PolicyPublished,
    Proposal,
    Settlement,
    Signal,
    SignalKind,
    TouchSettled,
    TouchStatus,
)
from ledger import Ledger, ReleaseKind
from tests.nemesis.arena import Arena, Lane, journal_of, ledger_url
from tests.nemesis.evidence import Found, Scene, claims_of
from tests.nemesis.life import read_journal
from tests.nemesis.oracle import Event, read_log
from tests.nemesis.plan import Plan, Role, Wish, account_id_of, address_of
from tests.nemesis.shift import Shift, StuckError
from workflows import AccountClient, AccountError, EngineUnavailableError, workflow_id

STORM_SECONDS = 12.0
PATIENCE_SECONDS = 60.0
"""The bounded time of promise 5: from the heal on, with everything that expires or is tried again."""

_T = TypeVar("_T")


class Run:
    """One seed in one lane."""

    def __init__(self, arena: Arena, lane: Lane, plan: Plan) -> None:
        self._arena, self._lane, self._plan = arena, lane, plan
        self._home = arena.folder / f"seed-{plan.seed}"
        self._found = Found(plan)
        self._accounts = AccountClient(
            lane.client,
            decision_window=timedelta(seconds=0.2),
            continue_after_events=plan.continue_after_events,
        )
        self._holds = 0
        self._shifts = {role: Shift(role, arena, lane, self._home, self._found) for role in Role}

    async def play(self) -> Found:
        """Play the whole run; never raises for what the run itself brings about."""
        began = time.monotonic()
        self._home.mkdir()
        shutil.copy(self._arena.folder / "ledger.db", self._home / "ledger.db")
        working = [asyncio.create_task(shift.work()) for shift in self._shifts.values()]
        story = asyncio.create_task(self._story())
        try:
            await asyncio.wait({story, *working}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (task for task in (story, *working) if task.done()):
                await ended
            await self._hear_timelines()
        except* (StuckError, AccountError) as errors:
            self._found.troubles += _lines_of(errors)
            await self._hear_timelines()
        finally:
            for task in (story, *working):
                task.cancel()
            await asyncio.gather(story, *working, return_exceptions=True)
            for shift in self._shifts.values():
                await shift.end()
        await self._collect()
        self._found.seconds = time.monotonic() - began
        return self._found

    async def _story(self) -> None:
        for shift in self._shifts.values():
            await shift.manned()
        async with asyncio.TaskGroup() as storm:
            for account in self._plan.accounts:
                storm.create_task(self._introduce(account))
            for wish in self._plan.wishes:
                storm.create_task(self._propose(wish))
            storm.create_task(self._mishaps())
            storm.create_task(self._heal())
        await self._rest()

    async def _introduce(self, account: str) -> None:
        for number in range(self._plan.observe_copies):
            await self._accounts.observe(account_id_of(self._plan.seed, account), self._profile(account))
            await asyncio.sleep(0.4 * number)

    def _profile(self, account: str) -> list[Observation]:
        seed = self._plan.seed
        people = {wish.contact_id for wish in self._plan.wishes if wish.contact_id is not None}
        place = {"country": "GB", "time_zone": "Europe/London"}
        return [
            Account.model_validate(
                {"account_id": account_id_of(seed, account), "name": "Nemesis", "tier": "tier_1", **place}
            ),
            *(
                Contact.model_validate(
                    {
                        "contact_id": contact_id,
                        "name": contact_id.title(),
                        "email": address_of(seed, account, contact_id),
                        "role": "influencer",
                        "consent": "granted",
                        **place,
                    }
                )
                for contact_id in sorted(people)
            ),
            Signal(
                signal_id="surge-1",
                source="intent-data",
                kind=SignalKind.INTENT_SURGE,
                observed_at=datetime.now(UTC),
            ),
        ]

    async def _propose(self, wish: Wish) -> None:
        await asyncio.sleep(0.3 + wish.at)
        web = wish.contact_id is None
        proposal = Proposal(
            proposal_id=wish.proposal_id,
            actor="personalization" if web else "sdr-agent",
            action="personalize_site" if web else "send_email",
            channel=wish.channel,
            contact_id=wish.contact_id,
            value=wish.value,
            propensity=0.5,
            confidence=0.95,
            evidence=("surge-1",),
            expires_at=datetime.now(UTC) + timedelta(seconds=wish.expires_in),
            content=Content(subject=None if web else wish.proposal_id, text="Hello\n.a dot\nbye" * 40),
        )

        async def insist(number: int) -> None:
            await asyncio.sleep(0.2 * number)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    await self._accounts.propose(account_id_of(self._plan.seed, wish.account), proposal)
                except EngineUnavailableError:
                    if time.monotonic() > deadline:
                        raise
                else:
                    return

        await asyncio.gather(*(insist(number) for number in range(wish.copies)))

    async def _mishaps(self) -> None:
        async def restart(role: Role, at: float) -> None:
            await asyncio.sleep(at)
            self._shifts[role].restart()

        await asyncio.gather(*(restart(role, at) for role, at in self._plan.restarts), self._publish())

    async def _publish(self) -> None:
        if self._plan.publish_at is None:
            return
        await asyncio.sleep(self._plan.publish_at)
        ledger = await Ledger.open(ledger_url(self._home))
        try:
            await ledger.publish(
                self._arena.others.files,
                self._arena.others.digest,
                author="lena.fischer",
                reason="another wording",
                at=datetime.now(UTC),
                kind=ReleaseKind.PUBLISH,
                expected=1,
            )
        finally:
            await ledger.close()
        self._found.note("another policy set comes into force")
        for account in self._plan.accounts:
            handle = self._lane.client.get_workflow_handle(
                workflow_id(account_id_of(self._plan.seed, account))
            )
            await handle.signal("policy_published", PolicyPublished(digest=self._arena.others.digest))

    async def _heal(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORM_SECONDS):
                for shift in self._shifts.values():
                    await shift.fated.wait()
        for shift in self._shifts.values():
            shift.heal()
        self._found.note("healthy workers from here on")

    async def _rest(self) -> None:
        """Wait until everything has ended, look, let a person settle what is in doubt, and look again."""
        for shift in self._shifts.values():
            await shift.laid_to_rest()
        statuses = [await self._final(account) for account in self._plan.accounts]
        self._found.at_rest = [await self._scene(status) for status in statuses]
        for status in statuses:
            await self._settle(status)
        self._found.settled = [
            await self._scene(await self._final(account)) for account in self._plan.accounts
        ]

    async def _final(self, account: str) -> AccountStatus:
        wanted = {wish.proposal_id for wish in self._plan.wishes if wish.account == account}
        account_id = account_id_of(self._plan.seed, account)

        async def look() -> AccountStatus | None:
            status = await self._accounts.status(account_id)
            ended = {view.proposal.proposal_id for view in status.proposals if view.status.final}
            flying = any(touch.status is TouchStatus.IN_FLIGHT for touch in status.touches)
            return status if ended == wanted and not flying else None

        async def told() -> AccountStatus | None:
            status = await look()
            return status if status is not None and not status.unsent_facts else None

        try:
            if (await until(look)).unsent_facts:
                await self._have_the_ledger_told(account_id)
            return await until(told)
        except StuckError:
            status = await self._accounts.status(account_id)
            where = {view.proposal.proposal_id: view.status.value for view in status.proposals}
            raise StuckError(
                f"promise 5: no end within {PATIENCE_SECONDS:.0f} s on {account_id}: {where}, "
                f"{status.unsent_facts} facts unsent"
            ) from None

    async def _have_the_ledger_told(self, account_id: str) -> None:
        """Quiet facts, such as a proposal's expiry, wait for company; a person's freeze takes them along."""
        self._holds += 1
        hold = Hold(
            hold_id=f"audit-{self._holds}",
            placed_by="dana.reyes",
            reason="an audit",
            placed_at=datetime.now(UTC),
        )
        await self._accounts.place_hold(account_id, hold)
        await self._accounts.release_hold(account_id, hold.hold_id, "dana.reyes")

    async def _settle(self, status: AccountStatus) -> None:
        """Do what a person does: look the touch up at the provider, and say what was found."""
        accepted = {e.touch_id for e in read_log(self._arena.provider_log) if e.event is Event.ACCEPTED}
        for doubt in status.in_doubt:
            touch_id = doubt.touch.touch_id
            found = Settlement.HANDED_OVER if touch_id in accepted else Settlement.NOT_HANDED_OVER
            self._found.settlements[touch_id] = found
            await self._accounts.settle_touch(
                status.account_id,
                TouchSettled(
                    touch_id=touch_id,
                    settlement=found,
                    settled_by="dana.reyes",
                    comment="looked up at the provider",
                ),
            )

    async def _scene(self, status: AccountStatus) -> Scene:
        ledger = await Ledger.open(ledger_url(self._home))
        try:
            facts = [f for f in await ledger.touches(status.account_id) if f.type == "touch"]
            decisions = await ledger.decisions(status.account_id, limit=1_000)
            proposals = await ledger.proposals(status.account_id)
        finally:
            await ledger.close()
        claims = claims_of(self._home / "ledger.db", status.account_id)
        return Scene(
            account_id=status.account_id,
            status=status,
            claims={touch_id: found for touch_id, (found, _) in claims.items()},
            claimed_at={touch_id: at for touch_id, (_, at) in claims.items()},
            touches={fact.touch.touch_id: fact.status for fact in facts},
            proposals={fact.proposal.proposal_id: fact.status.value for fact in proposals},
            allowed=frozenset(d.decision_id for d in decisions if d.verdict.value == "allow"),
            decisions={fact.touch.touch_id: fact.touch.decision_id for fact in facts},
        )

    async def _hear_timelines(self) -> None:
        for account in self._plan.accounts:
            account_id = account_id_of(self._plan.seed, account)
            with contextlib.suppress(AccountError, TimeoutError):
                async with asyncio.timeout(10):
                    self._found.timelines[account_id] = await self._accounts.timeline(account_id)

    async def _collect(self) -> None:
        found, prefix = self._found, account_id_of(self._plan.seed, "")
        found.marks = read_journal(journal_of(self._home))
        found.entries = [e for e in read_log(self._arena.provider_log) if e.account_id.startswith(prefix)]
        for account in self._plan.accounts:
            account_id = account_id_of(self._plan.seed, account)
            chain = await history_of(self._lane.client, account_id)
            found.histories[account_id] = chain.events
            await self._lane.client.get_workflow_handle(workflow_id(account_id)).terminate("the run is over")
        shutil.rmtree(self._home)


def _lines_of(errors: BaseExceptionGroup[BaseException]) -> list[str]:
    lines = []
    for error in errors.exceptions:
        lines += _lines_of(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return lines


async def until(look: Callable[[], Awaitable[_T | None]]) -> _T:
    """Wait for a condition.

    Raises:
        StuckError: it did not come true in bounded time.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise StuckError
        await asyncio.sleep(0.1)
    return found
