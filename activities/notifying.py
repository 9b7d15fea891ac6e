"""The notice activity: telling the persons whom an exception concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import structlog
from temporalio import activity

from activities.channels._contract import clean
from activities.channels._mime import UnsendableError
from activities.notices import EVERYBODY, Delivery, NoticeChat, NoticeMail, Wording, wording_of
from activities.policies import PolicyKeeper
from domain import Notice, NoticeReport, Occasion
from ledger import Ledger, NoticeAbout, NoticeClaim, NoticeKey, NoticeStatus, NoticeTurn

Addresses = Callable[[], Awaitable[Mapping[str, str]]]
"""Returns where persons are reached by mail, by login, as it stands at this moment."""


def addresses_of(keeper: PolicyKeeper) -> Addresses:
    """Return a look into people.yaml as it is in force."""

    async def look() -> Mapping[str, str]:
        return (await keeper.in_force()).people.emails

    return look


_log = structlog.get_logger("tutti.notices")
BEGIN_WITHIN_SECONDS = 12.0
"""What has not begun by then is left to a later attempt: a whole notice takes less than half a minute."""

_LONGEST_LINE = 300
_BEFORE = {
    NoticeTurn.DELIVERED: NoticeStatus.DELIVERED,
    NoticeTurn.REFUSED: NoticeStatus.REFUSED,
    NoticeTurn.EXHAUSTED: NoticeStatus.REFUSED,
}
_TWICE = "it may have arrived: it was sent twice, and nobody said that it was taken"


class Medium(StrEnum):
    """How people are told."""

    MAIL = "mail"
    CHAT = "chat"


@dataclass(frozen=True)
class _Told:
    """What became of a notice for one recipient."""

    recipient: str
    medium: Medium
    delivery: Delivery

    @property
    def line(self) -> str:
        """How a report names recipient and medium."""
        return (
            self.medium.value if self.recipient == EVERYBODY else f"{self.recipient} by {self.medium.value}"
        )

    @property
    def delivered(self) -> bool:
        """Whether it has reached its recipient, by this attempt or one before."""
        return self.delivery.status is NoticeStatus.DELIVERED


class Notifying:
    """Tells persons of exceptions, by mail and in a chat.

    Every attempt is written down before it begins. Whoever has been told is not told again, however often the
    notice is tried. An attempt of which nobody knows how it ended, because the worker died or the other side
    did not answer, is made once more and no further time: one message too many is better than none, and a
    second one has the same Message-ID. The inbox is the truth; a notice that fails loses no task.

    Args:
        ledger: The open ledger.
        addresses: Where persons are reached by mail.
        mail: Writes mails; None: nobody is told by mail.
        chat: Posts to chats; None: nothing is posted.
    """

    def __init__(
        self,
        ledger: Ledger,
        addresses: Addresses,
        *,
        mail: NoticeMail | None = None,
        chat: NoticeChat | None = None,
    ) -> None:
        self._ledger = ledger
        self._addresses = addresses
        self._mail = mail
        self._chat = chat
        self._said_so = False

    @activity.defn(name="notify")
    async def notify(self, notice: Notice) -> NoticeReport:
        """Tell everybody whom a notice concerns who has not been told yet, and report on all of them.

        Raises:
            LedgerError, NoPolicySetError: the ledger or the addresses cannot be read; the engine tries again,
                and until then nothing is sent.
        """
        if self._mail is None and self._chat is None:
            self._say_once()
            return NoticeReport(notice_id=notice.notice_id)
        told = await self._told(notice)
        report = NoticeReport(
            notice_id=notice.notice_id,
            delivered=tuple(clean(each.line, limit=_LONGEST_LINE) for each in told if each.delivered),
            failed=tuple(
                clean(f"{each.line}: {each.delivery.detail}", limit=_LONGEST_LINE)
                for each in told
                if not each.delivered
            ),
            try_again=any(each.delivery.hopeful for each in told),
        )
        _log.info(
            "notices.told",
            notice_id=notice.notice_id,
            occasion=notice.occasion.value,
            delivered=len(report.delivered),
            failed=len(report.failed),
            try_again=report.try_again,
        )
        return report

    async def _told(self, notice: Notice) -> list[_Told]:
        """Tell by all media at the same time: one that hangs does not keep the other waiting."""
        wording = wording_of(notice)
        until = asyncio.get_running_loop().time() + BEGIN_WITHIN_SECONDS
        told: list[_Told] = []
        for result in await asyncio.gather(
            *([self._mailed(self._mail, notice, wording, until)] if self._mail is not None else []),
            *([self._posted(self._chat, notice, wording, until)] if self._chat is not None else []),
            return_exceptions=True,
        ):
            if isinstance(result, BaseException):
                raise result
            told += result
        return told

    async def _mailed(self, mail: NoticeMail, notice: Notice, wording: Wording, until: float) -> list[_Told]:
        addresses = await self._addresses() if notice.to else {}
        told = []
        async with mail.conversation(until) as conversation:
            for login in dict.fromkeys(notice.to):
                if login not in addresses and notice.occasion is Occasion.ANSWERED:
                    continue  # of those whose proposal it was, agents read no mail

                async def send(first: str | None, login: str = login) -> Delivery:
                    letter = mail.compose(
                        notice,
                        wording,
                        login=login,
                        address=addresses[login],
                        first=first,
                        at=datetime.now(UTC),
                    )
                    return await conversation.send(letter)

                if login in addresses:
                    about = _about(notice, mail.reply_key(notice, login))
                    delivery = await self._attempt(_key(notice, login, Medium.MAIL), about, send)
                else:
                    delivery = Delivery(
                        NoticeStatus.REFUSED, "people.yaml has no e-mail address of this person"
                    )
                told.append(_Told(login, Medium.MAIL, delivery))
        return told

    async def _posted(self, chat: NoticeChat, notice: Notice, wording: Wording, until: float) -> list[_Told]:
        told = []
        for recipient in chat.recipients(notice):

            async def send(_: str | None, recipient: str = recipient) -> Delivery:
                return await chat.post(recipient, notice, wording, until)

            delivery = await self._attempt(_key(notice, recipient, Medium.CHAT), _about(notice), send)
            told.append(_Told(recipient, Medium.CHAT, delivery))
        return told

    async def _attempt(
        self, key: NoticeKey, about: NoticeAbout, send: Callable[[str | None], Awaitable[Delivery]]
    ) -> Delivery:
        """Claim, send, settle; whatever dies in between leaves the claim behind as a doubt."""
        claim = await self._ledger.claim_notice(key, about, at=datetime.now(UTC))
        if claim.turn is not NoticeTurn.SEND:
            return _as_before(claim)
        try:
            delivery = await send(claim.first)
            status = delivery.status
        except UnsendableError as error:
            # Nothing has left, and whoever corrects the address may have the notice sent.
            delivery, status = Delivery(NoticeStatus.REFUSED, str(error)), NoticeStatus.NOT_SENT
        await self._ledger.settle_notice(
            key, status, at=datetime.now(UTC), detail=clean(delivery.detail, limit=_LONGEST_LINE)
        )
        return delivery

    def _say_once(self) -> None:
        if not self._said_so:
            self._said_so = True
            _log.warning(
                "notices.off",
                hint="nobody is told; set TUTTI_NOTICES_HOST and TUTTI_NOTICES_SENDER, or "
                "TUTTI_CHAT_WEBHOOK_URL; the inbox has everything",
            )


def _key(notice: Notice, recipient: str, medium: Medium) -> NoticeKey:
    return NoticeKey(notice_id=notice.notice_id, recipient=recipient, medium=medium.value)


def _about(notice: Notice, reply_key: str | None = None) -> NoticeAbout:
    approval = notice.card.approval
    return NoticeAbout(
        account_id=notice.account_id,
        approval_id=approval.approval_id,
        digest=approval.digest,
        reply_key=reply_key,
    )


def _as_before(claim: NoticeClaim) -> Delivery:
    detail = _TWICE if claim.turn is NoticeTurn.EXHAUSTED else claim.detail or ""
    return Delivery(_BEFORE[claim.turn], detail)
