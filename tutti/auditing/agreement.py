"""Whether the rest of the ledger agrees with an account's decision log, and claims with touches.

A row that no link vouches for, a touch that nobody claimed, a claim of which no account tells: each is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from domain import (
    DecisionFact,
    Delivery,
    LedgerFact,
    SuppressionFact,
    TouchFact,
    TouchStatus,
    WindowFact,
)
from ledger import (
    GrantRow,
    LogEntry,
    OpenClaim,
    Place,
    RowInLog,
    fact_of,
    grant_row_of,
    places_of,
)
from tutti.auditing.chains import Chain
from tutti.auditing.findings import Finding, What
from tutti.render import counted

_OF_CHECKS: Final = "conformance-"
"""What the accounts of `tutti channel verify` begin with."""


def rows_disagreeing(chain: Chain, rows: Sequence[RowInLog]) -> Iterator[Finding]:
    """Compare the rows of an account with its log."""
    if not chain.entries:
        linked = [row for row in rows if row.link is not None]
        if linked:
            last = max(row.link.number for row in linked if row.link is not None)
            text = (
                f"its log is gone: {counted(len(linked), 'row')} of its tables say that they are part of it, "
                f"the last as number {last}"
            )
            yield Finding(what=What.VANISHED, account_id=chain.account_id, text=text)
        return
    for row in rows:
        wrong = _wrong(chain, row)
        if wrong is not None:
            number = row.link.number if row.link is not None else None
            text = f"{row.key} in {row.table} {wrong}"
            yield Finding(what=What.NOT_IN_LOG, account_id=chain.account_id, number=number, text=text)


def _wrong(chain: Chain, row: RowInLog) -> str | None:
    """Return in what a row disagrees with the log."""
    if row.body is None:
        return "cannot be read: it was changed"
    if row.link is None:
        # From before there was a log; since it began, every fact of these kinds has a link.
        began = chain.starts_after
        late = row.seq is None or (began is not None and row.seq > began)
        return "is newer than the log's beginning and not part of it" if late else None
    entry = chain.by_digest.get(row.link.digest)
    if entry is None or entry.number != row.link.number:
        return f"says that it is number {row.link.number} of the log, and the log has no such link"
    if row.body != entry.body_digest:
        return "is not what the log says: it was changed"
    if row.differing:
        return f"says something else in {' and '.join(row.differing)} than the log: it was changed"
    return None


def rows_lost(chain: Chain, rows: Sequence[RowInLog]) -> Iterator[Finding]:
    """Demand a row for every fact of the log, and that it says what became of the matter last."""
    held = {Place(row.table, row.key): row.seq for row in rows}
    for place, (seq, number) in _expected(chain).items():
        if place not in held:
            what, text = What.NOT_IN_TABLES, f"{place.key} is in the log and not in {place.table}"
        elif (stored := held[place]) is not None and stored < seq:
            what = What.NOT_IN_LOG
            text = f"{place.key} in {place.table} is an older version than the log has: it was put back"
        else:
            continue
        yield Finding(what=what, account_id=chain.account_id, number=number, text=text)


def _expected(chain: Chain) -> dict[Place, tuple[int, int]]:
    """Return the rows that the log tells of: each with its last fact and that fact's link."""
    found: dict[Place, tuple[int, int]] = {}
    for digest in chain.bodies:
        entry = chain.by_digest[digest]
        for place, seq in places_of(chain.account_id, entry.body or "").items():
            found[place] = max(found.get(place, (0, 0)), (seq, entry.number))
    return found


def touches_of(chain: Chain) -> frozenset[str]:
    """Return the touches that the log tells of."""
    return frozenset(fact.touch.touch_id for _, fact in _facts(chain, "touch") if isinstance(fact, TouchFact))


