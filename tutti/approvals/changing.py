"""`tutti approval modify`: an approver's own version of an action."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError
from rich.console import Console

from domain import Changes, Content, Frozen, Identifier, Moment, Proposal
from tutti.approvals.answering import Said, answer_each
from tutti.approvals.options import QuestionId
from tutti.terminal import CommandError
from workflows import AccountClient, connect


class Wishes(Frozen):
    """What is to be different; what is left out stays as it was proposed."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None
    fields: dict[str, str] = {}
    contact_id: Identifier | None = None
    channel: Identifier | None = None
    earliest: Moment | None = None
    expires_at: Moment | None = None

    @property
    def about_content(self) -> bool:
        """Whether the content is to be another one."""
        return bool(self.fields) or any(part is not None for part in (self.subject, self.text, self.html))


def wishes(  # noqa: PLR0913 - one parameter an option
    *,
    subject: str | None,
    text: str | None,
    html: str | None,
    fields: Mapping[str, str],
    contact: str | None,
    channel: str | None,
    earliest: datetime | None,
    expires: datetime | None,
) -> Wishes:
    """Return what somebody typed.

    Raises:
        CommandError: nothing is to be different, or a name cannot be one.
    """
    try:
        found = Wishes(
            subject=subject,
            text=text,
            html=html,
            fields=dict(fields),
            contact_id=contact,
            channel=channel,
            earliest=earliest,
            expires_at=expires,
        )
    except ValidationError as error:
        raise CommandError(_first(error)) from None
    if found == Wishes():
        raise CommandError(
            "nothing is to be different; say what with --text, --subject, --field, --contact, --channel, "
            "--earliest or --expires"
        )
    return found


async def modify(
    console: Console, question: QuestionId, said: Said, wanted: Wishes, *, digest: str | None
) -> int:
    """Answer a question with another version of the action; it is ruled again.

    Returns:
        The exit code: 0 if the answer was taken, else 1.

    Raises:
        AccountError: nobody knows the question, or the engine does not answer.
        CommandError: it is about no proposal, or the changes do not make a content.
    """
    card = await AccountClient(await connect()).card(*question)
    if card.proposal is None:
        raise CommandError(f"{question} is about no proposal, so there is nothing to modify")
    changed = said.model_copy(update={"changes": changes(card.proposal, wanted)})
    # Of the version that the changes were made to: if it has changed since, the account refuses.
    return await answer_each(console, [question], changed, digest=digest or card.approval.digest)


def changes(before: Proposal, wanted: Wishes) -> Changes:
    """Return what an answer says of what is to be different.

    Another text without another HTML version drops the HTML version: the two must say the same.

    Raises:
        CommandError: the parts do not make a content.
    """
    content = None
    if wanted.about_content:
        old = before.content
        html = wanted.html if wanted.html is not None or wanted.text is not None else old.html
        try:
            content = Content(
                subject=old.subject if wanted.subject is None else wanted.subject,
                text=old.text if wanted.text is None else wanted.text,
                html=html,
                fields={**old.fields, **wanted.fields},
            )
        except ValidationError as error:
            raise CommandError(_first(error)) from None
    return Changes(
        content=content,
        contact_id=wanted.contact_id,
        channel=wanted.channel,
        earliest=wanted.earliest,
        expires_at=wanted.expires_at,
    )


_OPTIONS = {"fields": "--field", "contact_id": "--contact", "expires_at": "--expires"}


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(first["loc"][0])
    return f"{_OPTIONS.get(name, f'--{name}')}: {first['msg']}"
