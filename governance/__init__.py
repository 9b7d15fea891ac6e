"""Governance: policy files become a policy set, and a policy set rules on proposals.

Pure: the same request under the same policy set gives the same ruling, byte for byte. Other rooms import
from here, never from the modules behind it.
"""

from collections.abc import Iterable
from datetime import datetime

from domain import Assessment, Reading, SettledStage, Signal
from governance._case import Channel
from governance._cases import CaseResult, CasesError, PolicyCase, load_cases, read_cases, run_case
from governance._diff import Change, ChangeKind, diff
from governance._draws import draws, tracked
from governance._engine import rule
from governance._fields import Duration
from governance._lint import Warn, lint
from governance._outline import Entry, Sheet, outline
from governance._policy_set import PolicyError, PolicySet, compile_policy_set, load_policy_set
from governance._replay import (
    Comparison,
    Coverage,
    PastOutcome,
    PastRuling,
    Replay,
    RuleUse,
    Shift,
    rerule,
)
from governance._schemas import schemas
from governance._source import Document, Place, PolicyFileError, Problem, load_document
from governance._uses import uses, windowed
from governance._vetting import delegation_problem, vet
from governance.families._interpretation import read_signal, reconcile
from governance.plays._entry import with_plays
from governance.plays._loading import load_play
from governance.plays._planner import plan
from governance.plays._play import Branch, Play, TouchStep, Wait

__all__ = [
    "Branch",
    "CaseResult",
    "CasesError",
    "Change",
    "ChangeKind",
    "Channel",
    "Comparison",
    "Coverage",
    "Document",
    "Duration",
    "Entry",
    "PastOutcome",
    "PastRuling",
    "Place",
    "Play",
    "PolicyCase",
    "PolicyError",
    "PolicyFileError",
    "PolicySet",
    "Problem",
    "Replay",
    "RuleUse",
    "Sheet",
    "Shift",
    "TouchStep",
    "Wait",
    "Warn",
    "assess",
    "compile_policy_set",
    "delegation_problem",
    "diff",
    "draws",
    "interpret",
    "lint",
    "load_cases",
    "load_document",
    "load_play",
    "load_policy_set",
    "outline",
    "plan",
    "read_cases",
    "rerule",
    "rule",
    "run_case",
    "schemas",
    "tracked",
    "uses",
    "vet",
    "windowed",
]


def assess(
    policies: PolicySet, readings: Iterable[Reading], now: datetime, settled: SettledStage | None = None
) -> Assessment | None:
    """Reconcile readings that may disagree; None if none of them has any weight.

    Args:
        policies: The policy set in force.
        readings: What systems conclude.
        now: The moment.
        settled: What a person has said about readings that disagreed.
    """
    return reconcile(policies.interpretation, readings, now, settled)


def interpret(policies: PolicySet, signal: Signal) -> Signal:
    """Add what a signal means at the door: the reading its kind stands for, and the plays that it may start.

    A reading of its own stays; the plays are always those of the policy set, whatever the signal says.
    """
    return with_plays(policies.plays.values(), read_signal(policies.interpretation, signal))
