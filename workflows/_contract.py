"""Names and shapes that clients, workers and the server share about the account workflow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from domain import AccountState, Frozen, Identifier

WORKFLOW_TYPE: Final = "AccountWorkflow"
TASK_QUEUE: Final = "tutti-orchestrator"

OBSERVE: Final = "observe"
REPORT_OUTCOME: Final = "report_outcome"
ANSWER_APPROVAL: Final = "answer_approval"
ANSWER_APPROVAL_SIGNAL: Final = "answer_approval_signal"
CLAIM_APPROVAL: Final = "claim_approval"
RELEASE_APPROVAL: Final = "release_approval"
APPROVAL_VIEWED: Final = "approval_viewed"
POLICY_PUBLISHED: Final = "policy_published"
STOPS_CHANGED: Final = "stops_changed"
PROPOSE: Final = "propose"
WITHDRAW_PROPOSAL: Final = "withdraw_proposal"
SEED_PROPOSAL: Final = "seed_proposal"
PLACE_HOLD: Final = "place_hold"
RELEASE_HOLD: Final = "release_hold"
START_PLAY: Final = "start_play"
CANCEL_PLAY: Final = "cancel_play"
RESUME_PLAY: Final = "resume_play"
MIGRATE_PLAY: Final = "migrate_play"
SETTLE_TOUCH: Final = "settle_touch"
RECALL_TOUCH: Final = "recall_touch"
STATUS: Final = "status"
WHY: Final = "why"
TIMELINE: Final = "timeline"
EXCEPTION: Final = "exception"

GOVERN: Final = "govern"
PROJECT: Final = "project"
RESOLVE_TOUCH: Final = "resolve_touch"
HAND_OVER: Final = "hand_over"
PLAN: Final = "plan"
RECALL: Final = "recall"
VET: Final = "vet"
NOTIFY: Final = "notify"

UNRESOLVED: Final = "AnswerUnresolved"
"""Type of the error with which an answer ends that a run hands on to the next: ask again with the same id."""
CONTINUE_AFTER_EVENTS: Final = 400
"""A cold replay costs 0.5-0.7 ms per event: short runs keep every wake-up cheap."""

STAGE_KEY: Final = SearchAttributeKey.for_keyword("AccountStage")
TIER_KEY: Final = SearchAttributeKey.for_keyword("AccountTier")
PENDING_APPROVALS_KEY: Final = SearchAttributeKey.for_int("PendingApprovals")
APPROVAL_DUE_AT_KEY: Final = SearchAttributeKey.for_datetime("ApprovalDueAt")
ON_HOLD_KEY: Final = SearchAttributeKey.for_bool("OnHold")
NEXT_TOUCH_AT_KEY: Final = SearchAttributeKey.for_datetime("NextTouchAt")
POLICY_VERSION_KEY: Final = SearchAttributeKey.for_keyword("PolicyVersion")
ACTIVE_PLAY_KEY: Final = SearchAttributeKey.for_keyword("ActivePlay")
IN_DOUBT_KEY: Final = SearchAttributeKey.for_int("TouchesInDoubt")


VERSION_LENGTH: Final = 12
"""Characters of a policy set's digest that operators see, and filter accounts by."""


SHELL: Final = 2
"""Version of the shell that a new run is started with; a run keeps its own, so that its history replays.

From 2 on, a workflow task that takes in a result and commands nothing leaves a mark: it sets a search
attribute to what it is already. Without the mark the engine's library joins such an empty task with the next
one, if that brings an update and the worker has to learn the account from its history first; on every later
replay it takes them as two. So the update came before the result once, and after it from then on: if that
changes the order of commands, no replay succeeds any more, and the account is stuck.
"""


class AccountInput(Frozen):
    """Start of a run: a new account, or the state that the run before carried over."""

    account_id: Identifier
    state: AccountState | None = None
    window_seconds: Annotated[float, Field(ge=0.0, le=3_600.0)] | None = None
    """The first decision window of a new account; every ruling says how long the next one is."""
    continue_after_events: int = CONTINUE_AFTER_EVENTS
    """History length at which the run continues as new."""
    shell: int = 1
    """Version of the shell; 1 for runs from before there were versions."""


