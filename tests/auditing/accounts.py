"""Real accounts, played in virtual time under the shipped policies, and a ledger that was told all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from domain import (
    Answer,
    AnswerCode,
    Answered,
    ApprovalAnswer,
    ApprovalViewed,
    ChainHead,
    Consent,
    Decision,
    Door,
    Event,
    FactBatch,
    Hold,
    HoldPlaced,
    HoldReleased,
    LedgerFact,
    Link,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    Proposed,
    Role,
    Ruling,
    RulingRequest,
    SignalKind,
    TouchFact,
    chained,
    digest_of,
    link_digest,
)
from governance import PolicySet, load_policy_set
from ledger import Ledger
from tests.builders import account, contact, proposal, signal
from tutti.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@cache
def policies() -> PolicySet:
    return load_policy_set(ROOT / "policies")


class Audited(Simulator):
    """Every question has a due date, so that its trail is recorded."""

    def _rule(self, request: RulingRequest) -> Ruling:
        ruling = super()._rule(request)
        return ruling.model_copy(update={"decisions": tuple(map(_with_due_date, ruling.decisions))})


def _with_due_date(decision: Decision) -> Decision:
    route = decision.route
    if route is None or route.due_at is not None:
        return decision
    due_at = decision.decided_at + timedelta(hours=2)
    return decision.model_copy(update={"route": route.model_copy(update={"due_at": due_at})})


def begun(account_id: str, at: datetime = MONDAY) -> Audited:
    made = Audited(policies(), account_id, at)
    zone = {"time_zone": "Europe/London", "consent": Consent.GRANTED}
    people = (
        contact("amira", role=Role.INFLUENCER, **zone),
        contact("erik", role=Role.EXECUTIVE_SPONSOR, **zone),
    )
    made.send([Observed(observation=account(account_id)), *(Observed(observation=one) for one in people)])
    return made


def ask(made: Audited, proposal_id: str, *, at: timedelta | None = None) -> str:
    """Propose what needs a person, and return the approval's id."""
    if at is not None:
        made.run_to(MONDAY + at)
    made.send([Proposed(proposal=proposal(proposal_id, contact_id="erik", value=5_000.0))])
    made.run_to(made.now + timedelta(minutes=1))
    (asked,) = [each for each in made.state.approvals.values() if each.proposal_id == proposal_id]
    return asked.approval_id


def answer(made: Audited, approval_id: str, said: Answer, login: str | None = None) -> None:
    approval = made.state.approvals[approval_id]
    plain = said is Answer.APPROVE
    given = ApprovalAnswer(
        answer_id=f"w-{approval_id.replace('/', '-')}-{said.value}",
        approval_id=approval_id,
        answer=said,
        approver=login or approval.asked[0],
        digest=approval.digest,
        code=None if plain else AnswerCode.WRONG_TIME,
        comment=None if plain else "Not while they negotiate",
        via=Door.COMMAND,
    )
    made.send([Answered(answer=given)])


def viewed(made: Audited, approval_id: str) -> None:
    login = made.state.approvals[approval_id].asked[0]
    made.send([ApprovalViewed(approval_id=approval_id, viewed_by=login, via=Door.COMMAND)])


def lived(account_id: str = "northwind") -> tuple[LedgerFact, ...]:
    """Return all facts of an account to which everything has happened that there is a log for."""
    made = begun(account_id)
    made.send([Proposed(proposal=proposal("p1")), Proposed(proposal=proposal("p2", value=10.0))])
    made.run_to(MONDAY + timedelta(minutes=5))
    touch = next(fact.touch for fact in made.facts if isinstance(fact, TouchFact))
    outcome = Outcome(
        outcome_id="o1", source="mailer", touch_id=touch.touch_id, kind=OutcomeKind.CLICK, at=made.now
    )
    made.send([OutcomeReported(outcome=outcome)])
    approval_id = ask(made, "p3", at=timedelta(days=8))
    viewed(made, approval_id)
    made.run_to(made.now + timedelta(minutes=3))
    answer(made, approval_id, Answer.APPROVE)
    refused = ask(made, "p4", at=timedelta(days=20))
    answer(made, refused, Answer.REJECT)
    hold = Hold(hold_id="h1", placed_by="dana.reyes", reason="negotiating", placed_at=made.now)
    late: list[Event] = [HoldPlaced(hold=hold), HoldReleased(hold_id="h1", released_by="dana.reyes")]
    opt_out = signal("s1", kind=SignalKind.OPT_OUT, observed_at=made.now, contact_id="amira")
    made.send([*late, Observed(observation=opt_out)])
    made.run_to(MONDAY + timedelta(days=40))
    return made.result().facts


def short(account_id: str) -> tuple[LedgerFact, ...]:
    """Return all facts of an account that made one touch."""
    made = begun(account_id)
    made.send([Proposed(proposal=proposal("p1"))])
    made.run_to(MONDAY + timedelta(minutes=5))
    return made.result().facts


def linked(facts: Sequence[LedgerFact], account_id: str = "northwind") -> list[LedgerFact]:
    """Chain facts anew, as somebody does who knows how it is done."""
    head, result = ChainHead(), list[LedgerFact]()
    for fact in facts:
        if fact.link is None:
            result.append(fact)
            continue
        body, number = digest_of(chained(fact)), head.number + 1
        digest = link_digest(account_id, number, head.digest, body)
        link = Link(number=number, previous=head.digest, body=body, digest=digest)
        result.append(fact.model_copy(update={"link": link}))
        head = ChainHead(number=number, digest=digest)
    return result


async def tell(ledger: Ledger, account_id: str, facts: Iterable[LedgerFact]) -> None:
    """Tell a ledger what an account did, as its workflow does, with the claims that its channels make."""
    for fact in facts:
        await ledger.record(FactBatch(account_id=account_id, facts=(fact,)))
        if isinstance(fact, TouchFact):
            touch = fact.touch
            if fact.receipt is None:
                await ledger.claim(touch.touch_id, channel=touch.channel, at=fact.at)
            else:
                await ledger.settle(fact.receipt)
