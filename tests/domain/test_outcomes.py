"""Outcomes attach to their touch and count, however late, often or out of order they arrive."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import (
    AccountState,
    Delivered,
    Delivery,
    Event,
    Observed,
    Outcome,
    OutcomeFact,
    OutcomeKind,
    OutcomeReported,
    PastTouch,
    ProposalStatus,
    ReasonCode,
    Receipt,
    ReceiptStatus,
    RefusalFact,
    Revoke,
    SignalKind,
    TouchStatus,
    Verdict,
    next_due,
)
from domain._state import EARLY_LIMIT, EARLY_PATIENCE, TOUCH_MEMORY
from tests.builders import HANDOVER, START, Shell, contact, proposal
from tests.domain.situations import blocked

OWN = "northwind/p1/1"
PAST = "nurture:m-1"


def came_back(kind: OutcomeKind = OutcomeKind.REPLY, touch_id: str = OWN, **changes: object) -> Event:
    base: dict[str, object] = {
        "outcome_id": f"o-{kind.value}",
        "source": "email",
        "touch_id": touch_id,
        "kind": kind,
        "at": START,
    }
    return OutcomeReported(outcome=Outcome.model_validate(base | changes))


def made_elsewhere(number: str = "m-1", **changes: object) -> Event:
    base: dict[str, object] = {
        "touch_id": number,
        "source": "nurture",
        "channel": "email",
        "action": "newsletter",
        "at": START - timedelta(days=2),
        "contact_id": "amira",
    }
    return Observed(observation=PastTouch.model_validate(base | changes))


def in_flight() -> Shell:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.ALLOW})
    return shell


def sent() -> Shell:
    shell = in_flight()
    shell.deliver()
    return shell


def refusals(shell: Shell) -> list[str]:
    return [fact.why for fact in shell.state.outbox if isinstance(fact, RefusalFact)]


def recorded(shell: Shell) -> list[str]:
    return [fact.outcome.outcome_id for fact in shell.state.outbox if isinstance(fact, OutcomeFact)]


def with_one_scheduled(shell: Shell) -> Shell:
    shell.propose(proposal("p2"))
    shell.wait(seconds=3)
    shell.rule({"p2": Verdict.DEFER})
    return shell


class TestLate:
    def test_a_reply_after_120_days_is_still_a_reply(self) -> None:
        shell = sent()
        shell.wait(days=120)
        assert OWN not in shell.state.touches
        with_one_scheduled(shell)

        shell.send(came_back(at=shell.now, contact_id="amira"))

        assert shell.state.closed["p2"].reason is ReasonCode.EXIT_SIGNAL
        assert recorded(shell) == ["o-reply"]
        assert shell.state.circumstances.latest[SignalKind.REPLY] == shell.now
        assert shell.state.refusals == 0

    def test_an_objection_to_a_forgotten_touch_blocks_the_person(self) -> None:
        shell = sent()
        shell.wait(days=120)

        shell.send(came_back(OutcomeKind.OPT_OUT, at=shell.now, contact_id="amira"))

        assert contact().person_key in blocked(shell)

    def test_an_objection_to_a_forgotten_touch_must_say_whose_it_is(self) -> None:
        shell = Shell()

        shell.send(came_back(OutcomeKind.OPT_OUT))
        shell.send(came_back(OutcomeKind.OPT_OUT, contact_id="amira"))

        (why,) = refusals(shell)
        assert "must name its contact_id" in why
        assert shell.state.contacts["amira"].opted_out_at == START

    def test_a_forgotten_touch_of_another_tool_is_not_waited_for(self) -> None:
        shell = Shell(made_elsewhere(at=START - TOUCH_MEMORY - timedelta(days=1)))

        shell.send(came_back(touch_id=PAST))

        assert recorded(shell) == ["o-reply"]
        assert shell.state.early == {}


class TestEarly:
    def test_it_acts_at_once_and_attaches_when_its_touch_becomes_known(self) -> None:
        shell = with_one_scheduled(Shell())

        shell.send(came_back(touch_id=PAST, at=shell.now))

        assert shell.state.closed["p2"].reason is ReasonCode.EXIT_SIGNAL
        assert len(shell.state.early) == 1
        at = shell.now
        shell.wait(days=3)
        shell.send(made_elsewhere())
        assert shell.state.touches[PAST].outcomes == {OutcomeKind.REPLY: at}
        assert shell.state.early == {}
        assert recorded(shell) == ["o-reply"]

    def test_an_objection_that_names_nobody_acts_as_soon_as_the_touch_says_whose_it_is(self) -> None:
        shell = Shell(came_back(OutcomeKind.OPT_OUT, PAST))
        assert blocked(shell) == set()

        shell.send(made_elsewhere())

        assert contact().person_key in blocked(shell)
        assert shell.state.refusals == 0

    def test_what_waits_in_vain_is_given_up_and_told(self) -> None:
        shell = Shell(came_back(OutcomeKind.CLICK, PAST))
        due = next_due(shell.state)
        while due is not None and due.at < START + EARLY_PATIENCE:
            shell.now = due.at
            shell.send()
            shell.project()
            due = next_due(shell.state)
        assert due is not None
        assert due.at == START + EARLY_PATIENCE
        shell.now = due.at
        shell.send()

        (why,) = refusals(shell)
        assert "touch nurture:m-1 did not become known within 7 days" in why
        assert shell.state.early == {}

    def test_a_flood_pushes_out_the_oldest_and_says_so(self) -> None:
        shell = Shell()
        for number in range(EARLY_LIMIT + 3):
            shell.send(came_back(OutcomeKind.OPEN, f"nurture:m-{number}", outcome_id=f"o{number}"))

        assert len(shell.state.early) == EARLY_LIMIT
        assert [why.split(":")[0] for why in refusals(shell)] == ["o0", "o1", "o2"]

    def test_it_survives_the_way_into_the_next_run(self) -> None:
        shell = Shell(came_back(touch_id=PAST))
        shell.state = AccountState.model_validate_json(shell.state.model_dump_json())

        shell.send(made_elsewhere())

        assert OutcomeKind.REPLY in shell.state.touches[PAST].outcomes


class TestRefused:
    @pytest.mark.parametrize("touch_id", ["contoso/p1/1", "northwind2/p1/1", "/p1/1", "a:b/c"])
    def test_a_touch_of_another_account(self, touch_id: str) -> None:
        shell = Shell(came_back(OutcomeKind.OPT_OUT, touch_id, contact_id="amira"))

        (why,) = refusals(shell)
        assert why == f"touch {touch_id} belongs to another account"
        assert recorded(shell) == []
        assert blocked(shell) == set()

    @pytest.mark.parametrize("touch_id", ["p1", "northwind/", "northwind:/", ":p1", "nurture:", "a: b"])
    def test_a_touch_of_no_known_form(self, touch_id: str) -> None:
        shell = Shell(came_back(OutcomeKind.REPLY, touch_id))

        (why,) = refusals(shell)
        assert "is not known on this account" in why
        assert recorded(shell) == []

    def test_a_time_in_the_future(self) -> None:
        shell = sent()

        shell.send(came_back(at=shell.now + timedelta(days=2)))

        assert ["lies in the future" in why for why in refusals(shell)] == [True]

    def test_a_refused_outcome_may_be_corrected(self) -> None:
        shell = sent()

        shell.send(came_back(at=shell.now + timedelta(days=2)), came_back(at=shell.now))

        assert OutcomeKind.REPLY in shell.state.touches[OWN].outcomes


class TestOnItsTouch:
    def test_it_counts_while_the_touch_is_in_flight_and_afterwards(self) -> None:
        shell = in_flight()

        shell.send(came_back(at=shell.now))

        assert [e.touch_id for e in shell.effects if isinstance(e, Revoke)] == [OWN]
        shell.deliver()
        assert shell.state.touches[OWN].status is TouchStatus.HANDED_OVER
        assert OutcomeKind.REPLY in shell.state.touches[OWN].outcomes

    def test_a_second_attempt_under_the_same_id_keeps_it(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        idempotent = HANDOVER.model_copy(update={"delivery": Delivery.IDEMPOTENT})
        shell.rule({"p1": Verdict.ALLOW}, handover=idempotent)
        shell.send(came_back(OutcomeKind.CLICK, at=shell.now))
        shell.deliver(ReceiptStatus.UNDELIVERED)
        shell.wait(seconds=HANDOVER.retry_after_seconds)
        shell.rule({"p1": Verdict.ALLOW}, handover=idempotent)

        assert OutcomeKind.CLICK in shell.state.touches[OWN].outcomes

    def test_it_counts_for_its_own_touch_and_not_for_a_later_one(self) -> None:
        shell = sent()
        shell.wait(hours=1)
        shell.send(made_elsewhere("m-2", at=shell.now))

        shell.send(came_back(OutcomeKind.CLICK, at=shell.now, contact_id="amira"))

        assert OutcomeKind.CLICK in shell.state.touches[OWN].outcomes
        assert shell.state.touches["nurture:m-2"].outcomes == {}


class TestReceipts:
    def test_what_a_channel_learns_at_once_is_an_outcome(self) -> None:
        shell = in_flight()

        shell.deliver(ReceiptStatus.REJECTED, outcome=OutcomeKind.BOUNCE, detail="550 5.1.1\nno such user")

        assert shell.state.closed["p1"].status is ProposalStatus.FAILED
        assert OutcomeKind.BOUNCE in shell.state.touches[OWN].outcomes
        (fact,) = [fact for fact in shell.state.outbox if isinstance(fact, OutcomeFact)]
        assert fact.outcome.source == "email"
        assert fact.outcome.contact_id == "amira"
        assert fact.outcome.detail == "550 5.1.1 no such user"

    def test_rules_see_the_bounce_of_a_touch_that_takes_no_place(self) -> None:
        shell = in_flight()
        shell.deliver(ReceiptStatus.REJECTED, outcome=OutcomeKind.BOUNCE)
        shell.propose(proposal("p2"))
        shell.wait(seconds=3)

        (touch,) = shell.consultation().touches
        assert (touch.status, set(touch.outcomes)) == (TouchStatus.RELEASED, {OutcomeKind.BOUNCE})
        assert shell.state.counted_touches() == ()

    def test_it_counts_once_although_the_receipt_comes_again(self) -> None:
        shell = in_flight()
        shell.deliver(outcome=OutcomeKind.BOUNCE)
        again = Receipt(touch_id=OWN, status=ReceiptStatus.ACCEPTED, at=shell.now, outcome=OutcomeKind.BOUNCE)

        shell.send(Delivered(receipt=again))

        assert len(recorded(shell)) == 1
        assert ["is not in flight" in why for why in refusals(shell)] == [True]

    def test_a_receipt_for_an_unknown_touch_brings_no_outcome(self) -> None:
        stranger = Receipt(
            touch_id="northwind/x/1", status=ReceiptStatus.REJECTED, at=START, outcome=OutcomeKind.BOUNCE
        )
        shell = Shell(Delivered(receipt=stranger))

        assert recorded(shell) == []
        assert shell.state.refusals == 1


MESSAGES: list[Event] = [
    *(made_elsewhere(f"m-{number}", at=START - timedelta(days=number)) for number in (1, 2, 100)),
    *(
        came_back(kind, touch_id, outcome_id=f"o-{kind.value}-{index}", at=START - timedelta(hours=hours))
        for index, touch_id in enumerate((OWN, PAST, "nurture:m-2", "nurture:m-100", "nurture:m-9"))
        for hours, kind in enumerate(OutcomeKind)
    ),
    came_back(OutcomeKind.OPEN, PAST, outcome_id="o-later"),
]


def after(messages: list[Event], pauses: list[int]) -> AccountState:
    """The account when everything has arrived, each message after a pause of some hours."""
    shell = with_one_scheduled(sent())
    for message, pause in zip(messages, pauses, strict=True):
        shell.wait(hours=pause)
        shell.send(message)
    shell.now = START + timedelta(days=30)
    shell.send()
    return shell.state


@settings(max_examples=80, deadline=None, print_blob=True)
@given(st.data())
def test_duplicated_and_reordered_outcomes_end_in_the_same_state(data: st.DataObject) -> None:
    """Promise 13 for outcomes: whatever comes first, and however often, the account knows the same."""
    extra = data.draw(st.lists(st.sampled_from(MESSAGES), max_size=20))
    mixed = data.draw(st.permutations([*MESSAGES, *extra]))
    hours = st.integers(0, 2)  # all within the time for which an outcome waits
    pauses = data.draw(st.lists(hours, min_size=len(mixed), max_size=len(mixed)))

    there = after(mixed, pauses)
    expected = after(MESSAGES, [0] * len(MESSAGES))

    assert outcomes_of(there) == outcomes_of(expected)
    assert there.circumstances == expected.circumstances
    assert there.contacts == expected.contacts
    assert there.early == expected.early == {}
    # Of two reasons to end what was scheduled, the one that came first is told.
    assert {key: ended.status for key, ended in there.closed.items()} == {
        key: ended.status for key, ended in expected.closed.items()
    }


def outcomes_of(state: AccountState) -> dict[str, dict[OutcomeKind, object]]:
    return {touch.touch_id: dict(touch.outcomes) for touch in state.touches.values()}
