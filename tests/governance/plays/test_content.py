"""Contents are templates that only show names and choose; an unknown name is an error before use."""

from __future__ import annotations

import pytest

from domain import Contact, Role
from governance import PolicyError, compile_policy_set
from governance.content import Content, ContentError, Speaking
from governance.content._templates import first_name
from tests.governance.plays.staging import files, mail, with_steps
from tests.governance.plays.test_checks import shown
from tests.governance.worlds import NORTHWIND, person

AMIRA = person("amira", name="Dr. Amira Haddad", role=Role.DECISION_MAKER, title="Head of Operations")


def content(text: str, name: str = "own") -> Content:
    play = with_steps(mail().replace("content: hello", f"content: {name}"))
    policies = compile_policy_set(files(play, **{name: f"id: {name}\n{text}"}))
    (touch,) = policies.plays["welcome"].touches()
    found = touch.options[0].content
    assert found is not None
    return found


def speaking(contact: Contact | None = AMIRA) -> Speaking:
    return Speaking(NORTHWIND, contact, "Welcome", "plays")


def test_every_name_can_be_shown() -> None:
    text = (
        "subject: '{{ account.id }} {{ account.name }} {{ account.domain }} {{ account.country }}'\n"
        "text: '{{ contact.id }}, {{ contact.name }}, {{ contact.first_name }}, {{ contact.title }}, "
        "{{ contact.role }}; {{ play.name }} by {{ sender }}; {{ account.tier }}; {{ unsubscribe_url }}'\n"
        "fields: {who: '{{ contact.id | upper }}'}\n"
    )

    filled = content(text).fill(speaking())

    assert filled.subject == "northwind Northwind northwind.example DE"
    assert filled.text == (
        "amira, Dr. Amira Haddad, Amira, Head of Operations, decision maker; Welcome by plays; tier_2; "
        "{{ unsubscribe_url }}"
    )
    assert filled.fields == {"who": "AMIRA"}
    assert filled.html is None


def test_html_is_escaped_and_text_is_not() -> None:
    text = (
        "subject: Hi\ntext: '{{ contact.title }}'\n"
        "html: '<p>{{ contact.title }}</p><a href=\"{{ unsubscribe_url }}\">x</a>'\n"
    )
    sharp = AMIRA.model_copy(update={"title": "<b>R&D</b>"})

    filled = content(text).fill(speaking(sharp))

    assert filled.text == "<b>R&D</b>"
    assert filled.html == '<p>&lt;b&gt;R&amp;D&lt;/b&gt;</p><a href="{{ unsubscribe_url }}">x</a>'


def test_what_a_person_is_called_is_no_template() -> None:
    sharp = AMIRA.model_copy(update={"title": "{{ account.owner }}"})

    assert (
        content("subject: Hi\ntext: '{{ contact.title }}'\n").fill(speaking(sharp)).text
        == "{{ account.owner }}"
    )


def test_what_is_not_known_can_be_asked_for_but_not_shown() -> None:
    bare = AMIRA.model_copy(update={"title": None})
    asked = (
        "subject: Hi\ntext: 'Hi{% if contact.title %} {{ contact.title }}{% endif %}, "
        '{{ account.owner | default("us") }}\'\n'
    )
    assert content(asked).fill(speaking(bare)).text == "Hi, us"

    with pytest.raises(ContentError, match=r"content own: contact\.title is not known"):
        content("subject: Hi\ntext: '{{ contact.title }}'\n").fill(speaking(bare))
    with pytest.raises(ContentError, match=r"contact\.title is not known"):
        content("subject: Hi\ntext: '{{ contact.title | upper }}'\n").fill(speaking(bare))
    with pytest.raises(ContentError, match=r"contact\.name is not known"):
        content("subject: Hi\ntext: '{{ contact.name }}'\n").fill(speaking(None))


def test_a_subject_is_one_line_and_nothing_grows_too_long() -> None:
    folded = content("subject: |\n  Hi\n  {{ contact.first_name }}\ntext: Hi\n").fill(speaking())
    assert folded.subject == "Hi Amira"

    long = AMIRA.model_copy(update={"name": "A" * 299})
    with pytest.raises(ContentError, match="subject is too long"):
        content("subject: 'Hello to {{ contact.name }}'\ntext: Hi\n").fill(speaking(long))


