"""Hands one message to a mail server, and says what its answer means for the touch.

What a failure means depends on the step at which it happens. Until the message's own bytes are written
nothing can have been handed over; from then until the server's final answer it may have been; the final
answer decides. A server that refuses us (greeting, TLS, login) leaves the touch undelivered, a server
that refuses the sender, the recipient or the message for good rejects it.
"""

from __future__ import annotations

import re
from email.headerregistry import Address, AddressHeader, BaseHeader, HeaderRegistry
from enum import StrEnum
from typing import Annotated, Self

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponse,
    SMTPResponseException,
    SMTPSenderRefused,
)
from aiosmtplib.protocol import SMTPProtocol
from pydantic import AfterValidator, Field, SecretStr, model_validator

from activities._smtp_answers import START_INPUT, as_data, refuses_for_good, took_it
from activities.channels._contract import Crossing, bound_log, receipt_for, without_addresses
from activities.channels._mime import Mail
from activities.channels._settings import ChannelSettings
from domain import OutcomeKind, Receipt, ReceiptStatus, Touch

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENHANCED = re.compile(r"\s*(5\.\d{1,3}\.\d{1,3})\b")
_NO_SUCH_PERSON = frozenset({"5.1.0", "5.1.1", "5.1.2", "5.1.6", "5.2.1"})
"""Codes of RFC 3463 for an address that does not exist, moved away or is disabled."""


class StartTls(StrEnum):
    """How the connection to the mail server is encrypted."""

    REQUIRED = "required"
    """STARTTLS, and no mail without it."""
    IF_OFFERED = "if_offered"
    """STARTTLS if the server offers it; whoever sits in between can suppress the offer."""
    IMPLICIT = "implicit"
    """TLS from the first byte, usually on port 465."""
    OFF = "off"
    """No encryption: for a server on this machine."""


def parse_address(text: str) -> Address:
    """Read one address with or without a name.

    Raises:
        ValueError: It is anything else; the sentence shows how to write one.
    """
    header: object = HeaderRegistry()("From", text)
    addresses = header.addresses if isinstance(header, AddressHeader) else ()
    defects = header.defects if isinstance(header, BaseHeader) else ()
    if defects or len(addresses) != 1 or not addresses[0].domain or len(text.splitlines()) != 1:
        raise ValueError("write it like 'Northwind Sales <sales@example.com>'")
    if not addresses[0].addr_spec.isascii():
        raise ValueError("the address may contain ASCII characters only")
    return addresses[0]


def _sender(value: str) -> str:
    parse_address(value)
    return value


class SmtpSettings(ChannelSettings):
    """Settings of every channel that sends mail, under the channel's own prefix."""

    host: Annotated[str, Field(min_length=1, description="the mail server's name")]
    port: Annotated[int, Field(ge=1, le=65_535, description="the mail server's port, from 1 to 65535")] = 587
    sender: Annotated[
        str,
        AfterValidator(_sender),
        Field(description="the sender, such as 'Northwind Sales <sales@example.com>'"),
    ]
    username: Annotated[str | None, Field(description="the login name at the mail server")] = None
    password: Annotated[SecretStr | None, Field(description="the password at the mail server")] = None
    starttls: Annotated[StartTls, Field(description="one of required, if_offered, implicit, off")] = (
        StartTls.REQUIRED
    )
    timeout_seconds: Annotated[
        float, Field(gt=0.0, le=600.0, description="seconds to wait for each answer, up to 600")
    ] = 60.0

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> Self:
        prefix = self.model_config.get("env_prefix", "")
        if (self.username is None) != (self.password is None):
            missing = "PASSWORD" if self.password is None else "USERNAME"
            raise ValueError(f"{prefix}{missing} is not set; a login needs user name and password")
        encrypted = self.starttls in {StartTls.REQUIRED, StartTls.IMPLICIT}
        if self.username is not None and not encrypted and self.host not in _LOOPBACK:
            raise ValueError(
                f"{prefix}STARTTLS must be required or implicit: the password would travel in the clear"
            )
        return self

    @property
    def sender_address(self) -> Address:
        """The sender, parsed."""
        return parse_address(self.sender)


