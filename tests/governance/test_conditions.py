from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field

from governance.cel._conditions import (
    MAX_LENGTH,
    Bound,
    ConditionError,
    EvaluationError,
    Issue,
    Vocabulary,
    VocabularyError,
)


class Role(StrEnum):
    CHAMPION = "champion"
    DECISION_MAKER = "decision maker"
    NONE = "none"


class Consent(StrEnum):
    GRANTED = "granted"
    NONE = "none"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Owner(Frozen):
    name: str
    limit: int = 5
    manager: Owner | None = None
    since: datetime | None = None


class Contact(Frozen):
    name: str = "Ann"
    role: Role = Role.CHAMPION
    former_role: Role | None = None
    consent: Consent = Consent.GRANTED
    roles: frozenset[Role] = frozenset()
    channel: Literal["email", "phone"] = "email"
    owner: Owner | None = None
    owners: tuple[Owner, ...] = ()
    last_touch: datetime | None = None
    pause: timedelta | None = None
    touches: int = 0
    severity: int | None = None
    score: float = 0.5
    budget: Decimal = Decimal("9.5")
    opted_out: bool | None = None
    tags: tuple[str, ...] = ()
    by_role: dict[Role, int] = {}
    by_word: dict[str, float] = {}
    payload: dict[str, Any] = {}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def shout(self) -> str:
        return self.name.upper()


Given: TypeAlias = Any
"""A value for a field or variable."""

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = Vocabulary(
    {"contact": Contact, "sponsor": Contact | None, "count": int, "cap": int | None, "now": datetime}
)


def bound(sponsor: Contact | None = None, cap: int | None = None, **fields: Given) -> Bound:
    return WORDS.bind({"contact": Contact(**fields), "sponsor": sponsor, "count": 3, "cap": cap, "now": NOW})


def holds(text: str, **fields: Given) -> bool:
    return WORDS.compile(text).holds(bound(**fields))


def issues(text: str) -> tuple[Issue, ...]:
    with pytest.raises(ConditionError) as caught:
        WORDS.compile(text)
    return caught.value.issues


def only(text: str) -> Issue:
    found = issues(text)
    assert len(found) == 1, found
    return found[0]


def marked(text: str, issue: Issue) -> str:
    return text.split("\n")[issue.line - 1][issue.column - 1 :][: issue.length]


@pytest.mark.parametrize(
    "text",
    [
        'contact.name == "Ann"',
        "contact.role == Role.CHAMPION",
        "contact.role in [Role.NONE, Role.CHAMPION]",
        "Role.NONE in contact.roles",
        "contact.roles.exists(r, r == Role.NONE)",
        "contact.by_role[Role.CHAMPION] == 3",
        "Role.CHAMPION in contact.by_role",
        'contact.by_word["a"] == 1.5 && contact.by_word.a == 1.5',
        'contact.channel == "email"',
        "contact.score < 1.0 && contact.touches == 0",
        "contact.budget == 9.5",
        'contact.shout == "ANN"',
        'now.getHours("Europe/Berlin") == 13',
        'now - duration("24h") < now',
        "count in [1, 2, 3]",
        'contact.owners[0].name == "Olga"',
        'contact.owners.filter(o, o.limit > 4)[0].name == "Olga"',
        '{"a": count}["a"] == 3',
        "-count < 0 && count % 2 == 1",
        "true // a note",
    ],
)
def test_what_people_write_works(text: str) -> None:
    assert holds(
        text,
        roles=frozenset({Role.NONE}),
        by_role={Role.CHAMPION: 3},
        by_word={"a": 1.5},
        owners=(Owner(name="Olga"),),
    )


# An absent value is null, and null where a value is needed is no answer.


