"""The ledger as the other rooms see it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from domain import (
    Account,
    Decision,
    Draw,
    FactBatch,
    PastTouchFact,
    ProposalFact,
    Receipt,
    Ruling,
    RulingRequest,
    Standing,
    Stop,
    Touch,
    TouchFact,
)
from ledger import (
    _claims,
    _preflight,
    _reading,
    _releases,
    _room,
    _rulings,
    _stops,
    _underway,
    _writing,
)
from ledger._claims import Claim, OpenClaim
from ledger._log_kept import LogKept
from ledger._preflight import Preflight
from ledger._questions_kept import QuestionsKept
from ledger._releases import Release, ReleaseKind
from ledger._room import Viewpoint
from ledger._rulings import HitCounts, RecordedHit, RecordedRuling, RulingKey
from ledger._stops import StopEntry
from ledger._underway import Underway, Whereabouts


class Ledger(QuestionsKept, LogKept):
    """One database, shared by the tasks of a process and with other processes.

    Make one with `open` and end it with `close`, on the same event loop. Every method raises `LedgerError`,
    and nothing else, when the database cannot do what is asked. What a method wrote is on disk when
    it returns.
    """

    async def record(self, batch: FactBatch) -> int:
        """Write the facts of one account in one transaction.

        Of two facts about one thing the one with the later `seq` stays, whatever order they come in, so a
        batch may be written again at any time. Facts that tell what became of a proposal give its reservation
        back: from then on the touch counts, or nothing does. A person's word about a touch in doubt also
        settles its claim. What is linked is added to the decision log, once and for good.

        Returns:
            How many facts changed the ledger; the rest were known, or older than what it holds.
        """
        async with self._writing("record facts") as connection:
            return await _writing.record(connection, batch)

    async def suppress(
        self, person_key: str, *, account_id: str, contact_id: str, source: str, at: datetime
    ) -> None:
        """Block a person on every account and channel; an objection stays with its earliest provenance.

        Args:
            person_key: `domain.person_key` of the address.
            account_id: Where the objection was heard.
            contact_id: The person's id there.
            source: What heard it.
            at: When, with time zone.
        """
        row = {
            "person_key": person_key,
            "at": at,
            "account_id": account_id,
            "contact_id": contact_id,
            "source": source,
        }
        async with self._writing("store an opt-out") as connection:
            await _writing.suppress(connection, [row])

    async def suppressed(self, person_keys: Collection[str]) -> frozenset[str]:
        """Return those of the keys whose persons are blocked."""
        async with self._reading("read the suppressions") as connection:
            return await _reading.suppressed(connection, person_keys)

    async def claim(self, touch_id: str, *, channel: str, at: datetime) -> Claim:
        """Ask for the right to hand a touch to its provider.

        Exactly one caller ever gets `new`, over all processes and for all time. The claim is on disk before
        this returns; a caller that dies afterwards leaves it open.

        Args:
            touch_id: The touch.
            channel: Through which it would go.
            at: Now, with time zone.
        """
        async with self._writing("claim a touch") as connection:
            return await _claims.claim(connection, touch_id, channel, at)

    async def settle(self, receipt: Receipt) -> None:
        """Store what the channel said on the touch's claim.

        The first receipt stays, with one exception: `unknown` gives way to `accepted` or `rejected`. A
        receipt without a claim is kept too, and a later claim of that touch finds it.
        """
        async with self._writing("settle a claim") as connection:
            await _claims.settle(connection, receipt)

    async def receipt(self, touch_id: str) -> Receipt | None:
        """Return what is on record about a touch's hand-over; None if nobody has reported."""
        async with self._reading("read a receipt") as connection:
            return await _claims.receipt(connection, touch_id)

    async def open_claims(self) -> list[OpenClaim]:
        """Return the claims without receipt, oldest first: under way, or left behind by a crash."""
        async with self._reading("read the claims") as connection:
            return await _claims.open_claims(connection)

    async def place_stop(self, stop: Stop) -> None:
        """Throw a kill switch: whatever asks from now on may not hand over what it covers.

        The same stop placed again changes nothing.

        Raises:
            LedgerError: `taken`, if its id is that of another stop, or of one that was lifted.
        """
        async with self._writing("place a stop") as connection:
            await _stops.place(connection, stop)

    async def lift_stop(self, stop_id: str, *, by: str, reason: str, at: datetime) -> StopEntry | None:
        """Lift a kill switch; one that was lifted before stays as it was lifted first.

        Args:
            stop_id: Which one.
            by: Login of the person who lifts it.
            reason: Why, in a line.
            at: Now, with time zone.

        Returns:
            The stop as it now is; None if there never was one with this id.
        """
        async with self._writing("lift a stop") as connection:
            return await _stops.lift(connection, stop_id, by, reason, at)

    async def stops(self) -> tuple[Stop, ...]:
        """Return the stops that stand, oldest first."""
        async with self._reading("read the stops") as connection:
            return await _stops.standing(connection)

    async def stop_log(self, *, limit: int = 100) -> list[StopEntry]:
        """Return stops, standing or lifted, the one that was placed last first."""
        async with self._reading("read the stops") as connection:
            return await _stops.log(connection, limit)

    async def underway(self, stop: Stop) -> tuple[Underway, ...]:
        """Return what was allowed where a stop reaches and is not known to have ended, oldest first."""
        async with self._reading("look what is under way") as connection:
            return await _underway.underway(connection, stop)

    async def whereabouts(self, touches: Sequence[Underway]) -> tuple[Whereabouts, ...]:
        """Return what has become of touches that were under way, in the given order."""
        async with self._reading("look what became of touches") as connection:
            return await _underway.whereabouts(connection, touches)

    async def preflight(self, touch: Touch) -> Preflight:
        """Return all that is known right now against handing a touch over; one round trip, one moment.

        What it means is the reader's to say: see `activities.channels.preflight`.
        """
        async with self._reading("look for the last time before a hand-over") as connection:
            return await _preflight.preflight(connection, touch)

    async def record_policy_set(self, digest: str, *, files: Mapping[str, str], at: datetime) -> None:
        """Keep the files of a policy set (path to text), so that old decisions can be explained.

        A digest that is known already changes nothing.
        """
        async with self._writing("record a policy set") as connection:
            await _writing.record_policy_set(connection, digest, files, at)

    async def policy_set(self, digest: str) -> dict[str, str] | None:
        """Return the files of a policy set (path to text), None if it was never recorded."""
        async with self._reading("read a policy set") as connection:
            return await _reading.policy_set(connection, digest)

    async def publish(  # noqa: PLR0913 - the record of who did what, when and why
        self,
        files: Mapping[str, str],
        digest: str,
        *,
        author: str,
        reason: str,
        at: datetime,
        kind: ReleaseKind,
        expected: int | None,
    ) -> Release:
        """Put a policy set in force for every worker and account, from their next ruling on.

        Publishing what is in force already changes nothing and returns the release that stands.

        Args:
            files: Text of each file by its name.
            digest: The set's digest: `governance.PolicySet.digest`.
            author: Login of the person who answers for it.
            reason: Why, in a line.
            at: Now, with time zone.
            kind: How it came about.
            expected: Number of the release that the author saw in force; None if there was none.

        Raises:
            LedgerError: `overtaken`, if another release is in force than the author saw.
        """
        number = (expected or 0) + 1
        release = Release(number=number, digest=digest, author=author, reason=reason, at=at, kind=kind)
        async with self._writing("publish a policy set") as connection:
            return await _releases.publish(connection, files, release)

    async def release_in_force(self) -> Release | None:
        """Return the release with the highest number; None if nothing was ever published."""
        async with self._reading("read the release in force") as connection:
            return await _releases.in_force(connection)

    async def releases(self, *, limit: int = 100) -> list[Release]:
        """Return the releases, latest first."""
        async with self._reading("list the releases") as connection:
            return await _releases.releases(connection, limit)

    async def room(
        self,
        draws: Sequence[tuple[str, Draw]],
        *,
        account_id: str,
        now: datetime,
        judged: Collection[str] = (),
        until: datetime | None = None,
    ) -> dict[str, datetime]:
        """Tell from when limits that all accounts share have room for touches.

        Every touch within the window that was not released counts, ours and those of other tools, and every
        touch that was allowed and is not among them yet. A touch leaves the window exactly one window after
        it was made; one that is still on its way counts for up to `domain.LONGEST_FLIGHT` longer, because it
        may be made at any moment.

        Args:
            draws: Proposals of the account, each with a place it would take.
            account_id: Whose proposals they are.
            now: The moment of the ruling, with time zone.
            judged: Proposals of the account that are ruled on together: what they have reserved before does
                not count, since the new ruling replaces it. Those of `draws` are always among them.
            until: Touches after this moment do not count, as if it were then; for judging the past again.
                None: all count, since the clocks of two accounts may differ by moments.

        Returns:
            A moment for every draw, under `<rule id>/<proposal id>`: `now` if there is room, 2099-12-31 if
            there never is because it costs more than the whole limit.
        """
        async with self._reading("look for room in the shared limits") as connection:
            return await _room.room(connection, draws, _viewpoint(draws, judged, account_id, now, until))

    async def standing(
        self,
        draws: Sequence[tuple[str, Draw]],
        tracked: Iterable[tuple[str, str]],
        *,
        account_id: str,
        now: datetime,
        judged: Collection[str] = (),
    ) -> Standing:
        """Return what the tenant as a whole has done, as far as a ruling asks for it.

        Args:
            draws: As for `room`.
            tracked: Pairs of actor and action whose touches are counted: those handed over, up to 10,000.
            account_id: As for `room`.
            now: As for `room`.
            judged: As for `room`.
        """
        async with self._reading("read what all accounts have done") as connection:
            viewpoint = _viewpoint(draws, judged, account_id, now)
            return Standing(
                room_at=await _room.room(connection, draws, viewpoint),
                done=await _room.done(connection, tracked),
            )

    async def enter_ruling(self, request: RulingRequest, ruling: Ruling) -> bool:
        """Record a ruling and take the places of the touch it allows, all at once or not at all.

        What the candidates had reserved before is given back; the one that is allowed now is reserved until
        its facts arrive. The same request entered again replaces the record of what it said before. A request
        that the account has left behind takes nothing from later ones and reserves nothing that has ended.

        Args:
            request: What governance judged, with the suppressions and the standing it was given.
            ruling: What it answered.

        Returns:
            False, with nothing written, if a limit that the allowed touch draws on, or the window approval
            that lets it go out, has no room any more: others took it since it was read. Read again and rule
            again.
        """
        async with self._writing("enter a ruling") as connection:
            return await _rulings.enter(connection, request, ruling)

    async def rulings(
        self, *, since: datetime | None = None, after: RulingKey | None = None, limit: int = 1_000
    ) -> list[RecordedRuling]:
        """Return recorded rulings in the order of their moments, then of account ids and revisions.

        Args:
            since: Leave out what is earlier.
            after: Start behind this one: the `key` of the last ruling of the page before.
            limit: How many at most.
        """
        async with self._reading("read the rulings") as connection:
            return await _rulings.rulings(connection, since, after, limit)

    async def rule_hit_counts(self) -> HitCounts:
        """Return how often each rule has fired and when last, and how many decisions there are."""
        async with self._reading("count what rules said") as connection:
            return await _rulings.hit_counts(connection)

    async def recent_hits(self, rule_id: str, *, limit: int = 20) -> list[RecordedHit]:
        """Return the latest decisions in which a rule had its say, latest first."""
        async with self._reading("read what a rule said") as connection:
            return await _rulings.recent_hits(connection, rule_id, limit)

    async def account_exists(self, account_id: str) -> bool:
        """Tell whether a profile of the account has arrived."""
        async with self._reading("look up an account") as connection:
            return await _reading.account_exists(connection, account_id)

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """Return the profiles of accounts in order of id.

        Args:
            after: Start behind this id: the last one of the page before.
            limit: How many at most.
        """
        async with self._reading("list the accounts") as connection:
            return await _reading.accounts(connection, after, limit)

    async def decisions(
        self, account_id: str, proposal_id: str | None = None, *, limit: int = 100
    ) -> list[Decision]:
        """Return the decisions of an account, or on one of its proposals, latest first."""
        async with self._reading("read the decisions") as connection:
            return await _reading.decisions(connection, account_id, proposal_id, limit)

    async def proposals(self, account_id: str, *, limit: int = 100) -> list[ProposalFact]:
        """Return where the proposals of an account stand, the one that moved last first."""
        async with self._reading("read the proposals") as connection:
            return await _reading.proposals(connection, account_id, limit)

    async def touches(self, account_id: str, *, limit: int = 100) -> list[TouchFact | PastTouchFact]:
        """Return the touches of an account, ours and those of other tools, the latest moment first."""
        async with self._reading("read the touches") as connection:
            return await _reading.touches(connection, account_id, limit)

    async def signals_known(
        self, account_id: str, signals: Collection[tuple[str, str]]
    ) -> frozenset[tuple[str, str]]:
        """Return those of the signals, each given as (source, signal id), that the ledger has already."""
        async with self._reading("look up signals") as connection:
            return await _reading.signals_known(connection, account_id, signals)

    async def counts(self) -> dict[str, int]:
        """Return the number of rows in each table."""
        async with self._reading("count the rows") as connection:
            return await _reading.counts(connection)

    async def erase_projection(self) -> None:
        """Empty all tables that a rebuild fills again, and none that only the ledger knows."""
        async with self._writing("erase the projection") as connection:
            await _writing.erase_projection(connection)


def _viewpoint(
    draws: Sequence[tuple[str, Draw]],
    judged: Collection[str],
    account_id: str,
    now: datetime,
    until: datetime | None = None,
) -> Viewpoint:
    together = {*judged, *(proposal_id for proposal_id, _ in draws)}
    return Viewpoint(account_id, tuple(sorted(together)), now, until)
