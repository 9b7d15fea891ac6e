"""Notices by mail: one message for each person, with an answer link that is theirs alone."""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote

from activities.channels._mime import Mail, UnsendableError, address_of, new_message
from activities.channels._templates import OWN_TEMPLATES, Templates, Values
from activities.notices._delivery import Outage
from activities.notices._links import AnswerLinks, AnswerTicket
from activities.notices._settings import NoticeMailSettings
from activities.notices._smtp import Conversation
from activities.notices._wording import OPEN_OCCASIONS, YES_OR_NO, Wording
from domain import Notice

NOTICE_HEADER: Final = "X-Tutti-Notice"
"""Names the notice; a mail that has it is for our own people."""

_TEMPLATES: Final = Path(__file__).parent / "templates"
_TEXT, _HTML = "notice.txt.j2", "notice.html.j2"


class NoticeMail:
    """Composes notices and hands them to the mail server.

    Args:
        settings: The mail server, the sender and the mailbox for replies.
        links: Makes answer links and reply keys.

    Raises:
        ChannelSettingsError: A layout is missing or fails.
    """

    def __init__(self, settings: NoticeMailSettings, links: AnswerLinks) -> None:
        self._settings = settings
        self._links = links
        self._sender = settings.sender_address
        self._outage = Outage()
        bare, whole = _trials()
        self._layouts = Templates(
            _TEMPLATES, {_TEXT: (bare, whole), _HTML: (bare, whole)}, shared=OWN_TEMPLATES
        )

    def conversation(self, until: float) -> Conversation:
        """Return a conversation with the mail server, which begins with the first message.

        Args:
            until: The moment, on the clock of the event loop, from which no message is begun.
        """
        return Conversation(self._settings, self._outage, until)

    def reply_key(self, notice: Notice, login: str) -> str | None:
        """Return the key by which a person's reply finds the notice; None if a reply cannot answer it."""
        if (
            self._settings.reply_to is None
            or notice.occasion not in OPEN_OCCASIONS
            or notice.card.approval.kind not in YES_OR_NO
        ):
            return None
        return self._links.reply_key(notice.notice_id, login)

    def compose(  # noqa: PLR0913 - what a message is made of
        self, notice: Notice, wording: Wording, *, login: str, address: str, first: str | None, at: datetime
    ) -> Mail:
        """Compose one person's message.

        Args:
            notice: What happened.
            wording: The same in words.
            login: Whom it is for.
            address: Where they are reached.
            first: The notice with which the conversation about the question began, if this is not it.
            at: Date of the message, aware.

        Raises:
            UnsendableError: The address is none, or a layout fails.
        """
        to = address_of("recipient", name="", email=address)
        reply_key = self.reply_key(notice, login)
        values = _values(
            wording,
            answer_url=self._answer_url(notice, login),
            can_reply=reply_key is not None,
            in_place_of=notice.card.approval.route.delegates.get(login, ""),
            sender_name=self._sender.display_name or self._sender.addr_spec,
        )
        plain, html = (self._layouts.render(name, values) for name in (_TEXT, _HTML))
        message_id = self._message_id(notice.notice_id, login)
        message = new_message()
        try:
            message["From"] = self._sender
            message["To"] = to
            # Mail programs group by subject and references; a reminder belongs to what it reminds of.
            message["Subject"] = wording.title if first is None else f"Re: {wording.title}"
            message["Date"] = format_datetime(at.astimezone(UTC))
            message["Message-ID"] = message_id
            if first is not None:
                message["In-Reply-To"] = message["References"] = self._message_id(first, login)
            if reply_key is not None:
                message["Reply-To"] = self._mailbox(reply_key)
            # RFC 3834, and what Exchange asks for: out-of-office notes are no answers.
            message["Auto-Submitted"] = "auto-generated"
            message["X-Auto-Response-Suppress"] = "All"
            message[NOTICE_HEADER] = quote(notice.notice_id, safe="/:+")
            message.set_content(plain, cte="quoted-printable")
            message.add_alternative(html, subtype="html", cte="quoted-printable")
            content = message.as_bytes()
        except UnsendableError:
            raise
        except (ValueError, MessageError) as error:
            # What the library says may quote the message, so it stays out.
            raise UnsendableError(f"it cannot be written as a mail ({type(error).__name__})") from error
        return Mail(
            message_id=message_id, sender=self._sender.addr_spec, recipient=to.addr_spec, content=content
        )

    def _answer_url(self, notice: Notice, login: str) -> str:
        """Return the person's own link; empty once there is nothing to answer."""
        if notice.occasion not in OPEN_OCCASIONS:
            return ""
        approval = notice.card.approval
        return self._links.url(
            AnswerTicket(
                account_id=notice.account_id,
                approval_id=approval.approval_id,
                login=login,
                digest=approval.digest,
                expires_at=approval.route.expires_at,
                nonce=self._links.nonce(notice.notice_id, login),
            )
        )

    def _message_id(self, notice_id: str, login: str) -> str:
        """Return the same id for the same notice and person, so that a doubled message shows as one."""
        name = sha256(f"{notice_id}\x1f{login}".encode()).hexdigest()[:40]
        return f"<tutti.notice.{name}@{self._sender.domain}>"

    def _mailbox(self, reply_key: str) -> str:
        mailbox = Address(addr_spec=self._settings.reply_to or self._sender.addr_spec)
        return f"{mailbox.username}+{reply_key}@{mailbox.domain}"


def _values(
    wording: Wording, *, answer_url: str, can_reply: bool, in_place_of: str, sender_name: str
) -> Values:
    """Return what the layouts can name."""
    return {
        **vars(wording),
        "answer_url": answer_url,
        "can_reply": can_reply,
        "in_place_of": in_place_of,
        "sender_name": sender_name,
    }


def _trials() -> tuple[Values, Values]:
    """Return made-up messages, one with nothing that can be left out and one with everything."""
    bare = Wording(
        title="Title",
        heading="Heading",
        message="Message",
        glance=(),
        said=(),
        paragraphs=(),
        source="",
        circumstances=(),
        rules=(),
        outcomes=(),
        silence="",
    )
    pairs = (("name", "text"),)
    whole = Wording(
        title="Title",
        heading="Heading",
        message="Message",
        glance=pairs,
        said=pairs,
        paragraphs=("text",),
        source="<p>text</p>",
        circumstances=pairs,
        rules=pairs,
        outcomes=pairs,
        silence="silence",
    )
    return (
        _values(bare, answer_url="", can_reply=False, in_place_of="", sender_name="Tutti"),
        _values(
            whole,
            answer_url="https://e.example/answer/x",
            can_reply=True,
            in_place_of="d",
            sender_name="Tutti",
        ),
    )
