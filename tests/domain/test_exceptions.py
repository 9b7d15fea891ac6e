"""The other exceptions: doubts, contradictions, readings that disagree, and planted tests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    Answer,
    AnswerCode,
    Answered,
    ApprovalStatus,
    Consult,
    Delivered,
    ExceptionKind,
    Hold,
    HoldPlaced,
    HoldReleased,
    Observed,
    PolicyPublished,
    ProposalStatus,
    Reading,
    ReasonCode,
    Receipt,
    ReceiptStatus,
    Ruled,
    RuleHit,
    Seeded,
    Settlement,
    Stage,
    TouchSettled,
    TouchStatus,
    Verdict,
    card_of,
    next_due,
    view_proposal,
    view_status,
)
from tests.builders import START, Shell, decide, proposal, signal
from tests.domain.questions import ambiguous, approval, due_route, no, routed, steps, vet, why
from tests.domain.situations import answer


def hit(reason: ReasonCode) -> RuleHit:
    return RuleHit(
        rule_id="engine.hold", family="engine", effect=Verdict.DEFER, reason=reason, message="stopped"
    )


class TestDoubts:
    def doubted(self) -> Shell:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        routed(shell, {"p1": Verdict.ALLOW})
        shell.deliver(ReceiptStatus.UNKNOWN)
        routed(shell, {})
        return shell

    def settled(self, shell: Shell, **changes: object) -> None:
        self.answered(shell, **changes)
        vet(shell)

    def answered(self, shell: Shell, **changes: object) -> None:
        asked = approval(shell, ExceptionKind.IN_DOUBT)
        about = {"approval_id": asked.approval_id, "digest": asked.digest, "code": AnswerCode.VERIFIED}
        shell.send(Answered(answer=no(shell, answer=Answer.SETTLE, **(about | changes))))

    def test_whoever_would_not_be_asked_today_settles_nothing(self) -> None:
        shell = self.doubted()
        self.answered(shell, settlement=Settlement.HANDED_OVER)
        vet(shell, refusal="dana is not in sales-leadership")
        assert shell.state.in_doubt
        assert not why(shell).accepted

    def test_a_person_settles_it_in_the_inbox(self) -> None:
        shell = self.doubted()
        asked = approval(shell, ExceptionKind.IN_DOUBT)
        card = card_of(shell.state, asked.approval_id)
        assert card is not None
        assert card.touch is not None

        self.settled(shell, settlement=Settlement.HANDED_OVER)

        assert not shell.state.in_doubt
        assert approval(shell, ExceptionKind.IN_DOUBT).status is ApprovalStatus.SETTLED
        view = view_proposal(shell.state, "p1")
        assert view is not None
        assert view.status is ProposalStatus.SENT

    def test_an_approval_settles_no_doubt(self) -> None:
        shell = self.doubted()
        asked = approval(shell, ExceptionKind.IN_DOUBT)
        given = answer(shell, approval_id=asked.approval_id, digest=asked.digest)
        shell.send(Answered(answer=given))
        assert "no answer to an exception of kind in_doubt; say settle" in why(shell).message

    def test_what_is_settled_elsewhere_need_not_be_answered(self) -> None:
        shell = self.doubted()
        (touch_id,) = shell.state.in_doubt
        shell.send(
            TouchSettled(
                touch_id=touch_id, settlement=Settlement.NOT_HANDED_OVER, settled_by="ops", comment="log"
            )
        )
        assert approval(shell, ExceptionKind.IN_DOUBT).status is ApprovalStatus.WITHDRAWN

    def test_silence_leaves_it_in_doubt_and_counted(self) -> None:
        shell = self.doubted()
        shell.now = START + timedelta(days=2)
        shell.send()
        assert approval(shell, ExceptionKind.IN_DOUBT).status is ApprovalStatus.EXPIRED
        assert shell.state.in_doubt
        assert next(iter(shell.state.touches.values())).status is TouchStatus.UNKNOWN
        shell.wait(days=3)
        assert not any(isinstance(effect, Consult) for effect in shell.effects), "it is asked once"

    def test_a_set_that_does_not_put_doubts_to_people_asks_nobody(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        shell.deliver(ReceiptStatus.UNKNOWN)
        assert not shell.state.asks


def nobody_to_ask(shell: Shell) -> None:
    """Rule, and find nobody to ask."""
    request = shell.consultation()
    ruling = decide(request, {})
    update = {
        "asks_about": (ExceptionKind.IN_DOUBT,),
        "unroutable": dict.fromkeys((each.approval_id for each in request.asks), "everybody is on leave"),
    }
    shell.send(Ruled(ruling=ruling.model_copy(update=update)))


def test_a_doubt_that_nobody_could_be_asked_about_is_asked_about_again() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    routed(shell, {"p1": Verdict.ALLOW})
    shell.deliver(ReceiptStatus.UNKNOWN)
    nobody_to_ask(shell)
    assert shell.state.refusals == 1
    assert not shell.state.asks

    shell.wait(hours=12)
    routed(shell, {})
    assert approval(shell, ExceptionKind.IN_DOUBT).status is ApprovalStatus.PENDING


def test_a_doubt_that_no_policy_puts_to_people_any_more_does_not_wake_the_account_for_ever() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    routed(shell, {"p1": Verdict.ALLOW})
    shell.deliver(ReceiptStatus.UNKNOWN)
    nobody_to_ask(shell)
    shell.propose(proposal("p2"))
    shell.wait(seconds=3)
    shell.rule({"p2": Verdict.SUPPRESS})
    assert not shell.state.asks_about, "the set in force puts no doubts to people"

    shell.wait(hours=13)

    due = next_due(shell.state)
    assert due is None or due.at > shell.now


class TestConflicts:
    def starved(self) -> Shell:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        routed(shell, {"p1": Verdict.DEFER}, hits=(hit(ReasonCode.STARVED),), reason=ReasonCode.STARVED)
        routed(shell, {})
        return shell

    def answered(self, shell: Shell, said: Answer, approver: str = "dana") -> None:
        asked = approval(shell, ExceptionKind.CONFLICT)
        about = {"approval_id": asked.approval_id, "digest": asked.digest, "approver": approver}
        about["answer_id"] = f"of-{approver}"
        shell.send(Answered(answer=no(shell, answer=said, **about)))
        if approver not in asked.route.excluded:
            vet(shell)

    def test_what_starves_is_put_to_a_person_once(self) -> None:
        shell = self.starved()
        asked = approval(shell, ExceptionKind.CONFLICT)
        assert asked.reason is ReasonCode.STARVED
        self.answered(shell, Answer.APPROVE)
        assert shell.state.open["p1"].status is ProposalStatus.DEFERRED
        assert not shell.state.asks

    def test_a_no_drops_it(self) -> None:
        shell = self.starved()
        self.answered(shell, Answer.REJECT)
        view = view_proposal(shell.state, "p1")
        assert view is not None
        assert view.status is ProposalStatus.DENIED

    def test_silence_suppresses_it(self) -> None:
        shell = self.starved()
        shell.now = START + timedelta(days=1, seconds=1)
        shell.send()
        view = view_proposal(shell.state, "p1")
        assert view is not None
        assert view.reason is ReasonCode.APPROVAL_EXPIRED

    def starved_and_asked_about(self) -> Shell:
        """Before anybody has answered, another policy set has the starving proposal need an approval."""
        shell = self.starved()
        shell.wait(hours=20)
        shell.send(PolicyPublished(digest="f" * 64))
        later = due_route(expires_at=START + timedelta(days=3))
        routed(shell, {"p1": Verdict.REQUIRE_APPROVAL}, route=later)
        assert approval(shell).status is ApprovalStatus.PENDING
        return shell

    def test_a_no_to_the_conflict_takes_the_other_question_back(self) -> None:
        shell = self.starved_and_asked_about()
        self.answered(shell, Answer.REJECT)
        assert approval(shell).status is ApprovalStatus.WITHDRAWN
        assert view_status(shell.state).refusals == 0

    def test_so_does_silence(self) -> None:
        shell = self.starved_and_asked_about()
        shell.wait(hours=5)
        assert approval(shell, ExceptionKind.CONFLICT).status is ApprovalStatus.EXPIRED
        assert approval(shell).status is ApprovalStatus.WITHDRAWN

    def contradicted(self) -> Shell:
        """Dana approved it, and olga's hold stops it."""
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        routed(shell, {"p1": Verdict.REQUIRE_APPROVAL}, route=due_route())
        shell.send(Answered(answer=answer(shell)))
        shell.send(HoldPlaced(hold=Hold(hold_id="h1", placed_by="olga", reason="no", placed_at=START)))
        held = {"hits": (hit(ReasonCode.ACCOUNT_HOLD),), "reason": ReasonCode.ACCOUNT_HOLD}
        routed(shell, {"p1": Verdict.DEFER}, **held)  # it is stale: the hold came after the question
        routed(shell, {"p1": Verdict.DEFER}, **held)
        return shell

    def test_two_persons_who_contradict_each_other_are_put_to_a_third(self) -> None:
        shell = self.contradicted()
        routed(shell, {})
        asked = approval(shell, ExceptionKind.CONFLICT)
        assert asked.holds == ("h1",)
        assert "dana approved" in asked.message
        assert "a hold of olga stops it" in asked.message
        self.answered(shell, Answer.APPROVE)
        assert not why(shell, "of-dana").accepted, "she has a part in it"
        self.answered(shell, Answer.APPROVE, "mara")
        assert not shell.state.holds
        assert shell.consultation().candidates[0].approved_by == "dana"

    def test_governance_learns_of_both_before_it_says_who_is_third(self) -> None:
        (asked,) = self.contradicted().consultation().asks
        assert asked.approved_by == ("dana", "olga"), "if nobody else is left, it asks the next level at once"

    def test_when_the_hold_ends_nobody_need_answer(self) -> None:
        shell = self.contradicted()
        routed(shell, {})
        shell.send(HoldReleased(hold_id="h1", released_by="olga"))
        assert approval(shell, ExceptionKind.CONFLICT).status is ApprovalStatus.WITHDRAWN


