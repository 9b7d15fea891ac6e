"""Answers to approvals: the first valid one wins, everything else is refused with a reason and recorded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    Answer,
    AnswerCode,
    Answered,
    ApprovalClaimed,
    ApprovalReleased,
    ApprovalStatus,
    ApprovalViewed,
    Changes,
    Content,
    Door,
    ExceptionKind,
    Observed,
    ProposalStatus,
    ProposalWithdrawn,
    ReasonCode,
    Ruled,
    Seat,
    SignalKind,
    Use,
    UseKind,
    Verdict,
    Vet,
    WindowAsk,
    WindowFact,
    card_of,
    conflict_message,
    view_proposal,
)
from tests.builders import START, Shell, decide, proposal, signal
from tests.domain.questions import approval, asked, details, due_route, facts, no, routed, steps, vet, why
from tests.domain.situations import answer

CLAIM = Use(kind=UseKind.CLAIM, name="soc2-certified", version="v1")


def test_a_yes_has_the_proposal_ruled_again_and_is_used_up_when_the_touch_is_released() -> None:
    shell = asked()
    shell.send(Answered(answer=answer(shell)))
    assert approval(shell).status is ApprovalStatus.APPROVED
    request = shell.consultation()
    assert [each.approver for each in request.candidates[0].agreements] == ["dana"]

    shell.send(Ruled(ruling=decide(request, {"p1": Verdict.ALLOW})))

    assert shell.hand_over().touch.approved_by == "dana"
    assert steps(shell) == ["requested", "answered", "consumed"]


@pytest.mark.parametrize("said", [Answer.REJECT, Answer.SEND_BACK, Answer.MODIFY, Answer.BREAK_GLASS])
@pytest.mark.parametrize("missing", ["code", "comment"])
def test_everything_but_a_yes_says_why(said: Answer, missing: str) -> None:
    shell = asked()
    shell.send(Answered(answer=no(shell, answer=said, **{missing: None})))
    assert not why(shell).accepted
    assert missing in why(shell).message
    assert approval(shell).status is ApprovalStatus.PENDING
    assert "refused" in steps(shell)


def test_a_proposal_that_is_sent_back_ends_and_its_owner_is_told() -> None:
    shell = asked()
    shell.send(Answered(answer=no(shell, answer=Answer.SEND_BACK)))
    view = view_proposal(shell.state, "p1")
    assert view is not None
    assert (view.status, view.reason) == (ProposalStatus.SUPPRESSED, ReasonCode.SENT_BACK)
    assert "not this week" in (view.message or "")
    # The first notice is still on its way: this one waits behind it.
    assert shell.state.tickets["p1:a1"].behind_to == ("tom",)


def changed(shell: Shell, **changes: object) -> None:
    new = Changes(content=Content(subject="Hello", text="A better text"))
    given = no(shell, answer=Answer.MODIFY, code=AnswerCode.IMPROVED, changes=new, **changes)
    shell.send(Answered(answer=given))


def test_a_modified_proposal_has_a_new_digest_and_is_ruled_again_without_anybodys_yes() -> None:
    shell = asked(quorum=2)
    shell.send(Answered(answer=answer(shell, answer_id="a0", approver="mara")))
    before = approval(shell).digest
    changed(shell)

    assert approval(shell).status is ApprovalStatus.MODIFIED
    candidate = shell.consultation().candidates[0]
    assert candidate.proposal.content.text == "A better text"
    assert candidate.proposal.digest("northwind") != before
    assert candidate.agreed == ()
    assert candidate.proposal.edited_by == ("dana",)


def test_whoever_changed_it_cannot_approve_the_new_version() -> None:
    shell = asked()
    changed(shell)
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=due_route(), decision_id="p1:2")
    again = next(each for each in shell.state.approvals.values() if each.approval_id == "p1:a2")
    given = answer(shell, approval_id="p1:a2", digest=again.digest, answer_id="a9")
    shell.send(Answered(answer=given))
    assert "wrote it" in why(shell, "a9").message

    shell.send(Answered(answer=given.model_copy(update={"answer_id": "a10", "approver": "mara"})))
    assert why(shell, "a10").accepted


def test_the_proposer_may_repeat_what_an_approver_has_changed() -> None:
    shell = asked()
    changed(shell)
    shell.propose(proposal())
    assert shell.state.refusals == 0
    assert conflict_message("p1") not in " ".join(line.text for line in shell.state.timeline)


def test_a_change_that_changes_nothing_is_no_change() -> None:
    shell = asked()
    same = Changes(contact_id=shell.state.open["p1"].proposal.contact_id)
    shell.send(Answered(answer=no(shell, answer=Answer.MODIFY, changes=same)))
    assert "change nothing" in why(shell).message
    assert approval(shell).status is ApprovalStatus.PENDING


class TestWhoMayAnswer:
    def test_the_proposers_owner_may_not(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, approver="tom")))
        assert "owns the agent" in why(shell).message

    def test_somebody_unknown_is_asked_about_and_refused(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, approver="mallory")))
        assert not shell.state.answers, "nobody knows yet"
        vet(shell, refusal="mallory is not in sales-leadership")
        assert why(shell).message == "mallory is not in sales-leadership"
        assert approval(shell).status is ApprovalStatus.PENDING

    def test_somebody_who_has_joined_since_may(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, approver="nina")))
        vet(shell)
        assert approval(shell).approvers == ("nina",)

    def test_two_answers_are_settled_in_the_order_in_which_they_are_found_valid(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, approver="nina")))
        shell.send(Answered(answer=no(shell, answer=Answer.REJECT, answer_id="a2")))
        vet(shell)
        assert why(shell, "a2").accepted
        assert "already rejected by dana" in why(shell).message
        assert why(shell).answered_by == "dana"
        assert why(shell).answered_at == shell.now

    def test_two_persons_who_chose_the_same_id_have_both_answered(self) -> None:
        shell = asked(quorum=2)
        shell.send(Answered(answer=answer(shell)))
        shell.send(Answered(answer=no(shell, answer=Answer.REJECT, approver="mara")))
        assert approval(shell).status is ApprovalStatus.REJECTED
        assert approval(shell).answered_by == "mara"

    def test_nobody_gets_the_permission_that_was_asked_for_somebody_else(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, approver="nina")))
        shell.send(Answered(answer=answer(shell, approver="mallory")))
        vet(shell)
        assert approval(shell).approvers == ("nina",)
        assert sorted(each.accepted for each in shell.state.answers.values()) == [False, True]

    def test_an_answer_that_is_being_vetted_travels_to_the_next_run(self) -> None:
        shell = asked()
        shell.send(Answered(answer=answer(shell, approver="nina")))
        shell.effects.clear()
        carried = Shell.carried_over(shell)
        assert any(isinstance(effect, Vet) for effect in carried.effects)
        vet(carried)
        assert why(carried).accepted

    def test_a_delegate_answers_for_the_person_who_is_away_and_both_names_are_kept(self) -> None:
        shell = asked(delegates={"nina": "mara"})
        shell.send(Answered(answer=answer(shell, approver="nina", via=Door.HTTP)))
        (agreement,) = approval(shell).agreements
        assert (agreement.approver, agreement.answers_for) == ("nina", "mara")
        assert "delegated by nina over http: answers for mara" in details(shell)
        assert "approved by nina for mara" in why(shell).message

    def test_a_person_and_their_delegate_do_not_count_twice(self) -> None:
        shell = asked(quorum=2, delegates={"nina": "mara"})
        shell.send(Answered(answer=answer(shell, approver="mara")))
        shell.send(Answered(answer=answer(shell, answer_id="a2", approver="nina")))
        assert "mara has been answered for already" in why(shell, "a2").message
        assert approval(shell).status is ApprovalStatus.PENDING

    def test_four_eyes_come_from_distinct_groups(self) -> None:
        seats = (Seat(group="sales", approvers=("dana", "mara")), Seat(group="legal", approvers=("lena",)))
        shell = asked(quorum=2, seats=seats, approvers=("dana", "mara", "lena"))
        shell.send(Answered(answer=answer(shell)))
        shell.send(Answered(answer=answer(shell, answer_id="a2", approver="mara")))
        assert approval(shell).status is ApprovalStatus.PENDING, "both are from sales"
        shell.send(Answered(answer=answer(shell, answer_id="a3", approver="lena")))
        assert approval(shell).status is ApprovalStatus.APPROVED


class TestClaims:
    def test_what_somebody_has_claimed_others_leave_alone_until_the_claim_ends(self) -> None:
        shell = asked(claim_seconds=600)
        shell.send(ApprovalClaimed(approval_id="p1:a1", claimed_by="mara"))
        shell.send(Answered(answer=answer(shell)))
        assert "held by mara until" in why(shell).message

        shell.wait(minutes=11)
        shell.send(Answered(answer=answer(shell, answer_id="a2")))
        assert why(shell, "a2").accepted

    def test_the_second_claimer_learns_who_holds_it(self) -> None:
        shell = asked()
        shell.send(ApprovalClaimed(approval_id="p1:a1", claimed_by="mara"))
        shell.send(ApprovalClaimed(approval_id="p1:a1", claimed_by="dana"))
        assert approval(shell).claimed_by == "mara"
        assert "held by mara" in details(shell)[-1]

    def test_a_claim_can_be_given_back(self) -> None:
        shell = asked()
        shell.send(ApprovalClaimed(approval_id="p1:a1", claimed_by="mara"))
        shell.send(ApprovalReleased(approval_id="p1:a1", released_by="mara"))
        shell.send(Answered(answer=answer(shell)))
        assert why(shell).accepted
        assert steps(shell) == ["requested", "claimed", "released", "answered"]

    @pytest.mark.parametrize("who", ["tom", "mallory", "sdr-agent"])
    def test_who_may_not_answer_may_not_claim(self, who: str) -> None:
        shell = asked()
        shell.send(ApprovalClaimed(approval_id="p1:a1", claimed_by=who))
        assert approval(shell).claimed_by is None
        assert steps(shell)[-1] == "refused"

    def test_an_escalation_ends_a_claim(self) -> None:
        shell = asked(claim_seconds=86_000)
        shell.send(ApprovalClaimed(approval_id="p1:a1", claimed_by="mara"))
        shell.wait(hours=5)
        shell.send(Answered(answer=answer(shell, approver="vera")))
        assert why(shell).accepted


class TestBrokenGlass:
    def broken(self, shell: Shell) -> None:
        given = no(shell, answer=Answer.BREAK_GLASS, approver="olga", code=AnswerCode.EMERGENCY)
        shell.send(Answered(answer=given))

    def test_it_is_always_vetted_and_reviewed_by_others(self) -> None:
        shell = asked(quorum=2)
        self.broken(shell)
        vet(shell, review=due_route(approvers=("rita",), excluded=("olga", "tom")))
        candidate = shell.consultation().candidates[0]
        assert candidate.glass_broken_by == "olga"
        review = approval(shell, ExceptionKind.REVIEW)
        assert review.route.approvers == ("rita",)
        assert "olga broke the glass" in review.message

    def test_a_review_that_nobody_gives_is_asked_for_again(self) -> None:
        shell = asked()
        self.broken(shell)
        vet(shell, review=due_route(approvers=("rita",), excluded=("olga", "tom")))
        routed(shell, {"p1": Verdict.SUPPRESS})
        shell.state.asks_about = (ExceptionKind.REVIEW,)
        shell.wait(hours=30)
        (again,) = shell.consultation().asks
        assert again.approval_id == "p1:a1:r2"
        assert again.approved_by == ("olga", "tom"), "none of them reviews it"

    def test_without_a_reviewer_nobody_breaks_it(self) -> None:
        shell = asked()
        self.broken(shell)
        vet(shell)
        assert "nobody is named who reviews it" in why(shell).message
        assert approval(shell).status is ApprovalStatus.PENDING

    def test_what_governance_refuses_stays_whole(self) -> None:
        shell = asked()
        self.broken(shell)
        vet(shell, refusal="olga is not in duty-officers")
        assert approval(shell).status is ApprovalStatus.PENDING


class TestWindows:
    def window(self, **changes: object) -> WindowAsk:
        return WindowAsk.model_validate({"days": 7, "at_most": 50} | changes)

    def test_an_approval_in_advance_becomes_a_grant_for_the_template(self) -> None:
        shell = asked_about_a_template(window_days=14, window_touches=100, window_segments=("dach",))
        shell.send(Answered(answer=answer(shell, window=self.window(segment="dach"))))
        (grant,) = [fact.grant for fact in facts(shell) if isinstance(fact, WindowFact)]
        assert (grant.template, grant.version, grant.segment) == ("first-mail", "v1", "dach")
        assert grant.ends_at == shell.now + timedelta(days=7)
        assert (grant.at_most, grant.given_by) == (50, ("dana",))
        assert grant.grant_id == "northwind/p1:a1"
        assert grant.claims == (CLAIM.key,)

    @pytest.mark.parametrize(
        ("limits", "wanted", "reason"),
        [
            ({}, {}, "lets nothing be approved in advance"),
            ({"window_days": 3, "window_touches": 100}, {}, "at most 100 touches in 3 days"),
            (
                {"window_days": 14, "window_touches": 100},
                {"segment": "nowhere"},
                "there is no segment 'nowhere'",
            ),
            ({"window_days": 14, "window_touches": 10}, {}, "at most 10 touches"),
        ],
    )
    def test_beyond_what_the_route_allows_it_is_refused(
        self, limits: dict[str, object], wanted: dict[str, object], reason: str
    ) -> None:
        shell = asked_about_a_template(**limits)
        shell.send(Answered(answer=answer(shell, window=self.window(**wanted))))
        assert reason in why(shell).message
        assert approval(shell).status is ApprovalStatus.PENDING

    def test_without_a_template_nobody_can_tell_what_is_the_same(self) -> None:
        shell = asked(window_days=14, window_touches=100)
        shell.send(Answered(answer=answer(shell, window=self.window())))
        assert "no template" in why(shell).message


def asked_about_a_template(**changes: object) -> Shell:
    shell = Shell()
    shell.propose(proposal(template="first-mail"))
    shell.wait(seconds=3)
    wanted = {"route": due_route(**changes), "template_version": "v1", "uses": (CLAIM,)}
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, **wanted)
    return shell


class TestTheWorldChanges:
    @pytest.mark.parametrize(
        "kind", [SignalKind.REPLY, SignalKind.MEETING_BOOKED, SignalKind.DEAL_WON, SignalKind.DEAL_LOST]
    )
    def test_the_request_is_withdrawn_and_those_who_were_asked_are_told(self, kind: SignalKind) -> None:
        shell = asked()
        shell.send(Observed(observation=signal(kind=kind)))
        assert approval(shell).status is ApprovalStatus.WITHDRAWN
        assert shell.state.tickets["p1:a1"].behind_to == ("dana", "mara")
        shell.send(Answered(answer=answer(shell)))
        assert "already withdrawn" in why(shell).message

    def test_the_proposer_takes_it_back(self) -> None:
        shell = asked()
        withdrawal = ProposalWithdrawn(proposal_id="p1", withdrawn_by="tom", reason="wrong list")
        shell.send(withdrawal)
        assert approval(shell).status is ApprovalStatus.WITHDRAWN
        view = view_proposal(shell.state, "p1")
        assert view is not None
        assert view.reason is ReasonCode.WITHDRAWN

    @pytest.mark.parametrize("who", ["dana", "mallory"])
    def test_nobody_else_does(self, who: str) -> None:
        shell = asked()
        shell.send(ProposalWithdrawn(proposal_id="p1", withdrawn_by=who, reason="no"))
        assert approval(shell).status is ApprovalStatus.PENDING
        assert shell.state.refusals == 1

    def test_an_editor_is_no_proposer(self) -> None:
        shell = asked()
        changed(shell)
        shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=due_route(), decision_id="p1:2")
        shell.send(ProposalWithdrawn(proposal_id="p1", withdrawn_by="dana", reason="no"))
        assert "p1" in shell.state.open


def test_looks_at_the_card_are_recorded_but_not_every_reload() -> None:
    shell = asked()
    shell.send(ApprovalViewed(approval_id="p1:a1", viewed_by="dana", via=Door.LINK))
    shell.send(ApprovalViewed(approval_id="p1:a1", viewed_by="dana", via=Door.LINK))
    shell.wait(minutes=2)
    shell.send(ApprovalViewed(approval_id="p1:a1", viewed_by="dana", via=Door.COMMAND))
    assert steps(shell) == ["requested", "viewed", "viewed"]


def test_the_card_says_everything_on_one_page() -> None:
    shell = Shell()
    shell.propose(proposal(evidence=("three visits to the price page",)), proposal("p2"))
    shell.wait(seconds=3)
    request = shell.consultation()
    ruling = decide(request, {"p1": Verdict.REQUIRE_APPROVAL, "p2": Verdict.DEFER}, route=due_route())
    named = [each.model_copy(update={"rivals": ("p2",)}) for each in ruling.decisions]
    shell.send(Ruled(ruling=ruling.model_copy(update={"decisions": tuple(named)})))

    card = card_of(shell.state, "p1:a1")
    assert card is not None
    assert card.proposal is not None
    assert card.proposal.evidence == ("three visits to the price page",)
    assert card.recipient is not None
    assert "unknown (no basis" in (card.consent or "")
    assert [rival.proposal_id for rival in card.rivals] == ["p2"]
    assert card.approval.digest == shell.state.open["p1"].digest
    said = {each.answer: each.text for each in card.consequences}
    assert set(said) == {Answer.APPROVE, Answer.REJECT, Answer.MODIFY, Answer.SEND_BACK, None}
    assert f"{START + timedelta(days=1):%Y-%m-%d}" in said[None]
    assert card_of(shell.state, "nope") is None


@pytest.mark.parametrize("field", ["digest", "approval_id"])
def test_an_answer_for_something_else_is_refused_and_recorded(field: str) -> None:
    shell = asked()
    shell.send(Answered(answer=answer(shell, **{field: "0" * 64})))
    assert not why(shell).accepted
    assert [fact for fact in facts(shell) if fact.type == "answer"]


def test_after_the_deadline_no_answer_counts() -> None:
    shell = asked(expires_at=START + timedelta(hours=3), levels=())
    given = answer(shell)
    shell.wait(hours=4)
    shell.send(Answered(answer=given))
    assert "already expired" in why(shell).message
    view = view_proposal(shell.state, "p1")
    assert view is not None
    assert view.status is ProposalStatus.SUPPRESSED


def test_a_deputy_of_a_later_level_waits_until_that_is_asked() -> None:
    shell = asked(delegates={"nina": "vera"})
    shell.send(Answered(answer=answer(shell, approver="nina")))
    vet(shell, refusal="nina is asked only if nobody answers")
    assert not why(shell).accepted
    shell.wait(hours=4)
    shell.send(Answered(answer=answer(shell, answer_id="a2", approver="nina")))
    assert why(shell, "a2").message == "recorded: approved by nina for vera"


@pytest.mark.parametrize(
    ("told", "counts"), [(-600, 0), (30, 30), (9_999, 120)], ids=["too early", "then", "too late"]
)
def test_a_look_that_is_told_later_counts_since_the_card_was_shown(told: int, counts: int) -> None:
    shell = asked()
    asked_at = approval(shell).requested_at
    shell.wait(minutes=2)
    shown_at = asked_at + timedelta(seconds=told)
    look = ApprovalViewed(approval_id="p1:a1", viewed_by="dana", via=Door.LINK, shown_at=shown_at)
    shell.send(look)
    (entry,) = [
        fact.step
        for fact in facts(shell)
        if fact.type == "approval_step" and fact.step.kind.value == "viewed"
    ]
    assert entry.shown_at == asked_at + timedelta(seconds=counts)
