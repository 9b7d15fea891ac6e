"""A policy set with a mistake is refused as a whole, and every mistake is shown where it stands."""

import os
import shutil
from pathlib import Path

import pytest

import governance
from governance import PolicyError, load_policy_set
from tests.governance.worlds import DEFAULT, edited, policies


def refusal(folder: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy_set(folder)
    return caught.value


@pytest.mark.parametrize(
    ("name", "old", "new", "marked", "words"),
    [
        ("people.yaml", "owner: lena.fischer", "owner: lena.fisher", "lena.fisher", "lena.fischer"),
        ("people.yaml", "ai_agent, owner: lena.fischer", "ai_agent", "{id: sdr", "needs an owner"),
        ("people.yaml", "[dana.reyes, tom", "[sdr-agent, tom", "sdr-agent", "no person"),
        ("people.yaml", "[dana.reyes, tom", "[tom.okafor, tom", "tom.okafor", "listed twice"),
        ("people.yaml", "{id: nurture,", "{id: sdr-agent,", "sdr-agent", "listed twice"),
        ("channels.yaml", "name: webhook", "name: email", "email", "listed twice"),
        ("channels.yaml", "retry_after: 15m", "retry_after: 15", "15", "15m"),
        ("consent.yaml", "Consent.WITHDRAWN", "Consent.WITHDRAWNN", "WITHDRAWNN", "WITHDRAWN"),
        ("consent.yaml", "contact.opted_out\n", "contact.opted_ot\n", "opted_ot", "opted_out"),
        ("consent.yaml", "contact.opted_out\n", "contact.country\n", None, "true or false"),
        ("consent.yaml", "then: deny\n    reason: SUPPRESSED", "then: allow\n    reason: SUPPRESSED", "allow", "deny"),  # noqa: E501 - a table
        ("consent.yaml", "id: objected", "id: engine.objected", "engine.objected", "engine"),
        ("frequency.yaml", "limit: 1", "limit: 0", "0", "a cap of zero"),
        ("frequency.yaml", "limit: 1", "limit: -1", "-1", "at least 1"),
        ("frequency.yaml", "limit: 1", "limit: many", "many", "whole number"),
        ("frequency.yaml", "    counts: new_contacts\n", "    counts: new_contact\n", "new_contact", "new_contacts"),  # noqa: E501 - a table
        ("frequency.yaml", "per: account\n    counts", "per: contact\n    counts", "contact", "per: account"),
        ("frequency.yaml", "per: channel\n    channels: [email, executive]", "per: channel", "channel", "needs `channels`"),  # noqa: E501 - a table
        ("frequency.yaml", "_notice, send_invoice]", "_notice, send_outage_notice]", "send_outage", "listed twice"),  # noqa: E501 - a table
        ("frequency.yaml", "operational: counted", "operational: free", "free", "exempt"),
        ("frequency.yaml", "window: 14d", "window: fortnight", "fortnight", "30s"),
        ("frequency.yaml", "window: 14d", "window: 91d", "91d", "90d"),
        ("frequency.yaml", "window: 14d", "window: 0d", "0d", "longer than nothing"),
        ("frequency.yaml", "channels: [email, executive]", "channels: [emial]", "emial", "`email`"),
        ("frequency.yaml", "channels: [email, executive]", "channels: []", "[]", "1"),
        ("frequency.yaml", "id: account-emails", "id: one-touch-per-person", "one-touch", "already used in frequency.yaml"),  # noqa: E501 - a table
        ("timing.yaml", "id: nights", "id: account-touches", "account-touches", "already used in frequency.yaml"),  # noqa: E501 - a table
        ("timing.yaml", 'to: "08:00"', 'to: "20:00"', '"20:00"', "same time"),
        ("timing.yaml", 'to: "08:00"', 'to: "8:00"', '"8:00"', '"20:00"'),
        ("timing.yaml", 'to: "08:00"', 'to: "24:30"', '"24:30"', "time of day"),
        ("timing.yaml", "days: non_business_days", "days: every_day", None, "no moment of the week"),
        ("timing.yaml", "days: holidays", "days: holiday", "holiday", "holidays"),
        ("timing.yaml", "media: [call, sms]\n    countries", "media: [call, fax]\n    countries", "fax", "sms"),  # noqa: E501 - a table
        ("timing.yaml", "countries: [US]", "countries: [XX]", "XX", "no known country"),
        ("timing.yaml", "countries: [US]", "countries: [us]", "us", "pattern"),
        ("timing.yaml", "unknown_country: [US, DE]", "unknown_country: [US, EU]", "EU", "no known country"),
        ("timing.yaml", "unknown_country: [US, DE]", "unknown_country: [US, US]", "US]", "listed twice"),
        ("timing.yaml", "unknown_country: [US, DE]", "unknown_country: []", "[]", "1"),
        ("timing.yaml", "unknown_country: [US, DE]\n", "", None, "`unknown_country` is missing"),
        ("timing.yaml", "Europe/Berlin]", "Asia/Dubai]", "[America", "all of these zones"),
        ("timing.yaml", "Europe/Berlin]", "Europe/Berln]", "Europe/Berln", "time zone"),
        ("timing.yaml", "decision_window: 5s", "decision_window: 2h", "2h", "1h"),
        ("authority.yaml", "actor: nurture", "actor: nature", "nature", "`nurture`"),
        ("authority.yaml", "granted_by: dana.reyes", "granted_by: nurture", "nurture", "no person"),
        ("authority.yaml", "actor_kind: person", "actor: dana.reyes\n    actor_kind: person", "id: people", "either"),  # noqa: E501 - a table
        ("authority.yaml", "    valid_until: 2028-12-31\n\n  - id: nurture", "\n  - id: nurture", None, "`valid_until` is missing"),  # noqa: E501 - a table
        ("authority.yaml", "valid_until: 2028-12-31", "valid_until: 2028-31-12", "2028-31-12", "2026-01-31"),
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    max_reach: 0\n", "0", "at least 1"),
        ("authority.yaml", "irreversible: act", "irreversible: maybe", "maybe", "never"),
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    budgets: [{per: 1d}]\n", "{per", "either"),  # noqa: E501 - a table
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    budgets: [{touches: 2, cost: 3, per: 1d}]\n", "{touches", "either"),  # noqa: E501 - a table
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    budgets: [{touches: 0, per: 1d}]\n", "0", "at least 1"),  # noqa: E501 - a table
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    budgets: [{cost: 0, per: 1d}]\n", "0", "more than 0"),  # noqa: E501 - a table
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    budgets: [{touches: 2, per: 24h}, {touches: 3, per: 1d}]\n", "{touches: 3", "two budgets"),  # noqa: E501 - a table
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    novelty: {first: 5, level: off}\n", "off", "novelty can ask"),  # noqa: E501 - a table
        ("authority.yaml", "max_value: 100000\n", "max_value: 100000\n    novelty: {first: 5, level: act_and_report}\n", "act_and", "novelty can ask"),  # noqa: E501 - a table
        ("authority.yaml", "ask_at: 0.25", "ask_at: 0.75", "0.75", "act_at"),
        ("authority.yaml", "channels: [web_personalization, webhook]", "channels: [web]", "web", "no channel"),  # noqa: E501 - a table
        ("arbitration.yaml", "weight: 1.2\n", "weight: -1.2\n", "-1.2", "0"),
        ("arbitration.yaml", "percent: 55", "percent: -101", "-101", "100"),
        ("arbitration.yaml", "winner.same_contact", "winer.same_contact", "winer", "winner"),
        ("approvals.yaml", "proposal.value >= 250000.0", "winner.value > 1.0", "winner", "winner"),
        ("approvals.yaml", "group: sales-leadership\n  answer_within: 8h", "group: sales\n  answer_within: 8h", "sales", "no group"),  # noqa: E501 - a table
        ("approvals.yaml", "on_expiry: suppress\n\n", "on_expiry: allow\n\n", "allow", "suppress"),
        ("approvals.yaml", "proposal.value >= 250000.0", "proposal.value >= 250000", "250000", "250000.0"),
        ("interpretation.yaml", "  reply: ", "  replied: ", "replied", "reply"),
        ("interpretation.yaml", "half_life: 14d", "half_live: 14d", None, "half_life"),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_with_its_place_and_a_caret(
    tmp_path: Path, *, name: str, old: str, new: str, marked: str | None, words: str
) -> None:
    error = refusal(edited(tmp_path, name, (old, new)))

    text = str(error)
    assert words in text
    place = next(problem.place for problem in error.problems if problem.place.file == name)
    assert f"{name}:{place.line}:{place.column}: error:" in text
    lines = text.splitlines()
    index = next(n for n, line in enumerate(lines) if line.startswith(f"{place}:"))
    shown, caret = lines[index + 1], lines[index + 2].index("^")
    source = (tmp_path / "policies" / name).read_text().splitlines()[place.line - 1]
    assert shown.endswith(source)
    assert shown[caret:] == source[place.column - 1 :]
    if marked is not None:
        assert shown[caret:].startswith(marked)


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    edited(tmp_path, "people.yaml", ("owner: lena.fischer", "owner: nobody"))
    edited(tmp_path, "frequency.yaml", ("limit: 1", "limit: 0"))
    edited(tmp_path, "arbitration.yaml", ("assessment.urgency", "assessment.urgncy"), (": 55", ": -555"))
    folder = edited(tmp_path, "channels.yaml", ("15m\n    needs: email", "15m\n    needs: luck"))

    error = refusal(folder)

    assert [problem.place.file for problem in error.problems] == [
        "arbitration.yaml",
        "arbitration.yaml",
        "channels.yaml",
        "frequency.yaml",
        "people.yaml",
    ]
    assert str(error).count("^") >= 5
    assert "5 mistakes" in str(error)


def test_files_that_are_missing_too_many_or_broken(tmp_path: Path) -> None:
    folder = edited(tmp_path, "people.yaml")
    (folder / "timing.yaml").unlink()
    (folder / "timings.yaml").write_text("caps: []")
    (folder / "README.md").write_text("notes")
    (folder / "consent.yaml").write_text("rules: [")
    (folder / "frequency.yaml").write_bytes(b"caps: \xff")

    files = {problem.place.file: problem.code for problem in refusal(folder).problems}

    assert files["timing.yaml"] == "missing-file"
    assert files["timings.yaml"] == "unknown-file"
    assert files["frequency.yaml"] == "not-utf-8"
    assert set(files) == {"timing.yaml", "timings.yaml", "frequency.yaml", "consent.yaml"}


def test_no_directory_is_one_clear_line(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")

    assert "there is no such directory" in str(error)
    assert str(tmp_path / "nowhere") in str(error)
    assert len(error.problems) == 1
    assert "^" not in str(error), "there is no line to point at"


def test_a_set_is_named_by_its_content(tmp_path: Path) -> None:
    same = tmp_path / "copy"
    shutil.copytree(DEFAULT, same)
    (same / "README.md").write_text("a note changes nothing")
    assert load_policy_set(same).digest == policies().digest
    other = edited(tmp_path, "timing.yaml", ("decision_window: 5s", "decision_window: 6s"))

    changed = load_policy_set(other)

    assert changed.digest != policies().digest
    assert changed.name == f"policies@{changed.digest[:12]}"
    listed = [*DEFAULT.glob("*.yaml"), *DEFAULT.glob("plays/*.yaml"), *DEFAULT.glob("content/*.yaml")]
    assert sorted(changed.files) == sorted(path.relative_to(DEFAULT).as_posix() for path in listed)
    assert changed.files["timing.yaml"] == (other / "timing.yaml").read_text()


def test_the_door_of_governance_is_pinned() -> None:
    assert sorted(governance.__all__) == [
        "Branch",
        "CaseResult",
        "CasesError",
        "Change",
        "ChangeKind",
        "Channel",
        "Comparison",
        "Coverage",
        "Document",
        "Duration",
        "Entry",
        "PastOutcome",
        "PastRuling",
        "Place",
        "Play",
        "PolicyCase",
        "PolicyError",
        "PolicyFileError",
        "PolicySet",
        "Problem",
        "Replay",
        "RuleUse",
        "Sheet",
        "Shift",
        "TouchStep",
        "Wait",
        "Warn",
        "assess",
        "compile_policy_set",
        "delegation_problem",
        "diff",
        "draws",
        "interpret",
        "lint",
        "load_cases",
        "load_document",
        "load_play",
        "load_policy_set",
        "outline",
        "plan",
        "read_cases",
        "rerule",
        "rule",
        "run_case",
        "schemas",
        "tracked",
        "uses",
        "vet",
        "windowed",
    ]


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    target = tmp_path / "policies"
    shutil.copytree(DEFAULT, target)
    (target / "timing.yaml").unlink()
    os.mkfifo(target / "timing.yaml")

    with pytest.raises(PolicyError, match=r"timing\.yaml.*in place of the file"):
        load_policy_set(target)


def test_a_touch_cannot_be_on_its_way_for_longer_than_a_day(tmp_path: Path) -> None:
    folder = edited(tmp_path, "channels.yaml", ("start_to_close: 2m", "start_to_close: 6h"))

    with pytest.raises(PolicyError, match=r"channels\.yaml:\d+:\d+.*longer than a day"):
        load_policy_set(folder)


def test_a_worker_must_be_able_to_count_as_lost(tmp_path: Path) -> None:
    folder = edited(tmp_path, "channels.yaml", ("heartbeat: 30s", "heartbeat: 3m"))

    with pytest.raises(PolicyError, match=r"channels\.yaml:\d+:\d+.*must not be longer than start_to_close"):
        load_policy_set(folder)
