"""Builders for tests: say what matters, get the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Self

from domain import (
    Account,
    AccountState,
    ApprovalRoute,
    Consult,
    Contact,
    Decision,
    Delivered,
    Delivery,
    Effect,
    Event,
    HandOver,
    Handover,
    MakePlan,
    Observed,
    Plan,
    Planned,
    PlanRequest,
    PlayRef,
    PlayRun,
    PlayStatus,
    Project,
    Projected,
    Proposal,
    Proposed,
    ReasonCode,
    Receipt,
    ReceiptStatus,
    Role,
    Ruled,
    Ruling,
    RulingRequest,
    Signal,
    SignalKind,
    Step,
    TakeBack,
    Verdict,
    advance,
    resume,
)

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY = "p" * 64
HANDOVER = Handover(
    task_queue="channel-email",
    delivery=Delivery.AT_MOST_ONCE,
    schedule_to_start_seconds=60,
    start_to_close_seconds=60,
    heartbeat_seconds=30,
    retry_after_seconds=300,
)


def account(account_id: str = "northwind", **changes: object) -> Account:
    base: dict[str, object] = {"account_id": account_id, "name": "Northwind", "country": "GB"}
    return Account.model_validate(base | changes)


def contact(contact_id: str = "amira", **changes: object) -> Contact:
    base: dict[str, object] = {
        "contact_id": contact_id,
        "name": contact_id.title(),
        "email": f"{contact_id}@northwind.example.com",
        "role": Role.CHAMPION,
        "country": "GB",
    }
    return Contact.model_validate(base | changes)


def signal(signal_id: str = "s1", **changes: object) -> Signal:
    base: dict[str, object] = {
        "signal_id": signal_id,
        "source": "crm",
        "kind": SignalKind.WEB_VISIT,
        "observed_at": START,
    }
    return Signal.model_validate(base | changes)


def proposal(proposal_id: str = "p1", **changes: object) -> Proposal:
    base: dict[str, object] = {
        "proposal_id": proposal_id,
        "actor": "sdr-agent",
        "action": "send_email",
        "channel": "email",
        "contact_id": "amira",
        "value": 1_000.0,
        "propensity": 0.5,
        "confidence": 1.0,
    }
    return Proposal.model_validate(base | changes)


def route(**changes: object) -> ApprovalRoute:
    base: dict[str, object] = {
        "group": "sales-leadership",
        "approvers": ("dana", "tom"),
        "excluded": ("tom",),
        "expires_at": START + timedelta(days=1),
        "on_expiry": Verdict.SUPPRESS,
    }
    return ApprovalRoute.model_validate(base | changes)


def play_run(number: int = 1, **changes: object) -> PlayRun:
    """A run that has just entered and waits for its first touch."""
    base: dict[str, object] = {
        "run_id": f"surge.{number}",
        "play_id": "surge",
        "name": "Surge response",
        "version": "a" * 64,
        "policy_digest": POLICY,
        "status": PlayStatus.ACTIVE,
        "started_at": START,
        "started_by": "intent s1",
        "ends_by": START + timedelta(days=45),
        "step": "first",
        "entered_at": START,
        "moves": 1,
        "attempts": 1,
        "pending": (f"surge.{number}.first.1",),
    }
    return PlayRun.model_validate(base | changes)


def play_proposal(run: PlayRun, proposal_id: str | None = None, **changes: object) -> Proposal:
    """What a run proposes at the step where it is."""
    ref = PlayRef(run_id=run.run_id, play_id=run.play_id, step=run.step or "first")
    return proposal(proposal_id or run.pending[0], play=ref, **changes)


def decide(request: RulingRequest, verdicts: dict[str, Verdict], **changes: object) -> Ruling:
    """Rule on a request as a test wants it; what it does not name is suppressed."""
    decisions = []
    for candidate in request.candidates:
        proposal_id = candidate.proposal.proposal_id
        verdict = verdicts.get(proposal_id, Verdict.SUPPRESS)
        decisions.append(
            Decision.model_validate(
                {
                    "decision_id": f"{proposal_id}:{candidate.rulings + 1}",
                    "proposal_id": proposal_id,
                    "verdict": verdict,
                    "reason": ReasonCode.ALLOWED if verdict is Verdict.ALLOW else ReasonCode.NO_SLOT,
                    "until": request.now + timedelta(days=2) if verdict is Verdict.DEFER else None,
                    "policy_digest": POLICY,
                    "decided_at": request.now,
                    "route": route() if verdict is Verdict.REQUIRE_APPROVAL else None,
                    "handover": HANDOVER if verdict is Verdict.ALLOW else None,
                }
                | changes
            )
        )
    return Ruling(
        revision=request.revision,
        policy_digest=POLICY,
        assessment=None,
        decisions=tuple(decisions),
        decision_window_seconds=3,
    )


class Shell:
    """A shell around the state machine in which the test plays governance, channels and time."""

    def __init__(self, *events: Event, at: datetime = START) -> None:
        self.now = at
        self.effects: list[Effect] = []
        self.state = AccountState(account_id="northwind")
        self._take(resume(self.state, at))
        observed = (Observed(observation=account()), Observed(observation=contact()))
        self.send(*observed, *events)

    def send(self, *events: Event) -> None:
        self._take(advance(self.state, events, self.now))

    def wait(self, **delta: float) -> None:
        self.now += timedelta(**delta)
        self.send()

    def propose(self, *proposals: Proposal) -> None:
        self.send(*(Proposed(proposal=item) for item in proposals))

    def consultation(self) -> RulingRequest:
        """The one ruling that was asked for and not answered yet."""
        (consult,) = [effect for effect in self.effects if isinstance(effect, Consult)]
        self.effects.remove(consult)
        return consult.request

    def rule(self, verdicts: dict[str, Verdict], **changes: object) -> None:
        self.send(Ruled(ruling=decide(self.consultation(), verdicts, **changes)))

    def plan_request(self) -> PlanRequest:
        """The one plan that was asked for and not answered yet."""
        (asked,) = [effect for effect in self.effects if isinstance(effect, MakePlan)]
        self.effects.remove(asked)
        return asked.request

    def plan(self, request: PlanRequest | None = None, **parts: object) -> None:
        """Answer as the planner; what is not given stays away from the plan."""
        asked = request or self.plan_request()
        base: dict[str, object] = {"revision": asked.revision, "policy_digest": POLICY}
        self.send(Planned(plan=Plan.model_validate(base | parts)))

    def recall(self) -> TakeBack:
        """The one recall that was asked for and not answered yet."""
        (asked,) = [effect for effect in self.effects if isinstance(effect, TakeBack)]
        self.effects.remove(asked)
        return asked

    def hand_over(self) -> HandOver:
        (handed,) = [effect for effect in self.effects if isinstance(effect, HandOver)]
        self.effects.remove(handed)
        return handed

    def deliver(self, status: ReceiptStatus = ReceiptStatus.ACCEPTED, **changes: object) -> None:
        touch_id = self.hand_over().touch.touch_id
        base: dict[str, object] = {"touch_id": touch_id, "status": status, "at": self.now}
        self.send(Delivered(receipt=Receipt.model_validate(base | changes)))

    def project(self) -> list[str]:
        """Confirm the facts on their way to the ledger; returns their kinds."""
        (project,) = [effect for effect in self.effects if isinstance(effect, Project)]
        self.effects.remove(project)
        self.send(Projected(count=len(project.batch.facts)))
        return [fact.type for fact in project.batch.facts]

    def consultation_peek(self) -> RulingRequest:
        """The one ruling that was asked for, left to be answered."""
        (consult,) = [effect for effect in self.effects if isinstance(effect, Consult)]
        return consult.request

    @classmethod
    def carried_over(cls, other: Self) -> Self:
        """The same account in a new run, from its written state."""
        carried = AccountState.model_validate_json(other.state.model_dump_json())
        step = resume(carried, other.now)
        new = cls(at=other.now)
        new.state, new.effects = step.state, list(step.effects)
        return new

    def _take(self, step: Step) -> None:
        self.state = step.state
        self.effects.extend(step.effects)
