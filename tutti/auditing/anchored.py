"""Decision logs held against anchors: what was there at an anchor's moment must be there for ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from ledger import LogHead
from tutti.auditing.anchors import Anchor
from tutti.auditing.chains import Chain
from tutti.auditing.findings import Finding, What
from tutti.render import clock, counted

LAG: Final = timedelta(minutes=15)
"""How long a fact may be on its way to the ledger without a word about it."""


class Anchors:
    """Several anchors, oldest first."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        self._moments = sorted(anchor.anchored_at for anchor in anchors)
        self._by_account: defaultdict[str, dict[datetime, list[LogHead]]] = defaultdict(dict)
        for anchor in sorted(anchors, key=lambda each: each.anchored_at):
            for head in anchor.heads:
                at_once = self._by_account[head.account_id].setdefault(anchor.anchored_at, [])
                at_once.append(head)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._moments)

    @property
    def accounts(self) -> frozenset[str]:
        """Ids of the accounts that had a log at one of them."""
        return frozenset(self._by_account)

    @property
    def latest(self) -> datetime | None:
        """Moment of the last one; what is younger, nothing outside vouches for."""
        return self._moments[-1] if self._moments else None

    def disagreeing(self, chain: Chain) -> Iterator[Finding]:
        """Demand every head that was anchored for an account, and tell of links from before that are new."""
        agreed: datetime | None = None
        for moment, heads in self._by_account.get(chain.account_id, {}).items():
            broken = [head for head in heads if not chain.has(head.digest, head.number)]
            if broken:
                yield self._broken(chain, max(broken, key=lambda head: head.number), moment, agreed)
                return
            agreed = moment
        yield from self._added(chain)

    @staticmethod
    def _broken(chain: Chain, head: LogHead, moment: datetime, agreed: datetime | None) -> Finding:
        anchored = f"number {head.number} was anchored at {clock(moment)}"
        if not chain.entries:
            what, text = What.VANISHED, f"its log is gone: {anchored}"
        elif chain.last < head.number:
            what, text = What.TRUNCATED, f"its log was cut off behind number {chain.last}: {anchored}"
        else:
            what = What.REPLACED
            text = f"its log was written anew: {anchored} with digest {head.digest[:12]}, which it has not"
        text += "; an anchor before still agrees" if agreed else ""
        return Finding(
            what=what, account_id=chain.account_id, number=head.number, text=text, since=agreed or head.at
        )

    def _added(self, chain: Chain) -> Iterator[Finding]:
        """Tell of links that say they are older than an anchor and stand behind all that it knew."""
        for moment in reversed(self._moments):
            heads = self._by_account.get(chain.account_id, {}).get(moment, [])
            covered = self._covered(chain, heads)
            new = [
                entry
                for entry in chain.entries
                if entry.at is not None and entry.at < moment - LAG and entry.digest not in covered
            ]
            if new:
                text = (
                    f"{counted(len(new), 'link')} from before the anchor of {clock(moment)} came after it: "
                    "the ledger lagged behind, or somebody added them"
                )
                first = min(new, key=lambda entry: entry.number)
                yield Finding(
                    what=What.BEHIND_ANCHOR,
                    account_id=chain.account_id,
                    number=first.number,
                    text=text,
                    since=first.at,
                )
                return

    @staticmethod
    def _covered(chain: Chain, heads: Sequence[LogHead]) -> set[str]:
        """Return the digests of all links that lead to anchored heads."""
        covered: set[str] = set()
        for head in heads:
            entry = chain.by_digest.get(head.digest)
            while entry is not None and entry.digest not in covered:
                covered.add(entry.digest)
                entry = chain.by_digest.get(entry.previous)
        return covered
