"""Every command says what it is for before anybody needs the manual."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.program import tutti
from tutti.cli import app

COMMANDS = (
    "up",
    "demo",
    "simulate",
    "why",
    "status",
    "inbox",
    "approve",
    "reject",
    "delegate",
    "approval show",
    "approval modify",
    "approval send-back",
    "approval settle",
    "approval break-glass",
    "approval claim",
    "approval release",
    "approval withdraw",
    "approval windows",
    "approval revoke",
    "approval deputies",
    "approval seed",
    "approval health",
    "policy check",
    "policy schema",
    "policy test",
    "policy diff",
    "policy publish",
    "policy rollback",
    "policy releases",
    "policy explain",
    "policy coverage",
    "policy replay",
    "import hubspot",
    "ledger rebuild",
    "outcome report",
    "audit-log anchor",
    "audit-log verify",
    "audit-log show",
)


async def test_the_help_names_every_command(tmp_path: Path) -> None:
    shown = await tutti("--help", cwd=tmp_path)

    assert shown.code == 0
    for command in COMMANDS:
        assert f"│ {command.split()[0]} " in shown.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_and_all_its_options(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="tutti", terminal_width=80)

    assert shown.exit_code == 0
    assert f"Usage: tutti {command} " in shown.output
    lines = (line.strip("│* ") for line in shown.output.splitlines())
    options = [line.split(maxsplit=2) for line in lines if line.startswith("--")]
    assert options
    assert all(len(option) == 3 for option in options), "an option says nothing"


async def test_a_mistyped_command_gets_a_suggestion(tmp_path: Path) -> None:
    finished = await tutti("statsu", "northwind", cwd=tmp_path)

    assert finished.code == 2
    assert "Did you mean 'status'?" in finished.err
