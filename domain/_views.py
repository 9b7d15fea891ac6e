"""What people see of an account: the status, one proposal's standing, and the operator's card."""

from __future__ import annotations

from datetime import datetime

from domain._account import Account, Assessment, Hold, Reading
from domain._approval import Approval
from domain._base import Frozen, Identifier, Moment, ShortText
from domain._exception_words import ExceptionKind
from domain._play import PlayRun
from domain._proposal import Decision, Proposal
from domain._state import AccountState, InDoubt, Moved
from domain._touch import Recall, TouchRecord
from domain._vocabulary import PlayStatus, ProposalStatus, ReasonCode

CARD_LINES = 8
QUESTIONS_SHOWN = 12
_MARKDOWN = {ord(character): " " for character in "`*[]<>#|\n\r"}


class ProposalView(Frozen):
    """Where one proposal stands, with everything that led there."""

    proposal: Proposal
    status: ProposalStatus
    reason: ReasonCode | None = None
    message: ShortText | None = None
    due_at: Moment | None = None
    """When a deferred proposal is ruled again."""
    received_at: Moment | None = None
    """When it arrived; None once it has ended."""
    deferrals: int = 0
    """How many decisions deferred it, while it is open."""
    approval_id: ShortText | None = None
    decision: Decision | None = None

    @property
    def starved(self) -> bool:
        """Whether it waits and has been deferred more often than arbitration.yaml finds right."""
        waits = self.status is ProposalStatus.DEFERRED
        return waits and self.decision is not None and self.decision.starved

    @property
    def settled(self) -> bool:
        """Whether governance has ruled at least once, or the proposal has ended."""
        return self.decision is not None or self.status.final


class AccountStatus(Frozen):
    """The account as a whole, for the command line, HTTP and tests."""

    account_id: Identifier
    account: Account | None
    contacts: int
    assessment: Assessment | None
    readings: tuple[Reading, ...]
    proposals: tuple[ProposalView, ...]
    approvals: tuple[Approval, ...]
    """Approvals that wait for an answer."""
    holds: tuple[Hold, ...]
    in_doubt: tuple[InDoubt, ...]
    plays: tuple[PlayRun, ...] = ()
    """Runs of plays that are not over: the active one first, then those suspended."""
    ended_plays: tuple[PlayRun, ...] = ()
    """The latest runs that are over, the latest last."""
    recalls: tuple[Recall, ...] = ()
    """Touches being taken back."""
    touches: tuple[TouchRecord, ...]
    next_touch_at: Moment | None
    window_ends_at: Moment | None
    policy_digest: str | None
    signals_absorbed: int
    refusals: int
    unsent_facts: int
    """Facts the ledger does not have yet."""


def view_proposal(state: AccountState, proposal_id: str) -> ProposalView | None:
    """Return where a proposal stands; None if the account does not remember it."""
    if (item := state.open.get(proposal_id)) is not None:
        decision = item.decision
        message = None
        if decision is not None:
            message = next((hit.message for hit in decision.hits if hit.reason is decision.reason), None)
        return ProposalView(
            proposal=item.proposal,
            status=item.status,
            reason=decision.reason if decision else None,
            message=message,
            due_at=item.due_at,
            received_at=item.received_at,
            deferrals=item.deferrals,
            approval_id=item.approval_id,
            decision=decision,
        )
    if (ended := state.closed.get(proposal_id)) is not None:
        return ProposalView(
            proposal=ended.proposal,
            status=ended.status,
            reason=ended.reason,
            message=ended.message,
            decision=ended.decision,
        )
    return None


def view_status(state: AccountState) -> AccountStatus:
    """Return the whole account as people see it."""
    ids = (*state.closed, *state.open)
    views = (view_proposal(state, proposal_id) for proposal_id in ids)
    return AccountStatus(
        account_id=state.account_id,
        account=state.account,
        contacts=len(state.contacts),
        assessment=state.assessment,
        readings=tuple(state.readings[system] for system in sorted(state.readings)),
        proposals=tuple(view for view in views if view is not None),
        approvals=state.pending_approvals,
        holds=tuple(state.holds.values()),
        in_doubt=tuple(state.in_doubt.values()),
        plays=running_plays(state),
        ended_plays=tuple(state.ended_runs.values()),
        recalls=tuple(waiting.recall for waiting in state.recalling.values()),
        touches=tuple(sorted(state.touches.values(), key=lambda t: (t.at, t.touch_id))),
        next_touch_at=state.next_touch_at,
        window_ends_at=state.window_ends_at,
        policy_digest=state.policy_digest,
        signals_absorbed=state.signals_absorbed,
        refusals=state.refusals,
        unsent_facts=len(state.outbox),
    )


def running_plays(state: AccountState) -> tuple[PlayRun, ...]:
    """Return the runs that are not over: the active one first, then those suspended, by id."""
    return tuple(
        sorted(state.runs.values(), key=lambda run: (run.status is not PlayStatus.ACTIVE, run.run_id))
    )


def timeline(state: AccountState) -> tuple[Moved, ...]:
    """Return the account's recent story, oldest line first."""
    return state.timeline


