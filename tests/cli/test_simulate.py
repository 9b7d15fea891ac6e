"""`tutti simulate`: a story under a policy set, in virtual time."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from domain import ReasonCode, Verdict
from governance import load_policy_set
from tests.cli.program import DEMO_POLICIES, ROOT, SCENARIO, folder_is_untouched, refused, tutti
from tutti.scenario import Scenario, load_scenario
from tutti.simulator import simulate

POLICIES = ROOT / "policies"


@pytest.mark.parametrize("policies", [DEMO_POLICIES, POLICIES], ids=["demo", "default"])
async def test_the_demo_plays_under_both_policy_sets_and_sends_one_touch(
    tmp_path: Path, policies: Path
) -> None:
    played = await tutti("simulate", SCENARIO, "--policies", policies, cwd=tmp_path)

    assert (played.code, played.err) == (0, "")
    decisions, touches, end = (
        played.out.index(title) for title in ("\nDecisions\n", "\nTouches: 1\n", "\nAt the end\n")
    )
    assert decisions < touches < end
    assert "handed over  send email over email to Amira Haddad" in played.out[touches:end]
    assert "require approval  exec-1" in played.out[decisions:touches]
    assert "suppressed  nurture-1" in played.out[end:]
    assert folder_is_untouched(tmp_path)


async def test_times_are_told_from_the_start_and_lines_fit_the_terminal(tmp_path: Path) -> None:
    narrow, wide = await asyncio.gather(
        *(
            tutti("simulate", SCENARIO, "--policies", DEMO_POLICIES, cwd=tmp_path, COLUMNS=width)
            for width in ("80", "120")
        )
    )

    for played, width in ((narrow, 80), (wide, 120)):
        assert max(len(line) for line in played.out.splitlines()) <= width
        assert "  +2.2s  allow             sdr-1" in played.out
        assert "Until +14.2s." in played.out
        assert re.search(r"\sarbitration\.yaml:[0-9]+\s", played.out), "a place stays in one piece"


async def test_facts_come_as_json_lines_for_programs(tmp_path: Path) -> None:
    played = await tutti("simulate", SCENARIO, "--policies", DEMO_POLICIES, "--json", cwd=tmp_path)

    facts = [json.loads(line) for line in played.out.splitlines()]
    assert [fact["seq"] for fact in facts] == list(range(1, len(facts) + 1))
    assert sum(fact["type"] == "touch" and fact["status"] == "handed_over" for fact in facts) == 1


async def test_a_broken_scenario_is_shown_with_a_caret(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(SCENARIO.read_text().replace("kind: intent_surge", "kind: intent_surgery"))
    line = broken.read_text().splitlines().index("      kind: intent_surgery") + 1

    finished = await tutti("simulate", broken, "--policies", DEMO_POLICIES, cwd=tmp_path)

    assert (finished.code, finished.out) == (1, "")
    assert f"{broken}:{line}:13: error: " in finished.said[0]
    assert "did you mean `intent_surge`?" in finished.said[0]
    source, caret = finished.said[1:3]
    assert caret.index("^") == source.index("intent_surgery")


async def test_a_missing_scenario_and_a_folder_are_named(tmp_path: Path) -> None:
    # Brackets are markup to the library that prints, and must not be to us.
    missing, folder = await asyncio.gather(
        tutti("simulate", "no[/]such.yaml", "--policies", DEMO_POLICIES, cwd=tmp_path),
        tutti("simulate", tmp_path, "--policies", DEMO_POLICIES, cwd=tmp_path),
    )

    assert refused(missing, 2) == "no[/]such.yaml: No such file or directory; name a scenario file"
    assert refused(folder, 2) == f"{tmp_path}: Is a directory; name a scenario file"


def scenario_with(tmp_path: Path, *replacements: tuple[str, str]) -> Scenario:
    text = SCENARIO.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    return load_scenario(file)


def test_an_answer_waits_until_the_question_is_asked(tmp_path: Path) -> None:
    early = scenario_with(tmp_path, ("at: 5s", "at: 1s"))

    played = simulate(early, load_policy_set(DEMO_POLICIES))

    assert played.notes == ()
    asked, *answered = [d for d in played.decisions if d.proposal_id == "exec-1"]
    assert asked.verdict is Verdict.REQUIRE_APPROVAL
    assert answered[0].decided_at == asked.decided_at, "the answer was there when the question came"
    assert {d.verdict for d in answered} == {Verdict.DEFER}


def test_an_answer_that_nobody_asked_for_is_noted(tmp_path: Path) -> None:
    nobody_asks = scenario_with(tmp_path, ("contact_id: helen\n", "contact_id: luis\n"))

    played = simulate(nobody_asks, load_policy_set(DEMO_POLICIES))

    (note,) = played.notes
    assert note.text == "dana.reyes answers about exec-1, but nobody was asked"
    assert (note.at - nobody_asks.start).total_seconds() == 5


def test_an_outcome_of_a_touch_that_was_never_made_is_noted(tmp_path: Path) -> None:
    reply = "    observe:\n      signal_id: reply-1\n      source: mailbox\n      kind: reply\n"
    rest = "      contact_id: amira\n      summary: Thursday works, please send an invitation\n"
    expected = scenario_with(
        tmp_path, (reply + rest, "    outcome: {proposal: nurture-1, kind: click}\n"), ("30s", "8s")
    )

    played = simulate(expected, load_policy_set(DEMO_POLICIES))

    assert [note.text for note in played.notes] == [
        "an outcome of nurture-1 cannot come back: it led to no touch"
    ]
    reasons = {d.proposal_id: d.reason for d in played.decisions}
    assert reasons["nurture-1"] is ReasonCode.LOWER_PRIORITY


async def test_a_step_about_an_unknown_proposal_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(SCENARIO.read_text().replace("{proposal: exec-1,", "{proposal: exec-2,"))

    finished = await tutti("simulate", broken, "--policies", DEMO_POLICIES, cwd=tmp_path)

    assert finished.code == 1
    assert "is about exec-2, which no step before it proposes" in finished.said[0]