@pytest.mark.parametrize(
    "text",
    [
        "contact.severity <= 2",
        "contact.last_touch < now",
        "now - contact.last_touch > duration('24h')",
        "contact.pause < duration('1h')",
        'contact.owner.name == ""',
        "contact.owner.limit <= 2",
        'contact.owner.manager.name == ""',
        "contact.owners[0].since < now",
        "contact.owners.exists(o, o.manager.limit == 0)",
        'sponsor.name == ""',
        "sponsor.owner == null",
        "cap < 3",
        "contact.opted_out",
        "contact.severity > 2 && true",
        "has(sponsor.name)",
        '[contact.owner][0].name == ""',
        '(count > 2 ? contact.owner : contact.owners[0]).name == ""',
    ],
)
def test_using_an_absent_value_is_no_answer(text: str) -> None:
    condition = WORDS.compile(text)
    with pytest.raises(EvaluationError, match="absent"):
        condition.holds(bound(owners=(Owner(name="Olga"),)))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("contact.severity == null", True),
        ("contact.owner == null", True),
        ("contact.last_touch == null", True),
        ("contact.former_role == null", True),
        ("sponsor == null", True),
        ("cap == null", True),
        ("has(contact.owner)", False),
        ("has(contact.last_touch)", False),
        ("!has(contact.owner)", True),
        ("contact.owner != null && contact.owner.limit > 2", False),
        ("sponsor == null || sponsor.touches > 2", True),
        ("contact.former_role == Role.NONE", False),
        ("contact.severity != 2", True),
        # Presence of plain fields is not confused with being zero or empty.
        ("has(contact.touches)", True),
        # CEL lets the other side decide where it can.
        ("contact.severity > 2 || true", True),
        ("contact.severity > 2 && false", False),
        # A macro's own name hides a variable that may be absent.
        ("contact.owners.all(sponsor, sponsor.limit == 5)", True),
    ],
)
def test_absence_can_be_asked_for(text: str, *, answer: bool) -> None:
    assert holds(text, owners=(Owner(name="Olga"),)) is answer


def test_what_is_given_is_read_through_the_same_conditions() -> None:
    manager = Owner(name="Max", limit=9, since=NOW - timedelta(days=2))
    fields: dict[str, Any] = {
        "owner": Owner(name="Olga", manager=manager),
        "severity": 1,
        "last_touch": NOW - timedelta(hours=2),
        "pause": timedelta(minutes=5),
        "former_role": Role.NONE,
        "sponsor": Contact(name="Sue"),
        "cap": 7,
    }
    assert holds('contact.owner.manager.name == "Max" && contact.owner.manager.since < now', **fields)
    assert holds("contact.severity <= 2 && contact.last_touch < now", **fields)
    assert holds('contact.pause == duration("5m") && contact.former_role == Role.NONE', **fields)
    assert holds('sponsor.name == "Sue" && cap == 7', **fields)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("count / (count - 3) == 1", "divides by zero"),
        ('contact.by_word["zzz"] < 1.0', "no such key"),
        ('now.getHours("Europe/Berln") == 3', "time zone"),
        ('contact.name.matches("(")', "pattern"),
        ("contact.tags[9] == 'a'", "index"),
    ],
)
def test_a_failing_evaluation_is_never_true(text: str, reason: str) -> None:
    condition = WORDS.compile(text)
    with pytest.raises(EvaluationError, match=reason):
        condition.holds(bound())


def test_work_is_bounded() -> None:
    roles = [Owner(name=str(number)) for number in range(300)]
    everything = bound(owners=tuple(roles))
    nested = "contact.owners.all(a, contact.owners.all(b, contact.owners.all(c, a == b || true)))"
    with pytest.raises(EvaluationError, match="too many steps"):
        WORDS.compile(nested).holds(everything)


def test_a_pattern_that_would_hang_a_backtracking_engine_is_fast() -> None:
    condition = WORDS.compile('contact.name.matches("^(a+)+$")')
    values = bound(name="a" * 5_000 + "!")
    start = time.perf_counter()
    assert condition.holds(values) is False
    assert time.perf_counter() - start < 1


# What is wrong is told at load time, all at once, in the words of the policy.