class TestReadings:
    def disputed(self) -> Shell:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        waits = (hit(ReasonCode.AMBIGUOUS),)
        shell.send(Ruled(ruling=ambiguous(shell, hits=waits, reason=ReasonCode.AMBIGUOUS)))
        return shell

    def settle(self, shell: Shell, **changes: object) -> None:
        asked = approval(shell, ExceptionKind.AMBIGUITY)
        about = {"approval_id": asked.approval_id, "digest": asked.digest, "stage": Stage.CUSTOMER}
        shell.send(Answered(answer=no(shell, answer=Answer.SETTLE, **(about | changes))))

    def test_a_person_settles_the_stage_and_what_waited_is_ruled_again(self) -> None:
        shell = self.disputed()
        self.settle(shell)
        vet(shell)
        request = shell.consultation()
        assert request.settled is not None
        assert (request.settled.stage, request.settled.settled_by) == (Stage.CUSTOMER, "dana")
        assert request.settled.holds_until == shell.now + timedelta(days=1)

    def test_it_must_say_which_stage(self) -> None:
        shell = self.disputed()
        self.settle(shell, stage=None)
        assert "which stage" in why(shell).message

    def test_the_same_readings_are_asked_about_once(self) -> None:
        shell = self.disputed()
        shell.wait(days=2)
        assert approval(shell, ExceptionKind.AMBIGUITY).status is ApprovalStatus.EXPIRED
        request = shell.effects[-1]
        assert isinstance(request, Consult)
        assert request.request.ambiguity is not None, "governance learns that nobody answered"
        shell.send(Ruled(ruling=ambiguous(shell)))
        assert len(shell.state.approvals) == 1

    def test_other_readings_are_another_question(self) -> None:
        shell = self.disputed()
        shell.propose(proposal("p2"))
        shell.wait(seconds=3)
        shell.send(Ruled(ruling=ambiguous(shell, digest="e" * 64)))
        statuses = sorted(each.status.value for each in shell.state.approvals.values())
        assert statuses == ["pending", "withdrawn"]

    def test_readings_that_agree_again_need_no_answer(self) -> None:
        shell = self.disputed()
        shell.propose(proposal("p2"))
        shell.wait(seconds=3)
        shell.send(Ruled(ruling=decide(shell.consultation(), {"p2": Verdict.DEFER})))
        assert approval(shell, ExceptionKind.AMBIGUITY).status is ApprovalStatus.WITHDRAWN
        (candidate,) = shell.consultation().candidates
        assert candidate.proposal.proposal_id == "p1", "what waited for the answer waits no longer"

    def test_a_system_that_changes_its_mind_has_it_looked_at_again(self) -> None:
        shell = self.disputed()
        shell.send(Observed(observation=signal("s1", reading=self.reading(Stage.AWARE))))
        asks = shell.consultation()
        assert [each.proposal.proposal_id for each in asks.candidates] == ["p1"]
        shell.send(Ruled(ruling=decide(asks, {"p1": Verdict.DEFER})))
        assert approval(shell, ExceptionKind.AMBIGUITY).status is ApprovalStatus.WITHDRAWN

    def test_the_same_said_again_does_not(self) -> None:
        shell = Shell(Observed(observation=signal("s1", reading=self.reading(Stage.AWARE))))
        shell.propose(proposal())
        shell.wait(seconds=3)
        waits = (hit(ReasonCode.AMBIGUOUS),)
        shell.send(Ruled(ruling=ambiguous(shell, hits=waits, reason=ReasonCode.AMBIGUOUS)))
        shell.send(Observed(observation=signal("s2", reading=self.reading(Stage.AWARE))))
        assert not any(isinstance(effect, Consult) for effect in shell.effects)

    def reading(self, stage: Stage) -> Reading:
        return Reading(system="intent", stage=stage, urgency=0.5, confidence=0.9, observed_at=START)

    def test_silence_does_not_close_an_account_for_ever(self) -> None:
        shell = self.disputed()
        shell.wait(days=2)
        shell.send(Ruled(ruling=ambiguous(shell)))
        shell.wait(days=1)  # as long as an answer would have held
        shell.propose(proposal("p2"))
        shell.wait(seconds=3)
        shell.send(Ruled(ruling=ambiguous(shell)))
        assert len(shell.state.approvals) == 2


