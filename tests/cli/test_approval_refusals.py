"""What cannot be meant is refused in one line, before any account or ledger is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tutti.cli import app


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["approve", "northwind/p1:a1"],
            "it is not clear who you are; name your login with --as or TUTTI_LOGIN",
        ),
        (["approve", "--as", "dana"], "name what you answer: <account>/<approval>"),
        (["approve", "p1:a1", "--as", "dana"], "'p1:a1' is no id of a question; write <account>/<approval>"),
        (["approve", "a/1", "--as", "dana\x1b"], "is no login"),
        (["approve", "a/1", "--as", "d", "--answer-id", "a b"], "--answer-id 'a b' cannot be an id"),
        (["approve", "a/1", "b/2", "--as", "d", "--digest", "0" * 64], "--digest is that of one question"),
        (["approve", "a/1", "--as", "d", "--window", "7d"], "needs both --window, such as 7d, and --at-most"),
        (
            ["approve", "a/1", "--as", "d", "--window", "1w", "--at-most", "5"],
            "--window '1w' is no number of days",
        ),
        (
            ["approve", "a/1", "--as", "d", "--window", "99d", "--at-most", "5"],
            "--window: Input should be less",
        ),
        (
            ["approve", "a/1", "b/2", "--as", "d", "--window", "7d", "--at-most", "5"],
            "given with one question",
        ),
        (["approve", "--all", "--as", "d", "--rule", "r"], "--all needs --rule and --action"),
        (["approve", "a/1", "--all", "--as", "d"], "leave IDs and --digest out"),
        (["approve", "a/1", "--rule", "r", "--as", "d"], "go with --all; without it name the IDs"),
        (["reject", "a/1", "--as", "d", "--comment", "why"], "Missing option '--code'"),
        (["reject", "a/1", "--as", "d", "--code", "legal"], "Missing option '--comment'"),
        (["reject", "a/1", "--as", "d", "--code", "legal", "--comment", "  "], "--comment is empty"),
        (["reject", "a/1", "--as", "d", "--code", "ugly", "--comment", "x"], "'ugly' is not one of"),
        (["approval", "settle", "a/1", "--code", "verified", "--comment", "x"], "say either --stage"),
        (
            ["approval", "modify", "a/1", "--code", "legal", "--comment", "x", "--text", "none.txt"],
            "No such file",
        ),
        (["approval", "withdraw", "exec-1", "--reason", "x", "--as", "d"], "'exec-1' is no proposal"),
        (["approval", "seed", "none.yaml", "--as", "d"], "none.yaml: No such file"),
        (["delegate", "--from", "d", "--as", "d"], "name who is away with --from"),
        (
            ["delegate", "--from", "d", "--to", "d", "--ends", "2099-01-01", "--as", "d"],
            "cannot stand in for them",
        ),
        (["delegate", "--from", "d", "--to", "e", "--ends", "2020-01-01", "--as", "d"], "before it starts"),
        (["delegate", "--from", "d", "--to", "e", "--ends", "soon", "--as", "d"], "--ends 'soon' is no time"),
        (
            ["delegate", "--from", "d", "--to", "e", "--ends", "2099-01-01T08:00", "--as", "d"],
            "has no time zone",
        ),
        (["delegate", "--end", "d-1", "--to", "e", "--as", "d"], "--end ends a delegation and makes none"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    arguments: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    nobody = {"TUTTI_LOGIN": None, "TUTTI_USER": None, "TEMPORAL_ADDRESS": "127.0.0.1:1", "COLUMNS": "200"}

    result = CliRunner().invoke(app, arguments, env=nobody)

    assert result.exit_code == 2, result.output
    assert complaint in " ".join(result.output.split())
    assert not any(tmp_path.iterdir())


def test_a_seed_file_with_a_mistake_is_shown_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text("account: northwind\nproposal:\n  proposal_id: s-1\n  actor: sdr agent\n")

    result = CliRunner().invoke(app, ["approval", "seed", str(file), "--as", "d"])

    assert result.exit_code == 1
    assert f"{file}:4:" in result.output
