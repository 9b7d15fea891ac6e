"""The card: what an operator reads in the Temporal UI."""

from __future__ import annotations

from domain import Hold, HoldPlaced, Observed, ReceiptStatus, Verdict, card
from tests.builders import START, Shell, account, proposal


def test_a_new_account_says_so() -> None:
    shell = Shell()
    text = card(shell.state)
    assert "### Northwind" in text
    assert "nothing is scheduled" in text


def test_the_card_names_what_waits_and_who_is_asked() -> None:
    shell = Shell()
    hold = Hold(hold_id="h1", placed_by="dana.reyes", reason="legal dispute", placed_at=START)
    shell.send(HoldPlaced(hold=hold))
    shell.propose(proposal("p1"), proposal("p2"))
    assert "decision window with 2 proposals" in card(shell.state)
    shell.wait(seconds=3)
    assert "governance rules on 2 proposals" in card(shell.state)
    shell.rule({"p1": Verdict.DEFER, "p2": Verdict.REQUIRE_APPROVAL})
    text = card(shell.state)
    assert "**Next** 2026-03-04 09:00:03Z" in text
    assert "**Waiting for an answer**\n\n- `p2:a1` asks sales-leadership until 2026-03-03 09:00:00Z" in text
    assert "send_email over email (NO_SLOT)" in text
    assert "dana.reyes: legal dispute" in text


def test_a_touch_in_doubt_stands_out() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.ALLOW})
    assert "send_email is with email" in card(shell.state)
    shell.deliver(ReceiptStatus.UNKNOWN, detail="look it up")
    assert "**In doubt: a person must settle**\n\n- `northwind/p1/1` over email: look it up" in card(
        shell.state
    )


def test_no_source_can_dress_up_as_the_card() -> None:
    shell = Shell(Observed(observation=account(name="**Paid** <img src=x> `x` [a](b) # Boo")))
    title = card(shell.state).splitlines()[0]
    assert title.startswith("### ")
    assert not set(title[4:]) & set("*<>`[]#|")
