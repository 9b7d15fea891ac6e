"""What the terminal shows: times people read, and nothing that a source could make the terminal do."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from domain import ProposalStatus, ProposalView, ReasonCode, RuleHit, Verdict
from tests.builders import START, proposal
from tutti.render import counted, explained, hits_table, plain, since


@pytest.mark.parametrize(
    ("distance", "told"),
    [
        (timedelta(), "+0s"),
        (timedelta(seconds=2), "+2s"),
        (timedelta(seconds=2.24), "+2.2s"),
        (timedelta(seconds=90), "+1m 30s"),
        (timedelta(hours=1), "+1h"),
        (timedelta(days=3), "+3d"),
        (timedelta(days=3, hours=4, seconds=5), "+3d 4h"),
        (timedelta(days=1, seconds=5), "+1d"),
        (-timedelta(minutes=5), "-5m"),
    ],
)
def test_a_moment_is_told_as_its_distance_from_the_start(distance: timedelta, told: str) -> None:
    assert since(START, START + distance) == told


def test_the_distance_is_never_told_as_sixty_seconds() -> None:
    assert since(START, START + timedelta(seconds=59.97)) == "+1m"


def test_one_thing_is_singular() -> None:
    assert [counted(n, "touch", "touches") for n in (0, 1, 2_000)] == [
        "0 touches",
        "1 touch",
        "2,000 touches",
    ]


def test_what_a_source_wrote_reaches_the_terminal_as_text_only() -> None:
    assert plain("a\x1b[31mb\x9b2J\r\nc\td\x00\x7f\u202ee") == "a [31mb 2J \nc d   e"


def test_brackets_in_a_message_are_shown_as_they_are() -> None:
    message = "ask [bold]Lena[/] or [/] nobody"
    view = ProposalView(proposal=proposal(), status=ProposalStatus.DENIED, message=message)
    shown = StringIO()
    console = Console(file=shown, width=100)

    console.print(explained(view))

    assert message in shown.getvalue()


def test_a_naive_start_is_no_start() -> None:
    with pytest.raises(TypeError):
        since(datetime(2026, 3, 2), START)  # noqa: DTZ001 - the mistake under test


def test_a_rule_that_is_tried_out_is_told_last_and_as_what_it_would_have_done() -> None:
    def hit(rule_id: str, effect: Verdict, *, log_only: bool) -> RuleHit:
        return RuleHit(
            rule_id=rule_id,
            family="consent",
            effect=effect,
            reason=ReasonCode.CONSENT_MISSING,
            message=f"what {rule_id} says",
            file="consent.yaml",
            line=3,
            log_only=log_only,
        )

    console = Console(file=StringIO(), width=90)
    tried = hit("draft", Verdict.DENY, log_only=True)
    console.print(hits_table([tried, hit("binding", Verdict.ALLOW, log_only=False)]))

    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
    assert "would deny" in shown
    assert shown.index("what binding says") < shown.index("what draft says")