@pytest.mark.parametrize(
    ("text", "mark", "message", "suggestion"),
    [
        ("contact.consnt == Consent.GRANTED", "consnt", "contact has no field `consnt`", "consent"),
        ("contct.name == 'a'", "contct", "there is no `contct` here", "contact"),
        ("contact.role == Role.CHAMPIN", "CHAMPIN", "Role has no value `CHAMPIN`", "CHAMPION"),
        ("contact.role == Role.champion", "champion", "Role has no value `champion`", "CHAMPION"),
        (
            'contact.role == "decision maker"',
            '"decision maker"',
            "contact.role is a Role; compare it with Role.NAME, not with text",
            "Role.DECISION_MAKER",
        ),
        (
            'contact.role in [Role.NONE, "champion"]',
            '"champion"',
            '"champion" is text, unlike Role.NONE, which is a Role',
            "Role.CHAMPION",
        ),
        ("contact.role == 1", "1", "compare it with Role.NAME, not with a whole number", None),
        ("contact.role == Consent.NONE", "Consent.NONE", "they are never equal", None),
        ("contact.roles.exists(r, r == Consent.NONE)", "Consent.NONE", "they are never equal", None),
        ("Consent.NONE in contact.roles", "Consent.NONE", "they are never equal", None),
        ("contact.by_role[Consent.NONE] == 1", "Consent.NONE", "they are never equal", None),
        ("contact.former_role == Consent.NONE", "Consent.NONE", "they are never equal", None),
        ("contact.role > Role.NONE", ">", "Role values have no order", None),
        ("int(contact.role) == 1", "contact.role", "it can only be compared", None),
        ("contact.role == null", "null", "contact.role always has a value", None),
        ('contact.channel == "emial"', '"emial"', "it is one of email, phone", '"email"'),
        ('contact.channel in ["email", "sms"]', '"sms"', 'contact.channel is never "sms"', None),
        ("contact.score > 1000", "1000", "decimal number and 1000 is a whole number", "1000.0"),
        ("contact.name < 3", "3", "`<` cannot take them together", None),
        ("contact.payload == 1", "payload", "cannot be used in a condition", None),
        ('contact.name.startsWth("x")', "startsWth", "there is no `startsWth()`", "startsWith"),
        ('contact.tags.contains("x")', "contains", "cannot be used with these values", None),
        ("count > 2 && contact.name", "contact.name", "contact.name is text; `&&` needs true or false", None),
        ("dyn(contact).foo == 1", "dyn", "not allowed", None),
        ("[contact, count][0].owner == null", "count", "count is a whole number, unlike contact", None),
        ("has(contact.ownr)", "ownr", "contact has no field `ownr`", "owner"),
        ("count = 3", "=", "not a sign that conditions know", "=="),
        ("count == 3 and true", "and", "not a sign that conditions know", "&&"),
        ("not (count == 3)", "not", "not a sign that conditions know", "!"),
        ('contact.name == "Ann', '"Ann', "not closed by a quote", None),
        ("(count == 3", "", "the condition ends too early: `)` is missing", None),
        ("", "", "the condition is empty", None),
        ("contact.name", "contact.name", "not something that is true or false", None),
        ("99999999999999999999 == count", "99999999999999999999", "too large", None),
        ("'\U0001f600é' == contact.nme", "nme", "contact has no field `nme`", "name"),
        ("(" * 40 + "true" + ")" * 40, "(" * 80, "nested too deeply", None),
        ("contact.owner" + ".manager" * 400 + " == null", "contact.owner", "nested too deeply", None),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, mark: str, message: str, suggestion: str | None) -> None:
    issue = only(text)
    assert message in issue.message
    assert marked(text, issue).startswith(mark[: issue.length])
    assert issue.suggestion == suggestion


def test_all_mistakes_come_at_once_with_line_and_column() -> None:
    text = (
        "contact.consnt == Consent.GRANTED &&\n  contct.x == 2 ||\n  contact.name < 3 && Role.X == Role.NONE"
    )
    assert [(i.line, i.column, i.length, i.code) for i in issues(text)] == [
        (1, 9, 6, "unknown-field"),
        (2, 3, 6, "unknown-name"),
        (3, 18, 1, "wrong-type"),
        (3, 28, 1, "unknown-value"),
    ]


def test_the_error_reads_as_a_sentence() -> None:
    with pytest.raises(ConditionError) as caught:
        WORDS.compile("contact.consnt == Consent.GRANTED")
    assert str(caught.value) == "1:9: contact has no field `consnt`; did you mean `consent`?"
    assert caught.value.text == "contact.consnt == Consent.GRANTED"


def test_the_length_is_bounded() -> None:
    fits = "true" + " " * (MAX_LENGTH - 4)
    assert WORDS.compile(fits).holds(bound()) is True
    issue = only(fits + " ")
    assert issue.code == "too-long"
    assert f"{MAX_LENGTH + 1}" in issue.message


def test_a_condition_knows_what_it_reads() -> None:
    text = 'contact.owner.name == "a" && count > 2 && contact.owners.exists(o, o.limit > count)'
    assert WORDS.compile(text).reads == ("contact.owner.name", "contact.owners", "count")


def test_numbers_can_be_computed() -> None:
    assert WORDS.compile_number("contact.score * 2.0").value(bound()) == pytest.approx(1.0)
    assert WORDS.compile_number("count").value(bound()) == pytest.approx(3.0)
    with pytest.raises(EvaluationError):
        WORDS.compile_number("cap").value(bound())
    with pytest.raises(EvaluationError):
        WORDS.compile_number("0.0 / 0.0").value(bound())
    with pytest.raises(ConditionError, match="not a number"):
        WORDS.compile_number("contact.name")


# Binding


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"count": 3, "now": NOW}, "`contact` has no value"),
        ({"contact": Contact(), "count": None, "now": NOW}, "`count` has no value"),
        ({"contact": Contact(), "count": 3, "now": NOW, "extra": 1}, "no variable `extra`"),
        ({"contact": Owner(name="x"), "count": 3, "now": NOW}, "expected a Contact, got Owner"),
        ({"contact": Contact(last_touch=datetime(2026, 1, 1)), "count": 3, "now": NOW}, "no time zone"),  # noqa: DTZ001 -- the mistake under test
        ({"contact": Contact(score=float("nan")), "count": 3, "now": NOW}, "NaN"),
        ({"contact": Contact(touches=2**63), "count": 3, "now": NOW}, "`contact` cannot be used"),
        (
            {"contact": Contact().model_copy(update={"name": None}), "count": 3, "now": NOW},
            "Contact.name has no value",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        WORDS.bind(values)


def test_values_of_another_vocabulary_are_refused() -> None:
    other = Vocabulary({"contact": Contact})
    with pytest.raises(EvaluationError, match="another vocabulary"):
        WORDS.compile("count == 3").holds(other.bind({"contact": Contact()}))


def test_vocabularies_with_the_same_names_live_side_by_side() -> None:
    def other_contact() -> type[BaseModel]:
        class Contact(BaseModel):
            age: int = 40

        return Contact

    second = other_contact()
    words = Vocabulary({"contact": second})
    again = Vocabulary({"contact": Contact})
    assert words.compile("contact.age == 40").holds(words.bind({"contact": second()}))
    assert again.compile("contact.touches == 0").holds(again.bind({"contact": Contact()}))
    assert holds("contact.touches == 0")


def test_two_models_of_one_name_share_a_vocabulary() -> None:
    def other_owner() -> type[BaseModel]:
        class Owner(BaseModel):
            age: int = 40

        return Owner

    second = other_owner()
    words = Vocabulary({"first": Owner, "second": second})
    values = words.bind({"first": Owner(name="a"), "second": second()})
    assert words.compile('first.name == "a" && second.age == 40').holds(values)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"two words": int}, "cannot name a variable"),
        ({"in": int}, "cannot name a variable"),
        ({"x": complex}, "complex"),
        ({"x": int | str}, "several types"),
        ({"x": list[list[int]]}, "cannot hold lists"),
        ({"x": list[int] | None}, "empty one"),
        ({"Role": int, "role": Role}, "variable and an enum"),
    ],
)
def test_types_without_counterpart_are_refused(variables: dict[str, Any], reason: str) -> None:
    with pytest.raises(VocabularyError, match=reason):
        Vocabulary(variables)


