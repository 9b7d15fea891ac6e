"""`tutti audit-log`: anchors are whole or not used, findings are lines, and the story can be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.auditing.conftest import Query, url_of
from tutti.cli import app

KEY = "k" * 32


def audit_log(path: Path, *arguments: str, key: str | None = KEY) -> Result:
    environment = {"TUTTI_LEDGER_URL": url_of(path), "TUTTI_SIGNING_KEY": key, "COLUMNS": "200"}
    return CliRunner().invoke(app, ["audit-log", *arguments], env=environment)


def anchored(path: Path, name: str = "anchor.jsonl") -> Path:
    target = path.parent / name
    done = audit_log(path, "anchor", "--out", str(target))
    assert done.exit_code == 0, done.output
    return target


def lines(target: Path) -> Sequence[dict[str, object]]:
    return [json.loads(line) for line in target.read_text("utf-8").splitlines()]


def test_an_anchor_names_every_head_and_seals_them(path: Path, query: Query) -> None:
    *heads, seal = lines(anchored(path))

    stored = query(
        "SELECT account_id, number, digest FROM decision_log l WHERE number = "
        "(SELECT max(number) FROM decision_log WHERE account_id = l.account_id) ORDER BY 1"
    )
    assert [(head["account_id"], head["number"], head["digest"]) for head in heads] == stored
    assert (seal["accounts"], seal["heads"]) == (2, 2)
    assert not list(path.parent.glob(".*"))


def test_an_anchor_goes_to_standard_output_for_whoever_keeps_it(path: Path) -> None:
    shown = audit_log(path, "anchor")

    assert shown.exit_code == 0
    assert [json.loads(line).get("account_id") for line in shown.stdout.splitlines()] == [
        "contoso",
        "northwind",
        None,
    ]
    assert "anchored 2 heads of 2 accounts" in shown.stderr


def test_an_anchor_replaces_no_other(path: Path) -> None:
    target = anchored(path)
    before = target.read_text("utf-8")

    again = audit_log(path, "anchor", "--out", str(target))

    assert again.exit_code == 1
    assert "never overwritten" in again.stderr
    assert target.read_text("utf-8") == before


@pytest.mark.parametrize("command", [("anchor",), ("verify", "--anchors", "anchor.jsonl")])
def test_without_a_key_nothing_is_signed_or_believed(path: Path, command: tuple[str, ...]) -> None:
    (path.parent / "anchor.jsonl").write_text("", "utf-8")
    arguments = [str(path.parent / each) if each.endswith("jsonl") else each for each in command]

    refused = audit_log(path, *arguments, key=None)

    assert refused.exit_code == 1
    assert "TUTTI_SIGNING_KEY is not set" in refused.stderr


def test_a_log_that_nobody_touched_verifies_against_its_anchors(path: Path) -> None:
    first, second = anchored(path), anchored(path, "second.jsonl")

    shown = audit_log(path, "verify", "--anchors", str(first), "--anchors", str(second))

    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("ok ")
    assert "links of 2 accounts verified" in shown.stdout
    assert "anchored until" in shown.stdout


def test_without_anchors_it_says_what_does_not_show(path: Path) -> None:
    shown = audit_log(path, "verify")

    assert shown.exit_code == 0
    assert "no anchor was given" in shown.stdout


def test_each_finding_is_a_line_with_account_number_and_moment(path: Path, query: Query) -> None:
    query("UPDATE decision_log SET body = '{}' WHERE account_id = 'northwind' AND number = 7")
    query("DELETE FROM decision_log WHERE account_id = 'northwind' AND number = 12")

    shown = audit_log(path, "verify", "--account", "northwind")
    read = audit_log(path, "verify", "--account", "northwind", "--json")

    assert shown.exit_code == read.exit_code == 1
    edited, missing = [line for line in shown.stdout.splitlines() if line.startswith(("edited", "missing"))]
    assert edited.startswith("edited  northwind #7: ")
    assert "2026-03-02" in edited
    assert missing.startswith("missing  northwind #12: link 12 is not in the log any more")
    *findings, summary = [json.loads(line) for line in read.stdout.splitlines()]
    assert {(each["what"], each["number"]) for each in findings} >= {("edited", 7), ("missing", 12)}
    assert summary["verified"] is False


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"number":', '"number":1'),
        ("northwind", "southwind"),
        ('"heads":2', '"heads":1'),
        ('"anchored_at":"20', '"anchored_at":"19'),
        ('"signature":"', '"signature":"0'),
        ('{"account_id":"contoso"', '{"account_id":"contoso","x":1'),
    ],
)
def test_an_edited_anchor_is_named_and_not_believed(path: Path, old: str, new: str) -> None:
    target = anchored(path)
    text = target.read_text("utf-8")
    assert old in text
    target.write_text(text.replace(old, new, 1), "utf-8")

    shown = audit_log(path, "verify", "--anchors", str(target))

    assert shown.exit_code == 1
    assert shown.stdout.startswith("bad_anchor  the anchor ")


def test_an_anchor_that_lost_lines_or_is_signed_by_others_is_not_believed(path: Path) -> None:
    target = anchored(path)
    whole = target.read_text("utf-8").splitlines(keepends=True)

    for kept in (whole[1:], whole[:-1], [], ["\xff\n"]):
        target.write_text("".join(kept), "utf-8")
        assert "bad_anchor" in audit_log(path, "verify", "--anchors", str(target)).stdout
    target.write_text("".join(whole), "utf-8")
    assert audit_log(path, "verify", "--anchors", str(target)).exit_code == 0
    other = audit_log(path, "verify", "--anchors", str(target), key="o" * 32)
    assert "signed with another key" in other.stdout
    assert other.exit_code == 1


def test_a_missing_anchor_or_account_is_one_clear_line(path: Path) -> None:
    missing = audit_log(path, "verify", "--anchors", str(path.parent / "nowhere.jsonl"))
    unknown = audit_log(path, "verify", "--account", "nobody")

    assert "nowhere.jsonl: No such file or directory; name an anchor file" in missing.stderr
    assert "account nobody has no decision log" in unknown.stderr
    assert missing.exit_code == unknown.exit_code == 1


def test_the_story_says_who_when_and_by_which_door(path: Path) -> None:
    shown = audit_log(path, "show", "northwind").stdout.splitlines()

    assert len(shown) > 30
    answers = [line for line in shown if "says" in line]
    assert [("dana.reyes (command)" in line, "2026-03-" in line) for line in answers] == [(True, True)] * 2
    story = " ".join(" ".join(shown).split())  # however wide the terminal is
    assert "says reject (wrong time): “Not while they negotiate”, which was taken" in story
    assert "p3:a1: viewed" in story
    assert "amira objected, and is not contacted again" in story


def test_the_story_of_one_approval_leaves_the_rest_out(path: Path) -> None:
    shown = audit_log(path, "show", "northwind", "--approval", "p3:a1").stdout
    read = audit_log(path, "show", "northwind", "--approval", "p3:a1", "--json").stdout

    assert "p3:a1: requested" in shown
    assert "p4" not in shown
    assert [json.loads(line)["type"] for line in read.splitlines()].count("answer") == 1
    assert "has never asked about" in audit_log(path, "show", "northwind", "--approval", "x").stderr
    assert "has no decision log" in audit_log(path, "show", "nobody").stderr


def test_the_story_of_a_log_that_was_tampered_with_says_so(path: Path, query: Query) -> None:
    query("UPDATE decision_log SET body = json_set(body, '$.at', '2026-03-02T10:00:09Z') WHERE number = 4")

    assert "this log was tampered with" in audit_log(path, "show", "northwind").stdout
