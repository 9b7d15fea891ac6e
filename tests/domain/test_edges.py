"""The edges: hostile text, late answers, floods, and what happens while a touch is in flight."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    Answer,
    Answered,
    ApprovalAnswer,
    ApprovalStatus,
    Delivery,
    HandOver,
    Hold,
    HoldPlaced,
    Observed,
    PastTouch,
    Project,
    ProposalStatus,
    ReasonCode,
    ReceiptStatus,
    Refused,
    Revoke,
    Ruled,
    SignalKind,
    TouchStatus,
    Verdict,
)
from domain._state import FLUSH_BYTES, OUTBOX_LIMIT, TOUCH_LIMIT
from tests.builders import HANDOVER, START, Shell, contact, decide, proposal, signal
from tests.domain.situations import answer, asked, result_of


class TestEdges:
    """Each of these once stopped an account, sent too much, or lost something."""

    def in_flight(self) -> Shell:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})
        return shell

    def test_line_breaks_from_outside_stop_nothing(self) -> None:
        shell = self.in_flight()
        reason = "Legal dispute.\nDo not contact."
        shell.send(HoldPlaced(hold=Hold(hold_id="h1", placed_by="dana", reason=reason, placed_at=START)))
        shell.send(Refused(what="signal", why="bad\nfield"))
        shell.deliver(ReceiptStatus.REJECTED, detail="SMTP 550\nno such user")
        assert shell.state.closed["p1"].status is ProposalStatus.FAILED
        assert all("\n" not in line.text for line in shell.state.timeline)

    def test_a_message_nobody_foresaw_is_refused_and_the_others_count(self) -> None:
        shell = Shell()
        bad = Observed.model_construct(observation=signal().model_copy(update={"observed_at": None}))
        shell.send(bad, Observed(observation=signal("good")))
        assert (shell.state.signals_absorbed, shell.state.refusals) == (1, 1)

    def test_a_ruling_in_the_same_turn_as_an_opt_out_sends_nothing(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        ruling = decide(shell.consultation(), {"p1": Verdict.ALLOW})
        stop = signal("o1", kind=SignalKind.OPT_OUT, contact_id="amira")
        shell.send(Ruled(ruling=ruling), Observed(observation=stop))
        assert not [e for e in shell.effects if isinstance(e, HandOver)]
        assert shell.state.closed["p1"].reason is ReasonCode.SUPPRESSED

    def test_a_late_ruling_is_asked_for_again(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        request = shell.consultation()
        shell.now += timedelta(hours=6)
        shell.send(Ruled(ruling=decide(request, {"p1": Verdict.ALLOW})))
        assert not [e for e in shell.effects if isinstance(e, HandOver)]
        assert shell.consultation().now == shell.now

    @pytest.mark.parametrize("kind", [SignalKind.REPLY, SignalKind.OPT_OUT])
    def test_an_exit_during_the_flight_is_not_forgotten(self, kind: SignalKind) -> None:
        shell = self.in_flight()
        shell.send(Observed(observation=signal("x", kind=kind, contact_id="amira")))
        assert [e.touch_id for e in shell.effects if isinstance(e, Revoke)] == ["northwind/p1/1"]
        shell.deliver(ReceiptStatus.UNDELIVERED)
        assert shell.state.closed["p1"].status is ProposalStatus.SUPPRESSED

    def test_a_hold_stops_the_touch_in_flight_if_it_can(self) -> None:
        shell = self.in_flight()
        shell.send(HoldPlaced(hold=Hold(hold_id="h1", placed_by="dana", reason="x", placed_at=START)))
        assert [e.touch_id for e in shell.effects if isinstance(e, Revoke)] == ["northwind/p1/1"]

    def test_the_touch_memory_forgets_the_oldest_and_never_the_one_in_flight(self) -> None:
        shell = self.in_flight()
        recent = PastTouch(
            touch_id="1", source="crm", channel="call", action="call", at=START - timedelta(days=5)
        )
        old = [
            PastTouch(
                touch_id=str(number),
                source="nurture",
                channel="email",
                action="mail",
                at=START - timedelta(days=80),
            )
            for number in range(TOUCH_LIMIT + 5)
        ]
        shell.send(*(Observed(observation=item) for item in (recent, *old)))
        assert "crm:1" in shell.state.touches, "the source belongs to the identity, the newest stay"
        assert len(shell.state.touches) == TOUCH_LIMIT
        shell.deliver()
        assert shell.state.closed["p1"].status is ProposalStatus.SENT

    def test_an_idempotent_channel_gets_the_same_id_again(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        idempotent = HANDOVER.model_copy(update={"delivery": Delivery.IDEMPOTENT})
        shell.rule({"p1": Verdict.ALLOW}, handover=idempotent)
        shell.deliver(ReceiptStatus.UNDELIVERED)
        shell.wait(seconds=HANDOVER.retry_after_seconds)
        shell.rule({"p1": Verdict.ALLOW}, handover=idempotent)
        assert shell.hand_over().touch.touch_id == "northwind/p1/1"

    def test_a_full_outbox_keeps_objections(self) -> None:
        shell = Shell(Observed(observation=signal("o1", kind=SignalKind.OPT_OUT, contact_id="amira")))
        shell.send(*(Refused(what="signal", why="flood") for _ in range(OUTBOX_LIMIT + 100)))
        assert len(shell.state.outbox) == OUTBOX_LIMIT
        assert any(fact.type == "suppression" for fact in shell.state.outbox)

    def test_a_batch_for_the_ledger_stays_small(self) -> None:
        shell = Shell()
        heavy = {f"fact{number}": "漢" * 1_000 for number in range(32)}
        shell.send(*(Observed(observation=signal(f"s{number}", facts=heavy)) for number in range(60)))
        (project,) = [effect for effect in shell.effects if isinstance(effect, Project)]
        assert len(project.batch.model_dump_json().encode()) < 2 * FLUSH_BYTES

    def test_many_proposals_are_judged_in_groups_until_all_are(self) -> None:
        shell = Shell()
        shell.propose(*(proposal(f"p{number:03}") for number in range(120)))
        shell.wait(seconds=3)
        for expected in (50, 50, 20):
            request = shell.consultation()
            assert len(request.candidates) == expected
            shell.send(Ruled(ruling=decide(request, {})))
        assert not shell.state.open

    def test_an_approval_is_for_the_address_the_approver_saw(self) -> None:
        shell = asked()
        given = answer(shell)
        shell.send(Observed(observation=contact(email="somebody.else@example.org")))
        assert next(iter(shell.state.approvals.values())).status is ApprovalStatus.WITHDRAWN
        shell.send(Answered(answer=given))
        assert not result_of(shell, "a1").accepted

    def test_an_approval_ends_when_the_address_changes_while_the_touch_waits_for_its_time(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell)))
        shell.rule({"p1": Verdict.DEFER})
        assert shell.state.open["p1"].approvers == ("dana",)

        shell.send(Observed(observation=contact(email="somebody.else@example.org")))

        (candidate,) = shell.consultation().candidates
        assert (candidate.agreed, candidate.agreements, candidate.glass_broken_by) == ((), (), None)

    def test_an_approval_ends_when_the_address_changes_while_the_channel_is_at_it(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell)))
        shell.rule({"p1": Verdict.ALLOW})
        shell.send(Observed(observation=contact(email="somebody.else@example.org")))
        shell.deliver(ReceiptStatus.UNDELIVERED)
        shell.wait(seconds=HANDOVER.retry_after_seconds)

        (candidate,) = shell.consultation().candidates
        assert (candidate.agreed, candidate.agreements) == ((), ())

    def test_one_answer_id_for_two_approvals_means_two_answers(self) -> None:
        shell = Shell()
        shell.propose(proposal("p1"), proposal("p2"))
        shell.wait(seconds=3)
        shell.rule(dict.fromkeys(("p1", "p2"), Verdict.REQUIRE_APPROVAL))
        for approval in shell.state.pending_approvals:
            given = ApprovalAnswer(
                answer_id="x",
                approval_id=approval.approval_id,
                answer=Answer.REJECT,
                approver="dana",
                digest=approval.digest,
                comment="no",
            )
            shell.send(Answered(answer=given))
        assert not shell.state.pending_approvals

    def test_an_opt_out_with_a_wrong_clock_counts(self) -> None:
        late = START + timedelta(days=300)
        stop = signal("o1", kind=SignalKind.OPT_OUT, contact_id="amira", observed_at=late)
        shell = Shell(Observed(observation=stop))
        assert shell.state.contacts["amira"].opted_out_at == START


def uncertain(*, then: ReceiptStatus | None = None) -> Shell:
    """An account whose idempotent channel may have handed over a touch, and then said something else."""
    again = HANDOVER.model_copy(update={"delivery": Delivery.IDEMPOTENT})
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.ALLOW}, handover=again)
    shell.deliver(ReceiptStatus.UNKNOWN, detail="HTTP 500")
    if then is not None:
        shell.wait(minutes=5)
        shell.rule({"p1": Verdict.ALLOW}, handover=again)
        shell.deliver(then)
    return shell


def test_an_uncertain_touch_of_an_idempotent_channel_goes_again_under_its_id() -> None:
    shell = uncertain()
    assert shell.state.open["p1"].status is ProposalStatus.DEFERRED
    assert shell.state.in_doubt == {}
    shell.wait(minutes=5)
    shell.rule({"p1": Verdict.ALLOW}, handover=HANDOVER.model_copy(update={"delivery": Delivery.IDEMPOTENT}))
    assert shell.hand_over().touch.touch_id == "northwind/p1/1"


@pytest.mark.parametrize("then", [ReceiptStatus.ACCEPTED, ReceiptStatus.REJECTED])
def test_what_the_channel_says_in_the_end_ends_the_doubt(then: ReceiptStatus) -> None:
    shell = uncertain(then=then)
    assert shell.state.in_doubt == {}
    assert "p1" not in shell.state.open


@pytest.mark.parametrize("then", [None, ReceiptStatus.UNDELIVERED, ReceiptStatus.BLOCKED])
def test_an_uncertain_touch_that_never_gets_through_goes_to_a_person(then: ReceiptStatus | None) -> None:
    shell = uncertain(then=then)
    shell.wait(days=31)
    assert shell.state.closed["p1"].status is ProposalStatus.IN_DOUBT
    assert shell.state.touches["northwind/p1/1"].status is TouchStatus.UNKNOWN
    assert list(shell.state.in_doubt) == ["northwind/p1/1"]
