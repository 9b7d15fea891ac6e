"""From a content's file to templates that can be filled in; every mistake is collected with its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from governance._builder import Builder, Loc
from governance.content._check import check
from governance.content._file import ContentFile, Part
from governance.content._templates import Content, environment

if TYPE_CHECKING:
    from jinja2 import Template


def build_content(file: ContentFile, builder: Builder) -> Content | None:
    """Compile a content; None if one of its templates cannot be used, which has been noted."""
    builder.all_known(("channels",), file.channels or (), builder.roll.channels, "channel")
    if not any((file.subject, file.text, file.html, file.fields)):
        builder.reject((), "a content says something: give it a subject, text, html or fields")
    uses: dict[Part, frozenset[str]] = {}
    sound = True
    for part, loc, source in _sources(file):
        names, flaws = check(source)
        uses[part] = uses.get(part, frozenset()) | names
        for flaw in flaws:
            sound = False
            builder.roll.problems.append(
                builder.document.problem(
                    loc,
                    flaw.message,
                    within=(flaw.line, flaw.column),
                    length=flaw.length,
                    suggestion=flaw.suggestion,
                    code=flaw.code,
                )
            )
    if not sound:
        return None
    return Content(
        content_id=file.id,
        channels=frozenset(file.channels) if file.channels is not None else None,
        subject=_template(file.subject),
        text=_template(file.text),
        html=_template(file.html, escape=True),
        fields={name: environment(escape=False).from_string(text) for name, text in file.fields.items()},
        uses=uses,
        source=builder.document.data,
        file=builder.document.name,
        lines={part: builder.document.place((part.value,)).line for part in Part},
    )


def _sources(file: ContentFile) -> Iterator[tuple[Part, Loc, str]]:
    for part, text in ((Part.SUBJECT, file.subject), (Part.TEXT, file.text), (Part.HTML, file.html)):
        if text is not None:
            yield part, (part.value,), text
    for name, text in file.fields.items():
        yield Part.FIELDS, ("fields", name), text


def _template(source: str | None, *, escape: bool = False) -> Template | None:
    return None if source is None else environment(escape=escape).from_string(source)