def card(state: AccountState) -> str:
    """Return the operator's card: markdown that says what is going on and what happens next."""
    name = state.account.name if state.account else f"{state.account_id} (no profile yet)"
    lines = [f"### {_plain(name)}", "", *_reading_lines(state), *_next_lines(state)]
    if state.in_doubt:
        lines += ["", "**In doubt: a person must settle**", ""]
        lines += [
            f"- `{touch_id}` over {item.touch.channel}: {_plain(item.detail)[:160]}"
            for touch_id, item in state.in_doubt.items()
        ]
    if state.holds:
        lines += ["", "**Holds**", ""]
        lines += [f"- {_plain(hold.placed_by)}: {_plain(hold.reason)[:160]}" for hold in state.holds.values()]
    if state.pending_approvals:
        lines += ["", "**Waiting for an answer**", ""]
        shown = sorted(state.pending_approvals, key=lambda a: a.route.due_at or a.route.expires_at)
        lines += [_question_line(a) for a in shown[:QUESTIONS_SHOWN]]
        if len(shown) > QUESTIONS_SHOWN:
            lines.append(f"- and {len(shown) - QUESTIONS_SHOWN} more: `tutti inbox`")
    lines += _play_lines(state)
    lines += _starved_lines(state)
    if state.scheduled:
        lines += ["", "**Scheduled, ruled again before it goes out**", ""]
        lines += [
            f"- {_clock(item.due_at)} {item.proposal.action} over {item.proposal.channel} "
            f"({item.decision.reason.value if item.decision else 'approved'})"
            for item in state.scheduled
        ]
    if state.timeline:
        lines += ["", "**Last moves**", ""]
        lines += [
            f"- {_clock(line.at)} {_plain(line.text)}" for line in reversed(state.timeline[-CARD_LINES:])
        ]
    return "\n".join(lines)


def _question_line(a: Approval) -> str:
    kind = "" if a.kind is ExceptionKind.ACTION else f" ({a.kind.value.replace('_', ' ')})"
    asked = [a.route.group, *(level.group for level in a.route.levels[: a.level])]
    due = f", due {_clock(a.route.due_at)}" if a.route.due_at else ""
    claimed = f"; with {_plain(a.claimed_by)}" if a.claimed_by else ""
    then = f"until {_clock(a.route.expires_at)}, then {a.route.on_expiry.value}"
    whom = _plain(", ".join(dict.fromkeys(asked)))
    return f"- `{a.approval_id}`{kind} asks {whom}{due} {then}: {_plain(a.message)}{_progress(a)}{claimed}"


def _progress(approval: Approval) -> str:
    if approval.route.quorum == 1:
        return ""
    return f" ({approval.progress}: {_plain(', '.join(approval.approvers) or 'nobody yet')})"


def _play_lines(state: AccountState) -> list[str]:
    runs = running_plays(state)
    if not runs:
        return []
    return [
        "",
        "**Plays**",
        "",
        *(f"- `{run.run_id}` {_plain(run.name)}: {where_it_is(run)}" for run in runs),
    ]


def where_it_is(run: PlayRun) -> str:
    """Say in a few words where a run of a play stands and what it waits for."""
    match run.status:
        case PlayStatus.SUSPENDED:
            until = f", goes on {_clock(run.resume_at)}" if run.resume_at else ""
            return f"suspended at {run.step} for {run.suspended_by}{until}"
        case PlayStatus.ACTIVE:
            waits = [f"its proposal {proposal_id}" for proposal_id in run.pending]
            waits += [kind.value for kind in run.wakes_on]
            if run.due_at is not None:
                waits.append(f"until {_clock(run.due_at)}")
            return f"at {run.step}, waits for {' or '.join(waits) or 'the planner'}"
        case _:
            return f"{run.status.value}: {_plain(run.end_message or 'its steps are done')}"


def _starved_lines(state: AccountState) -> list[str]:
    starved = [item for item in state.scheduled if item.decision is not None and item.decision.starved]
    if not starved:
        return []
    lines = [
        f"- `{item.proposal.proposal_id}` {item.proposal.action} of {item.proposal.actor}: "
        f"deferred {item.deferrals} times since {_clock(item.received_at)}"
        for item in starved
    ]
    return ["", "**Starving: deferred again and again**", "", *lines]


def _reading_lines(state: AccountState) -> list[str]:
    assessment = state.assessment
    if assessment is None:
        return [f"- **Signals** {state.signals_absorbed}, not assessed yet"]
    dissent = ", ".join(f"{r.system} says {r.stage.value}" for r in assessment.dissent)
    policy = (state.policy_digest or "none")[:12]
    touches = len(state.counted_touches())
    return [
        f"- **Stage** {assessment.stage.value}, urgency {assessment.urgency:.2f}"
        f", from {assessment.systems} systems" + (f"; dissent: {dissent}" if dissent else ""),
        f"- **Signals** {state.signals_absorbed}, **touches** {touches}, **policy** {policy}",
    ]


def _next_lines(state: AccountState) -> list[str]:
    if state.active is not None:
        return [f"- **Now** {state.active.touch.action} is with {state.active.touch.channel}"]
    if state.consulting is not None:
        return [f"- **Now** governance rules on {len(state.consulting.proposal_ids)} proposals"]
    if state.window_ends_at is not None:
        waiting = sum(item.status is ProposalStatus.IN_WINDOW for item in state.open.values())
        return [f"- **Now** decision window with {waiting} proposals until {_clock(state.window_ends_at)}"]
    run = state.active_run
    nexts = [(at, "") for at in (state.next_touch_at,) if at is not None]
    nexts += [(run.due_at, f", play {run.run_id}")] if run is not None and run.due_at is not None else []
    if nexts:
        at, what = min(nexts)
        return [f"- **Next** {_clock(at)}{what}"]
    return ["- **Next** nothing is scheduled"]


def _clock(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else "now"


def _plain(text: str) -> str:
    """Take the markdown out of what sources wrote, so that no message can dress up as the card."""
    return text.translate(_MARKDOWN).strip()
