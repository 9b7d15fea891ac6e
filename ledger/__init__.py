"""The long-term record: everything that happened, as SQL tables, and what only the ledger can say.

SQLite by default, PostgreSQL with the same code. The accounts' workflows own the truth and write here what
they did. Suppressions, claims, kill switches, releases of policy sets, places in shared limits and the
rulings themselves are owned by this room, because they outlive and span accounts.
"""

from ledger._claims import Claim, ClaimState, OpenClaim
from ledger._cross_check import GrantRow, Place, RowInLog, fact_of, grant_row_of, places_of
from ledger._decision_log import LogEntry, LogHead, LogKey
from ledger._errors import LedgerError, LedgerFault
from ledger._health import Question
from ledger._inbox import Inbox, InboxFilter, InboxItem
from ledger._ledger import Ledger
from ledger._notices import (
    NoticeAbout,
    NoticeClaim,
    NoticeEntry,
    NoticeKey,
    NoticeStatus,
    NoticeTurn,
)
from ledger._preflight import Preflight
from ledger._releases import Release, ReleaseKind
from ledger._rulings import HitCounts, RecordedHit, RecordedRuling, RuleCount, RuledProposal, RulingKey
from ledger._stops import StopEntry
from ledger._underway import Underway, Whereabouts

__all__ = [
    "Claim",
    "ClaimState",
    "GrantRow",
    "HitCounts",
    "Inbox",
    "InboxFilter",
    "InboxItem",
    "Ledger",
    "LedgerError",
    "LedgerFault",
    "LogEntry",
    "LogHead",
    "LogKey",
    "NoticeAbout",
    "NoticeClaim",
    "NoticeEntry",
    "NoticeKey",
    "NoticeStatus",
    "NoticeTurn",
    "OpenClaim",
    "Place",
    "Preflight",
    "Question",
    "RecordedHit",
    "RecordedRuling",
    "Release",
    "ReleaseKind",
    "RowInLog",
    "RuleCount",
    "RuledProposal",
    "RulingKey",
    "StopEntry",
    "Underway",
    "Whereabouts",
    "fact_of",
    "grant_row_of",
    "places_of",
]
