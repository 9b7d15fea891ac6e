"""One account, played by hypothesis as a state machine: the promises hold after whatever happens.

Proposals, plays, outcomes, objections, holds, publications and restarts in any order, with time between
them. Governance, planner and state machine are the real ones, under a virtual clock.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain import (
    GENESIS,
    LOGGED,
    Answer,
    AnswerCode,
    Answered,
    AnswerFact,
    Approval,
    ApprovalAnswer,
    ApprovalClaimed,
    ApprovalFact,
    Changes,
    Consent,
    Content,
    Event,
    Hold,
    HoldPlaced,
    HoldReleased,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    PlayAsk,
    PlayAsked,
    PlayStatus,
    ProposalWithdrawn,
    Proposed,
    ReceiptStatus,
    Role,
    Seeded,
    Settlement,
    SignalKind,
    Stage,
    Touch,
    TouchFact,
    TouchStatus,
    answer_key,
)
from governance import PolicySet, compile_policy_set
from tests.builders import account, contact, proposal, signal
from tests.test_promises import MONDAY, policies
from tutti.simulator import CHANNEL_TAKES, Simulator

LONDON = ZoneInfo("Europe/London")
PEOPLE = {
    "amira": Role.CHAMPION,
    "bela": Role.DECISION_MAKER,
    "cleo": Role.EXECUTIVE_SPONSOR,
    "dora": Role.INFLUENCER,
}
STARTERS = (
    SignalKind.INTENT_SURGE,
    SignalKind.FORM_SUBMISSION,
    SignalKind.SUPPORT_CASE,
    SignalKind.MEETING_HELD,
)
AGENTS = ("sdr-agent", "nurture", "plays", "executive-office")
ANSWERERS = ("dana.reyes", "tom.okafor", "lena.fischer", "mara.lindqvist", "mallory", *AGENTS)
HORIZON = timedelta(days=200)
"""Longer than any proposal or play lasts: by then everything has come to its end."""


@cache
def stricter() -> PolicySet:
    """The default set with a longer rest between touches."""
    files = dict(policies().files)
    files["timing.yaml"] = files["timing.yaml"].replace("at_least: 2d", "at_least: 3d")
    assert files != dict(policies().files)
    return compile_policy_set(files)


class OneAccount(RuleBasedStateMachine):
    """What may happen to one account, and what must hold after each of it."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.proposed: set[str] = set()
        self.planted: set[str] = set()
        self.objected: dict[str, datetime] = {}
        self.sim = Simulator(policies(), "northwind", MONDAY)

    @initialize(receipts=st.lists(st.sampled_from(list(ReceiptStatus)), max_size=4))
    def introduce(self, receipts: list[ReceiptStatus]) -> None:
        self.sim.receipts = {f"p{number}": (status,) for number, status in enumerate(receipts)}
        known = {"time_zone": "Europe/London", "consent": Consent.GRANTED}
        people = [contact(name, role=role, **known) for name, role in PEOPLE.items()]
        self.happen(Observed(observation=account(tier="tier_1")))
        self.happen(*(Observed(observation=person) for person in people))

    def happen(self, *events: Event) -> None:
        """Everything arrives twice: a repeated message must change nothing."""
        self.sim.send(events)
        self.sim.send(events)

    def number(self) -> int:
        self.count += 1
        return self.count

    @rule(
        person=st.sampled_from(sorted(PEOPLE)),
        nurturing=st.booleans(),
        value=st.integers(1, 15_000),
        propensity=st.floats(0, 1),
    )
    def propose(self, person: str, *, nurturing: bool, value: int, propensity: float) -> None:
        proposal_id = f"p{self.number()}"
        self.proposed.add(proposal_id)
        self.happen(
            Proposed(
                proposal=proposal(
                    proposal_id,
                    actor="nurture" if nurturing else "sdr-agent",
                    action="send_nurture_email" if nurturing else "send_email",
                    contact_id=person,
                    value=float(value),
                    propensity=propensity,
                )
            )
        )

    @rule(kind=st.sampled_from(STARTERS), urgency=st.floats(0, 1))
    def start(self, kind: SignalKind, urgency: float) -> None:
        reading = {"system": "intent", "stage": "evaluating", "urgency": urgency, "confidence": 0.8}
        seen = signal(
            f"s{self.number()}",
            kind=kind,
            observed_at=self.sim.now,
            reading=reading | {"observed_at": self.sim.now},
        )
        self.happen(self.sim.at_the_door(Observed(observation=seen)))

    @rule(which=st.integers(0, 10))
    def start_by_hand(self, which: int) -> None:
        plays = sorted(self.sim.policies.plays)
        asked = PlayAsk(
            play_id=plays[which % len(plays)], asked_by="dana.reyes", asked_at=self.sim.now, by_person=True
        )
        self.happen(PlayAsked(ask=asked))

    @precondition(lambda self: bool(self.sim.state.touches))
    @rule(kind=st.sampled_from(list(OutcomeKind)), which=st.integers(0, 30))
    def come_back(self, kind: OutcomeKind, which: int) -> None:
        touches = list(self.sim.state.touches.values())
        touch = touches[which % len(touches)]
        outcome = Outcome(
            outcome_id=f"o{self.number()}",
            source="channel",
            touch_id=touch.touch_id,
            kind=kind,
            at=self.sim.now,
            contact_id=touch.contact_id,
        )
        self.happen(OutcomeReported(outcome=outcome))
        if kind in {OutcomeKind.OPT_OUT, OutcomeKind.COMPLAINT} and touch.contact_id is not None:
            self.objected.setdefault(touch.contact_id, self.sim.now)

    @rule(person=st.sampled_from(sorted(PEOPLE)))
    def object(self, person: str) -> None:
        self.objected.setdefault(person, self.sim.now)
        seen = signal(
            f"s{self.number()}", kind=SignalKind.OPT_OUT, observed_at=self.sim.now, contact_id=person
        )
        self.happen(Observed(observation=seen))

    @rule(kind=st.sampled_from([SignalKind.REPLY, SignalKind.MEETING_BOOKED, SignalKind.DEAL_LOST]))
    def exit(self, kind: SignalKind) -> None:
        self.happen(Observed(observation=signal(f"s{self.number()}", kind=kind, observed_at=self.sim.now)))

    @rule(days=st.integers(1, 20))
    def hold(self, days: int) -> None:
        hold = Hold(
            hold_id=f"h{self.number() % 3}",
            placed_by="dana.reyes",
            reason="x",
            placed_at=self.sim.now,
            expires_at=self.sim.now + timedelta(days=days),
        )
        self.happen(HoldPlaced(hold=hold))

    @rule(number=st.integers(0, 2))
    def release(self, number: int) -> None:
        self.happen(HoldReleased(hold_id=f"h{number}", released_by="dana.reyes"))

    @rule(person=st.sampled_from(sorted(PEOPLE)))
    def plant(self, person: str) -> None:
        """A bad proposal that tests the approvers."""
        planted = proposal(f"s{self.number()}", contact_id=person, value=1_000_000.0, propensity=1.0)
        self.planted.add(planted.proposal_id)
        self.happen(Seeded(proposal=planted, seeded_by="dana.reyes"))

    @precondition(lambda self: bool(self.sim.state.pending_approvals))
    @rule(
        who=st.sampled_from(ANSWERERS),
        said=st.sampled_from(list(Answer)),
        which=st.integers(0, 5),
        code=st.sampled_from([None, *AnswerCode]),
        comment=st.sampled_from([None, "because"]),
        right=st.booleans(),
    )
    def answer(
        self,
        *,
        who: str,
        said: Answer,
        which: int,
        code: AnswerCode | None,
        comment: str | None,
        right: bool,
    ) -> None:
        """Anybody says anything about any question."""
        pending = self.sim.state.pending_approvals
        approval = pending[which % len(pending)]
        given = ApprovalAnswer(
            answer_id=f"a{self.number()}",
            approval_id=approval.approval_id,
            answer=said,
            approver=who,
            digest=approval.digest if right else "0" * 64,
            code=code,
            comment=comment,
            changes=Changes(content=Content(subject="Better", text=f"said by {who}")),
            stage=Stage.ENGAGED,
            settlement=Settlement.NOT_HANDED_OVER,
        )
        self.happen(Answered(answer=given))
        assert self.sim.state.answers[answer_key(given)].accepted <= right, "promise 6"

    @precondition(lambda self: bool(self.sim.state.pending_approvals))
    @rule(who=st.sampled_from(ANSWERERS))
    def claim(self, who: str) -> None:
        approval_id = self.sim.state.pending_approvals[0].approval_id
        self.happen(ApprovalClaimed(approval_id=approval_id, claimed_by=who))

    @precondition(lambda self: bool(self.sim.state.open))
    @rule(who=st.sampled_from(ANSWERERS), which=st.integers(0, 5))
    def withdraw(self, who: str, which: int) -> None:
        ids = sorted(self.sim.state.open)
        taken = ProposalWithdrawn(proposal_id=ids[which % len(ids)], withdrawn_by=who, reason="x")
        self.happen(taken)

    @rule(hours=st.integers(1, 240))
    def wait(self, hours: int) -> None:
        self.sim.run_to(self.sim.now + timedelta(hours=hours))

    @rule()
    def restart(self) -> None:
        before = self.sim.state.model_dump(exclude={"planning", "plan_at", "consulting"})
        self.sim.restart()
        after = self.sim.state.model_dump(exclude={"planning", "plan_at", "consulting"})
        assert after["runs"] == before["runs"]
        assert after["open"].keys() == before["open"].keys()

    @rule()
    def publish(self) -> None:
        other = stricter() if self.sim.policies is policies() else policies()
        self.sim.publish(other)

    @invariant()
    def one_voice(self) -> None:
        """Promise 1, and plays never run side by side."""
        state = self.sim.state
        active = [run for run in state.runs.values() if run.status is PlayStatus.ACTIVE]
        assert len(active) <= 1
        running = {run.run_id for run in active}
        for item in state.open.values():
            ref = item.proposal.play
            assert ref is None or ref.run_id in running or item.exit_reason is not None
        flights: list[str] = []
        for fact in (*self.sim.facts, *state.outbox):
            if isinstance(fact, TouchFact):
                if fact.receipt is None:
                    assert not flights, "promise 1"
                    flights.append(fact.touch.touch_id)
                else:
                    flights.remove(fact.touch.touch_id)

    @invariant()
    def promises(self) -> None:
        """Promises 2, 3, 4 and 14."""
        made = [
            (fact.at, fact.touch)
            for fact in (*self.sim.facts, *self.sim.state.outbox)
            if isinstance(fact, TouchFact)
            and fact.receipt is not None
            and fact.status in {TouchStatus.HANDED_OVER, TouchStatus.UNKNOWN}
        ]
        assert len({touch.touch_id for _, touch in made}) == len(made), "promise 4"
        for at, touch in made:
            self.in_order(at, touch)
        mails = sorted(at for at, touch in made if touch.channel == "email")
        assert all(sum(start <= at < start + timedelta(days=7) for at in mails) <= 3 for start in mails), (
            "promise 3: at most three e-mails a week"
        )

    @invariant()
    def only_what_people_agreed_to(self) -> None:
        """Promises 6 and 9: what was asked about goes out with a yes to that digest, of who may say it."""
        facts = (*self.sim.facts, *self.sim.state.outbox)
        yes: dict[str, set[str]] = defaultdict(set)
        asked: dict[str, Approval] = {}
        for fact in facts:
            match fact:
                case ApprovalFact():
                    asked[fact.approval.approval_id] = fact.approval
                case AnswerFact() if fact.result.accepted:
                    approval = asked[fact.answer.approval_id]
                    assert fact.answer.approver not in approval.route.excluded, "promise 9"
                    assert fact.answer.approver not in AGENTS, "promise 9"
                    if fact.answer.answer in {Answer.APPROVE, Answer.BREAK_GLASS}:
                        yes[approval.digest].add(fact.answer.approver)
                case TouchFact():
                    assert fact.touch.proposal_id not in self.planted, "a planted test never goes out"
                    if fact.touch.approved_by is not None:
                        assert yes[fact.touch.digest], "promise 6"

    @invariant()
    def the_log_holds_together(self) -> None:
        """Promise 12, the account's half: every link follows the one before."""
        previous, number = GENESIS, 0
        for fact in (*self.sim.facts, *self.sim.state.outbox):
            if fact.type not in LOGGED:
                continue
            assert fact.link is not None
            number += 1
            assert (fact.link.number, fact.link.previous) == (number, previous)
            previous = fact.link.digest
        assert (self.sim.state.chain.number, self.sim.state.chain.digest) == (number, previous)

    def in_order(self, at: datetime, touch: Touch) -> None:
        whom = touch.recipient.contact_id if touch.recipient else None
        since = self.objected.get(whom or "")
        assert since is None or at <= since + CHANNEL_TAKES, "promise 2"
        if touch.channel == "email":
            local = at.astimezone(LONDON)
            assert local.weekday() < 5, "promise 14: no mail on a weekend"
            assert 8 <= local.hour < 20, "promise 14: no mail at night"

    def teardown(self) -> None:
        """Promise 5: everything comes to exactly one end."""
        self.sim.run_to(self.sim.now + HORIZON)
        state = self.sim.state
        assert not state.open, "promise 5"
        assert not state.runs, "no play lasts for ever"
        assert self.proposed <= set(state.ended), "promise 5"


OneAccount.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOneAccount = OneAccount.TestCase
