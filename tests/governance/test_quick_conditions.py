"""Conditions answered by Python say exactly what CEL says, and what is shared is judged once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from governance._facts import LOSERS
from governance.cel._conditions import Bound, Condition, EvaluationError, Recall, Vocabulary
from tests.governance.worlds import DEFAULT, DEMO


class Role(StrEnum):
    CHAMPION = "champion"
    BUYER = "buyer"
    NONE = "none"


class Person(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str = "Ann"
    nick: str | None = None
    channel: Literal["email", "phone"] = "email"
    active: bool = True
    role: Role = Role.CHAMPION
    former_role: Role | None = None
    touches: int = 0
    severity: int | None = None
    score: float = 0.5
    ratio: float | None = None
    seen: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    last_touch: datetime | None = None
    tags: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    manager: Person | None = None


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = Vocabulary(
    {"person": Person, "sponsor": Person | None, "count": int, "cap": int | None, "now": datetime}
)

TEXTS = ("person.name", "person.nick", "sponsor.name", "person.manager.nick", '"Ann"', '"A"', '""', '"b"')
WHOLES = (
    *("person.touches", "person.severity", "sponsor.severity", "count", "cap", "0", "2", "-1"),
    *("size(person.tags)", "person.name.size()", "sponsor.tags.size()"),
)
DECIMALS = ("person.score", "person.ratio", "sponsor.ratio", "0.0", "0.5", "-2.5")
INSTANTS = ("person.seen", "person.last_touch", "sponsor.last_touch", "now")
CHOICES = ("person.role", "person.former_role", "sponsor.role", "Role.CHAMPION", "Role.NONE")
TESTS = ("startsWith", "endsWith", "contains")
TRUTHS = ("person.active", "sponsor.active", "true", "false")
ABSENT = (
    *("person.nick", "person.severity", "person.ratio", "person.last_touch", "person.former_role"),
    *("sponsor", "cap", "person.manager", "person.manager.nick", "sponsor.manager"),
)


def compared(values: tuple[str, ...], signs: str) -> st.SearchStrategy[str]:
    one = st.sampled_from(values)
    return st.builds("{} {} {}".format, one, st.sampled_from(signs.split()), one)


def summed() -> st.SearchStrategy[str]:
    number = st.sampled_from(DECIMALS)
    total = st.builds("({} {} {})".format, number, st.sampled_from("+-*/"), number)
    return st.builds("{} {} {}".format, total, st.sampled_from(("<", ">=", "==", "!=")), number)


ATOMS = st.one_of(
    compared(TEXTS, "== != < <= > >="),
    compared(WHOLES, "== != < <= > >="),
    compared(DECIMALS, "== != < <= > >="),
    compared(INSTANTS, "== != < <= > >="),
    compared(CHOICES, "== !="),
    compared(TRUTHS, "== !="),
    summed(),
    st.sampled_from(TRUTHS),
    st.builds("{} {} null".format, st.sampled_from(ABSENT), st.sampled_from(("==", "!="))),
    st.builds("{}.{}({})".format, st.sampled_from(TEXTS), st.sampled_from(TESTS), st.sampled_from(TEXTS)),
    st.builds('{} in ["Ann", "b"]'.format, st.sampled_from(TEXTS)),
    st.builds("{} in person.tags".format, st.sampled_from(TEXTS)),
    st.builds("{} in [2, 3]".format, st.sampled_from(WHOLES)),
    st.builds("{} in [Role.BUYER, Role.CHAMPION]".format, st.sampled_from(CHOICES)),
    st.builds("{} in sponsor.roles".format, st.sampled_from(CHOICES)),
    st.sampled_from(("has(person.nick)", "has(sponsor.score)", "has(person.manager.seen)")),
    st.sampled_from(('person.channel == "email"', 'sponsor.channel in ["phone"]')),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("(({}) ? ({}) : ({}))".format, inner, inner, inner),
    ),
    max_leaves=6,
)
TEXT_VALUES = st.sampled_from(("Ann", "An", "b", "", "ünï", "\U0001f600"))
PEOPLE = st.builds(
    Person,
    name=TEXT_VALUES,
    nick=st.none() | TEXT_VALUES,
    active=st.booleans(),
    role=st.sampled_from(Role),
    former_role=st.none() | st.sampled_from(Role),
    touches=st.integers(-1, 3) | st.just(2**62),
    severity=st.none() | st.integers(0, 3),
    score=st.sampled_from((0.0, -0.0, 0.5, -2.5, 1e308, float("inf"))),
    ratio=st.none() | st.sampled_from((0.0, 0.5, 1e308, float("-inf"))),
    last_touch=st.none() | st.just(NOW) | st.just(NOW - timedelta(microseconds=1)),
    tags=st.lists(TEXT_VALUES, max_size=2).map(tuple),
    roles=st.lists(st.sampled_from(Role), max_size=2).map(tuple),
    manager=st.none() | st.builds(Person, nick=st.none() | TEXT_VALUES),
)


def outcome(condition: Condition, bound: Bound, *, by_cel: bool = False) -> bool | str:
    try:
        return condition.asked(bound) if by_cel else condition.holds(bound)
    except EvaluationError as error:
        return str(error)


@settings(max_examples=1_500, deadline=None)
@given(CONDITIONS, PEOPLE, st.none() | PEOPLE, st.integers(-1, 3), st.none() | st.integers(0, 3))
@example("sponsor.active && false", Person(), None, 1, None)
@example("person.nick < 'b' || true", Person(), None, 1, None)
@example("person.score / 0.0 > 1.0", Person(), None, 1, None)
def test_python_says_what_cel_says(
    text: str, person: Person, sponsor: Person | None, count: int, cap: int | None
) -> None:
    values = {"person": person, "sponsor": sponsor, "count": count, "cap": cap, "now": NOW}
    condition = WORDS.compile(text)
    assert condition.quick is not None
    bound = WORDS.bind(values)
    assert bound.plain_for is WORDS

    assert outcome(condition, bound) == outcome(condition, WORDS.bind(values), by_cel=True)


@pytest.mark.parametrize(
    "text",
    [
        "person.tags.exists(tag, tag == 'a')",
        'person.name.matches("^A")',
        'now - person.seen > duration("1h")',
        "count + 1 > 2",
        "person.manager == sponsor",
        "now.getHours() == 12",
    ],
)
def test_whatever_python_might_judge_differently_is_left_to_cel(text: str) -> None:
    assert WORDS.compile(text).quick is None


@pytest.mark.parametrize(
    "person",
    [
        Person().model_copy(update={"role": "champion"}),
        Person().model_copy(update={"seen": NOW.astimezone(timezone(timedelta(hours=1)))}),
        Person().model_copy(update={"tags": ["a"]}),
    ],
    ids=("enum value instead of its member", "another zone", "a list that can change"),
)
def test_values_of_another_form_are_left_to_cel(person: Person) -> None:
    bound = WORDS.bind({"person": person, "count": 1, "now": NOW})

    assert bound.plain_for is None
    assert WORDS.compile("person.role == Role.CHAMPION").holds(bound) is True


def test_a_field_that_was_never_set_is_an_error_of_the_binding() -> None:
    incomplete = Person.model_construct(name="Ann")
    del incomplete.__dict__["score"]

    with pytest.raises(EvaluationError, match="`person` cannot be used"):
        WORDS.bind({"person": incomplete, "count": 1, "now": NOW})


def conditions_in(value: Any) -> Iterator[str]:  # noqa: ANN401 -- whatever a file holds
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "when":
            yield inner
        elif isinstance(inner, (dict, list)):
            yield from conditions_in(inner)


@pytest.mark.parametrize("folder", [DEFAULT, DEMO])
def test_every_shipped_condition_is_answered_by_python(folder: Any) -> None:  # noqa: ANN401 -- a path
    texts = [
        text
        for file in sorted(folder.glob("*.yaml"))
        for text in conditions_in(YAML(typ="safe").load(file.read_text()))
    ]
    assert len(texts) > 5
    assert [text for text in texts if LOSERS.compile(text).quick is None] == []


def test_what_contexts_share_is_asked_once() -> None:
    class Counted:
        """An expression that counts how often it is evaluated."""

        def __init__(self, inner: Any) -> None:  # noqa: ANN401 -- an expression of the library
            self.inner, self.times = inner, 0

        def eval(self, activation: object) -> object:
            self.times += 1
            return self.inner.eval(activation)

    condition = WORDS.compile('sponsor.name.matches("^A")')
    expression = condition._expression = Counted(condition._expression)  # type: ignore[assignment]  # noqa: SLF001 -- counted here
    recall, ann, bob = Recall(), Person(name="Ann"), Person(name="Bob")

    def answer(person: Person, sponsor: Person | None) -> bool | str:
        values = {"person": person, "sponsor": sponsor, "count": 1, "now": NOW}
        return outcome(condition, WORDS.bind(values, recall))

    assert [answer(ann, bob), answer(bob, bob), answer(bob, ann)] == [False, False, True]
    assert expression.times == 2
    absent = answer(ann, None)
    assert isinstance(absent, str)
    assert "absent" in absent
    assert answer(bob, None) == absent
    assert expression.times == 3