class TestSeeds:
    def seeded(self, verdict: Verdict = Verdict.REQUIRE_APPROVAL) -> Shell:
        shell = Shell()
        shell.send(Seeded(proposal=proposal(), seeded_by="audit.anna"))
        shell.wait(seconds=3)
        shell.rule({"p1": verdict}, **({"route": due_route()} if verdict is not Verdict.ALLOW else {}))
        return shell

    @pytest.mark.parametrize("said", [Answer.APPROVE, Answer.REJECT, Answer.SEND_BACK])
    def test_whatever_is_answered_it_never_goes_out(self, said: Answer) -> None:
        shell = self.seeded()
        shell.send(Answered(answer=no(shell, answer=said)))
        assert why(shell).accepted
        assert not shell.state.open
        assert not any(type(effect).__name__ in {"HandOver", "Consult"} for effect in shell.effects)

    def test_one_that_no_policy_asks_about_does_not_go_out_either(self) -> None:
        shell = self.seeded(Verdict.ALLOW)
        view = view_proposal(shell.state, "p1")
        assert view is not None
        assert (view.status, view.reason) == (ProposalStatus.SUPPRESSED, ReasonCode.SEEDED)

    def test_whoever_planted_it_catches_nothing(self) -> None:
        shell = Shell()
        shell.send(Seeded(proposal=proposal(), seeded_by="dana"))
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=due_route())
        shell.send(Answered(answer=no(shell, answer=Answer.REJECT)))
        assert "planted it" in why(shell).message
        assert approval(shell).status is ApprovalStatus.PENDING
        assert "dana" not in approval(shell).route.excluded

    def test_the_card_does_not_give_it_away(self) -> None:
        shell = self.seeded()
        card = card_of(shell.state, "p1:a1")
        assert card is not None
        assert "audit.anna" not in card.model_dump_json()
        assert "seed" not in card.model_dump_json().lower()

    def test_few_are_open_at_a_time(self) -> None:
        shell = Shell()
        for number in range(7):
            shell.send(Seeded(proposal=proposal(f"s{number}"), seeded_by="audit.anna"))
        assert len(shell.state.open) == 5
        assert shell.state.refusals == 2

    def test_it_displaces_nothing(self) -> None:
        shell = Shell()
        shell.send(Seeded(proposal=proposal(), seeded_by="audit.anna"))
        shell.propose(proposal("p2"))
        shell.wait(seconds=3)
        request = shell.consultation()
        assert [each.proposal.proposal_id for each in request.candidates] == ["p2"]
        shell.send(Ruled(ruling=decide(request, {"p2": Verdict.ALLOW})))
        assert shell.hand_over().touch.proposal_id == "p2"
        later = shell.consultation()
        assert [each.proposal.proposal_id for each in later.candidates] == ["p1"]

    def test_the_audit_trail_knows_who_planted_it(self) -> None:
        shell = self.seeded()
        assert steps(shell) == ["requested", "requested"]


def test_a_touch_that_comes_back_in_doubt_is_delivered_once() -> None:
    shell = TestDoubts().doubted()
    (touch_id,) = shell.state.in_doubt
    receipt = Receipt(touch_id=touch_id, status=ReceiptStatus.ACCEPTED, at=shell.now)
    shell.send(Delivered(receipt=receipt))
    assert touch_id in shell.state.in_doubt
