"""The card of every kind of exception, as a page, and what its form may say."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from activities.notices import AnswerTicket
from domain import (
    FITTING,
    Approval,
    ApprovalAnswer,
    Consequence,
    ExceptionCard,
    ExceptionKind,
    Hold,
    Reading,
    ReasonCode,
    Risk,
    Settlement,
    Stage,
)
from gateway._answer_form import Complaints, Filled, answer_of, offered
from gateway._pages import card_page
from tests.builders import START, account, contact, proposal, route
from tests.channels.support import a_touch

WHY = {"code": "verified", "comment": "I looked at the provider."}
TICKET = AnswerTicket(
    account_id="northwind",
    approval_id="a:1",
    login="dana",
    digest="1" * 64,
    expires_at=START + timedelta(days=1),
    nonce="link-1",
)


def a_card(kind: ExceptionKind, *, asked: dict[str, object] | None = None, **parts: object) -> ExceptionCard:
    """A card with only what every kind has; `asked` changes the question, `parts` the card."""
    base: dict[str, object] = {
        "approval_id": "a:1",
        "kind": kind,
        "proposal_id": None,
        "digest": "1" * 64,
        "reason": ReasonCode.APPROVAL_NEEDED,
        "message": "A person has to decide.",
        "route": route(due_at=START + timedelta(hours=4)),
        "requested_at": START,
    }
    approval = Approval.model_validate(base | (asked or {}))
    says = tuple(Consequence(answer=each, text=f"then {each.value}") for each in FITTING[kind])
    return ExceptionCard.model_validate(
        {
            "account_id": "northwind",
            "account": account(),
            "approval": approval,
            "consequences": (*says, Consequence(answer=None, text="then silence")),
        }
        | parts
    )


def shown(card: ExceptionCard) -> str:
    page = bytes(card_page(TICKET, card, START, shown="0.x").body).decode()
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)).split())


@pytest.mark.parametrize("kind", ExceptionKind)
def test_every_kind_has_a_page_with_the_barest_of_cards(kind: ExceptionKind) -> None:
    card = a_card(kind, asked={"route": route()}, account=None)

    said = shown(card)

    assert "A person has to decide." in said
    assert "then silence" in said
    assert all(f"then {answer.value}" in said for answer in offered(card))


@pytest.mark.parametrize("kind", ExceptionKind)
def test_the_page_offers_only_what_the_account_takes(kind: ExceptionKind) -> None:
    assert set(offered(a_card(kind))) <= FITTING[kind]


def test_readings_that_disagree_are_settled_with_a_stage() -> None:
    reading = Reading(system="crm", stage=Stage.CLOSING, urgency=1, confidence=0.9, observed_at=START)
    card = a_card(ExceptionKind.AMBIGUITY, readings=(reading,))

    said = shown(card)
    settled = answer_of(Filled(answer="settle", stage="engaged", **WHY), TICKET, card)
    unsaid = answer_of(Filled(answer="settle", settlement="handed_over", **WHY), TICKET, card)

    assert "How far has Northwind come?" in said
    assert "crm: closing , 90% sure" in said
    assert isinstance(settled, ApprovalAnswer)
    assert (settled.stage, settled.settlement) == (Stage.ENGAGED, None)
    assert unsaid == Complaints({"stage": "Choose what is true."})


def test_a_touch_in_doubt_is_settled_with_what_was_found() -> None:
    touch = a_touch()
    card = a_card(ExceptionKind.IN_DOUBT, touch=touch, doubt="The worker died.", doubt_since=START)

    said = shown(card)
    settled = answer_of(Filled(answer="settle", settlement="not_handed_over", **WHY), TICKET, card)
    unsaid = answer_of(Filled(answer="settle", stage="engaged", **WHY), TICKET, card)

    assert "Did this reach Ada Lovelace?" in said
    for part in (touch.touch_id, "The worker died.", "A question", ".a line that begins with a dot"):
        assert part in said
    assert isinstance(settled, ApprovalAnswer)
    assert settled.settlement is Settlement.NOT_HANDED_OVER
    assert unsaid == Complaints({"settlement": "Choose what is true."})


def test_a_contradiction_shows_the_holds() -> None:
    hold = Hold(hold_id="h1", placed_by="tom", reason="a lawsuit", placed_at=START)
    card = a_card(ExceptionKind.CONFLICT, holds=(hold,), asked={"action": "send_email"}, recipient=contact())

    said = shown(card)

    assert "Shall \u201cSend email to Amira\u201d go on?" in said
    assert "tom: a lawsuit" in said
    assert "Let it go on" in said


def test_a_deputy_sees_in_whose_place_they_answer_and_how_far_it_is() -> None:
    asked: dict[str, object] = {
        "route": route(
            approvers=("tom", "ada"), excluded=(), delegates={"dana": "tom"}, quorum=2, risk=Risk.HIGH
        ),
        "approvers": ("ada",),
        "agreements": ({"approver": "ada", "at": START},),
    }

    said = shown(a_card(ExceptionKind.ACTION, asked=asked))

    assert "You answer as dana, for tom." in said
    assert "ada agreed; 1 of 2 have approved." in said
    assert "High risk" in said


def test_an_edited_text_is_shown_beside_the_first_one() -> None:
    first = proposal(content={"subject": "Old", "text": "the old text"})
    card = a_card(
        ExceptionKind.ACTION,
        proposal=proposal(
            content={"subject": "New", "text": "the new text"}, template="intro", claims=("soc2",)
        ),
        original=first,
        edited_by=("tom",),
    )

    said = shown(card)

    for part in ("the new text", "the old text", "Edited by tom", "template intro", "soc2"):
        assert part in said


def test_an_answer_of_another_kind_is_not_sent() -> None:
    card = a_card(ExceptionKind.AMBIGUITY)

    for answer in ("approve", "reject", "modify", "break_glass", "", "yes"):
        assert isinstance(answer_of(Filled(answer=answer, **WHY), TICKET, card), Complaints)