def test_two_enums_of_one_name_are_refused() -> None:
    def other_role() -> type[StrEnum]:
        class Role(StrEnum):
            ELSE = "else"

        return Role

    with pytest.raises(VocabularyError, match="two different enums"):
        Vocabulary({"a": Role, "b": other_role()})


def test_annotated_types_aliases_and_plain_variables() -> None:
    words = Vocabulary(
        {"n": Annotated[int, Field(ge=0)], "role": Role | None, "tags": list[str], "table": dict[str, int]}
    )
    values = words.bind({"n": 2, "role": Role.NONE, "tags": ["a"], "table": {"a": 1}})
    assert words.compile('n == 2 && role == Role.NONE && "a" in tags && table.a == 1').holds(values)


def test_the_same_instant_in_another_zone_is_the_same() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    assert holds("contact.last_touch == now", last_touch=there)


def test_sets_have_one_order_in_every_process() -> None:
    code = (
        "from governance.cel._conditions import Vocabulary\n"
        "words = Vocabulary({'tags': frozenset[str]})\n"
        "values = words.bind({'tags': frozenset({'one', 'two', 'three', 'four'})})\n"
        "print([words.compile(f'tags[{n}] == {w!r}').holds(values)"
        " for n, w in enumerate(['four', 'one', 'three', 'two'])])"
    )
    for seed in ("1", "2", "3"):
        run = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert run.stdout.strip() == "[True, True, True, True]"


def test_one_vocabulary_serves_many_threads() -> None:
    values = bound(touches=4)

    def work(number: int) -> bool:
        condition = WORDS.compile(f"contact.touches == {number % 8} && contact.owner == null")
        return condition.holds(values)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(800)))
    assert answers == [number % 8 == 4 for number in range(800)]
