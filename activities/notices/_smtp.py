"""Hands the messages of one notice to a mail server, and says what its answers mean for them."""

from __future__ import annotations

import asyncio
from typing import Final, Self

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from activities._smtp_answers import START_INPUT, as_data, refuses_for_good, took_it
from activities.channels._contract import clean, without_addresses
from activities.channels._mime import Mail
from activities.channels._smtp import StartTls
from activities.notices._delivery import Delivery, Outage
from activities.notices._settings import NoticeMailSettings
from ledger import NoticeStatus

ONE_MESSAGE_SECONDS: Final = 12.0
"""How long one message may take."""

_LONGEST_DETAIL: Final = 200


class Conversation:
    """One connection to the mail server for all persons of a notice; use it as a context manager.

    A server that cannot be reached is left alone for a while. One that hangs up in the middle is called
    again for the next person, so that one message that it cannot bear does not stop the others.

    Args:
        settings: The mail server and the sender.
        outage: Whether the server can be reached, as all conversations know it.
        until: The moment, on the clock of the event loop, from which no message is begun.
    """

    def __init__(self, settings: NoticeMailSettings, outage: Outage, until: float) -> None:
        self._settings = settings
        self._smtp: SMTP | None = None
        self._outage = outage
        self._until = until
        self._written = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            if smtp.protocol is not None and smtp.is_connected:
                smtp.protocol.write(b"QUIT\r\n")  # its answer is worth nothing
            smtp.close()

    async def send(self, mail: Mail) -> Delivery:
        """Hand one message over and say what became of it; raises nothing that a mail server can cause."""
        if (outage := self._outage.delivery) is not None:
            return outage
        if asyncio.get_running_loop().time() >= self._until:
            return Delivery(NoticeStatus.NOT_SENT, "the mail server was too slow to get to it")
        self._written = False
        try:
            async with asyncio.timeout(ONE_MESSAGE_SECONDS):
                return await self._hand_over(mail)
        except (SMTPSenderRefused, SMTPRecipientRefused) as error:
            await self._begin_anew()
            return _refusal(error.code, error.message)
        except (SMTPException, OSError, ValueError, TimeoutError) as error:
            self._hang_up()
            words = _words_of(error)
            if self._written:
                return Delivery(
                    NoticeStatus.IN_DOUBT, f"the mail server did not say whether it took it: {words}"
                )
            return Delivery(NoticeStatus.NOT_SENT, words)

    async def _hand_over(self, mail: Mail) -> Delivery:
        smtp = await self._connected()
        await smtp.mail(mail.sender)
        await smtp.rcpt(mail.recipient)
        answer = await smtp.execute_command(b"DATA")
        protocol = smtp.protocol
        if answer.code != START_INPUT or protocol is None:
            await self._begin_anew()
            return _refusal(answer.code, answer.message)
        self._written = True  # from here on it may have been taken, whatever happens
        protocol.write(as_data(mail.content))
        answer = await protocol.read_response(timeout=self._settings.timeout_seconds)
        if took_it(answer.code):
            return Delivery(NoticeStatus.DELIVERED, f"{answer.code}")
        return _refusal(answer.code, answer.message)

    async def _connected(self) -> SMTP:
        if self._smtp is not None and self._smtp.is_connected:
            return self._smtp
        settings = self._settings
        self._smtp = SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            use_tls=settings.starttls is StartTls.IMPLICIT,
            start_tls={StartTls.REQUIRED: True, StartTls.IF_OFFERED: None}.get(settings.starttls, False),
            timeout=settings.timeout_seconds,
            # The library's default asks the resolver for this machine's name, which can take seconds.
            local_hostname=settings.sender_address.domain,
        )
        try:
            await self._smtp.connect()
        except (SMTPException, OSError, ValueError, TimeoutError) as error:
            why = f"the mail server cannot be used: {_words_of(error)}"
            self._outage.begin(why)
            raise SMTPServerDisconnected(why) from error
        return self._smtp

    async def _begin_anew(self) -> None:
        """Make the server forget the message that it refused."""
        if self._smtp is None:
            return
        try:
            await self._smtp.rset()
        except (SMTPException, OSError):
            self._hang_up()

    def _hang_up(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


def _refusal(code: int, text: str) -> Delivery:
    """Say what a refusal means: 5xx is for good, unless it is us whom the server does not know."""
    said = clean(without_addresses(text), limit=_LONGEST_DETAIL)
    return Delivery(
        NoticeStatus.REFUSED if refuses_for_good(code) else NoticeStatus.NOT_SENT,
        f"the mail server refused it: {code} {said}",
    )


def _words_of(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        said = f"{error.code} {error.message}"
    elif isinstance(error, TimeoutError):
        said = "no answer in time"
    else:
        said = str(error) or type(error).__name__
    return clean(without_addresses(said), limit=_LONGEST_DETAIL)