class SearchAttributes(Frozen):
    """What operators filter and sort accounts by. Never anything personal."""

    stage: str | None
    tier: str | None
    pending_approvals: int
    approval_due_at: datetime | None
    """By when the first of the pending approvals should be answered."""
    on_hold: bool
    next_touch_at: datetime | None
    policy_version: str | None
    active_play: str | None
    """`<play>@<beginning of its version>`."""
    in_doubt: int

    @classmethod
    def of(cls, state: AccountState) -> SearchAttributes:
        """Return the search attributes of a state."""
        return cls(
            stage=state.assessment.stage.value if state.assessment else None,
            tier=state.account.tier.value if state.account else None,
            pending_approvals=len(state.pending_approvals),
            approval_due_at=min(
                (due for a in state.pending_approvals if (due := a.route.due_at) is not None), default=None
            ),
            on_hold=bool(state.holds),
            next_touch_at=state.next_touch_at,
            policy_version=state.policy_digest[:VERSION_LENGTH] if state.policy_digest else None,
            active_play=play_version(run.play_id, run.version) if (run := state.active_run) else None,
            in_doubt=len(state.in_doubt),
        )

    def changes_from(self, earlier: SearchAttributes | None) -> list[SearchAttributeUpdate[Any]]:
        """Return the updates that lead from earlier attributes to these; empty if nothing changed."""
        told = vars(earlier) if earlier is not None else {}
        return [
            key.value_set(value) if value is not None else key.value_unset()
            for name, key in _KEYS.items()
            for value in (getattr(self, name),)
            if earlier is None or value != told[name]
        ]


_KEYS: Final[dict[str, SearchAttributeKey[Any]]] = {
    "stage": STAGE_KEY,
    "tier": TIER_KEY,
    "pending_approvals": PENDING_APPROVALS_KEY,
    "approval_due_at": APPROVAL_DUE_AT_KEY,
    "on_hold": ON_HOLD_KEY,
    "next_touch_at": NEXT_TOUCH_AT_KEY,
    "policy_version": POLICY_VERSION_KEY,
    "active_play": ACTIVE_PLAY_KEY,
    "in_doubt": IN_DOUBT_KEY,
}


def play_version(play_id: str, version: str) -> str:
    """Return how operators see which version of a play an account runs, and filter accounts by it."""
    return f"{play_id}@{version[:VERSION_LENGTH]}"


def with_doubts(task_queue: str) -> str:
    """Return the visibility query for running accounts with a touch that a person must settle."""
    return (
        f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running' AND TaskQueue = '{task_queue}' "
        f"AND {IN_DOUBT_KEY.name} > 0"
    )


def running_a_play(task_queue: str, play_id: str) -> str:
    """Return the visibility query for running accounts on which a play is active, in whatever version."""
    return (
        f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running' AND TaskQueue = '{task_queue}' "
        f"AND {ACTIVE_PLAY_KEY.name} STARTS_WITH '{play_id}@'"
    )


def waiting_under_other_policies(task_queue: str, digest: str) -> str:
    """Return the visibility query for running accounts that wait under another policy set than the given one.

    Args:
        task_queue: The orchestrator's.
        digest: Of the policy set in force.
    """
    version = POLICY_VERSION_KEY.name
    return (
        f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running' AND TaskQueue = '{task_queue}' "
        f"AND ({NEXT_TOUCH_AT_KEY.name} IS NOT NULL OR {PENDING_APPROVALS_KEY.name} > 0) "
        f"AND ({version} IS NULL OR {version} != '{digest[:VERSION_LENGTH]}')"
    )


def waiting_for_their_time(task_queue: str) -> str:
    """Return the visibility query for running accounts in which something is deferred."""
    return (
        f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running' AND TaskQueue = '{task_queue}' "
        f"AND {NEXT_TOUCH_AT_KEY.name} IS NOT NULL"
    )


def workflow_id(account_id: str) -> str:
    """Return the id of an account's workflow."""
    return f"account/{account_id}"
