"""What the commands about approvals share: the id of a question, who answers, and how options are read."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, get_args

import typer

from tutti.terminal import LONGEST_LOGIN, UNUSABLE, CommandError, fail

if TYPE_CHECKING:
    from domain import AnswerCode, WindowAsk

LOGIN_SETTINGS = ("TUTTI_LOGIN", "TUTTI_USER")
"""Environment variables with the login of whoever answers; the first that is set counts."""
LONGEST_ID = 160
LONGEST_COMMENT = 2_000
LONGEST_TEXT = 20_000

QuestionArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The question: <account>/<approval>, as `tutti inbox` shows it.")
]
QuestionsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...", help="The questions: <account>/<approval>, as `tutti inbox` shows them."
    ),
]
AsOption = Annotated[
    str | None,
    typer.Option("--as", metavar="LOGIN", help="Your login, as in people.yaml. Default: TUTTI_LOGIN."),
]
Code = Literal[
    "wrong_time",
    "wrong_person",
    "wrong_channel",
    "wrong_content",
    "wrong_facts",
    "too_much",
    "deal_at_risk",
    "legal",
    "brand",
    "improved",
    "verified",
    "emergency",
    "other",
]
Kind = Literal["action", "ambiguity", "in_doubt", "conflict", "review"]
StageName = Literal["target", "aware", "engaged", "evaluating", "closing", "customer"]
Found = Literal["handed_over", "not_handed_over"]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
CODE_HELP = f"Why, in a word: {', '.join(get_args(Code))}."
CodeOption = Annotated[Code, typer.Option("--code", metavar="CODE", help=CODE_HELP)]
CommentOption = Annotated[
    str, typer.Option("--comment", help="Why, in a sentence; it stays on record, and the proposer reads it.")
]
DigestOption = Annotated[
    str | None,
    typer.Option(
        "--digest",
        help="Answer for the version with this digest alone; its first 12 characters do. "
        "Default: for what this command prints.",
    ),
]
AnswerIdOption = Annotated[
    str | None,
    typer.Option("--answer-id", metavar="ID", help="To repeat an answer whose result was not known."),
]

_WINDOW = re.compile(r"([1-9]\d{0,3})d")
_SHORTEST_DIGEST = 12


class QuestionId(NamedTuple):
    """A question and the account that asks it; an approval's own id is unique within its account only."""

    account_id: str
    approval_id: str

    def __str__(self) -> str:
        return f"{self.account_id}/{self.approval_id}"

    @classmethod
    def read(cls, text: str) -> QuestionId:
        """Read an id as people copy it.

        Raises:
            CommandError: this is none.
        """
        account_id, _, approval_id = text.strip().partition("/")
        fits = account_id and approval_id and len(text) <= 2 * LONGEST_ID and text.isprintable()
        if not fits or len(approval_id) > LONGEST_ID:
            raise CommandError(
                f"{text!r} is no id of a question; write <account>/<approval>, as `tutti inbox` shows it"
            )
        return cls(account_id, approval_id)


def questions(texts: list[str]) -> list[QuestionId]:
    """Read ids as people copy them, each once, in their order; what is none ends the command."""
    try:
        return list(dict.fromkeys(QuestionId.read(text) for text in texts))
    except CommandError as error:
        fail(error, UNUSABLE)


def login(given: str | None) -> str:
    """Return who answers: the given login, else that of the environment; without any the command ends.

    The user of the operating system is nobody's word: who shares a machine would share a signature.
    """
    found = given if given is not None else known_login()
    if found is None:
        fail("it is not clear who you are; name your login with --as or TUTTI_LOGIN", UNUSABLE)
    if not found.strip() or len(found) > LONGEST_LOGIN or not found.isprintable():
        fail(f"{found!r} is no login; name yours with --as or TUTTI_LOGIN", UNUSABLE)
    return found.strip()


def known_login() -> str | None:
    """Return whose login the environment names; None if it names nobody's."""
    return next((value for name in LOGIN_SETTINGS if (value := os.environ.get(name, "").strip())), None)


