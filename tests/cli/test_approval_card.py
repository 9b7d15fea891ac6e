"""The card on a terminal: what a person reads before they answer."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console

from domain import (
    ApprovalStepFact,
    Content,
    ExceptionCard,
    ExceptionKind,
    ReasonCode,
    ReceiptStatus,
    Risk,
    Ruled,
    RuleHit,
    Verdict,
    card_of,
)
from ledger import Inbox, InboxFilter, InboxItem
from tests.builders import START, Shell, proposal
from tests.domain.questions import ambiguous, approval, due_route, facts, routed
from tutti.approvals.card import drawn, shortly
from tutti.approvals.inbox import told
from tutti.approvals.wording import length

NOW = START + timedelta(hours=1)
HIT = RuleHit(
    rule_id="executives",
    family="approvals",
    effect=Verdict.REQUIRE_APPROVAL,
    reason=ReasonCode.APPROVAL_NEEDED,
    message="Executives hear from us only after a person has agreed.",
    file="approvals.yaml",
    line=20,
)


def asked(**changes: object) -> Shell:
    """An account that asks about a mail which has a rival."""
    shell = Shell()
    content = Content(
        subject="A word", text="Dear Amira,\n[bold]shall we[/] talk?\x1b[2J", html="<p>Dear</p>"
    )
    shell.propose(
        proposal(content=content, evidence=("surge-1 from intent",), claims=("soc2-certified",), cost=20.0),
        proposal("p2", actor="nurture", action="newsletter"),
    )
    shell.wait(seconds=3)
    verdicts = {"p1": Verdict.REQUIRE_APPROVAL, "p2": Verdict.DEFER}
    shell.rule(verdicts, route=due_route(**changes), hits=(HIT,), reason=ReasonCode.APPROVAL_NEEDED)
    return shell


def card(shell: Shell, kind: ExceptionKind = ExceptionKind.ACTION) -> ExceptionCard:
    found = card_of(shell.state, approval(shell, kind).approval_id)
    assert found is not None
    return found


def printed(shown: object, width: int = 110) -> str:
    console = Console(record=True, width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(shown, highlight=False)
    return capture.get()


def words(shown: object) -> str:
    return " ".join(printed(shown).split())


def test_the_card_says_everything_that_an_answer_is_about() -> None:
    shell = asked()
    trail = [fact for fact in facts(shell) if isinstance(fact, ApprovalStepFact)]

    said = words(drawn(card(shell), trail, NOW))

    for part in (
        "action on northwind (Northwind) pending, due in 5h northwind/p1:a1",
        "Executives hear from us only after a person has agreed.",
        "APPROVAL_NEEDED executives approvals.yaml:20",
        "send email over email to Amira <amira@northwind.example.com>, champion, GB",
        "claims soc2-certified costs 20.00",
        "A word",
        "with an HTML version of 11 characters; --html shows it",
        "proposed by sdr-agent",
        "worth 1,000 if it works, and 50% likely to; 100% sure of its numbers",
        "surge-1 from intent",
        "unknown (no basis on record)",
        "p2 nurture wants newsletter over email, deferred",
        "none yet",
        "asked sales-leadership: dana, mara",
        "may not answer tom (proposed it, owns the agent, or wrote it)",
        "due 2026-03-02 15:00:00Z (in 5h)",
        "reminder 2026-03-02 11:00:00Z (in 1h)",
        "asked as well from 2026-03-02 13:00:00Z (in 3h) heads: vera",
        "expires 2026-03-03 09:00:00Z (in 23h); then suppress, never sent",
        "approve It is ruled again, and goes out if no rule speaks against it.",
        "nobody answers If nobody answers by 2026-03-03 09:00Z, it is suppressed; never sent.",
        f"digest {card(shell).approval.digest}",
        "tutti approve northwind/p1:a1 tutti reject northwind/p1:a1 --code CODE --comment WHY",
        "requested by tutti over engine",
    ):
        assert part in said, part


def test_what_somebody_wrote_cannot_dress_up_as_the_card() -> None:
    said = printed(drawn(card(asked()), [], NOW))

    assert "[bold]shall we[/] talk?" in said
    assert "\x1b" not in said


def test_a_narrow_terminal_cuts_nothing_that_is_to_be_copied() -> None:
    shell = asked()
    text = printed(drawn(card(shell), [], NOW), width=40)

    assert "".join(text.split()).count(card(shell).approval.digest) == 1
    assert "northwind/p1:a1" in text


def test_the_risk_stands_on_top() -> None:
    first, *_ = printed(drawn(card(asked(risk=Risk.HIGH)), [], NOW)).splitlines()
    assert first.rstrip().endswith("pending, due in 5h  high risk")


def test_what_is_answered_for_is_shown_before_the_answer() -> None:
    said = words(shortly(card(asked())))

    assert "northwind/p1:a1 Executives hear from us only after a person has agreed." in said
    assert "Dear Amira," in said
    assert f"digest {card(asked()).approval.digest[:12]}" in said


def test_a_touch_in_doubt_is_shown_with_what_is_known_of_it() -> None:
    shell = Shell()
    shell.propose(proposal(content=Content(subject="A word", text="Dear Amira")))
    shell.wait(seconds=3)
    routed(shell, {"p1": Verdict.ALLOW})
    shell.deliver(ReceiptStatus.UNKNOWN, detail="the line went dead")
    routed(shell, {})

    said = words(drawn(card(shell, ExceptionKind.IN_DOUBT), [], NOW))

    assert "The touch in doubt touch northwind/p1/1 what send email over email" in said
    assert "the line went dead" in said
    assert "settle northwind/" in said
    assert "--found handed_over|not_handed_over --code CODE --comment WHY" in said


def test_readings_that_disagree_are_shown_side_by_side() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.send(Ruled(ruling=ambiguous(shell)))

    said = words(drawn(card(shell, ExceptionKind.AMBIGUITY), [], NOW))

    assert "ambiguity on northwind (Northwind) pending, due in 5h" in said
    assert "crm says customer, intent says aware" in said
    assert "How the account is read" in said
    assert "--stage STAGE --code CODE --comment WHY" in said


def listed(shell: Shell) -> Inbox:
    found = approval(shell)
    item = InboxItem(account_id="northwind", account_name="Northwind", approval=found)
    return Inbox(items=(item,), total=3, overdue=1, oldest_at=found.requested_at)


def test_the_inbox_tells_each_question_in_a_few_lines() -> None:
    shell = asked(risk=Risk.HIGH, quorum=2)

    said = words(told(listed(shell), InboxFilter(login="dana"), NOW))

    assert "3 questions open for dana, 1 overdue, the oldest has waited 1h" in said
    assert "due in 5h high risk action on northwind (Northwind): send email over email, worth 1,000" in said
    assert "sdr-agent asks sales-leadership: Executives hear from us" in said
    assert "0 of 2 have approved northwind/p1:a1" in said
    assert "and 2 more" in said


def test_what_is_late_and_what_is_held_says_so() -> None:
    shell = asked()
    inbox = listed(shell)
    held = inbox.items[0].approval.model_copy(
        update={"claimed_by": "mara", "claimed_until": START + timedelta(hours=9), "level": 1}
    )
    late = inbox.model_copy(update={"items": (inbox.items[0].model_copy(update={"approval": held}),)})

    said = words(told(late, InboxFilter(), START + timedelta(hours=8)))

    assert "overdue 2h action" in said
    assert "held by mara for 1h; escalated to heads" in said
    assert "expired 1h ago" in words(told(late, InboxFilter(), START + timedelta(hours=25)))


def test_an_empty_inbox_is_good_news() -> None:
    empty = Inbox(items=(), total=0, overdue=0, oldest_at=None)

    assert words(told(empty, InboxFilter(), NOW)) == "nothing waits"
    assert words(told(empty, InboxFilter(login="dana"), NOW)) == "nothing waits for dana"
    assert words(told(empty, InboxFilter(group="legal"), NOW)) == "nothing of this waits"


def test_lengths_of_time_are_told_in_two_units() -> None:
    lengths = [timedelta(0), timedelta(seconds=59), timedelta(seconds=61), timedelta(hours=26, minutes=30)]
    assert [length(START, START + each) for each in lengths] == ["0s", "59s", "1m", "1d 2h"]
