"""Turns a touch into the exact bytes of an e-mail message."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from email_validator import EmailNotValidError, validate_email

from activities.channels._bounces import TOKEN_HEADER, TOUCH_HEADER
from activities.channels._unsubscribe import UnsubscribeLinks
from domain import Recipient, Touch, person_key

_UNFOLDED = frozenset({"list-unsubscribe", "message-id", "x-tutti-touch", "x-tutti-token"})
_BREAKING = frozenset({"Cc", "Zl", "Zp", "Cs"})  # controls, line and paragraph ends, broken characters
_MAX_LINE = 998  # RFC 5322, without the line end


class UnsendableError(ValueError):
    """The touch cannot become a message, now or later."""


@dataclass(frozen=True)
class Mail:
    """A message with its envelope."""

    message_id: str
    sender: str
    recipient: str
    content: bytes
    """Lines end with CR LF; not yet dot-stuffed."""


class _Policy(EmailPolicy):
    """SMTP's line rules, but headers made of one long word stay in one line.

    The library would fold them by encoding them as words, which no reader of these headers decodes.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:  # noqa: ANN401 - as in the base class
        if name.lower() not in _UNFOLDED:
            return super().fold_binary(name, value)
        line = f"{name}: {value}".encode("ascii")
        if len(line) > _MAX_LINE:
            raise UnsendableError(f"the header {name} would be longer than a line of mail may be")
        return line + b"\r\n"


# 7-bit everywhere: no server extension is needed to carry the message.
_POLICY = _Policy(linesep="\r\n", cte_type="7bit", raise_on_defect=True)


def message_id_of(touch_id: str, domain: str) -> str:
    """Return the Message-ID of a touch: the same for the same touch, and nothing can be read from it."""
    return f"<tutti.{sha256(touch_id.encode()).hexdigest()[:40]}@{domain}>"


def compose(touch: Touch, *, sender: Address, links: UnsubscribeLinks, at: datetime) -> Mail:
    """Compose the message of a touch.

    Args:
        touch: What to say and to whom.
        sender: Whom it comes from.
        links: Makes the unsubscribe link of RFC 8058.
        at: Date of the message, aware UTC.

    Returns:
        The message and its envelope.

    Raises:
        UnsendableError: The touch names no usable address, says nothing, or a line break hides in a
            header; the message is for a person.
    """
    recipient = touch.recipient
    if recipient is None or recipient.email is None:
        raise UnsendableError("the touch names no e-mail address to write to")
    if not (touch.subject or touch.text.strip()):
        raise UnsendableError("the touch has neither a subject nor a text")
    message_id = message_id_of(touch.touch_id, sender.domain)
    to = _address(recipient, recipient.email)
    link = links.url(touch.account_id, recipient.contact_id, touch.touch_id, person_key(recipient.email))
    message = EmailMessage(policy=_POLICY)
    try:
        message["From"] = sender
        message["To"] = to
        message["Subject"] = _one_line("subject", touch.subject or "")
        message["Date"] = format_datetime(at)
        message["Message-ID"] = message_id
        message["List-Unsubscribe"] = f"<{link}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message[TOUCH_HEADER] = quote(touch.touch_id, safe="/:+")
        message[TOKEN_HEADER] = links.bounces.token(touch.account_id, touch.touch_id)
        message.set_content(
            f"{touch.text.rstrip()}\n\n--\nTo receive no more messages from us: {link}\n",
            cte="quoted-printable",
        )
        content = message.as_bytes()
    except UnsendableError:
        raise
    except (ValueError, MessageError) as error:
        # What the library says may quote the touch, so it stays out of the receipt.
        raise UnsendableError(f"the touch cannot be written as an e-mail ({type(error).__name__})") from error
    return Mail(message_id=message_id, sender=sender.addr_spec, recipient=to.addr_spec, content=content)


def _address(recipient: Recipient, email: str) -> Address:
    """Return the address in its ASCII form, which every mail server takes."""
    name = _one_line("recipient's name", recipient.name)
    try:
        ascii_form = validate_email(email, check_deliverability=False).ascii_email
    except EmailNotValidError as error:
        raise UnsendableError("the recipient's address is not a valid e-mail address") from error
    if ascii_form is None:
        raise UnsendableError("the recipient's address has letters before the @ that mail servers refuse")
    try:
        return Address(display_name=name, addr_spec=ascii_form)
    except (ValueError, MessageError) as error:
        raise UnsendableError("the recipient's address is not a valid e-mail address") from error


def _one_line(what: str, text: str) -> str:
    """Refuse whatever could begin another header, including the line ends of Unicode."""
    if any(unicodedata.category(character) in _BREAKING for character in text):
        raise UnsendableError(f"the {what} contains a line break or a control character")
    return text