def touches_disagreeing(chain: Chain, claims: Collection[str]) -> Iterator[Finding]:
    """Demand a claim for every touch of the log that was handed over.

    Args:
        chain: The log.
        claims: Touches that were claimed.
    """
    idempotent = {
        fact.decision.decision_id
        for _, fact in _facts(chain, "decision")
        if isinstance(fact, DecisionFact)
        and fact.decision.handover is not None
        and fact.decision.handover.delivery is Delivery.IDEMPOTENT
    }
    for entry, fact in _facts(chain, "touch"):
        if (
            isinstance(fact, TouchFact)
            and fact.status is TouchStatus.HANDED_OVER
            and fact.touch.decision_id not in idempotent
            and fact.touch.touch_id not in claims
        ):
            yield Finding(
                what=What.UNCLAIMED,
                account_id=chain.account_id,
                number=entry.number,
                text=f"the touch {fact.touch.touch_id} was handed over, and nobody had claimed it",
                since=entry.at,
            )


def permits_disagreeing(
    chain: Chain, grants: Sequence[GrantRow], blocked: Collection[str]
) -> Iterator[Finding]:
    """Compare what rulings go by with the log: window approvals, and persons who objected.

    Args:
        chain: The log.
        grants: Window approvals of the account, as rulings would read them.
        blocked: Keys of persons whom the suppression store blocks.
    """
    known = [
        (entry, grant_row_of(chain.account_id, fact.grant))
        for entry, fact in _facts(chain, "window")
        if isinstance(fact, WindowFact)
    ]
    said = {row for _, row in known}
    for row in grants:
        if row not in said and chain.erased == 0:
            text = f"the window approval {row.grant_id} is not one that the log tells of"
            yield Finding(what=What.NOT_IN_LOG, account_id=chain.account_id, text=text)
    for entry, row in known:
        if row.grant_id not in {each.grant_id for each in grants}:
            yield _lost(chain, entry, f"the window approval {row.grant_id}", "window_grants")
    for entry, fact in _facts(chain, "suppression"):
        if isinstance(fact, SuppressionFact) and fact.person_key not in blocked:
            yield _lost(chain, entry, f"the objection of {fact.contact_id}", "suppressions")


def objectors_of(chain: Chain) -> frozenset[str]:
    """Return the keys of the persons who objected, as the log tells."""
    return frozenset(
        fact.person_key for _, fact in _facts(chain, "suppression") if isinstance(fact, SuppressionFact)
    )


def _lost(chain: Chain, entry: LogEntry, what: str, table: str) -> Finding:
    return Finding(
        what=What.NOT_IN_TABLES,
        account_id=chain.account_id,
        number=entry.number,
        text=f"{what} is in the log and not in {table}",
        since=entry.at,
    )


def _facts(chain: Chain, kind: str) -> Iterator[tuple[LogEntry, LedgerFact]]:
    """Yield the facts of a kind; whoever adds a link can chain what is no fact, and then it is none."""
    for digest, body in chain.bodies.items():
        if body["type"] == kind:
            entry = chain.by_digest[digest]
            fact = fact_of(entry.body or "")
            if fact is not None:
                yield entry, fact


def claims_disagreeing(claims: Sequence[OpenClaim], only: str | None) -> Iterator[Finding]:
    """Tell of claims that no account knows: something reached for a provider past the accounts."""
    checks: Counter[str] = Counter()
    for claim in claims:
        account_id = claim.touch_id.partition("/")[0]
        if only is not None and account_id != only:
            continue
        if account_id.startswith(_OF_CHECKS):
            checks[account_id] += 1
            continue
        text = (
            f"the touch {claim.touch_id} was claimed for {claim.channel or 'a channel'}, and no account "
            "tells of it"
        )
        yield Finding(what=What.UNKNOWN_CLAIM, account_id=account_id, text=text, since=claim.at)
    if checks:
        text = f"{counted(checks.total(), 'claim')} of {counted(len(checks), 'check')} of channels"
        yield Finding(what=What.CHECKS, text=text)
