"""A play with a mistake is refused with the whole set, and the mistake is shown where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from governance import PolicyError, Problem, compile_policy_set, load_policy_set
from tests.governance.plays.staging import HEAD, files, in_folder, mail, task, wait, with_steps

PLAY = """\
id: welcome
name: Welcome
actor: plays
priority: 50
lasts_at_most: 30d
goal: {on: [meeting_booked], message: Booked.}
entry:
  on: [form_submission]
  when: account.tier != Tier.THREE
reentry: {after: 60d, from: end, at_most: 3}
exit:
  - {id: replied, on: [reply], message: Somebody answered.}
  - {id: bought, when: assessment != null && assessment.stage == Stage.CUSTOMER, message: Bought.}
displaced_by:
  - {id: closing-first, intents: [closing], then: suspend, resume_after: 7d, message: Closing first.}
recall: [call]
steps:
  - id: letter
    touch:
      channel: email
      action: send_play_email
      to: [champion, decision_maker]
      content: hello
      value: 100
      propensity: 0.1
    if_suppressed: next_channel
    next_channels:
      - {channel: sdr_task, action: create_task, content: note}
  - id: pause
    wait: {for: 3d}
  - id: which
    branch:
      - {outcome: click, of: letter, go: call}
      - {when: days_since.web_visit != null, go: call}
      - {go: end}
  - id: call
    touch:
      channel: sdr_task
      action: create_task
      to: {same_as: letter}
      content: note
      value: 100
      propensity: 0.1
  - id: group
    parallel:
      - id: one
        touch: {channel: email, action: send, to: [champion], content: hello, value: 1, propensity: 0.1}
      - id: two
        touch: {channel: email, action: send, to: [influencer], content: hello, value: 1, propensity: 0.1}
    then: end