@pytest.mark.parametrize(
    ("name", "greeted"),
    [
        ("Amira Haddad", "Amira"),
        ("Dr. Amira Haddad", "Amira"),
        ("Prof. Dr. Amira Haddad", "Amira"),
        ("Haddad, Amira", "Amira"),
        ("Haddad, Dr. Amira", "Amira"),
        ("Amira", "Amira"),
        ("Haddad,", "Haddad"),
        ("Dr.", "Dr."),
    ],
)
def test_how_a_person_is_greeted(name: str, greeted: str) -> None:
    assert first_name(name) == greeted


@pytest.mark.parametrize(
    ("template", "marked", "words"),
    [
        (
            "Hi {{ contact.first_nam }}",
            "first_nam",
            "`contact` has no `first_nam`; did you mean `first_name`?",
        ),
        ("Hi {{ acount.name }}", "acount", "templates have no name `acount`; did you mean `account`?"),
        ("Hi {{ contact }}", "contact", "`contact` is no text; write one of its parts"),
        ("Hi {{ sender.name }}", "sender", "`sender` has no parts"),
        ("Hi {{ account.name.upper }}", ".upper", "only names have parts here"),
        ("{% if contact.titel %}x{% endif %}", "titel", "`contact` has no `titel`; did you mean `title`?"),
        ("Hi {{ contact.name | uper }}", "uper", "templates have no filter `uper`; did you mean `upper`?"),
        ("Hi {{ contact.name", "{{", "this is no template"),
        ("{% if contact.name %}x", "{%", "this is no template"),
        ("{% for x in contact.name %}x{% endfor %}", "{%", "a loop is not for them"),
        ("{{ range(9) }}", "{{", "a call is not for them"),
        ("{{ contact.name.upper() }}", "{{", "a call is not for them"),
        ("{{ contact['name'] }}", "{{", "brackets is not for them"),
        ("{% set x = 1 %}", "{%", "a variable of its own is not for them"),
        ("{% include 'x' %}", "{%", "an include is not for them"),
        ("{% import 'x' as y %}", "{%", "an import is not for them"),
        ("{% extends 'x' %}", "{%", "a base template is not for them"),
        ("{{ 'a' * 999999999 }}", "{{", "this is not for them"),
        ("{{ contact.name | pprint }}", "pprint", "templates have no filter `pprint`"),
        ("{{ contact.name is callable }}", "callable", "templates have no test `callable`"),
        ("Stop: {{ unsubscribe_url | upper }}", "unsubscribe_url", "is filled in later, so no filter can"),
        ("{{ (sender ~ unsubscribe_url) | urlencode }}", "unsubscribe_url", "is filled in later"),
    ],
)
def test_a_mistake_in_a_template_is_shown_with_its_place_and_a_caret(
    template: str, marked: str, words: str
) -> None:
    quoted = template.replace("'", "''")
    given = files(with_steps(mail()), own=f"id: own\ntext: '{quoted}'\n")

    with pytest.raises(PolicyError) as caught:
        compile_policy_set(given)

    (problem,) = caught.value.problems
    assert words in str(problem)
    assert problem.place.file == "content/own.yaml"
    assert shown(problem, given, str(caught.value)).startswith(marked)


def test_a_mistake_is_found_in_the_right_line_of_a_long_text() -> None:
    text = "id: own\ntext: |\n  Dear {{ contact.first_name }},\n\n  about {{ account.nam }}:\n  bye\n"

    with pytest.raises(PolicyError) as caught:
        compile_policy_set(files(with_steps(mail()), own=text))

    assert str(caught.value.problems[0].place) == "content/own.yaml:5:20"


def test_every_mistake_of_a_template_is_shown() -> None:
    text = "id: own\nsubject: '{{ a }} {{ b }}'\ntext: '{{ c }}'\nfields: {x: '{{ d }}'}\n"

    with pytest.raises(PolicyError) as caught:
        compile_policy_set(files(with_steps(mail()), own=text))

    assert len(caught.value.problems) == 4


def test_a_content_that_says_nothing_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"content/own\.yaml.*give it a subject"):
        compile_policy_set(files(with_steps(mail()), own="id: own\n"))


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 3_000 + "account.name" + ")" * 3_000 + " }}",
        "{{ account.name" + "|upper" * 2_500 + " }}",
        "{% if account.name %}" * 150 + "x" + "{% endif %}" * 150,
        "{{ " + "9" * 5_000 + " }}",
    ],
    ids=["parentheses", "filters", "choices", "number"],
)
def test_a_template_that_nobody_could_run_is_a_mistake_and_no_crash(template: str) -> None:
    with pytest.raises(PolicyError, match="nested too deeply"):
        compile_policy_set(files(with_steps(mail()), own=f"id: own\ntext: '{template}'\n"))
