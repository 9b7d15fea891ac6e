"""Turns a touch into the exact bytes of an e-mail message: plain text and HTML, from two layouts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup, escape

from activities.channels._bounces import TOKEN_HEADER, TOUCH_HEADER
from activities.channels._mime import Mail, UnsendableError, address_of, message_id_of, new_message, one_line
from activities.channels._templates import OWN_TEMPLATES, Templates, Values, paragraphs_of
from activities.channels._unsubscribe import UnsubscribeLinks
from domain import Touch, person_key

TEXT_LAYOUT, HTML_LAYOUT = "message.txt.j2", "message.html.j2"
UNSUBSCRIBE_PLACEHOLDER = "{{ unsubscribe_url }}"
"""What a text may hold for the link; the only thing in a text that is replaced."""


@dataclass(frozen=True)
class Letterhead:
    """What all messages of a sender have in common."""

    sender: Address
    layouts: Templates
    postal_address: str | None = None
    bounce_address: Address | None = None
    """Mailbox for bounces; None: they go to the sender."""


def layouts(folder: Path | None) -> Templates:
    """Load the two layouts and try them on made-up messages.

    Args:
        folder: Where they are; None for those that come with the channel.

    Raises:
        ChannelSettingsError: A layout is missing or fails; names file and line.
    """
    trials = [
        _values(
            subject="Subject", html=html, name=name, sender=sender, link="https://e.example/u", postal=postal
        )
        for html, name, sender, postal in (
            (None, "", Address(addr_spec="sales@example.com"), None),
            (Markup("<p>Text</p>"), "Ada", Address("Sales", addr_spec="sales@example.com"), "1 Street, Town"),
        )
    ]
    return Templates(folder or OWN_TEMPLATES, {TEXT_LAYOUT: trials, HTML_LAYOUT: trials})


def compose(touch: Touch, *, letterhead: Letterhead, links: UnsubscribeLinks, at: datetime) -> Mail:
    """Compose the message of a touch.

    Args:
        touch: What to say and to whom.
        letterhead: Whom it comes from and how it looks.
        links: Makes the unsubscribe link of RFC 8058, and the token that ties a bounce to the touch.
        at: Date of the message, aware UTC.

    Returns:
        The message and its envelope.

    Raises:
        UnsendableError: The touch names no usable address, says nothing, a line break hides in a header,
            or a layout fails; the message is for a person.
    """
    recipient = touch.recipient
    if recipient is None or recipient.email is None:
        raise UnsendableError("the touch names no e-mail address to write to")
    if not (touch.subject or touch.text.strip()):
        raise UnsendableError("the touch has neither a subject nor a text")
    if touch.html is not None and not touch.text.strip():
        raise UnsendableError("the touch has HTML, but no text for those who read plain mail")
    sender = letterhead.sender
    message_id = message_id_of(touch.touch_id, sender.domain)
    to = address_of("recipient", name=recipient.name, email=recipient.email)
    link = links.url(touch.account_id, recipient.contact_id, touch.touch_id, person_key(recipient.email))
    values = _values(
        subject=one_line("subject", touch.subject or ""),
        text=touch.text,
        html=touch.html,
        name=recipient.name,
        sender=sender,
        link=link,
        postal=letterhead.postal_address,
    )
    plain, html = (letterhead.layouts.render(name, values) for name in (TEXT_LAYOUT, HTML_LAYOUT))
    message = new_message()
    try:
        message["From"] = sender
        message["To"] = to
        message["Subject"] = touch.subject or ""
        message["Date"] = format_datetime(at)
        message["Message-ID"] = message_id
        message["List-Unsubscribe"] = f"<{link}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message[TOUCH_HEADER] = quote(touch.touch_id, safe="/:+")
        message[TOKEN_HEADER] = links.bounces.token(touch.account_id, touch.touch_id)
        message.set_content(plain, cte="quoted-printable")
        message.add_alternative(html, subtype="html", cte="quoted-printable")
        content = message.as_bytes()
    except UnsendableError:
        raise
    except (ValueError, MessageError) as error:
        # What the library says may quote the touch, so it stays out of the receipt.
        raise UnsendableError(f"the touch cannot be written as an e-mail ({type(error).__name__})") from error
    return Mail(
        message_id=message_id,
        sender=_returns_to(letterhead, links, touch),
        recipient=to.addr_spec,
        content=content,
    )


def _returns_to(letterhead: Letterhead, links: UnsubscribeLinks, touch: Touch) -> str:
    if letterhead.bounce_address is None:
        return letterhead.sender.addr_spec
    return links.bounces.envelope_sender(letterhead.bounce_address, touch.account_id, touch.touch_id)


def _values(  # noqa: PLR0913 - the vocabulary of the layouts
    *,
    subject: str,
    html: str | None,
    name: str,
    sender: Address,
    link: str,
    postal: str | None,
    text: str = "Text",
) -> Values:
    """Return what the layouts can name."""
    said = text.replace(UNSUBSCRIBE_PLACEHOLDER, link).rstrip()
    # Whoever wrote HTML for the touch escaped what is in it; only the escaped link is put in: hence S704.
    as_html = None if html is None else Markup(html.replace(UNSUBSCRIBE_PLACEHOLDER, escape(link)))  # noqa: S704
    return {
        "subject": subject,
        "text": said,
        "html": as_html,
        "paragraphs": paragraphs_of(said),
        "recipient_name": name,
        "sender_name": sender.display_name,
        "sender_address": sender.addr_spec,
        "unsubscribe_url": link,
        "postal_address": postal,
    }
