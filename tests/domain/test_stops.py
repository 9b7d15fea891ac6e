"""What an account does when kill switches are lifted, and when people leave."""

from datetime import timedelta

import pytest

from domain import (
    Block,
    Contact,
    Observed,
    ProposalStatus,
    ReasonCode,
    ReceiptStatus,
    Revoke,
    RuleHit,
    SignalKind,
    StopsChanged,
    Verdict,
)
from tests.builders import START, Shell, contact, proposal, signal
from tests.domain.situations import asked, deferred

LATER = START + timedelta(hours=6)
STOPPED = RuleHit(
    rule_id="engine.stop",
    family="engine",
    effect=Verdict.DEFER,
    reason=ReasonCode.STOPPED,
    message="dana has stopped everything: wrong price list",
    until=LATER,
)


def stopped(*ids: str) -> Shell:
    """An account whose proposals wait because of a kill switch."""
    shell = Shell()
    shell.propose(*(proposal(each) for each in ids))
    shell.wait(seconds=3)
    shell.rule(dict.fromkeys(ids, Verdict.DEFER), reason=ReasonCode.STOPPED, hits=(STOPPED,), until=LATER)
    return shell


def left(contact_id: str | None = "amira", **changes: object) -> Observed:
    return Observed(observation=signal("l1", kind=SignalKind.LEFT_COMPANY, contact_id=contact_id, **changes))


class TestLifting:
    def test_what_a_stop_made_wait_is_ruled_on_at_once(self) -> None:
        shell = stopped("p1", "p2")
        assert shell.state.next_touch_at == LATER

        shell.send(StopsChanged(stop_id="s-1"))

        assert {each.proposal.proposal_id for each in shell.consultation().candidates} == {"p1", "p2"}
        assert "Stop s-1 was lifted" in shell.state.timeline[-1].text

    def test_what_waits_for_anything_else_goes_on_waiting(self) -> None:
        shell = deferred("p1")
        before = shell.state.model_dump()

        shell.send(StopsChanged(stop_id="s-1"))

        assert shell.state.model_dump() == before

    def test_a_ruling_made_while_the_stop_stood_does_not_count_after_it(self) -> None:
        """Given a ruling on its way when the stop is lifted, then it is asked for again."""
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)

        shell.send(StopsChanged(stop_id="s-1"))
        shell.rule({"p1": Verdict.DEFER}, reason=ReasonCode.STOPPED, hits=(STOPPED,), until=LATER)

        assert shell.state.consulting is not None
        assert shell.state.open["p1"].status is not ProposalStatus.DEFERRED
        shell.rule({"p1": Verdict.ALLOW})
        assert shell.state.open["p1"].status is ProposalStatus.IN_FLIGHT

    def test_being_told_again_changes_nothing(self) -> None:
        shell = stopped("p1")
        shell.send(StopsChanged(stop_id="s-1"))
        shell.rule({"p1": Verdict.DEFER})
        before = shell.state.model_dump()

        shell.send(StopsChanged(stop_id="s-1"))

        assert shell.state.model_dump() == before


class TestGoodUntil:
    def test_the_touch_carries_until_when_its_ruling_holds(self) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)

        shell.rule({"p1": Verdict.ALLOW}, good_until=LATER)

        assert shell.state.active is not None
        assert shell.state.active.touch.good_until == LATER


class TestLeaving:
    def test_it_drops_what_was_meant_for_that_person_only_and_blocks_nobody(self) -> None:
        shell = Shell(Observed(observation=contact("bela")))
        shell.propose(proposal("p1"), proposal("p2", contact_id="bela"))
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.DEFER, "p2": Verdict.DEFER})

        shell.send(left())

        assert set(shell.state.open) == {"p2"}
        assert shell.state.closed["p1"].status is ProposalStatus.SUPPRESSED
        assert shell.state.closed["p1"].reason is ReasonCode.CONTACT_LEFT
        assert shell.state.contacts["amira"].left_at == START
        assert not any(fact.type == "suppression" for fact in shell.state.outbox)
        assert not any(isinstance(effect, Block) for effect in shell.effects)

    def test_a_pending_approval_is_withdrawn(self) -> None:
        shell = asked()

        shell.send(left())

        assert not shell.state.pending_approvals
        assert shell.state.closed["p1"].reason is ReasonCode.CONTACT_LEFT

    @pytest.mark.parametrize(
        ("receipt", "status", "reason"),
        [
            (ReceiptStatus.UNDELIVERED, ProposalStatus.SUPPRESSED, ReasonCode.CONTACT_LEFT),
            (ReceiptStatus.ACCEPTED, ProposalStatus.SENT, ReasonCode.ALLOWED),
        ],
    )
    def test_a_touch_in_flight_is_revoked_and_ends_as_its_channel_says(
        self, receipt: ReceiptStatus, status: ProposalStatus, reason: ReasonCode
    ) -> None:
        shell = Shell()
        shell.propose(proposal())
        shell.wait(seconds=3)
        shell.rule({"p1": Verdict.ALLOW})

        shell.send(left())

        assert any(isinstance(effect, Revoke) for effect in shell.effects)
        shell.deliver(receipt)
        assert (shell.state.closed["p1"].status, shell.state.closed["p1"].reason) == (status, reason)

    def test_a_profile_says_it_as_well(self) -> None:
        shell = deferred("p1")

        shell.send(Observed(observation=contact(left_at=START - timedelta(days=3))))

        assert shell.state.closed["p1"].reason is ReasonCode.CONTACT_LEFT
        assert shell.state.contacts["amira"].left_at == START - timedelta(days=3)

    def test_the_earliest_report_counts_and_no_later_profile_clears_it(self) -> None:
        shell = Shell(left(observed_at=START - timedelta(days=2)))
        shell.send(
            Observed(observation=contact(left_at=START - timedelta(days=5))),
            Observed(observation=contact(title="CTO", left_at=START)),
            Observed(observation=contact(title="CEO")),
        )

        amira: Contact = shell.state.contacts["amira"]
        assert (amira.title, amira.left_at) == ("CEO", START - timedelta(days=5))

    def test_reports_in_any_order_end_in_the_same_state(self) -> None:
        early, late = START - timedelta(days=5), START - timedelta(days=1)
        one = Shell(left(observed_at=early, source="crm"), left(observed_at=late, source="mail"))
        other = Shell(left(observed_at=late, source="mail"), left(observed_at=early, source="crm"))

        assert one.state.contacts == other.state.contacts

    def test_somebody_unknown_who_left_is_not_addressed_once_known(self) -> None:
        shell = Shell(left("cleo"))
        shell.send(Observed(observation=contact("cleo")))

        assert shell.state.contacts["cleo"].left_at == START

    def test_a_report_about_nobody_is_refused(self) -> None:
        shell = Shell(left(None))

        assert "must name its contact_id" in shell.state.timeline[-1].text
        assert shell.state.contacts["amira"].left_at is None

    def test_a_report_from_the_future_is_refused(self) -> None:
        shell = Shell(left(observed_at=START + timedelta(days=40)))

        assert shell.state.contacts["amira"].left_at is None

    def test_an_objection_of_somebody_who_left_still_blocks_them_everywhere(self) -> None:
        shell = Shell(left())

        shell.send(Observed(observation=signal("o1", kind=SignalKind.OPT_OUT, contact_id="amira")))

        assert any(isinstance(effect, Block) for effect in shell.effects)
        assert shell.state.contacts["amira"].left_at == START
