"""Templates are checked and not believed, claims are listed, and what is new is read by a person first."""

from __future__ import annotations

from functools import cache

import pytest

from domain import Content, PlayRef, Proposal, ReasonCode, RulingRequest, Standing, Use, UseKind, Verdict
from governance import PolicyError, PolicySet, compile_policy_set, uses, windowed
from tests.governance.worlds import CONTACTS, candidate, email, only, policies, request, rule_ids

HELLO = """\
id: hello
channels: [email]
subject: Hello {{ contact.first_name }}
text: |
  Dear {{ contact.first_name }},
  what would help {{ account.name }} most?
html: <p>Dear {{ contact.first_name }}, what would help {{ account.name }} most?</p>
fields:
  topic: help
"""
SAID = Content(
    subject="Hello Champion",
    text="Dear Champion,\nwhat would help Northwind most?",
    fields={"topic": "help"},
)
SOC2 = "soc2-certified"


@cache
def built(*changes: tuple[str, str, str], hello: str = HELLO) -> PolicySet:
    """The shipped policies with a text of their own, and with changes: file, old and new."""
    files = {**policies().files, "content/hello.yaml": hello}
    for file, old, new in changes:
        assert old in files[file], old
        files[file] = files[file].replace(old, new, 1)
    return compile_policy_set(files)


ABOUT_TEXTS = (
    "approvals.yaml",
    "first_use:\n",
    "first_use:\n  - {id: new-text, of: templates, message: A new text is read first.}\n",
)


def hello(**changes: object) -> Proposal:
    return email(**{"template": "hello", "content": SAID, **changes})


def known(policy_set: PolicySet, asked: RulingRequest) -> Standing:
    """Everything has gone out before."""
    return Standing(used=tuple(use.key for use in uses(policy_set, asked)))


def test_what_a_template_gives_carries_its_version() -> None:
    decision = only(built(), hello())

    assert decision.verdict is Verdict.ALLOW
    version = built().contents["hello"].version
    assert decision.uses == (Use(kind=UseKind.TEMPLATE, name="hello", version=version),)
    assert decision.template_version == version


def test_html_may_be_said_or_left_to_the_channel() -> None:
    html = "<p>Dear Champion, what would help Northwind most?</p>"

    assert only(built(), hello(content=SAID.model_copy(update={"html": html}))).template is not None
    other = only(built(), hello(content=SAID.model_copy(update={"html": html + "<p>Buy now</p>"})))
    assert (other.verdict, other.reason) == (Verdict.DENY, ReasonCode.NOT_THE_TEMPLATE)


@pytest.mark.parametrize(
    ("changes", "part", "line"),
    [
        ({"subject": "Hello dear Champion"}, "the subject differs", 3),
        ({"text": SAID.text + "\nBuy now."}, "the text differs", 4),
        ({"text": ""}, "the text differs", 4),
        ({"fields": {"topic": "help", "headline": "Buy now"}}, "the fields differ", 9),
        ({"fields": {}}, "the fields differ", 9),
    ],
)
def test_other_words_under_the_name_of_a_template_are_denied_with_its_place(
    changes: dict[str, object], part: str, line: int
) -> None:
    decision = only(built(), hello(content=SAID.model_copy(update=changes)))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.NOT_THE_TEMPLATE)
    hit = decision.hits[0]
    assert (hit.rule_id, hit.file, hit.line) == ("engine.not_the_template", "content/hello.yaml", line)
    assert hit.message == f"It does not say what the template hello gives today: {part}."
    assert decision.template_version is None


def test_line_ends_and_blanks_around_it_are_no_other_words() -> None:
    text = SAID.text.replace("\n", "\r\n") + "\n"

    assert only(built(), hello(content=SAID.model_copy(update={"text": text}))).template is not None


def test_a_template_that_nobody_wrote_is_denied() -> None:
    decision = only(built(), hello(template="helo"))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.NOT_THE_TEMPLATE)
    assert decision.hits[0].message == "There is no template helo under content/."


def test_a_template_for_another_channel_is_denied() -> None:
    decision = only(built(), hello(channel="webhook", contact_id="champion"))

    assert decision.reason is ReasonCode.NOT_THE_TEMPLATE
    assert "not written for the channel webhook" in decision.hits[0].message


def test_a_person_who_has_another_name_by_now_is_not_greeted_with_the_old_one() -> None:
    renamed = {**CONTACTS, "champion": CONTACTS["champion"].model_copy(update={"name": "Ada Newman"})}

    decision = only(built(), hello(), contacts=renamed)

    assert decision.reason is ReasonCode.NOT_THE_TEMPLATE


