"""The e-mail channel: SMTP, at most once.

A message has a plain part and an HTML part from two layouts, a one-click unsubscribe link, and a token that
ties whatever comes back to its touch.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, DirectoryPath, Field, StringConstraints
from pydantic_settings import SettingsConfigDict
from temporalio import activity

from activities.channels._bounce_tokens import MAX_BOUNCE_LOCAL_PART
from activities.channels._contract import (
    AtMostOnce,
    ChannelActivities,
    ChannelEnvironment,
    Crossing,
    receipt_for,
)
from activities.channels._message import Letterhead, compose, layouts
from activities.channels._mime import UnsendableError, message_id_of
from activities.channels._smtp import SmtpClient, SmtpSettings, parse_address
from activities.channels._unsubscribe import UnsubscribeLinks
from domain import Receipt, ReceiptStatus, ShortText, Touch


def _bounce_address(value: str) -> str:
    address = parse_address(value)
    if address.display_name or len(address.username) > MAX_BOUNCE_LOCAL_PART:
        raise ValueError(
            f"write an address without a name, with at most {MAX_BOUNCE_LOCAL_PART} characters before the @"
        )
    return value


class EmailSettings(SmtpSettings):
    """Settings of the e-mail channel, read from `TUTTI_EMAIL_*`."""

    model_config = SettingsConfigDict(env_prefix="TUTTI_EMAIL_")

    bounce_address: Annotated[
        str | None,
        AfterValidator(lambda value: value if value is None else _bounce_address(value)),
        Field(description="the mailbox for bounces, such as bounces@example.com"),
    ] = None
    postal_address: Annotated[
        ShortText | None,
        StringConstraints(strip_whitespace=True, min_length=1),
        Field(description="the sender's postal address in one line, as mail laws ask for"),
    ] = None
    templates: Annotated[
        DirectoryPath | None, Field(description="a folder with message.txt.j2 and message.html.j2")
    ] = None


class SmtpChannel:
    """Hands touches to a mail server.

    Args:
        settings: The server, the sender and the layouts.
        links: Makes unsubscribe links and bounce tokens.

    Raises:
        ChannelSettingsError: A layout is missing or fails.
    """

    def __init__(self, settings: EmailSettings, links: UnsubscribeLinks) -> None:
        self._client = SmtpClient(settings)
        self._links = links
        self._letterhead = Letterhead(
            sender=settings.sender_address,
            layouts=layouts(settings.templates),
            postal_address=settings.postal_address,
            bounce_address=parse_address(settings.bounce_address) if settings.bounce_address else None,
        )

    def reference(self, touch: Touch) -> str:
        """Return the Message-ID under which a mail server's log knows the touch."""
        return message_id_of(touch.touch_id, self._letterhead.sender.domain)

    async def hand_over(self, touch: Touch, crossing: Crossing) -> Receipt:
        """Hand one touch over.

        Args:
            touch: What to send.
            crossing: Entered right before the message's bytes are written.

        Returns:
            The receipt for whatever the server said, or failed to say; `rejected` with the outcome `bounce`
            for an address that does not exist.
        """
        try:
            mail = compose(touch, letterhead=self._letterhead, links=self._links, at=datetime.now(UTC))
        except UnsendableError as error:
            return receipt_for(touch, ReceiptStatus.REJECTED, f"Not sent: {error}.")
        return await self._client.hand_over(touch, mail, crossing)


def build(environment: ChannelEnvironment, settings: EmailSettings) -> ChannelActivities:
    """Build the channel's activities.

    Args:
        environment: Ledger and unsubscribe links.
        settings: The mail server, the sender and the layouts.

    Returns:
        The activity `hand_over`; a mail cannot be taken back.

    Raises:
        ChannelSettingsError: A layout is missing or fails; names file and line.
    """
    channel = SmtpChannel(settings, environment.unsubscribe)
    once = AtMostOnce(environment.ledger, channel.hand_over, reference=channel.reference)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        return await once.run(touch)

    return ChannelActivities(hand_over)
