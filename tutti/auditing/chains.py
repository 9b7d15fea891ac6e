"""One account's decision log, judged from nothing but itself: digests, order, gaps, forks.

What a chain cannot show by itself is that its end was cut off, or that all of it was computed anew. That
is what anchors are for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from domain import GENESIS, LOGGED, digest_of, link_digest, read_body
from ledger import LogEntry
from tutti.auditing.findings import Finding, What

_SAME_MOMENT: Final = timedelta(microseconds=1)


class Chain:
    """The links of one account, and how they hang together."""

    def __init__(self, account_id: str, entries: Sequence[LogEntry]) -> None:
        self.account_id = account_id
        self.entries = sorted(entries, key=lambda entry: (entry.number, entry.seq, entry.digest))
        self.by_digest = {entry.digest: entry for entry in self.entries}
        self._by_number: defaultdict[int, list[LogEntry]] = defaultdict(list)
        for entry in self.entries:
            self._by_number[entry.number].append(entry)
        self.bodies: dict[str, dict[str, Any]] = {}
        """The facts that are what was chained, by digest of their link; those erased are not among them."""
        self._forged: set[str] = set()
        self._bad: set[str] = set()
        self.findings = [*self._judged(), *self._arranged()]

    @property
    def last(self) -> int:
        """Number of the last link that is one."""
        numbers = (entry.number for entry in self.entries if entry.digest not in self._forged)
        return max(numbers, default=0)

    @property
    def erased(self) -> int:
        """How many links stand for a fact whose content was erased."""
        return sum(entry.body is None for entry in self.entries)

    @property
    def starts_after(self) -> int | None:
        """Number of the fact that the log began with; those before it were written before there was a log."""
        return max((entry.seq for entry in self.entries if entry.number == 1), default=None)

    def has(self, digest: str, number: int) -> bool:
        """Tell whether the log has this link in this place; whether it is sound, the findings tell."""
        entry = self.by_digest.get(digest)
        return entry is not None and entry.number == number

    def _judged(self) -> Iterator[Finding]:
        """Judge each link by itself."""
        for entry in self.entries:
            if entry.unreadable:
                self._forged.add(entry.digest)
                names = " and ".join(entry.unreadable)
                yield self._about(entry, What.FORGED, f"its {names} cannot be read: the link was changed")
            elif entry.digest != link_digest(
                entry.account_id, entry.number, entry.previous, entry.body_digest
            ):
                text = (
                    "its digest does not fit its account, number, predecessor and fact: the link was changed"
                )
                yield self._about(entry, What.FORGED, text)
            else:
                said = self._content(entry)
                if said is not None:
                    yield self._about(entry, What.EDITED, said)

    def _content(self, entry: LogEntry) -> str | None:
        """Keep what a link says, or return what is wrong with it."""
        if entry.type not in LOGGED:
            return f"it says that it is a {entry.type!r}, which is no part of the log"
        if entry.body is None:
            return None
        try:
            body = read_body(entry.body)
            if digest_of(body) != entry.body_digest:
                return f"the {entry.type} is not the one that was chained: it was changed afterwards"
            differing = [
                name
                for name, same in (
                    ("seq", body["seq"] == entry.seq),
                    ("at", entry.at is not None and _same_moment(body["at"], entry.at)),
                    ("type", body["type"] == entry.type),
                )
                if not same
            ]
        except (ValueError, KeyError, TypeError, RecursionError):
            return f"the {entry.type} cannot be read: it was changed afterwards"
        if differing:
            return f"its {' and '.join(differing)} was changed: the {entry.type} says otherwise"
        self.bodies[entry.digest] = body
        return None

    def _about(self, entry: LogEntry, what: What, text: str) -> Finding:
        self._bad.add(entry.digest)
        return Finding(what=what, account_id=self.account_id, number=entry.number, text=text, since=entry.at)

    def _arranged(self) -> Iterator[Finding]:
        """Judge how the links that are sound by themselves follow each other."""
        followers: defaultdict[str, list[LogEntry]] = defaultdict(list)
        for entry in self.entries:
            followers[entry.previous].append(entry)
            broken = self._place(entry)
            if broken is not None:
                yield broken
        yield from self._missing()
        for previous, several in followers.items():
            sound = [entry for entry in several if entry.digest not in self._bad]
            if len(sound) > 1:
                yield self._branched(previous, sound, followers)

    def _place(self, entry: LogEntry) -> Finding | None:
        """Judge a link by the one it says it follows."""
        if entry.digest in self._forged or (entry.number == 1 and entry.previous == GENESIS):
            return None
        before = self.by_digest.get(entry.previous)
        if entry.number == 1 or entry.previous == GENESIS:
            text = "it says that nothing came before it" if entry.number > 1 else "something came before it"
            return self._about(entry, What.REORDERED, f"it is out of its place: {text}")
        if before is None:
            # A changed or missing predecessor is told of itself.
            there = self._by_number.get(entry.number - 1, ())
            if not there or any(each.digest in self._forged for each in there):
                return None
            text = "it does not follow the link before it, which was put in the place of another"
            return self._about(entry, What.REORDERED, text)
        if before.digest in self._forged:
            return None
        if before.number + 1 != entry.number:
            text = f"it is out of its place: it follows number {before.number}"
            return self._about(entry, What.REORDERED, text)
        if before.seq >= entry.seq:
            text = (
                f"its fact ({entry.seq}) is older than that of the link before it ({before.seq}): "
                "facts were put in another order"
            )
            return self._about(entry, What.REORDERED, text)
        return None

    def _missing(self) -> Iterator[Finding]:
        end = self.last
        numbers = sorted(number for number in self._by_number if 0 < number <= end)
        for left, right in pairwise([0, *numbers]):
            first, last = left + 1, right - 1
            if first > last:
                continue
            before = next(iter(self._by_number.get(left, ())), None)
            count = f"link {first} is" if first == last else f"links {first} to {last} are"
            yield Finding(
                what=What.MISSING,
                account_id=self.account_id,
                number=first,
                text=f"{count} not in the log any more",
                since=before.at if before else None,
            )

    def _branched(
        self, previous: str, several: list[LogEntry], followers: Mapping[str, list[LogEntry]]
    ) -> Finding:
        """Tell of several links that follow one: harmless is only an account that ended and began anew."""
        number = several[0].number
        if previous == GENESIS:
            logs = sorted((_lifetime(entry, followers) for entry in several), key=lambda log: log[0])
            if all(log[0] > before[1] for before, log in pairwise(logs)):
                text = (
                    f"the log begins {len(several)} times, one after the other: the account was ended and "
                    "started again, or somebody added a log; find out who did it"
                )
                return Finding(
                    what=What.BEGUN_ANEW, account_id=self.account_id, number=1, text=text, since=logs[-1][0]
                )
        text = f"{len(several)} links follow the same one: somebody added a branch, or the account was reset"
        return Finding(
            what=What.FORK,
            account_id=self.account_id,
            number=number,
            text=text,
            since=max((entry.at for entry in several if entry.at), default=None),
        )


def _lifetime(first: LogEntry, followers: Mapping[str, list[LogEntry]]) -> tuple[datetime, datetime]:
    """Return the first and the last moment of what hangs on a beginning."""
    moments, waiting, seen = list[datetime](), [first], set[str]()
    while waiting:
        entry = waiting.pop()
        if entry.digest in seen:
            continue
        seen.add(entry.digest)
        if entry.at is not None:
            moments.append(entry.at)
        waiting += followers.get(entry.digest, ())
    return min(moments), max(moments)


def _same_moment(said: str, stored: datetime) -> bool:
    return abs(datetime.fromisoformat(said) - stored) < _SAME_MOMENT