def said(comment: str | None) -> str | None:
    """Return what a person wrote, with nothing in it that a terminal would obey; None if it is nothing."""
    from tutti.render import plain

    text = plain((comment or "").encode("utf-8", "replace").decode()).strip()
    if len(text) > LONGEST_COMMENT:
        fail(f"--comment has {len(text):,} characters; {LONGEST_COMMENT:,} are kept", UNUSABLE)
    return text or None


def reasons(code: str, comment: str) -> tuple[AnswerCode, str]:
    """Return why somebody answers as they do; without a sentence the command ends."""
    from domain import AnswerCode

    sentence = said(comment)
    if sentence is None:
        fail("--comment is empty; say in a sentence why", UNUSABLE)
    return AnswerCode(code), sentence


def fresh_or(answer_id: str | None) -> str:
    """Return the given answer id, or a new one."""
    import uuid

    if answer_id is None:
        return uuid.uuid4().hex
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}", answer_id):
        fail(f"--answer-id {answer_id!r} cannot be an id; write letters, digits and . _ : + -", UNUSABLE)
    return answer_id


def whole(digest: str, given: str | None) -> str:
    """Return the digest that an answer is for.

    Args:
        digest: Of the question as it stands.
        given: What the person typed: a digest or its beginning; None: they answer for what they are shown.
            Another one is passed on as it is, so that the account refuses it and records that it did.
    """
    if given is None:
        return digest
    typed = given.strip().lower()
    if len(typed) < _SHORTEST_DIGEST:
        fail(f"--digest {given!r} is too short; give at least {_SHORTEST_DIGEST} characters of it", UNUSABLE)
    return digest if digest.startswith(typed) else typed


def window(length: str | None, at_most: int | None, segment: str | None) -> WindowAsk | None:
    """Return what is approved in advance; None if nothing is. What does not fit ends the command."""
    from pydantic import ValidationError

    from domain import WindowAsk

    if length is None and at_most is None and segment is None:
        return None
    if length is None or at_most is None:
        fail("a window approval needs both --window, such as 7d, and --at-most, such as 50", UNUSABLE)
    match = _WINDOW.fullmatch(length.strip())
    if match is None:
        fail(f"--window {length!r} is no number of days; write it like 7d", UNUSABLE)
    try:
        return WindowAsk(segment=segment, days=int(match[1]), at_most=at_most)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        option = {"days": "--window", "at_most": "--at-most", "segment": "--segment"}[str(first["loc"][0])]
        fail(f"{option}: {first['msg']}", UNUSABLE)


def moment(text: str, option: str) -> datetime:
    """Read a moment: ISO 8601 with an offset, or a date, which begins at midnight UTC."""
    given = text.strip()
    try:
        if len(given) == len("2026-12-01"):
            return datetime.combine(date.fromisoformat(given), time(tzinfo=UTC))
        found = datetime.fromisoformat(given)
    except ValueError:
        fail(f"{option} {text!r} is no time; write 2026-12-01 or 2026-12-01T08:00+01:00", UNUSABLE)
    if found.tzinfo is None:
        fail(f"{option} {text!r} has no time zone; write it like {given}+01:00, or {given}Z", UNUSABLE)
    return found.astimezone(UTC)


def text_of(path: Path, option: str) -> str:
    """Read a text file; `-` is what is piped in. What cannot be read ends the command."""
    try:
        text = typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        fail(f"{option} {path}: it is no text in UTF-8", UNUSABLE)
    except OSError as error:
        fail(f"{option} {path}: {error.strerror or error}; name a file with the new text", UNUSABLE)
    if len(text) > LONGEST_TEXT:
        fail(f"{option} {path}: has {len(text):,} characters, and at most {LONGEST_TEXT:,} fit", UNUSABLE)
    return text


def pairs(given: list[str], option: str) -> dict[str, str]:
    """Read NAME=VALUE options."""
    found: dict[str, str] = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator or not name.strip():
            fail(f"{option} {each!r} is no NAME=VALUE, such as priority=high", UNUSABLE)
        found[name.strip()] = value
    return found
