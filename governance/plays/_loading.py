"""Reading one play out of an older policy set, whatever has become of the rest of it."""

from __future__ import annotations

from collections.abc import Mapping

from governance._builder import Builder, Roll
from governance._source import Place, PolicyFileError, Problem, load_document
from governance.content import Content, ContentFile, build_content
from governance.plays._build import all_steps, build_play, options_of
from governance.plays._file import PlayFile
from governance.plays._play import Play


def load_play(files: Mapping[str, str], play_id: str) -> Play:
    """Compile one play from the files of a set that was in force once.

    Only the play and the contents it uses are read, so that a run goes on although something else in its set
    is no longer understood. Names are not checked again: they existed when the set was published.

    Args:
        files: Text of each file of the set by its name.
        play_id: Which play.

    Raises:
        PolicyFileError: The set has no such play, or the play or a content it uses cannot be read.
    """
    name = f"plays/{play_id}.yaml"
    if name not in files:
        raise PolicyFileError(
            [Problem(Place(name, 1, 1), "the policy set has no such play", code="missing-file")]
        )
    document = load_document(name, files[name].encode())
    file = document.validate(PlayFile)
    roll = Roll()
    wanted = {
        touch.content
        for written in all_steps(file)
        for _, touch in options_of(written.entry)
        if touch.content is not None
    }
    contents = {content: _content(files, content, roll) for content in sorted(wanted)}
    play = build_play(file, Builder("plays", document, roll), contents)
    if play is None or roll.problems:
        raise PolicyFileError(roll.problems)
    return play


def _content(files: Mapping[str, str], content_id: str, roll: Roll) -> Content | None:
    name = f"content/{content_id}.yaml"
    if name not in files:
        roll.problems.append(Problem(Place(name, 1, 1), "the file is missing", code="missing-file"))
        return None
    document = load_document(name, files[name].encode())
    return build_content(document.validate(ContentFile), Builder("content", document, roll))