"""


def problems(play: str = PLAY, **contents: str) -> tuple[tuple[Problem, ...], str, dict[str, str]]:
    given = files(play, **contents)
    with pytest.raises(PolicyError) as caught:
        compile_policy_set(given)
    return caught.value.problems, str(caught.value), given


def shown(problem: Problem, given: dict[str, str], text: str) -> str:
    """The text at the caret, after it was seen to stand below its line."""
    lines = text.splitlines()
    index = next(n for n, line in enumerate(lines) if line.startswith(f"{problem.place}: error:"))
    source = given[problem.place.file].splitlines()[problem.place.line - 1]
    caret = lines[index + 2].index("^")
    assert lines[index + 1][caret:]
    assert source[problem.place.column - 1 :].startswith(lines[index + 1][caret:])  # a long line is cut
    return source[problem.place.column - 1 :]


def test_the_play_itself_has_no_mistake() -> None:
    play = compile_policy_set(files(PLAY)).plays["welcome"]

    assert list(play.steps) == ["letter", "pause", "which", "call", "group"]
    assert play.leads_to("which") == ("call", "end")


@pytest.mark.parametrize(
    ("old", "new", "marked", "words"),
    [
        # Names that do not exist.
        ("go: end}", "go: ende}", "ende", "there is no step 'ende'; did you mean `end`?"),
        ("of: letter", "of: leter", "leter", "there is no touch called 'leter'; did you mean `letter`?"),
        ("of: letter", "of: pause", "pause", "there is no touch called 'pause'"),
        ("recall: [call]", "recall: [cal]", "cal", "there is no touch called 'cal'; did you mean `call`?"),
        ("same_as: letter", "same_as: lettre", "lettre", "there is no touch called 'lettre'"),
        ("then: end\n", "then: ed\n", "ed", "there is no step 'ed'"),
        ("actor: plays", "actor: play", "play", "there is no actor 'play'; did you mean `plays`?"),
        ("channel: email\n", "channel: emial\n", "emial", "there is no channel 'emial'; did you mean `email`?"),  # noqa: E501 - a table
        ("content: hello\n", "content: helo\n", "helo", "there is no content 'helo'; did you mean `hello`?"),
        ("{channel: sdr_task, action", "{channel: sdr_tsk, action", "sdr_tsk", "did you mean `sdr_task`?"),
        ("intents: [closing]", "plays: [renewal]", "renewal", "there is no other play 'renewal'"),
        ("intents: [closing]", "plays: [welcome]", "welcome", "there is no other play 'welcome'"),
        ("intents: [closing]", "actors: [nobody]", "nobody", "there is no actor 'nobody'"),
        ("[champion, decision_maker]", "[champon]", "champon", "champion"),
        ("on: [form_submission]", "on: [form]", "form", "form_submission"),
        ("for: 3d", "for: 3", "3", "7d"),
        ("priority: 50", "priority: 101", "101", "at most 100"),
        ("lasts_at_most: 30d", "lasts_at_most: 91d", "91d", "at most 90d"),
        ("if_suppressed: next_channel", "if_suppressed: next", "next", "must be one of"),
        ("    wait:", "    wiat:", "wiat", "there is no key `wiat` here; did you mean `wait`?"),
        ("id: letter", "id: let.ter", "let.ter", "pattern"),
        # Conditions.
        ("account.tier != Tier", "acount.tier != Tier", "acount", "account"),
        ("days_since.web_visit", "days_since.web_vist", "web_vist", "web_visit"),
        ("Stage.CUSTOMER", "Stage.CUSTOMR", "CUSTOMR", "CUSTOMER"),
        ("account.tier != Tier.THREE", "proposal.value > 1.0", "proposal", "proposal"),
        # Ways.
        ("  - id: group", "  - id: pause", "pause", "this play has two steps 'pause'"),
        ("      - id: two", "      - id: call", "call", "this play has two steps 'call'"),
        ("{id: bought,", "{id: replied,", "replied", "this play has two exit criteria 'replied'"),
        ("{id: bought,", "{id: too_long,", "too_long", "ending of its own"),
        ("id: pause", "id: end", "end", "give the step another name"),
        ("    wait: {for: 3d}\n", "", "pause", "one of touch, wait, branch and parallel; this one has none"),
        ("    wait: {for: 3d}\n", "    wait: {for: 3d}\n    branch: [{go: end}]\n", "pause", "wait and branch"),  # noqa: E501 - a table
        ("wait: {for: 3d}", "wait: {for: 3d, business_days: 2}", "{for", "exactly one of"),
        ("wait: {for: 3d}", "wait: {signal: [reply]}", "{signal", "belong together"),
        ("wait: {for: 3d}", "wait: {for: 3d, at_most: 2d}", "{for", "belong together"),
        ("wait: {for: 3d}", "wait: {for: 3d}\n    if_suppressed: stop", "if_suppressed", "belongs to a touch"),  # noqa: E501 - a table
        ("      - {go: end}\n", "", "{when", "the last way of a branch has no condition"),
        ("      - {outcome: click, of: letter, go: call}\n", "      - {go: call}\n", "{go", "only the last way"),  # noqa: E501 - a table
        ("click, of: letter, go", "click, go", "{outcome", "belong together"),
        ("click, of: letter, go", "click, of: letter, when: 'true', go", "{outcome", "either"),
        ("[reply], message", "[reply], when: 'true', message", "replied", "either `on`"),
        ("on: [reply], ", "", "replied", "either `on`"),
        ("intents: [closing], then: suspend", "then: suspend", "closing-first", "say before whom"),
        ("then: suspend, resume", "then: cancel, resume", "resume_after", "does not go on"),
        ("if_suppressed: next_channel", "if_suppressed: skip", "next_channels", "only"),
        # People.
        ("      to: [champion, decision_maker]\n", "", "email", "needs a person"),
        ("to: {same_as: letter}", "to: {same_as: one}", "one", "one is not surely over before call begins"),
        ("of: letter, go", "of: one, go", "one", "one never comes before which"),
        ("to: [influencer]", "to: [champion]", "[champion]", "two and one would go to the same person"),
        ("email, action: send, to: [influencer], content: hello", "sdr_task, action: create_task, content: note", "two", "two addresses nobody"),  # noqa: E501 - a table
    ],
)  # fmt: skip
def test_a_mistake_is_shown_with_its_place_and_a_caret(old: str, new: str, marked: str, words: str) -> None:
    assert old in PLAY
    found, text, given = problems(PLAY.replace(old, new, 1))

    problem = found[0]
    assert problem.place.file == "plays/welcome.yaml"
    assert words in str(problem)
    assert shown(problem, given, text).startswith(marked)


@pytest.mark.parametrize(
    ("steps", "marked", "words"),
    [
        (task("a", "    then: end\n") + task("b"), "b", "no way leads to the step b"),
        (task("a", "    then: c\n") + wait("b") + task("c"), "b", "no way leads to the step b"),
        (task("a", "    then: a\n"), "a", "the play can come back to a without a wait for a time"),
        (wait("a") + task("b") + task("c", "    then: b\n"), "b", "can come back to b"),
        (
            task("a") + wait("b", "signal: [reply], at_most: 3d", "    then: a\n"),
            "a",
            "the play can come back to a",
        ),
        (
            task("a") + "  - id: b\n    branch:\n      - {when: run.moves > 3, go: end}\n      - {go: a}\n",
            "a",
            "the play can come back to a",
        ),
        (
            "  - id: b\n    branch:\n      - {when: run.moves > 3, go: m}\n      - {go: t}\n"
            + mail("m", more="    then: t\n")
            + task("t", touch=", to: {same_as: m}"),
            "m",
            "m is not surely over before t begins",
        ),
        (task("a", touch=", to: {same_as: a}"), "a", "a is not surely over before a begins"),
    ],
)
def test_ways_that_lead_nowhere_or_round_and_round(steps: str, marked: str, words: str) -> None:
    found, text, given = problems(with_steps(steps))

    assert words in str(found[0])
    assert shown(found[0], given, text).startswith(marked)


def test_a_loop_with_a_wait_is_fine() -> None:
    steps = task("a") + wait("b", more="    then: a\n")

    assert compile_policy_set(files(with_steps(steps))).plays["welcome"].leads_to("b") == ("a",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text: Hi.\nsubject: Hi\nchannels: [sdr_task]\n", "written for sdr_task, and not for email"),
        ("text: Hi.\n", "hello has no subject, which the channel email needs; add it in content/hello.yaml"),
        ("fields: {a: b}\n", "hello has no subject, text"),
        ("subject: Hi\ntext: Hi.\nhtml: <p>Hi.</p>\n", "the html of hello lacks {{ unsubscribe_url }}"),
    ],
)
def test_a_content_has_what_its_channel_needs(content: str, words: str) -> None:
    found, text, given = problems(with_steps(mail()), hello=f"id: hello\n{content}")

    assert words in str(found[0])
    assert found[0].place.file == "plays/welcome.yaml"
    assert shown(found[0], given, text).startswith("hello")


def test_a_content_that_speaks_to_a_person_needs_one() -> None:
    said = "id: note\nsubject: Call {{ contact.name }}\ntext: Now.\n"
    found, text, given = problems(with_steps(task()), note=said)

    assert "note speaks to a person, and the step addresses nobody" in str(found[0])
    assert shown(found[0], given, text).startswith("note")


def test_a_channel_that_needs_a_content_gets_one() -> None:
    found, text, given = problems(with_steps(task()).replace("content: note, ", ""))

    assert "the channel sdr_task needs a content with subject, text" in str(found[0])
    assert shown(found[0], given, text).startswith("sdr_task")


def test_a_file_is_called_like_what_is_in_it(tmp_path: Path) -> None:
    given = files(with_steps(mail()))
    given["plays/other.yaml"] = given.pop("plays/welcome.yaml")
    given["content/hi.yaml"] = given["content/hello.yaml"]

    with pytest.raises(PolicyError) as caught:
        load_policy_set(in_folder(tmp_path, given))

    assert [(str(each.place), each.code) for each in caught.value.problems] == [
        ("content/hi.yaml:1:5", "file-name"),
        ("plays/other.yaml:1:5", "file-name"),
    ]
    assert "call it welcome.yaml" in str(caught.value)


def test_what_does_not_belong_into_the_folders_is_shown_and_a_readme_does(tmp_path: Path) -> None:
    folder = in_folder(tmp_path, files(with_steps(mail())))
    (folder / "plays" / "README.md").write_text("notes")
    digest = load_policy_set(folder).digest
    assert digest == compile_policy_set(files(with_steps(mail()))).digest
    (folder / "plays" / "notes.txt").write_text("notes")
    (folder / "content" / "deeper").mkdir()
    (folder / "content" / "pipe.yaml").mkdir()

    with pytest.raises(PolicyError) as caught:
        load_policy_set(folder)

    assert {(each.place.file, each.code) for each in caught.value.problems} == {
        ("plays/notes.txt", "unknown-file"),
        ("content/deeper", "unknown-file"),
        ("content/pipe.yaml", "unreadable"),
    }


def test_a_set_without_plays_is_a_set(tmp_path: Path) -> None:
    given = {name: text for name, text in files().items() if "/" not in name}

    assert load_policy_set(in_folder(tmp_path, given)).plays == {}


def test_a_play_counts_in_the_digest_of_its_set() -> None:
    one, other = (compile_policy_set(files(with_steps(wait(what=what)))) for what in ("for: 3d", "for: 4d"))

    assert one.digest != other.digest


def test_mistakes_of_a_play_and_of_another_file_come_at_once() -> None:
    given = files(with_steps(mail(), HEAD.replace("50", "500")))
    given["channels.yaml"] = given["channels.yaml"].replace("needs: email", "needs: luck", 1)

    with pytest.raises(PolicyError) as caught:
        compile_policy_set(given)

    assert [each.place.file for each in caught.value.problems] == ["channels.yaml", "plays/welcome.yaml"]
