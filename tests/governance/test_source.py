from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from governance._source import (
    MAX_BYTES,
    MAX_DEPTH,
    Document,
    Place,
    PolicyFileError,
    Problem,
    load_document,
)
from governance.cel._conditions import ConditionError, Vocabulary


class Effect(StrEnum):
    DENY = "deny"
    ALLOW = "allow"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mail(Frozen):
    kind: Literal["email"]
    subject: str


class Call(Frozen):
    kind: Literal["phone"]
    number: str


class Rule(Frozen):
    id: str
    when: str = "true"
    effect: Effect = Effect.DENY
    limit: int = Field(1, ge=1)
    window: timedelta = timedelta(days=1)
    regions: frozenset[str] = frozenset()
    step: Annotated[Mail | Call, Field(discriminator="kind")] | None = None
    levels: dict[int, str] = {}
    share: float = 0.5

    @field_validator("id")
    @classmethod
    def _has_no_space(cls, value: str) -> str:
        if " " in value:
            message = "an id has no spaces."
            raise ValueError(message)
        return value


class File(Frozen):
    rules: tuple[Rule, ...]


def load(text: str) -> Document:
    return load_document("policies/rules.yaml", text.encode())


def refused(text: str | bytes) -> Problem:
    with pytest.raises(PolicyFileError) as caught:
        load_document("x.yaml", text.encode() if isinstance(text, str) else text)
    assert len(caught.value.problems) == 1, caught.value
    return caught.value.problems[0]


def complaints(text: str) -> tuple[Problem, ...]:
    with pytest.raises(PolicyFileError) as caught:
        load(text).validate(File)
    return caught.value.problems


def complaint(line: str) -> Problem:
    problems = complaints(f"rules:\n  - id: a\n    {line}\n")
    assert len(problems) == 1, problems
    return problems[0]


def at(problem: Problem) -> tuple[int, int]:
    return problem.place.line, problem.place.column


def test_values_keep_the_meaning_of_yaml_1_2() -> None:
    text = (
        "a: NO\non: yes\ntime: 12:30\nfull: 12:30:00\nday: 2026-01-31\noct: 010\nhex: 0x1F\nfloat: 2.50\n"
        "exp: 1e3\ntrue: True\nnil: ~\nnothing:\nquoted: '3'\nversion: 1.2.3\nunder: 1_000\nminus: -3\n"
        "list: [NO, off, 1]\n3: three\nnot: .nan\n"
    )
    assert load(text).data == {
        "a": "NO",
        "on": "yes",
        "time": "12:30",
        "full": "12:30:00",
        "day": "2026-01-31",
        "oct": 10,
        "hex": 31,
        "float": 2.5,
        "exp": 1000.0,
        "true": True,
        "nil": None,
        "nothing": None,
        "quoted": "3",
        "version": "1.2.3",
        "under": "1_000",
        "minus": -3,
        "list": ["NO", "off", 1],
        "3": "three",
        "not": ".nan",
    }


def test_a_file_becomes_a_frozen_model() -> None:
    text = (
        "rules:\n  - id: a\n    effect: allow\n    window: P3D\n    regions: [NO, DE]\n"
        "    levels: {3: high}\n    share: 1\n    step: {kind: phone, number: '030'}\n"
    )
    rule = load(text).validate(File).rules[0]
    assert rule.effect is Effect.ALLOW
    assert rule.window == timedelta(days=3)
    assert rule.regions == {"NO", "DE"}
    assert rule.levels == {3: "high"}
    assert rule.share == pytest.approx(1.0)
    assert rule.step == Call(kind="phone", number="030")


