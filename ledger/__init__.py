"""The long-term record: everything that happened, as SQL tables, and the claims that keep touches unique.

SQLite by default, PostgreSQL with the same code. The accounts' workflows own the truth and write here
what they did; suppressions and claims are owned by this room, because they outlive and span accounts.
"""

from ledger._claims import Claim, ClaimState, OpenClaim
from ledger._errors import LedgerError, LedgerFault
from ledger._ledger import Ledger

__all__ = ["Claim", "ClaimState", "Ledger", "LedgerError", "LedgerFault", "OpenClaim"]
