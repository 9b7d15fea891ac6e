"""Renders the templates of messages, and says in which file and line one fails.

Templates are files of whoever runs the channel. What a touch says is a value in them and never a template.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from activities.channels._contract import clean
from activities.channels._mime import UnsendableError
from activities.channels._settings import ChannelSettingsError

OWN_TEMPLATES: Final = Path(__file__).parent / "templates"
"""The templates that come with the channels."""

Values = Mapping[str, object]
"""What a template can name."""

_LINK = re.compile(r"https?://[^\s<>\"'`]+")
_LONGEST_LABEL = 72
_NOT_PART_OF_A_LINK = ".,;:!?)]}"
_PARAGRAPH_BREAK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


class Templates:
    """The templates of one folder.

    Names ending in `.html.j2` escape every value, others none. A name that is not defined is an error.

    Args:
        folder: Where the templates are; they may include one another.
        trials: Values for each template that is used, to find what fails before the first touch.
        shared: A folder for what is not in the first.

    Raises:
        ChannelSettingsError: A template is missing or fails; names file and line.
    """

    def __init__(
        self, folder: Path, trials: Mapping[str, Iterable[Values]], *, shared: Path | None = None
    ) -> None:
        self._folder = folder.resolve()
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader([self._folder, *([shared] if shared is not None else [])]),
            undefined=StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(".html.j2"),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,  # a message is never half of one version and half of another
        )
        self._environment.filters["linked"] = linked
        for name, values in trials.items():
            for trial in values:
                try:
                    self.render(name, trial)
                except UnsendableError as error:
                    raise ChannelSettingsError(str(error)) from None

    def render(self, name: str, values: Values) -> str:
        """Render one template.

        Raises:
            UnsendableError: The template fails; names file and line, and nothing of the values.
        """
        try:
            return self._environment.get_template(name).render(values)
        except TemplateSyntaxError as error:
            where = f"{error.filename or self._folder / name}, line {error.lineno}"
            raise UnsendableError(f"the template {where} cannot be read: {_words(error)}") from None
        except TemplateNotFound as error:
            place = self._place(error)
            asked = f", asked for at {place}" if place else ""
            raise UnsendableError(
                f"the template {self._folder / str(error.name)} is missing{asked}"
            ) from None
        except Exception as error:  # noqa: BLE001 - an expression in a template may raise anything
            where = self._place(error) or str(self._folder / name)
            raise UnsendableError(f"the template {where} fails: {_words(error)}") from None

    def _place(self, error: Exception) -> str | None:
        """Return file and line of the innermost template that an error went through."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(self._folder)]
        return f"{own[-1].filename}, line {own[-1].lineno}" if own else None


def paragraphs_of(text: str) -> tuple[str, ...]:
    """Split a text at its empty lines."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    return tuple(part.strip("\n") for part in _PARAGRAPH_BREAK.split(plain) if part.strip())


def linked(text: str) -> Markup:
    """Turn plain text into HTML: escaped, line ends kept, web addresses made into links."""
    pieces: list[Markup] = []
    end = 0
    for match in _LINK.finditer(text):
        url = match[0].rstrip(_NOT_PART_OF_A_LINK)
        pieces.append(escape(text[end : match.start()]))
        label = url if len(url) <= _LONGEST_LABEL else f"{url[: _LONGEST_LABEL - 1]}…"
        pieces.append(Markup('<a href="{}">{}</a>').format(url, label))
        end = match.start() + len(url)
    pieces.append(escape(text[end:]))
    return Markup("").join(pieces).replace("\n", Markup("<br>\n"))


def _words(error: Exception) -> str:
    """Say what failed; only the words of the template engine itself name no values."""
    return clean(str(error), limit=200) if isinstance(error, TemplateError) else type(error).__name__
