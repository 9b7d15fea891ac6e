"""The executive channel: an executive's office gets a brief and an invitation to send, at most once.

The person outside is never written to from here. Whoever keeps the executive's calendar reads the brief and
sends the attached invitation, or does not.

A touch names the executive in `fields["executive"]` (login or address) and the proposed start in
`fields["starts_at"]`; `minutes`, `place`, `role`, `why_now` and `invitation` (words for the person, in the
calendar entry) may be there too. Its text is for the office only, and so are all other fields.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import format_datetime
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, FilePath
from pydantic_settings import SettingsConfigDict
from temporalio import activity

from activities.channels._bounces import TOUCH_HEADER
from activities.channels._contract import (
    AtMostOnce,
    ChannelActivities,
    ChannelEnvironment,
    Crossing,
    receipt_for,
)
from activities.channels._directory import Directory, Executive, read_directory
from activities.channels._invitation import Slot, invitation, read_slot
from activities.channels._mime import Mail, UnsendableError, address_of, message_id_of, new_message, one_line
from activities.channels._smtp import SmtpClient, SmtpSettings
from activities.channels._templates import OWN_TEMPLATES, Templates, Values, paragraphs_of
from domain import Receipt, ReceiptStatus, Touch

TEXT_BRIEF, HTML_BRIEF = "brief.txt.j2", "brief.html.j2"
_OF_THE_CHANNEL = frozenset({"executive", "starts_at", "minutes", "place", "role", "why_now", "invitation"})


class ExecutiveSettings(SmtpSettings):
    """Settings of the executive channel, read from `TUTTI_EXECUTIVE_*`."""

    model_config = SettingsConfigDict(env_prefix="TUTTI_EXECUTIVE_")

    directory: Annotated[
        FilePath, Field(description="a YAML or JSON file that maps logins to executives and their assistants")
    ]


class ExecutiveChannel:
    """Hands briefs and invitations to the offices of executives.

    Args:
        settings: The mail server, the sender and the directory.

    Raises:
        ChannelSettingsError: The directory cannot be read; names file and line.
    """

    def __init__(self, settings: ExecutiveSettings) -> None:
        self._client = SmtpClient(settings)
        self._sender = settings.sender_address
        self._directory: Directory = read_directory(settings.directory)
        self._briefs = Templates(OWN_TEMPLATES, {})

    def reference(self, touch: Touch) -> str:
        """Return the Message-ID under which a mail server's log knows the touch."""
        return message_id_of(touch.touch_id, self._sender.domain)

    async def hand_over(self, touch: Touch, crossing: Crossing) -> Receipt:
        """Hand one brief with its invitation over.

        Args:
            touch: Whom to meet, and why.
            crossing: Entered right before the message's bytes are written.

        Returns:
            The receipt for whatever the server said, or failed to say.
        """
        try:
            mail = self._compose(touch, datetime.now(UTC))
        except UnsendableError as error:
            return receipt_for(touch, ReceiptStatus.REJECTED, f"Not sent: {error}.")
        receipt = await self._client.hand_over(touch, mail, crossing)
        # An address that does not exist is the office's here, and says nothing about the person.
        return receipt.model_copy(update={"outcome": None})

    def _compose(self, touch: Touch, now: datetime) -> Mail:
        executive = self._executive(touch)
        recipient = touch.recipient
        if recipient is None or recipient.email is None:
            raise UnsendableError("the touch names no person with an e-mail address to invite")
        slot = read_slot(touch.fields.get("starts_at"), touch.fields.get("minutes"), now=now)
        person = address_of("recipient", name=recipient.name, email=recipient.email)
        organizer = address_of("executive", name=executive.name, email=executive.email)
        office = address_of("office", name=executive.office.name, email=executive.office.email)
        title = one_line("subject", touch.subject or f"{executive.name} and {recipient.name}")
        message_id = self.reference(touch)
        calendar = invitation(
            uid=message_id.strip("<>"),
            slot=slot,
            summary=title,
            organizer=organizer,
            attendee=person,
            at=now,
            description=touch.fields.get("invitation"),
            place=touch.fields.get("place"),
        )
        values = _values(touch, executive, person, slot)
        plain, html = (self._briefs.render(name, values) for name in (TEXT_BRIEF, HTML_BRIEF))
        message = new_message()
        try:
            message["From"] = self._sender
            message["To"] = office
            message["Subject"] = f"Invitation to send: {title}"
            message["Date"] = format_datetime(now)
            message["Message-ID"] = message_id
            message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office note is wanted
            message[TOUCH_HEADER] = quote(touch.touch_id, safe="/:+")
            message.set_content(plain, cte="quoted-printable")
            message.add_alternative(html, subtype="html", cte="quoted-printable")
            message.add_attachment(
                calendar,
                maintype="text",
                subtype="calendar",
                filename="invitation.ics",
                params={"method": "REQUEST", "charset": "utf-8"},
            )
            content = message.as_bytes()
        except UnsendableError:
            raise
        except (ValueError, MessageError) as error:
            raise UnsendableError(
                f"the brief cannot be written as an e-mail ({type(error).__name__})"
            ) from error
        return Mail(
            message_id=message_id,
            sender=self._sender.addr_spec,
            recipient=office.addr_spec,
            content=content,
        )

    def _executive(self, touch: Touch) -> Executive:
        name = touch.fields.get("executive", "").strip()
        if not name:
            raise UnsendableError("the field executive, the login or address of the executive, is missing")
        executive = self._directory.find(name)
        if executive is None:
            raise UnsendableError(
                f"the executive '{name}' is not in the directory that TUTTI_EXECUTIVE_DIRECTORY names"
            )
        return executive


def build(environment: ChannelEnvironment, settings: ExecutiveSettings) -> ChannelActivities:
    """Build the channel's activity.

    Args:
        environment: The ledger; a brief carries no unsubscribe link, because it goes to colleagues.
        settings: The mail server, the sender and the directory.

    Returns:
        The activity `hand_over`.

    Raises:
        ChannelSettingsError: The directory cannot be read; names file and line.
    """
    channel = ExecutiveChannel(settings)
    once = AtMostOnce(environment.ledger, channel.hand_over, reference=channel.reference)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        return await once.run(touch)

    return ChannelActivities(hand_over)


def _values(touch: Touch, executive: Executive, person: Address, slot: Slot) -> Values:
    """Return what the templates of the brief can name."""
    fields = touch.fields
    return {
        "subject": touch.subject or "",
        "office_name": executive.office.name,
        "executive_name": executive.name,
        "person_name": person.display_name or person.addr_spec,
        "person_address": person.addr_spec,
        "account_name": touch.account_name,
        "role": fields.get("role", ""),
        "starts": str(slot),
        "minutes": slot.minutes,
        "place": fields.get("place", ""),
        "why_now": fields.get("why_now", ""),
        "paragraphs": paragraphs_of(touch.text),
        "facts": [(name, text) for name, text in sorted(fields.items()) if name not in _OF_THE_CHANNEL],
        "approved_by": touch.approved_by or "",
    }
