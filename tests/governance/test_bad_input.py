"""Whatever stands in a policy folder: a clear message at its place, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from domain import ReasonCode, Verdict
from governance import PolicyError, compile_policy_set, lint, load_policy_set
from tests.governance.test_lint import TODAY
from tests.governance.worlds import edited, email, only, policies, request, rule, with_room

PATIENCE = 60.0
"""Seconds of computing: many times what is needed, and far below what an explosion takes."""


T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    answer = work()
    return answer, time.process_time() - began


def refusal(folder: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy_set(folder)
    return caught.value


def refused_text(files: dict[str, str]) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        compile_policy_set({**policies().files, **files})
    return caught.value


@pytest.mark.parametrize(
    ("name", "old", "new", "marked", "words"),
    [
        ("frequency.yaml", "    limit: 1\n", "    limti: 1\n", "limti", "did you mean `limit`?"),
        ("frequency.yaml", "limit: 1\n", "limit: many\n", "many", "must be a whole number"),
        ("frequency.yaml", "limit: 1\n", "limit: 0\n", "0", "suppression"),
        ("frequency.yaml", "per: contact", "per: contcat", "contcat", "did you mean `contact`?"),
        ("frequency.yaml", "    limit: 1\n", "    limit: 1\n    limit: 2\n", "limit", "`limit` is given twice; the first one is on line"),  # noqa: E501 - a table
        ("frequency.yaml", "id: account-emails", "id: account-touches", "account-touches", "already used in frequency.yaml"),  # noqa: E501 - a table
        ("approvals.yaml", "    group: sales-leadership\n", "    group: sales-leadership\n    quorum: 3\n", "3", "sales-leadership"),  # noqa: E501 - a table
        ("authority.yaml", "valid_until: 2028-12-31\n\n  - id: nurture", "valid_until: soon\n\n  - id: nurture", "soon", "2026-01-31"),  # noqa: E501 - a table
        ("timing.yaml", "decision_window: 5s", "decision_window: &w 5s", "&w", "write it out instead"),
        ("timing.yaml", "decision_window: 5s", "decision_window: !!python/object:os.system 5s", "!!python", "tag"),  # noqa: E501 - a table
        ("timing.yaml", "decision_window: 5s", "decision_window: [[5s", ":", "bracket"),
        ("people.yaml", "kind: person,", "kind: god,", "god", "person"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_message_at_its_place(  # noqa: PLR0917 - a table
    tmp_path: Path, name: str, old: str, new: str, marked: str, words: str
) -> None:
    error = refusal(edited(tmp_path, name, (old, new)))

    text = (tmp_path / "policies" / name).read_text()
    problem = next(each for each in error.problems if words in each.render(text))
    source = text.splitlines()[problem.place.line - 1]
    assert problem.place.file == name
    assert source[problem.place.column - 1 :].startswith(marked)
    assert problem.render(text).splitlines()[-1].strip(" |").startswith("^")


def test_a_grant_and_a_ban_that_contradict_each_other_are_shown_with_both_places(tmp_path: Path) -> None:
    ban = (
        "  - id: no-mail-by-the-agent\n    actor: sdr-agent\n    actions: [send_email]\n"
        "    channels: [email]\n    level: off\n    confidence: {act_at: 0.5, ask_at: 0.5}\n"
        "    max_value: 0\n    granted_by: dana.reyes\n    valid_until: 2028-12-31\n\n"
    )

    error = refusal(edited(tmp_path, "authority.yaml", ("grants:\n", f"grants:\n{ban}")))

    text = str(error)
    assert "sdr-emails" in text
    assert "no-mail-by-the-agent" in text or "authority.yaml:" in text.split("error:", 1)[1]


def test_a_grant_that_has_ended_is_a_warning_and_grants_nothing(tmp_path: Path) -> None:
    old = "granted_by: lena.fischer\n    valid_until: 2028-12-31"
    folder = edited(tmp_path, "authority.yaml", (old, old.replace("2028-12-31", "2026-11-01")))
    ended = load_policy_set(folder)

    assert {each.code for each in lint(ended, TODAY)} == {"expired"}
    decision = only(ended, email())
    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.AUTHORITY_EXPIRED)


def test_aliases_that_would_multiply_are_refused_before_they_do() -> None:
    lines = ["caps: &a0 [lol]"]
    lines += [f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    error, seconds = timed(lambda: refused_text({"frequency.yaml": "\n".join(lines)}))

    assert error.problems[0].code == "anchor"
    assert seconds < PATIENCE


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 10_000, "too-deep"),
        ("a: " + "{b: " * 5_000, "too-deep"),
        ("\n".join(" " * n + "a:" for n in range(500)), "too-deep"),
        ("- " * 3_000, "too-deep"),
        ("# nothing\n", "empty"),
        ("", "empty"),
        ("x" * 1_100_000, "too-large"),
        ("caps:\n\t- id: a\n", "tab"),
        ("caps: []\n---\ncaps: []\n", "second-document"),
        ("%YAML 1.1\n---\ncaps: []\n", "directive"),
        ("? [a, b]\n: c\n", "complex-key"),
        ("caps: 'open\n", "syntax"),
        ("caps: 99999999999999999999999999999999999999\n", "number"),
    ],
)
def test_what_is_no_policy_file_is_refused_at_once(text: str, code: str) -> None:
    error, seconds = timed(lambda: refused_text({"frequency.yaml": text}))

    assert [problem.code for problem in error.problems if problem.place.file == "frequency.yaml"] == [code]
    assert seconds < PATIENCE


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x8f\xff\xfe\x00\x01" * 50, "not-utf-8"),
        (b"caps: []\x00\n", "syntax"),
        (b"caps: [\x07]\n", "syntax"),
        ("caps: []".encode("utf-16"), "not-utf-8"),
        (b"%PDF-1.7\n\xe2\xe3\xcf\xd3", "not-utf-8"),
    ],
    ids=["noise", "nul", "bell", "utf-16", "pdf"],
)
def test_bytes_that_are_no_text_are_one_clear_message(tmp_path: Path, content: bytes, code: str) -> None:
    folder = edited(tmp_path, "frequency.yaml")
    (folder / "frequency.yaml").write_bytes(content)

    error = refusal(folder)

    (problem,) = error.problems
    assert (problem.place.file, problem.code) == ("frequency.yaml", code)
    assert problem.message.isprintable()


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_the_folder_are_named(tmp_path: Path) -> None:
    folder = edited(tmp_path, "frequency.yaml")
    (folder / "frequency.yaml").unlink()
    (folder / "frequency.yaml").mkdir()

    (problem,) = refusal(folder).problems
    (other,) = refusal(folder / "timing.yaml").problems

    assert (problem.place.file, problem.code) == ("frequency.yaml", "unreadable")
    assert "a folder or a device in place of the file" in problem.message
    assert other.message == "there is no such directory of policies"


def test_a_file_that_disappears_is_named(tmp_path: Path) -> None:
    folder = edited(tmp_path, "frequency.yaml")
    load_policy_set(folder)
    (folder / "frequency.yaml").unlink()

    (problem,) = refusal(folder).problems

    assert (problem.place.file, problem.code) == ("frequency.yaml", "missing-file")
    assert str(folder) in problem.message


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_search_pattern_that_would_explode_elsewhere_takes_no_time(pattern: str) -> None:
    rule_text = f"account.name.matches('{pattern}')"
    text = policies().files["approvals.yaml"].replace("proposal.value >= 250000.0", rule_text)
    pack = compile_policy_set({**policies().files, "approvals.yaml": text})
    asked = request(email())
    assert asked.account is not None
    evil = asked.account.model_copy(update={"name": "a" * 299 + "!"})
    asked = with_room(pack, asked.model_copy(update={"account": evil}))

    ruling, seconds = timed(lambda: rule(pack, asked))

    (decision,) = ruling.decisions
    assert decision.reason is not ReasonCode.EVALUATION_ERROR
    assert seconds < PATIENCE / 10


def test_a_search_pattern_that_is_none_lets_nothing_pass() -> None:
    text = (
        policies().files["approvals.yaml"].replace("proposal.value >= 250000.0", "account.name.matches('(')")
    )

    decision = only(compile_policy_set({**policies().files, "approvals.yaml": text}), email())

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert decision.hits[0].rule_id == "large-values"
    assert "the search pattern is not valid" in decision.hits[0].message


def test_ten_thousand_rules_compile_and_rule_in_bounded_time() -> None:
    rules = "".join(
        f"  - id: value-{n}\n    when: proposal.value >= {250_000 + n}.0\n    message: Much is at stake.\n"
        for n in range(10_000)
    )
    text = policies().files["approvals.yaml"].replace("require:\n", f"require:\n{rules}")

    pack, compiling = timed(lambda: compile_policy_set({**policies().files, "approvals.yaml": text}))
    asked = with_room(pack, request(email(), email(proposal_id="sdr-2", value=260_000.0)))
    ruling, ruled = timed(lambda: rule(pack, asked))

    hits = {decision.proposal_id: decision.hits for decision in ruling.decisions}
    assert sum(hit.rule_id.startswith("value-") for hit in hits["sdr-2"]) == 10_000
    assert not any(hit.rule_id.startswith("value-") for hit in hits["sdr-1"])
    assert compiling < PATIENCE
    assert ruled < PATIENCE / 4
