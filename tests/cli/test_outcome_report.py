"""How a report is read: what a person types, and what is wrong with it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from domain import Outcome, OutcomeKind
from tutti.cli import app
from tutti.reporting import read_report

ARGUMENTS = ("northwind", "northwind/p1/1", "reply")


def typed(
    *arguments: str, contact: str | None = None, at: str | None = None, source: str = "dana"
) -> Outcome:
    account_id, touch_id, kind = arguments or ARGUMENTS
    return read_report(account_id, touch_id, kind, contact=contact, at=at, source=source)


def test_the_same_report_is_the_same_outcome() -> None:
    first, again = typed(), typed()

    assert (first.kind, first.source) == (OutcomeKind.REPLY, "dana")
    assert first.outcome_id == again.outcome_id
    assert first.at <= again.at


def test_another_report_is_another_outcome() -> None:
    moment = "2026-03-02T09:30:00+01:00"
    reports = [
        typed(),
        typed("northwind", "northwind/p1/2", "reply"),
        typed("northwind", "northwind/p1/1", "meeting"),
        typed(contact="amira"),
        typed(at=moment),
        typed(source="tom"),
    ]

    assert len({outcome.outcome_id for outcome in reports}) == len(reports)
    assert reports[4].at.isoformat() == "2026-03-02T08:30:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("northwind", "contoso/p1/1", "reply"), "touch contoso/p1/1 belongs to another account"),
        (("northwind", "p1", "reply"), "its id has not the form northwind/... or <source>:<id>"),
        (("northwind", "northwind/p1/1", "replied"), "kind: Input should be 'reply'"),
        ((*ARGUMENTS, "--at", "yesterday"), "at: Input should be a valid datetime"),
        ((*ARGUMENTS, "--at", "2026-03-02T09:30:00"), "at: Input should have timezone info"),
        ((*ARGUMENTS, "--contact", "ada@example.com"), "contact: String should match pattern"),
        ((*ARGUMENTS, "--source", "dana reyes"), "source: String should match pattern"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    shown = CliRunner().invoke(app, ["outcome", "report", *arguments])

    assert shown.exit_code == 1
    assert words in shown.output
    assert len(shown.output.strip().splitlines()) == 1