def test_a_byte_order_mark_and_windows_line_ends_change_no_place() -> None:
    document = load_document(PurePosixPath("a/b.yaml"), b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    assert document.data == {"a": 1, "b": "x"}
    assert document.place(("b",)) == Place("a/b.yaml", 2, 4)


# Files that are refused


@pytest.mark.parametrize(
    ("text", "code", "place", "message"),
    [
        ("", "empty", (1, 1), "the file is empty"),
        ("# a comment\n", "empty", (1, 1), "the file is empty"),
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", (3, 1), "`a` is given twice; the first one is on line 1"),
        ("a: {x: 1,\n  x: 2}", "duplicate-key", (2, 3), "the first one is on line 1"),
        ("a: &x 1\nb: *x\n", "anchor", (1, 4), "`&x` names a part to repeat elsewhere"),
        ("a: *x\n", "alias", (1, 4), "`*x` repeats another part"),
        ("a: &a [x]\nb: &b [*a, *a]\n", "anchor", (1, 4), "`&a`"),
        ("a: !!python/name:os.system x\n", "tag", (1, 4), "is not used in policy files"),
        ("a: !x 1\n", "tag", (1, 4), "is not used in policy files"),
        ("%YAML 1.1\n---\na: NO\n", "directive", (2, 1), "`%`"),
        ("a: 1\n---\nb: 1\n", "second-document", (2, 1), "holds one"),
        ("a:\n\t- b\n", "tab", (2, 1), "a tab cannot indent a line"),
        ("a: [1, 2", "syntax", (1, 9), "closing bracket is missing"),
        ("a: 'x", "syntax", (1, 6), "not closed"),
        ("a: b: c", "syntax", (1, 5), "put the text in quotes"),
        ("a:\n  b: 1\n c: 2\n", "syntax", (3, 2), "not indented like"),
        ("a: @x\n", "syntax", (1, 4), "must stand in quotes"),
        ('a: "\\q"', "syntax", (1, 6), "backslash"),
        ('a: "\\ud800"', "syntax", (1, 4), "half of a character"),
        ("a: \x01", "syntax", (1, 4), "control character"),
        ("? [a]\n: 1\n", "complex-key", (1, 3), "a plain word"),
        ("a: " + "9" * 5_000, "number", (1, 4), "too long"),
        ("a: 1e999", "number", (1, 4), "too large"),
        ("[" * 100_000, "too-deep", (1, MAX_DEPTH + 1), "levels inside each other"),
        (b"a: ok\r\nb: \xff\xfe", "not-utf-8", (2, 4), "byte 10 (0xFF) is not UTF-8"),
        ("a: ü\n".encode("latin-1"), "not-utf-8", (1, 4), "save the file as UTF-8"),
        (b"#" * (MAX_BYTES + 1), "too-large", (1, 1), "at most 1,048,576"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(
    text: str | bytes, code: str, place: tuple[int, int], message: str
) -> None:
    problem = refused(text)
    assert (problem.code, at(problem)) == (code, place)
    assert message in problem.message


def test_nesting_up_to_the_limit_is_read() -> None:
    assert load("[" * MAX_DEPTH + "]" * MAX_DEPTH).data == eval("[" * MAX_DEPTH + "]" * MAX_DEPTH)  # noqa: S307 -- brackets only


def test_every_duplicate_is_told() -> None:
    with pytest.raises(PolicyFileError) as caught:
        load("a: 1\nb:\n  c: 1\n  c: 2\na: 2\n")
    assert [at(problem) for problem in caught.value.problems] == [(4, 3), (5, 1)]


# Values that do not fit


@pytest.mark.parametrize(
    ("line", "place", "message", "suggestion"),
    [
        ("limit: 0", (3, 12), "`limit` must be at least 1; found 0", None),
        ("limit: '3'", (3, 12), '`limit` must be a whole number; found "3"', None),
        ("limit: true", (3, 12), "`limit` must be a whole number; found true", None),
        ("limit:", (3, 5), "`limit` must be a whole number; found nothing", None),
        ("limt: 3", (3, 5), "there is no key `limt` here", "limit"),
        ("effect: dney", (3, 13), '`effect` must be one of deny, allow; found "dney"', "deny"),
        (
            "window: soon",
            (3, 13),
            '`window` must be a length of time such as P30D or PT4H; found "soon"',
            None,
        ),
        ("regions: NO", (3, 14), '`regions` must be a list; found "NO"', None),
        ("levels: {high: x}", (3, 14), "`high`: must be a whole number", None),
        ("share: .nan", (3, 12), '`share` must be a number; found ".nan"', None),
        ("step: {kind: emial}", (3, 11), "`step` must have kind set to one of email, phone", "email"),
        ("step: {kind: phone}", (3, 11), "the key `number` is missing", None),
        ("step: {kind: phone, number: '1', numbr: 2}", (3, 38), "there is no key `numbr` here", None),
        ("step: {kind: email, subject: a, sbjct: 2}", (3, 37), "there is no key `sbjct` here", None),
        ("<<: {limit: 2}", (3, 5), "there is no key `<<` here", None),
    ],
)
def test_a_value_that_does_not_fit_is_told(
    line: str, place: tuple[int, int], message: str, suggestion: str | None
) -> None:
    problem = complaint(line)
    assert problem.message == message
    assert problem.suggestion == suggestion
    assert at(problem) == place


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    text = "rules:\n  - when: x\n    limit: 0\n  - id: a b\n    efect: deny\nversion: 1\n"
    assert [(at(problem), problem.message) for problem in complaints(text)] == [
        ((2, 5), "the key `id` is missing"),
        ((3, 12), "`limit` must be at least 1; found 0"),
        ((4, 9), "an id has no spaces"),
        ((5, 5), "there is no key `efect` here"),
        ((6, 1), "there is no key `version` here"),
    ]


def test_a_missing_key_inside_a_union_stands_at_its_mapping_and_a_wrong_one_names_the_right_one() -> None:
    text = "rules:\n  - id: a\n    step: {kind: email, subjct: Hi}\n"
    missing, unknown = complaints(text)
    assert (at(missing), missing.message) == ((3, 11), "the key `subject` is missing")
    assert (at(unknown), unknown.suggestion) == ((3, 25), "subject")


def test_a_file_of_the_wrong_shape() -> None:
    assert complaints("- a\n")[0].message == "this must be a group of keys and values"


# Rendering


def test_a_problem_is_drawn_with_its_line_and_carets() -> None:
    words = Vocabulary({"contact": Rule})
    text = "# Who may be asked\nrules:\n  - id: consent\n    when: contact.efect == Effect.DENY\n"
    document = load(text)
    rule = document.validate(File).rules[0]
    with pytest.raises(ConditionError) as caught:
        words.compile(rule.when)
    issue = caught.value.issues[0]
    problem = document.problem(
        ("rules", 0, "when"),
        issue.message,
        within=(issue.line, issue.column),
        length=issue.length,
        suggestion=issue.suggestion,
        code=issue.code,
    )
    assert problem.render(str(document.text)) == (
        "policies/rules.yaml:4:19: error: contact has no field `efect`; did you mean `effect`?\n"
        "  4 |     when: contact.efect == Effect.DENY\n"
        "    |                   ^^^^^"
    )


def test_carets_stay_below_their_character() -> None:
    tabbed = Problem(Place("x", 1, 4), "wrong", length=99).render("a:\tbc")
    assert tabbed.endswith("  1 | a:\tbc\n    |   \t^^")
    long = Problem(Place("x", 1, 501), "wrong", length=3).render("x" * 500 + "abc" + "y" * 500)
    _, shown, carets = long.split("\n")
    assert shown[carets.index("^") :].startswith("abc")
    assert len(shown) < 250
    assert Problem(Place("x", 9, 1), "wrong").render("a: 1") == "x:9:1: error: wrong"


def test_the_error_lists_its_problems() -> None:
    later, earlier = Problem(Place("x", 2, 1), "second"), Problem(Place("x", 1, 1), "first")
    error = PolicyFileError([later, earlier])
    assert error.problems == (earlier, later)
    assert str(error) == "x:1:1: error: first\nx:2:1: error: second"


# Places inside text


def spot(yaml: str, value: str, word: str, path: tuple[str | int, ...] = ("when",)) -> None:
    """The place of a word inside the value is the place of that word in the file."""
    document = load(yaml)
    held: object = document.data
    for step in path:
        held = held[step]  # type: ignore[index]
    assert held == value
    before = value[: value.index(word)]
    within = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    place = document.place(path, within)
    assert yaml.split("\n")[place.line - 1][place.column - 1 :].startswith(word)


@pytest.mark.parametrize(
    ("yaml", "value", "word"),
    [
        ("when: a.b == ccc", "a.b == ccc", "ccc"),
        ("when: 'it''s == ccc'", "it's == ccc", "ccc"),
        ('when: "x == \\"y\\" \\u00e9 \\t ccc"', 'x == "y" é \t ccc', "ccc"),
        ('when: "😀 == ccc"', "😀 == ccc", "ccc"),
        ("when: a &&\n  b &&\n  ccc", "a && b && ccc", "ccc"),
        ("when: 'a &&   \n\n  b &&\n  ccc'", "a &&\nb && ccc", "ccc"),
        ('when: "a && \\\n  ccc"', "a && ccc", "ccc"),
        ("when: |\n  a &&\n    bbb &&\n  ccc\n", "a &&\n  bbb &&\nccc\n", "ccc"),
        ("when: |\n  a &&\n    bbb &&\n  ccc\n", "a &&\n  bbb &&\nccc\n", "bbb"),
        ("when: |- # why\n\n    a\n\n    ccc\n\n", "\na\n\nccc", "ccc"),
        ("when: |2\n    a\n  ccc\n", "  a\nccc\n", "ccc"),
        ("when: >\n  a &&\n  b &&\n  ccc\n", "a && b && ccc\n", "ccc"),
        ("when: >-\n  a\n\n  b\n\n\n  ccc", "a\nb\n\nccc", "ccc"),
        ("when: >\n  a\n    b\n  ccc\n", "a\n  b\nccc\n", "ccc"),
    ],
)
def test_a_place_inside_a_text_is_exact_in_every_style(yaml: str, value: str, word: str) -> None:
    spot(yaml, value, word)


def test_a_place_inside_a_list_entry() -> None:
    spot("rules:\n  - when:\n    - a\n    - 'b == ccc'\n", "b == ccc", "ccc", ("rules", 0, "when", 1))


def test_a_place_that_does_not_exist_is_that_of_the_nearest_thing_that_does() -> None:
    document = load("a:\n  b: xyz\n")
    assert document.place(("a", "nope", 3)) == Place("policies/rules.yaml", 2, 3)
    assert document.place(()) == Place("policies/rules.yaml", 1, 1)
    assert document.place(("a", "b"), (7, 1)) == Place("policies/rules.yaml", 2, 6)
    assert document.place(("a",), (1, 1)) == Place("policies/rules.yaml", 2, 3)
    # One past the end is where something is missing.
    assert document.place(("a", "b"), (1, 4)) == Place("policies/rules.yaml", 2, 9)


WORD = st.text(st.sampled_from("abcxyz09.=&|()<>é😀"), min_size=1, max_size=8)
LINE = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
LINES = st.lists(st.one_of(LINE, st.just("")), min_size=1, max_size=5)


def styled(style: str, lines: list[str], indent: int) -> str:
    margin = " " * indent
    if style in {"|", ">"}:
        body = "".join(f"{margin if line else ''}{line}\n" for line in lines)
        return f"{style}\n{body}"
    joined = f"\n{margin}".join(lines)
    return f"{style}{joined.replace(style, style * 2) if style == chr(39) else joined}{style}\n"


@given(
    style=st.sampled_from(["|", ">", "'", '"']),
    lines=LINES,
    indent=st.integers(1, 6),
    pick=st.integers(0, 10_000),
)
def test_every_character_is_found_again(style: str, lines: list[str], indent: int, pick: int) -> None:
    lines = ["start", *lines, "end"]
    yaml = f"first: 1\nwhen: {styled(style, lines, indent)}last: 2\n"
    document = load(yaml)
    value: str = document.data["when"]
    index = pick % len(value.rstrip("\n"))
    before = value[:index]
    within = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    place = document.place(("when",), within)
    rows = yaml.split("\n")
    here = (rows[place.line - 1] + "\n")[place.column - 1]
    # A fold shows a line end as a space, and an empty line as a line end.
    assert here == value[index] or (value[index] in " \n" and here in " \n")
    # Characters that are no white space must stand exactly where they are, counted from the start.
    seen = (
        "".join(rows[1 : place.line - 1]) + rows[place.line - 1][: place.column - 1] if place.line > 1 else ""
    )
    marks = "".join(seen[len("when: ") :].split()).lstrip("|>'\"")
    if value[index] not in " \n":
        assert marks == "".join(before.split())
