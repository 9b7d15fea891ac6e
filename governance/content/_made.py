"""Whether a content is what a template gives: so that nothing else goes out under a template's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain import Content as Filled
from governance.content._file import Part
from governance.content._templates import Content, ContentError, Speaking

_PARTS: Final = (Part.SUBJECT, Part.TEXT, Part.HTML, Part.FIELDS)


@dataclass(frozen=True, slots=True)
class Unlike:
    """Where a content is not what its template gives.

    Attributes:
        part: The first part that differs; None if the template cannot be filled in.
        message: What is wrong, for people.
    """

    part: Part | None
    message: str


def unlike(template: Content, said: Filled, speaking: Speaking) -> Unlike | None:
    """Fill a template in with what is known now, and return how a content differs; None if it is the same.

    Everything that reaches the provider is compared, fields included: whoever could add words of their own
    beside the template would have them approved unread. Nothing that the proposal says flows into the
    template, for the same reason. Line ends and blanks around a part make no difference, and HTML may be
    left out: the channel then makes it from the text.
    """
    try:
        given = template.fill(speaking)
    except ContentError as error:
        return Unlike(None, str(error))
    for part in _PARTS:
        if part is Part.HTML and said.html is None:
            continue
        if _plain(said, part) != _plain(given, part):
            return Unlike(part, "the fields differ" if part is Part.FIELDS else f"the {part.value} differs")
    return None


def _plain(content: Filled, part: Part) -> object:
    value = getattr(content, part.value)
    if isinstance(value, dict):
        return {name: _trimmed(text) for name, text in value.items()}
    return _trimmed(value or "")


def _trimmed(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
