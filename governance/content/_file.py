"""A content: what a touch of a play says, one file each, written as templates."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from domain import Identifier
from governance._fields import NotEmpty, PolicyModel

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=48)]
"""Name of a play, a step or a content: letters, digits, `-` and `_`; at most 48, as ids join several."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
"""A template whose result is one line."""
LongTemplate = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
"""A template of a whole text."""
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""Name of a field, at most 64 characters."""
FieldTemplate = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
"""A template of one field for a machine."""


class Part(StrEnum):
    """A part that a content may have."""

    SUBJECT = "subject"
    TEXT = "text"
    HTML = "html"
    FIELDS = "fields"


class ContentFile(PolicyModel):
    """The file as people write it."""

    id: Name
    """Name of the content, the same as the file's."""
    channels: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    """The channels it is written for. Left out: any."""
    subject: Line | None = None
    """Subject of a mail, headline of a task: one line."""
    text: LongTemplate | None = None
    """What it says, as plain text."""
    html: LongTemplate | None = None
    """The same as HTML; what is filled in is escaped."""
    fields: Annotated[dict[FieldName, FieldTemplate], Field(max_length=32)] = {}
    """Named values for machines, such as the audience or the segment of a page."""
