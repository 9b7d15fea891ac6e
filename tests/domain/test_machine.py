"""The account's behaviour, as the promises of the design put it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    Answer,
    Answered,
    ApprovalStatus,
    Consult,
    Delivered,
    HandOver,
    Hold,
    HoldPlaced,
    HoldReleased,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    ProposalStatus,
    ReasonCode,
    Receipt,
    ReceiptStatus,
    Refused,
    Ruled,
    SignalKind,
    TouchStatus,
    Verdict,
    advance,
    contact_key,
    next_due,
    resume,
    view_proposal,
)
from tests.builders import HANDOVER, START, Shell, contact, decide, proposal, route, signal
from tests.domain.situations import answer, asked, blocked, deferred, result_of


class TestDecisionWindow:
    def test_rivals_are_judged_together_when_the_window_ends(self) -> None:
        shell = Shell()
        shell.propose(proposal("p1"))
        shell.wait(seconds=1)
        shell.propose(proposal("p2"))
        assert not [e for e in shell.effects if isinstance(e, Consult)]
        shell.wait(seconds=2)
        assert [c.proposal.proposal_id for c in shell.consultation().candidates] == ["p1", "p2"]

    def test_a_signal_opens_no_window_and_asks_nobody(self) -> None:
        shell = Shell()
        shell.send(Observed(observation=signal()))
        assert shell.state.signals_absorbed == 1
        assert shell.state.window_ends_at is None
        assert not shell.effects

    def test_a_late_rival_gets_a_window_of_its_own(self) -> None:
        shell = Shell()
        shell.propose(proposal("p1"))
        shell.wait(seconds=3)
        shell.propose(proposal("p2"))
        assert shell.state.window_ends_at == shell.now + timedelta(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        shell.wait(seconds=3)
        assert [c.proposal.proposal_id for c in shell.consultation().candidates] == ["p2"]

    def test_a_repeated_proposal_changes_nothing(self) -> None:
        shell = deferred("p1")
        before = shell.state.model_dump()
        shell.propose(proposal("p1"))
        assert shell.state.model_dump() == before

    def test_an_id_used_for_another_action_is_refused(self) -> None:
        shell = deferred("p1")
        shell.propose(proposal("p1", action="call"))
        assert shell.state.refusals == 1
        assert "already used for another action" in shell.state.timeline[-1].text
        assert shell.state.open["p1"].proposal.action == "send_email"


class TestRuling:
    def test_an_allowed_proposal_is_handed_over_once(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        handed = shell.hand_over()
        assert handed.touch.touch_id == "northwind/p1/1"
        assert handed.touch.recipient is not None
        assert handed.touch.recipient.email == "amira@northwind.example.com"
        assert shell.state.touches["northwind/p1/1"].status is TouchStatus.IN_FLIGHT

    def test_never_two_touches_in_flight(self) -> None:
        shell = Shell()
        shell.propose(proposal("p1"), proposal("p2"))
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW, "p2": Verdict.ALLOW})
        assert shell.hand_over().touch.proposal_id == "p1"
        assert shell.state.open["p2"].status is ProposalStatus.DEFERRED

    def test_a_deferred_proposal_is_ruled_again_before_it_goes_out(self) -> None:
        shell = deferred("p1")
        assert next_due(shell.state)
        shell.wait(days=2)
        assert not [e for e in shell.effects if isinstance(e, HandOver)]
        shell.rule({"p1": Verdict.DENY})
        assert shell.state.closed["p1"].status is ProposalStatus.DENIED
        assert not [e for e in shell.effects if isinstance(e, HandOver)]

    def test_a_ruling_on_a_world_that_has_changed_is_asked_for_again(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        request = shell.consultation()
        shell.send(Observed(observation=contact(name="Amira B.")))
        shell.send(Ruled(ruling=decide(request, {"p1": Verdict.ALLOW})))
        assert not [e for e in shell.effects if isinstance(e, HandOver)]
        assert shell.consultation().revision == request.revision + 1

    def test_a_proposal_without_a_decision_is_denied(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        request = shell.consultation()
        ruling = decide(request, {}).model_copy(update={"decisions": ()})
        shell.send(Ruled(ruling=ruling))
        assert shell.state.closed["p1"].status is ProposalStatus.DENIED
        assert shell.state.closed["p1"].reason is ReasonCode.EVALUATION_ERROR

    @pytest.mark.parametrize(
        ("verdict", "missing"),
        [(Verdict.ALLOW, "handover"), (Verdict.DEFER, "until"), (Verdict.REQUIRE_APPROVAL, "route")],
    )
    def test_a_decision_that_lacks_its_half_is_denied(self, verdict: Verdict, missing: str) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": verdict}, **{missing: None})
        assert shell.state.closed["p1"].status is ProposalStatus.DENIED

    def test_a_proposal_expires_whatever_it_waits_for(self) -> None:
        shell = asked()
        shell.state.open["p1"] = shell.state.open["p1"].model_copy(
            update={"expires_at": START + timedelta(hours=1)}
        )
        shell.wait(hours=1)
        assert shell.state.closed["p1"].reason is ReasonCode.EXPIRED
        assert next(iter(shell.state.approvals.values())).status is ApprovalStatus.WITHDRAWN


class TestExitSignals:
    @pytest.mark.parametrize("kind", [SignalKind.REPLY, SignalKind.MEETING_BOOKED])
    def test_a_reply_drops_everything_scheduled_at_once(self, kind: SignalKind) -> None:
        shell = deferred("p1", "p2")
        shell.wait(hours=5)
        shell.send(Observed(observation=signal("r1", kind=kind, observed_at=shell.now)))
        assert not shell.state.open
        assert {c.reason for c in shell.state.closed.values()} == {ReasonCode.EXIT_SIGNAL}

    def test_a_reply_withdraws_a_pending_approval(self) -> None:
        shell = asked()
        shell.send(Observed(observation=signal("r1", kind=SignalKind.REPLY)))
        assert next(iter(shell.state.approvals.values())).status is ApprovalStatus.WITHDRAWN
        assert shell.state.closed["p1"].status is ProposalStatus.SUPPRESSED

    def test_a_reply_from_long_ago_ends_nothing(self) -> None:
        shell = deferred("p1")
        old = signal("r1", kind=SignalKind.REPLY, observed_at=START - timedelta(days=40))
        shell.send(Observed(observation=old))
        assert "p1" in shell.state.open

    def test_an_opt_out_drops_what_was_meant_for_that_person_only(self) -> None:
        shell = Shell(Observed(observation=contact("bela")))
        shell.propose(proposal("p1"), proposal("p2", contact_id="bela"))
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.DEFER, "p2": Verdict.DEFER})
        shell.send(Observed(observation=signal("o1", kind=SignalKind.OPT_OUT, contact_id="amira")))
        assert set(shell.state.open) == {"p2"}
        assert shell.state.contacts["amira"].opted_out_at == START
        assert any(fact.type == "suppression" for fact in shell.state.outbox)

    def test_an_opt_out_before_the_address_is_known_blocks_the_address_later(self) -> None:
        shell = Shell()
        shell.send(Observed(observation=signal("o1", kind=SignalKind.OPT_OUT, contact_id="cleo")))
        cleo = contact("cleo")
        assert cleo.person_key not in blocked(shell)
        assert contact_key("northwind", "cleo") in blocked(shell)
        shell.send(Observed(observation=cleo))
        assert shell.state.contacts["cleo"].opted_out_at == START
        assert cleo.person_key in blocked(shell)

    def test_no_later_profile_clears_an_opt_out(self) -> None:
        shell = Shell(Observed(observation=signal("o1", kind=SignalKind.OPT_OUT, contact_id="amira")))
        shell.send(Observed(observation=contact(title="CTO")))
        assert shell.state.contacts["amira"].opted_out_at == START

    def test_a_touch_in_flight_is_left_to_the_last_check(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        shell.send(Observed(observation=signal("o1", kind=SignalKind.OPT_OUT, contact_id="amira")))
        assert shell.state.open["p1"].status is ProposalStatus.IN_FLIGHT
        shell.deliver(ReceiptStatus.BLOCKED)
        assert shell.state.closed["p1"].reason is ReasonCode.SUPPRESSED


class TestDuplicates:
    def test_a_repeated_signal_changes_nothing(self) -> None:
        shell = Shell(Observed(observation=signal()))
        before = shell.state.model_dump()
        shell.send(Observed(observation=signal()))
        assert shell.state.model_dump() == before

    def test_the_same_id_from_another_source_is_another_signal(self) -> None:
        shell = Shell(Observed(observation=signal()), Observed(observation=signal(source="web")))
        assert shell.state.signals_absorbed == 2

    def test_a_signal_from_the_future_is_refused(self) -> None:
        shell = Shell(Observed(observation=signal(observed_at=START + timedelta(days=3))))
        assert (shell.state.signals_absorbed, shell.state.refusals) == (0, 1)


class TestApprovals:
    def test_an_approval_never_sends_by_itself(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell)))
        assert not [e for e in shell.effects if isinstance(e, HandOver)]
        request = shell.consultation()
        assert request.candidates[0].approved_by == "dana"
        shell.send(Ruled(ruling=decide(request, {"p1": Verdict.DENY})))
        assert shell.state.closed["p1"].status is ProposalStatus.DENIED

    def test_an_approved_touch_says_who_approved(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell)))
        shell.rule({"p1": Verdict.ALLOW})
        assert shell.hand_over().touch.approved_by == "dana"

    def test_the_first_valid_answer_wins_and_later_ones_learn_who(self) -> None:
        shell = asked()
        first, second = answer(shell), answer(shell, answer_id="a2", answer=Answer.REJECT, comment="no")
        shell.send(Answered(answer=first), Answered(answer=second))
        result = result_of(shell, "a2")
        assert not result.accepted
        assert "already approved by dana" in result.message

    def test_the_same_answer_again_gets_the_same_result(self) -> None:
        shell = asked()
        given = answer(shell)
        shell.send(Answered(answer=given))
        result = result_of(shell, "a1")
        shell.send(Answered(answer=given))
        assert result_of(shell, "a1") == result

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"approver": "tom"}, "owns the agent"),
            ({"approver": "mallory"}, "not in sales-leadership"),
            ({"approver": "sdr-agent"}, "not in sales-leadership"),
            ({"digest": "0" * 64}, "another version"),
            ({"approval_id": "nope"}, "no approval nope"),
            ({"answer": Answer.REJECT}, "needs a comment"),
        ],
    )
    def test_an_invalid_answer_is_refused_and_recorded(self, changes: dict[str, object], why: str) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, **changes)))
        assert why in result_of(shell, "a1").message
        assert not result_of(shell, "a1").accepted
        assert shell.state.open["p1"].status is ProposalStatus.PENDING_APPROVAL
        assert any(fact.type == "answer" for fact in shell.state.outbox)

    @pytest.mark.parametrize("on_expiry", [Verdict.SUPPRESS, Verdict.DENY])
    def test_silence_is_never_a_yes(self, on_expiry: Verdict) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=route(on_expiry=on_expiry))
        given = answer(shell)
        shell.wait(days=1)
        assert shell.state.closed["p1"].reason is ReasonCode.APPROVAL_EXPIRED
        shell.send(Answered(answer=given))
        assert "already expired" in result_of(shell, "a1").message
        assert not [e for e in shell.effects if isinstance(e, (HandOver, Consult))]

    def test_a_rejection_is_final(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, answer=Answer.REJECT, comment="wrong tone")))
        assert shell.state.closed["p1"].reason is ReasonCode.APPROVAL_REJECTED


class TestReceipts:
    def sent(self, status: ReceiptStatus) -> Shell:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        shell.wait(seconds=1)
        shell.deliver(status, detail="550 no such user")
        return shell

    @pytest.mark.parametrize(
        ("status", "touch", "standing"),
        [
            (ReceiptStatus.ACCEPTED, TouchStatus.HANDED_OVER, ProposalStatus.SENT),
            (ReceiptStatus.REJECTED, TouchStatus.RELEASED, ProposalStatus.FAILED),
            (ReceiptStatus.BLOCKED, TouchStatus.RELEASED, ProposalStatus.SUPPRESSED),
            (ReceiptStatus.UNKNOWN, TouchStatus.UNKNOWN, ProposalStatus.IN_DOUBT),
        ],
    )
    def test_a_receipt_settles_touch_and_proposal(
        self, status: ReceiptStatus, touch: TouchStatus, standing: ProposalStatus
    ) -> None:
        shell = self.sent(status)
        assert shell.state.touches["northwind/p1/1"].status is touch
        assert shell.state.closed["p1"].status is standing
        assert shell.state.active is None

    def test_a_touch_in_doubt_counts_and_asks_for_a_person(self) -> None:
        shell = self.sent(ReceiptStatus.UNKNOWN)
        assert set(shell.state.in_doubt) == {"northwind/p1/1"}
        assert [t.touch_id for t in shell.state.counted_touches()] == ["northwind/p1/1"]

    def test_an_undelivered_touch_is_released_and_tried_under_a_new_id(self) -> None:
        shell = self.sent(ReceiptStatus.UNDELIVERED)
        assert shell.state.counted_touches() == ()
        shell.wait(seconds=HANDOVER.retry_after_seconds)
        shell.rule({"p1": Verdict.ALLOW})
        assert shell.hand_over().touch.touch_id == "northwind/p1/2"

    def test_a_released_touch_wakes_what_waited_behind_it(self) -> None:
        shell = Shell()
        shell.propose(proposal("p1"), proposal("p2"))
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW, "p2": Verdict.DEFER})
        shell.deliver(ReceiptStatus.REJECTED)
        assert [c.proposal.proposal_id for c in shell.consultation().candidates] == ["p2"]

    def test_a_receipt_for_an_unknown_touch_is_refused(self) -> None:
        shell = Shell()
        receipt = Receipt(touch_id="northwind/x/1", status=ReceiptStatus.ACCEPTED, at=START)
        shell.send(Delivered(receipt=receipt))
        assert shell.state.refusals == 1

    def test_an_outcome_acts_like_the_signal_it_is(self) -> None:
        shell = self.sent(ReceiptStatus.ACCEPTED)
        shell.propose(proposal("p2"))
        shell.wait(seconds=3)
        shell.rule({"p2": Verdict.DEFER})
        outcome = Outcome(
            outcome_id="o1",
            source="email",
            touch_id="northwind/p1/1",
            kind=OutcomeKind.REPLY,
            at=shell.now,
        )
        shell.send(OutcomeReported(outcome=outcome))
        assert shell.state.closed["p2"].reason is ReasonCode.EXIT_SIGNAL


class TestHolds:
    def test_a_hold_makes_rulings_stale_and_its_end_wakes_what_it_held(self) -> None:
        shell = Shell()
        hold = Hold(hold_id="h1", placed_by="dana", reason="legal dispute", placed_at=START)
        shell.send(HoldPlaced(hold=hold))
        shell.propose(proposal())
        shell.wait(seconds=3)
        request = shell.consultation()
        assert request.holds == (hold,)
        shell.send(HoldReleased(hold_id="h1", released_by="dana"))
        shell.send(Ruled(ruling=decide(request, {"p1": Verdict.ALLOW})))
        assert shell.consultation().holds == ()

    def test_releasing_an_unknown_hold_is_refused(self) -> None:
        shell = Shell()
        shell.send(HoldReleased(hold_id="h9", released_by="dana"))
        assert shell.state.refusals == 1


class TestLedgerFacts:
    def test_facts_are_numbered_without_gaps_and_leave_once(self) -> None:
        shell = deferred("p1")
        kinds = shell.project()
        assert "decision" in kinds
        assert not shell.state.outbox
        assert shell.state.seq == len(kinds)

    def test_quiet_facts_wait_for_company(self) -> None:
        shell = Shell()
        for number in range(46):
            shell.send(Observed(observation=signal(f"s{number}")))
        assert not shell.effects
        shell.send(Observed(observation=signal("s46")), Observed(observation=signal("s47")))
        assert len(shell.project()) == 50

    def test_quiet_facts_leave_after_a_while(self) -> None:
        shell = Shell(Observed(observation=signal()))
        due = next_due(shell.state)
        assert due is not None
        shell.now = due.at
        shell.send()
        assert "signal" in shell.project()

    def test_a_ledger_that_is_away_stops_no_signal(self) -> None:
        shell = Shell()
        for number in range(300):
            shell.send(Observed(observation=signal(f"s{number}")))
        assert shell.state.signals_absorbed == 300
        while shell.state.outbox:
            shell.project()
        assert shell.state.seq == 302


class TestResuming:
    def test_everything_on_its_way_is_asked_for_again(self) -> None:
        shell = Shell()
        shell.propose(proposal("p1"))
        shell.wait(seconds=3)
        carried = type(shell.state).model_validate_json(shell.state.model_dump_json())
        assert carried == shell.state
        step = resume(carried, shell.now)
        (consult,) = [e for e in step.effects if isinstance(e, Consult)]
        assert [c.proposal.proposal_id for c in consult.request.candidates] == ["p1"]

    def test_a_touch_in_flight_is_handed_over_under_the_same_id(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        first = shell.hand_over()
        (again,) = [e for e in resume(shell.state, shell.now).effects if isinstance(e, HandOver)]
        assert again.touch == first.touch

    def test_an_objection_that_the_ledger_does_not_have_yet_is_blocked_again_at_once(self) -> None:
        """The run that heard it may have ended before it could tell the shared store."""
        shell = Shell(Observed(observation=contact("bela")))
        shell.propose(proposal("p1", contact_id="bela"))
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        shell.send(Observed(observation=signal("s1", kind=SignalKind.OPT_OUT, contact_id="amira")))
        shell.effects.clear()
        shell.effects.extend(resume(shell.state, shell.now).effects)
        assert contact_key("northwind", "amira") in blocked(shell)

    def test_advancing_changes_nothing_outside(self) -> None:
        shell = deferred("p1")
        before = shell.state.model_dump_json()
        advance(shell.state, [Refused(what="signal", why="garbage")], shell.now + timedelta(days=40))
        assert shell.state.model_dump_json() == before


def test_a_proposal_is_explained_at_every_stage() -> None:
    shell = Shell()
    assert view_proposal(shell.state, "p1") is None
    shell.propose(proposal())
    view = view_proposal(shell.state, "p1")
    assert view is not None
    assert not view.settled
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.DEFER})
    view = view_proposal(shell.state, "p1")
    assert view is not None
    assert (view.status, view.reason) == (ProposalStatus.DEFERRED, ReasonCode.NO_SLOT)
    assert view.due_at == shell.now + timedelta(days=2)
