"""The tools of policy owners know plays: changes are told in sentences, and what is rarely meant is shown."""

from __future__ import annotations

import re
from datetime import date

import pytest

from governance import ChangeKind, compile_policy_set, diff, lint
from tests.governance.plays.staging import HEAD, files, mail, task, wait, with_steps
from tests.governance.plays.test_checks import PLAY
from tests.governance.worlds import ROOT

TODAY = date(2026, 11, 25)


def changes(old: str, new: str) -> list[str]:
    assert old in PLAY
    earlier, later = (compile_policy_set(files(text)) for text in (PLAY, PLAY.replace(old, new, 1)))
    return [change.sentence.removeprefix("plays/welcome.yaml: ") for change in diff(earlier, later)]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("value: 100\n", "value: 200\n", "the step letter now has value 200 (was 100)"),
        ("for: 3d", "for: 4d", "the step pause now has for 4d (was 3d)"),
        ("to: [champion, decision_maker]", "to: [decision_maker, champion]", "the step letter now lists decision_maker, champion under to, in this order"),  # noqa: E501 - a table
        ("then: end\n", "then: pause\n", "the step group now leads to pause (was end)"),
        ("lasts_at_most: 30d", "lasts_at_most: 31d", "lasts at most is now 31d (was 30d)"),
        ("on: [reply]", "on: [reply, bounce]", "the exit replied now also lists bounce under on"),
        ("resume_after: 7d", "resume_after: 9d", "the rule closing-first now has resume after 9d (was 7d)"),
        ("priority: 50", "priority: 50 # more", ""),
    ],
)  # fmt: skip
def test_a_changed_play_is_told_in_sentences(old: str, new: str, sentence: str) -> None:
    assert changes(old, new) == ([sentence] if sentence else [])


def test_a_play_or_a_content_that_is_new_or_gone_is_one_sentence() -> None:
    without, with_it = compile_policy_set(files()), compile_policy_set(files(with_steps(mail() + task())))

    (new,) = diff(without, with_it)
    (gone,) = diff(with_it, without)

    assert (new.kind, new.sentence) == (
        ChangeKind.ADDED,
        "plays/welcome.yaml: the play Welcome is new: 2 steps, at most 30d",
    )
    assert (gone.kind, gone.rule_id) == (ChangeKind.REMOVED, None)
    assert "the play Welcome is gone" in gone.sentence
    (said,) = diff(without, compile_policy_set(files(extra="id: extra\nsubject: Hi there\n")))
    assert said.sentence == "content/extra.yaml: the content extra is new: “Hi there”"


def test_the_order_of_steps_is_told() -> None:
    one = compile_policy_set(files(with_steps(wait("a") + wait("b"))))
    other = compile_policy_set(files(with_steps(wait("b") + wait("a"))))

    assert [each.kind for each in diff(one, other)] == [ChangeKind.REORDERED]


@pytest.mark.parametrize(
    ("steps", "head", "code", "words"),
    [
        (wait(what="for: 40d"), HEAD, "too-short", "add up to 40d, longer than the play lasts"),
        (wait(what="business_days: 31"), HEAD, "too-short", "add up to 31d"),
        (
            task().replace("action: create_task", "action: call_them"),
            HEAD,
            "no-grant",
            "nobody has granted plays the action call_them over sdr_task",
        ),
        (mail(), HEAD + "recall: [mail]\n", "idle-recall", "no channel of mail can take a touch back"),
    ],
)
def test_what_is_rarely_meant_is_shown(steps: str, head: str, code: str, words: str) -> None:
    found = [
        each for each in lint(compile_policy_set(files(with_steps(steps, head))), TODAY) if each.code == code
    ]

    assert [each.place.file for each in found] == ["plays/welcome.yaml"]
    assert words in found[0].message


def test_a_content_that_no_play_uses_is_shown() -> None:
    found = lint(compile_policy_set(files(with_steps(mail()))), TODAY)

    assert [(each.place.file, each.code) for each in found if each.code == "unused-content"] == [
        ("content/note.yaml", "unused-content")
    ]


def test_the_example_of_the_guide_can_be_copied() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "plays.md").read_text(), re.DOTALL)
    shipped = {
        f"content/{name}.yaml": (ROOT / "policies" / "content" / f"{name}.yaml").read_text()
        for name in ("surge-first-mail", "surge-call")
    }

    assert compile_policy_set({**files(example), **shipped}).plays["welcome"].first == "first-mail"