@pytest.mark.parametrize(
    "changes",
    [
        {"edited_by": ("dana.reyes",)},
        {"play": PlayRef(run_id="r1", play_id="surge-response", step="first-mail")},
    ],
)
def test_what_a_person_edited_or_an_older_play_says_goes_on_as_words_of_its_own(
    changes: dict[str, object],
) -> None:
    said = SAID.model_copy(update={"text": "Another text."})
    wanted = hello(content=said, **changes)

    assert only(built(), wanted).template is None
    assert ReasonCode.NOT_THE_TEMPLATE not in {hit.reason for hit in only(built(), wanted).hits}
    asked = only(built(ABOUT_TEXTS), wanted, standing=Standing(used=(f"template/hello@{'a' * 64}",)))
    assert "new-text" in rule_ids(asked), "nothing that was approved for the template counts for it"


def test_other_words_in_the_file_are_another_version_and_other_comments_are_not() -> None:
    version = built().contents["hello"].version

    assert built(hello=f"# Be kind.\n{HELLO}").contents["hello"].version == version
    assert built(hello=HELLO.replace("most?", "now?")).contents["hello"].version != version


def test_a_record_without_the_words_is_judged_as_when_they_were_known() -> None:
    before = only(built(), hello())
    bare = candidate(hello(content=Content()), made_from=before.template)

    assert only(built(), bare).uses == before.uses
    never_was = only(built(), candidate(hello(content=Content())))
    assert never_was.reason is ReasonCode.NOT_THE_TEMPLATE


def test_a_new_text_is_read_by_a_person_until_it_has_gone_out_once() -> None:
    policy_set = built(ABOUT_TEXTS)
    asked = request(hello())

    new = only(policy_set, hello())
    old = only(policy_set, hello(), standing=known(policy_set, asked))

    assert (new.verdict, new.reason) == (Verdict.REQUIRE_APPROVAL, ReasonCode.FIRST_USE)
    assert new.hits[0].message == "A new text is read first. New: hello."
    assert old.verdict is Verdict.ALLOW
    reworded = built(ABOUT_TEXTS, hello=HELLO.replace("topic: help", "topic: helps"))
    said = hello(content=SAID.model_copy(update={"fields": {"topic": "helps"}}))
    again = only(reworded, said, standing=known(policy_set, asked))
    assert again.reason is ReasonCode.FIRST_USE, "changed words are new"


def test_a_claim_is_read_by_a_person_until_it_has_been_made_once() -> None:
    claim = email(claims=(SOC2,))

    new = only(built(), claim)
    old = only(built(), claim, standing=known(built(), request(claim)))

    assert (new.verdict, new.reason, new.hits[0].rule_id) == (
        Verdict.REQUIRE_APPROVAL,
        ReasonCode.FIRST_USE,
        "first-use-of-a-claim",
    )
    assert old.verdict is Verdict.ALLOW
    assert [use.name for use in old.uses] == [SOC2]


def test_another_wording_of_a_claim_is_another_claim() -> None:
    claim = email(claims=(SOC2,))
    reworded = built(("approvals.yaml", "without exceptions.", "with two exceptions."))

    decision = only(reworded, claim, standing=known(built(), request(claim)))

    assert decision.reason is ReasonCode.FIRST_USE


def test_a_claim_that_nobody_has_listed_is_denied() -> None:
    decision = only(built(), email(claims=("soc2-certfied",)))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.UNKNOWN_CLAIM)
    assert decision.hits[0].message == (
        "It claims 'soc2-certfied', which approvals.yaml does not list; did it mean 'soc2-certified'?"
    )


def test_a_rule_on_first_uses_can_be_tried_out() -> None:
    tried = built(("approvals.yaml", "    of: claims\n", "    of: claims\n    mode: log_only\n"))

    decision = only(tried, email(claims=(SOC2,)))

    assert decision.verdict is Verdict.ALLOW
    assert "first-use-of-a-claim" in rule_ids(decision)


def test_without_the_keys_nothing_is_asked_and_no_claim_is_known() -> None:
    text = policies().files["approvals.yaml"]
    start, end = text.index("first_use:\n"), text.index("segments:\n")
    bare = built(("approvals.yaml", text[start:end], ""))

    assert only(bare, hello()).verdict is Verdict.ALLOW
    assert only(bare, email(claims=(SOC2,))).reason is ReasonCode.UNKNOWN_CLAIM


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("owner: mara.lindqvist", "owner: mara", "there is no person 'mara'"),
        ("id: live-in-six-weeks", "id: soc2-certified", "already used"),
        ("of: claims", "of: claim", "templates"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem) as error:
        built(("approvals.yaml", old, new))

    assert error.value.problems[0].place.file == "approvals.yaml"


def test_the_ledger_is_asked_for_what_is_named_and_nothing_else() -> None:
    asked = request(hello(claims=(SOC2, "nobody-knows")), email(proposal_id="plain"))

    assert [use.name for use in uses(built(), asked)] == [SOC2, "hello"]
    assert windowed(asked) == (("sdr-agent", "send_email", "email", "hello"),)
    assert uses(built(), request(email())) == ()
