"""Builders: one small valid fact of each kind, about thing number `n` of an account."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from domain import (
    Account,
    AccountFact,
    Answer,
    AnswerFact,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    ApprovalFact,
    ApprovalRoute,
    ApprovalStatus,
    ApprovalStep,
    ApprovalStepFact,
    Contact,
    ContactFact,
    Decision,
    DecisionFact,
    Door,
    FactBatch,
    Hold,
    HoldFact,
    LedgerFact,
    Outcome,
    OutcomeFact,
    OutcomeKind,
    PastTouch,
    PastTouchFact,
    PlayFact,
    PlayRun,
    PlayStatus,
    Proposal,
    ProposalFact,
    ProposalStatus,
    ReasonCode,
    Recalled,
    RecallFact,
    RecallStatus,
    Receipt,
    ReceiptStatus,
    Recipient,
    RefusalFact,
    RuleHit,
    Settlement,
    SettlementFact,
    Signal,
    SignalFact,
    SignalKind,
    StepKind,
    Stop,
    StopScope,
    SuppressionFact,
    Touch,
    TouchFact,
    TouchStatus,
    Verdict,
    WindowFact,
    WindowGrant,
    person_key,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACCOUNT = "northwind"
DIGEST = "d" * 64
POLICY = "p" * 64


def moment(seq: int) -> datetime:
    return NOON + timedelta(seconds=seq)


def batch(*facts: LedgerFact, account_id: str = ACCOUNT) -> FactBatch:
    return FactBatch(account_id=account_id, facts=facts)


def account_fact(seq: int, n: int = 1) -> AccountFact:
    del n  # an account has one profile
    return AccountFact(seq=seq, at=moment(seq), account=Account(account_id=ACCOUNT, name=f"Northwind {seq}"))


def contact_fact(seq: int, n: int = 1) -> ContactFact:
    contact = Contact(contact_id=f"c{n}", name=f"Contact {seq}", email=f"c{n}@northwind.example")
    return ContactFact(seq=seq, at=moment(seq), contact=contact)


def signal_fact(seq: int, n: int = 1, source: str = "intent") -> SignalFact:
    signal = Signal(
        signal_id=f"s{n}",
        source=source,
        kind=SignalKind.INTENT_SURGE,
        observed_at=moment(seq),
        summary=f"surge {seq}",
    )
    return SignalFact(seq=seq, at=moment(seq), signal=signal)


def past_touch_fact(seq: int, n: int = 1, source: str = "mailer") -> PastTouchFact:
    past = PastTouch(
        touch_id=f"t{n}", source=source, channel="email", action="newsletter", at=moment(seq), contact_id="c1"
    )
    return PastTouchFact(seq=seq, at=moment(seq), past_touch=past)


def proposal_fact(seq: int, n: int = 1, status: ProposalStatus = ProposalStatus.IN_WINDOW) -> ProposalFact:
    proposal = Proposal(
        proposal_id=f"p{n}", actor="sdr-agent", action="intro", channel="email", value=1_000, propensity=0.2
    )
    return ProposalFact(seq=seq, at=moment(seq), proposal=proposal, status=status, message=f"step {seq}")


def decision_fact(seq: int, n: int = 1, hits: int | None = None) -> DecisionFact:
    each = tuple(
        RuleHit(
            rule_id=f"frequency.rule_{position}",
            family="frequency",
            effect=Verdict.DEFER,
            reason=ReasonCode.FREQUENCY_CAP,
            message=f"seen {seq}",
        )
        for position in range(seq % 4 if hits is None else hits)
    )
    decision = Decision(
        decision_id=f"d{n}",
        proposal_id=f"p{n % 2}",
        verdict=Verdict.DEFER,
        reason=ReasonCode.FREQUENCY_CAP,
        hits=each,
        policy_digest=POLICY,
        decided_at=moment(seq),
    )
    return DecisionFact(seq=seq, at=moment(seq), decision=decision)


def approval_fact(seq: int, n: int = 1, status: ApprovalStatus = ApprovalStatus.PENDING) -> ApprovalFact:
    route = ApprovalRoute(
        group="sales", approvers=("ada",), expires_at=moment(seq + 3_600), on_expiry=Verdict.SUPPRESS
    )
    approval = Approval(
        approval_id=f"a{n}",
        proposal_id="p1",
        digest=DIGEST,
        reason=ReasonCode.APPROVAL_NEEDED,
        message="An executive is addressed",
        route=route,
        requested_at=moment(seq),
        status=status,
    )
    return ApprovalFact(seq=seq, at=moment(seq), approval=approval)


def answer_fact(seq: int, n: int = 1) -> AnswerFact:
    answer = ApprovalAnswer(
        answer_id=f"w{n}", approval_id="a1", answer=Answer.APPROVE, approver="ada", digest=DIGEST
    )
    result = AnswerResult(
        answer_id=f"w{n}",
        approval_id="a1",
        accepted=True,
        status=ApprovalStatus.APPROVED,
        message=f"Recorded {seq}",
    )
    return AnswerFact(seq=seq, at=moment(seq), answer=answer, result=result)


def approval_step_fact(seq: int, n: int = 1, kind: StepKind = StepKind.VIEWED) -> ApprovalStepFact:
    step = ApprovalStep(approval_id=f"a{n}", kind=kind, actor="ada", via=Door.COMMAND)
    return ApprovalStepFact(seq=seq, at=moment(seq), step=step)


def window_fact(seq: int, n: int = 1, revoked_by: str | None = None) -> WindowFact:
    grant = WindowGrant(
        grant_id=f"{ACCOUNT}/a{n}",
        account_id=ACCOUNT,
        segment="mid-market",
        actor="sdr-agent",
        action="intro",
        channel="email",
        template="intro",
        version="1",
        at_most=50,
        starts_at=NOON,
        ends_at=NOON + timedelta(days=7),
        given_by=("ada",),
        revoked_by=revoked_by,
        revoked_at=moment(seq) if revoked_by else None,
    )
    return WindowFact(seq=seq, at=moment(seq), grant=grant)


def touch_fact(seq: int, n: int = 1, status: TouchStatus = TouchStatus.IN_FLIGHT) -> TouchFact:
    touch = Touch(
        touch_id=f"{ACCOUNT}/p{n}/1",
        account_id=ACCOUNT,
        account_name="Northwind",
        proposal_id=f"p{n}",
        decision_id=f"d{n}",
        actor="sdr-agent",
        channel="email",
        action="intro",
        recipient=Recipient(contact_id="c1", name="Ada", email="c1@northwind.example"),
        digest=DIGEST,
        policy_digest=POLICY,
    )
    receipt = receipt_for(touch.touch_id) if status is TouchStatus.HANDED_OVER else None
    return TouchFact(seq=seq, at=moment(seq), touch=touch, status=status, receipt=receipt)


def outcome_fact(seq: int, n: int = 1) -> OutcomeFact:
    outcome = Outcome(
        outcome_id=f"o{n}",
        source="mailer",
        touch_id=f"{ACCOUNT}/p1/1",
        kind=OutcomeKind.REPLY,
        at=moment(seq),
    )
    return OutcomeFact(seq=seq, at=moment(seq), outcome=outcome)


def play_fact(seq: int, n: int = 1, status: PlayStatus = PlayStatus.ACTIVE) -> PlayFact:
    run = PlayRun(
        run_id=f"nurture.{n}",
        play_id="nurture",
        name="Champion nurture",
        version=DIGEST,
        policy_digest=POLICY,
        status=status,
        started_at=moment(0),
        started_by="web 1",
        ends_by=moment(3_600),
        entered_at=moment(seq),
    )
    return PlayFact(seq=seq, at=moment(seq), run=run)


def settlement_fact(seq: int, n: int = 1, settlement: Settlement = Settlement.HANDED_OVER) -> SettlementFact:
    return SettlementFact(
        seq=seq,
        at=moment(seq),
        touch_id=f"{ACCOUNT}/p{n}/1",
        settlement=settlement,
        settled_by="ada",
        comment=f"looked it up {seq}",
    )


def recall_fact(seq: int, n: int = 1, status: RecallStatus = RecallStatus.RECALLED) -> RecallFact:
    recalled = Recalled(touch_id=f"{ACCOUNT}/p{n}/1", status=status, at=moment(seq))
    return RecallFact(seq=seq, at=moment(seq), recalled=recalled, reason="the play ended")


def hold_fact(seq: int, n: int = 1, ended_by: str | None = None) -> HoldFact:
    hold = Hold(hold_id=f"h{n}", placed_by="ada", reason=f"Negotiating {seq}", placed_at=moment(seq))
    return HoldFact(seq=seq, at=moment(seq), hold=hold, ended_by=ended_by)


def suppression_fact(seq: int, n: int = 1) -> SuppressionFact:
    key = person_key(f"c{n}@northwind.example")
    return SuppressionFact(
        seq=seq, at=moment(seq), person_key=key, contact_id=f"c{n}", source=f"preference centre {seq}"
    )


def refusal_fact(seq: int, n: int = 1) -> RefusalFact:
    del n  # a refusal has no identity but its number
    return RefusalFact(seq=seq, at=moment(seq), what="signal", why=f"field {seq} is missing")


KINDS: tuple[Callable[[int, int], LedgerFact], ...] = (
    account_fact,
    contact_fact,
    signal_fact,
    past_touch_fact,
    proposal_fact,
    decision_fact,
    approval_fact,
    answer_fact,
    approval_step_fact,
    touch_fact,
    outcome_fact,
    play_fact,
    settlement_fact,
    recall_fact,
    hold_fact,
    suppression_fact,
    refusal_fact,
)
"""Of each kind that a rebuild brings back."""


def stop(stop_id: str = "s-1", scope: StopScope = StopScope.CHANNEL, name: str | None = "email") -> Stop:
    return Stop(
        stop_id=stop_id,
        scope=scope,
        name=name,
        reason="a template went wrong",
        placed_by="ada",
        placed_at=NOON,
    )


def receipt_for(
    touch_id: str, status: ReceiptStatus = ReceiptStatus.ACCEPTED, detail: str | None = None
) -> Receipt:
    return Receipt(touch_id=touch_id, status=status, at=moment(99), provider_ref="<1@example>", detail=detail)