class SmtpClient:
    """Hands messages to one mail server, a connection for each.

    Args:
        settings: The mail server and the sender.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._local_hostname = settings.sender_address.domain

    async def hand_over(self, touch: Touch, mail: Mail, crossing: Crossing) -> Receipt:
        """Hand one message over.

        Args:
            touch: The touch it carries out.
            mail: The message.
            crossing: Entered right before the message's bytes are written.

        Returns:
            The receipt for whatever the server said, or failed to say.
        """
        smtp = self._connection()
        try:
            return await self._converse(smtp, touch, mail, crossing)
        finally:
            smtp.close()

    def _connection(self) -> SMTP:
        settings = self._settings
        starttls = {StartTls.REQUIRED: True, StartTls.IF_OFFERED: None}.get(settings.starttls, False)
        return SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            use_tls=settings.starttls is StartTls.IMPLICIT,
            start_tls=starttls,
            timeout=settings.timeout_seconds,
            # The library's default asks the resolver for this machine's name, which can take seconds.
            local_hostname=self._local_hostname,
        )

    async def _converse(self, smtp: SMTP, touch: Touch, mail: Mail, crossing: Crossing) -> Receipt:
        """Walk through the steps of SMTP; every refusal before the last step is certain."""
        step = "connecting"
        try:
            await smtp.connect()
            step = "MAIL"
            await smtp.mail(mail.sender)
            step = "RCPT"
            await smtp.rcpt(mail.recipient)
            step = "DATA"
            answer = await smtp.execute_command(b"DATA")
        except (SMTPSenderRefused, SMTPRecipientRefused) as error:
            _say_goodbye(smtp)
            return _verdict(touch, step, error.code, error.message)
        except (SMTPException, OSError, ValueError) as error:
            return _not_sent(touch, step, error)
        protocol = smtp.protocol
        if answer.code != START_INPUT or protocol is None:
            _say_goodbye(smtp)
            return _verdict(touch, step, answer.code, answer.message)
        # A suppressed touch leaves here with the connection dropped: without its final dot no message exists.
        await crossing.enter()
        return await self._deliver(smtp, protocol, touch, mail)

    async def _deliver(self, smtp: SMTP, protocol: SMTPProtocol, touch: Touch, mail: Mail) -> Receipt:
        """Write the message and wait for the answer that decides."""
        try:
            protocol.write(as_data(mail.content))
        except SMTPException as error:  # the connection was gone before the first byte
            return _not_sent(touch, "DATA", error)
        try:
            answer: SMTPResponse = await protocol.read_response(timeout=self._settings.timeout_seconds)
        except (SMTPException, OSError) as error:
            return self._in_doubt(touch, mail, _words_of(error))
        _say_goodbye(smtp)
        if took_it(answer.code):
            bound_log(touch).info("smtp.accepted", code=answer.code)
            return receipt_for(
                touch,
                ReceiptStatus.ACCEPTED,
                f"{answer.code} {without_addresses(answer.message)}",
                provider_ref=mail.message_id,
            )
        if answer.code // 100 not in {4, 5}:
            return self._in_doubt(
                touch, mail, f"it answered {answer.code} {without_addresses(answer.message)}"
            )
        return _verdict(touch, "message", answer.code, answer.message)

    def _in_doubt(self, touch: Touch, mail: Mail, what: str) -> Receipt:
        bound_log(touch).warning("smtp.in_doubt")
        return receipt_for(
            touch,
            ReceiptStatus.UNKNOWN,
            f"The whole message was written to {self._settings.host}, but it did not say that it took it: "
            f"{what}. Look for Message-ID {mail.message_id} in its log; the message is not sent again.",
            provider_ref=mail.message_id,
        )


def _verdict(touch: Touch, step: str, code: int, text: str) -> Receipt:
    """Turn a refusal into a receipt: 5xx is for good, unless it is us whom the server does not know."""
    for_good = refuses_for_good(code)
    status = ReceiptStatus.REJECTED if for_good else ReceiptStatus.UNDELIVERED
    bound_log(touch).info("smtp.refused", step=step, code=code, status=status.value)
    receipt = receipt_for(
        touch, status, f"The mail server refused at {step}: {code} {without_addresses(text)}"
    )
    reason = _ENHANCED.match(text)
    # At MAIL the same codes speak of the sender.
    if for_good and step != "MAIL" and reason is not None and reason[1] in _NO_SUCH_PERSON:
        return receipt.model_copy(update={"outcome": OutcomeKind.BOUNCE})
    return receipt


def _not_sent(touch: Touch, step: str, error: Exception) -> Receipt:
    bound_log(touch).warning("smtp.not_sent", step=step, error=type(error).__name__)
    return receipt_for(
        touch, ReceiptStatus.UNDELIVERED, f"Nothing was sent; failed at {step}: {_words_of(error)}"
    )


def _words_of(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {without_addresses(error.message)}"
    return without_addresses(str(error)) or type(error).__name__


def _say_goodbye(smtp: SMTP) -> None:
    """Send QUIT without waiting: the answer is worth nothing, and the receipt must not wait for it."""
    if smtp.protocol is not None and smtp.is_connected:
        smtp.protocol.write(b"QUIT\r\n")
