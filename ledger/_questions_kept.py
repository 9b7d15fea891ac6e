"""What the ledger knows of questions to people: inbox, notices, delegations, windows, answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from domain import (
    Approval,
    ApprovalStepFact,
    Delegation,
    Use,
    WindowGrant,
)
from ledger import (
    _delegations,
    _health,
    _inbox,
    _notices,
    _windows,
)
from ledger._database import Database
from ledger._health import Question
from ledger._inbox import Inbox, InboxFilter
from ledger._notices import NoticeAbout, NoticeClaim, NoticeEntry, NoticeKey, NoticeStatus


class QuestionsKept(Database):
    """The ledger's part about exceptions and those who answer them."""

    async def claim_notice(self, key: NoticeKey, about: NoticeAbout, *, at: datetime) -> NoticeClaim:
        """Write down that an attempt to tell somebody begins, and learn whether it is to be made at all."""
        async with self._writing("claim a notice") as connection:
            return await _notices.claim(connection, key, about, at)

    async def settle_notice(
        self, key: NoticeKey, status: NoticeStatus, *, at: datetime, detail: str | None = None
    ) -> None:
        """Write down what became of an attempt; what was delivered stays delivered."""
        async with self._writing("settle a notice") as connection:
            await _notices.settle(connection, key, status, at, detail)

    async def notice_of_reply(self, reply_key: str) -> NoticeEntry | None:
        """Return the notice to which a mail with this key in its address replies; None if there is none."""
        async with self._reading("look up what a mail replies to") as connection:
            return await _notices.of_reply(connection, reply_key)

    async def delegate(self, delegation: Delegation) -> None:
        """Enter that a person answers in another's place; entering the same again changes nothing.

        Whether the persons exist and may do so is for whoever calls; see `governance.delegation_problem`.

        Raises:
            LedgerError: `taken`, if another delegation has this id, or this one was ended.
        """
        async with self._writing("enter a delegation") as connection:
            await _delegations.enter(connection, delegation)

    async def end_delegation(self, delegation_id: str, by: str, at: datetime) -> Delegation | None:
        """End a delegation early; one that was ended before stays as it was ended first.

        Args:
            delegation_id: Which one.
            by: Login of the person who ends it.
            at: Now, with time zone.

        Returns:
            The delegation as it now is; None if there never was one with this id.
        """
        async with self._writing("end a delegation") as connection:
            return await _delegations.end(connection, delegation_id, by, at)

    async def delegations(self, at: datetime) -> tuple[Delegation, ...]:
        """Return the delegations that are not over at a moment, those that begin later among them.

        Args:
            at: With time zone.

        Returns:
            In the order in which they begin; `Delegation.covers` tells whether one holds.
        """
        async with self._reading("read the delegations") as connection:
            return await _delegations.current(connection, at)

    async def used(self, uses: Iterable[Use]) -> tuple[str, ...]:
        """Return those of some templates and claims that have gone out before, by `Use.key`, in order."""
        async with self._reading("look what has gone out before") as connection:
            return await _windows.used(connection, uses)

    async def windows(self, *, at: datetime | None = None, limit: int = 1_000) -> tuple[WindowGrant, ...]:
        """Return window approvals with the places taken in them, the latest first.

        Args:
            at: Only those that can let a touch go out at this moment. None: all.
            limit: How many at most.
        """
        async with self._reading("read the window approvals") as connection:
            return await _windows.windows(connection, at, limit)

    async def windows_for(
        self,
        wanted: Iterable[tuple[str, str, str, str]],
        *,
        account_id: str,
        now: datetime,
        judged: Collection[str] = (),
    ) -> tuple[WindowGrant, ...]:
        """Return the window approvals that stand and may cover proposals of an account, oldest first.

        Args:
            wanted: Actor, action, channel and template of each proposal.
            account_id: Whose proposals they are.
            now: The moment of the ruling, with time zone.
            judged: Ids of the proposals: a place that one of them has taken before does not count.
        """
        async with self._reading("read the window approvals") as connection:
            return await _windows.windows_for(connection, wanted, account_id, judged, now)

    async def revoke_window(self, grant_id: str, *, by: str, at: datetime) -> WindowGrant | None:
        """Take a window approval back; nothing is allowed by it any more. One that was taken back stays so.

        Args:
            grant_id: Which one.
            by: Login of the person who takes it back.
            at: Now, with time zone.

        Returns:
            The window as it now is; None if there never was one with this id.
        """
        async with self._writing("take a window approval back") as connection:
            return await _windows.revoke(connection, grant_id, by, at)

    async def inbox(self, wanted: InboxFilter, *, at: datetime, limit: int = 50) -> Inbox:
        """Return the open questions to people over all accounts: what is due first, then what is riskier.

        Args:
            wanted: Which of them.
            at: Now, with time zone: what is overdue, and who stands in for whom.
            limit: How many are listed at most; all are counted.
        """
        async with self._reading("read the inbox") as connection:
            return await _inbox.inbox(connection, wanted, at, limit)

    async def approval(self, account_id: str, approval_id: str) -> Approval | None:
        """Return a question to people as it stands or ended; None if the ledger knows of none."""
        async with self._reading("look up an approval") as connection:
            return await _inbox.approval(connection, account_id, approval_id)

    async def approval_trail(self, account_id: str, approval_id: str) -> list[ApprovalStepFact]:
        """Return what happened to a question to people, oldest first."""
        async with self._reading("read what happened to an approval") as connection:
            return await _inbox.trail(connection, account_id, approval_id)

    async def questions(self, since: datetime) -> list[Question]:
        """Return every question to people from a moment on, with the answers that counted, oldest first."""
        async with self._reading("read how questions were answered") as connection:
            return await _health.questions(connection, since)
