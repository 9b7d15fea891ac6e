"""What every message has in common: safe headers, seven bits, and an id that belongs to the touch."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from hashlib import sha256
from typing import Any

from email_validator import EmailNotValidError, validate_email

_UNFOLDED = frozenset(
    {
        "in-reply-to",
        "list-unsubscribe",
        "message-id",
        "references",
        "reply-to",
        "x-tutti-notice",
        "x-tutti-token",
        "x-tutti-touch",
    }
)
_BREAKING = frozenset({"Cc", "Zl", "Zp", "Cs"})  # controls, line and paragraph ends, broken characters
_MAX_LINE = 998  # RFC 5322, without the line end


class UnsendableError(ValueError):
    """The touch cannot become a message, now or later; says why without a full stop."""


@dataclass(frozen=True)
class Mail:
    """A message with its envelope."""

    message_id: str
    sender: str
    """Where it is returned to if it cannot be delivered."""
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


def new_message() -> EmailMessage:
    """Return an empty message under our policy."""
    return EmailMessage(policy=_POLICY)


def message_id_of(touch_id: str, domain: str) -> str:
    """Return the Message-ID of a touch: the same for the same touch, and nothing can be read from it."""
    return f"<tutti.{sha256(touch_id.encode()).hexdigest()[:40]}@{domain}>"


def address_of(what: str, *, name: str, email: str) -> Address:
    """Return an address in its ASCII form, which every mail server takes.

    Args:
        what: Whose address it is, for the refusal, such as `recipient`.
        name: The name beside it.
        email: The address.

    Raises:
        UnsendableError: It is no address, or a line break hides in the name.
    """
    display = one_line(f"{what}'s name", name)
    try:
        ascii_form = validate_email(email, check_deliverability=False).ascii_email
    except EmailNotValidError as error:
        raise UnsendableError(f"the {what}'s address is not a valid e-mail address") from error
    if ascii_form is None:
        raise UnsendableError(f"the {what}'s address has letters before the @ that mail servers refuse")
    try:
        return Address(display_name=display, addr_spec=ascii_form)
    except (ValueError, MessageError) as error:
        raise UnsendableError(f"the {what}'s address is not a valid e-mail address") from error


def one_line(what: str, text: str) -> str:
    """Refuse whatever could begin another header, including the line ends of Unicode.

    Raises:
        UnsendableError: The text has a line break or a control character.
    """
    if any(unicodedata.category(character) in _BREAKING for character in text):
        raise UnsendableError(f"the {what} contains a line break or a control character")
    return text
