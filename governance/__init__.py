"""Governance: policy files become a policy set, and a policy set rules on proposals.

Pure: the same request under the same policy set gives the same ruling, byte for byte. Other rooms import
from here, never from the modules behind it.
"""

from collections.abc import Iterable
from datetime import datetime

from domain import Assessment, Reading, Signal
from governance._case import Channel
from governance._engine import rule
from governance._fields import Duration
from governance._policy_set import PolicyError, PolicySet, compile_policy_set, load_policy_set
from governance._source import Document, Place, PolicyFileError, Problem, load_document
from governance.families._interpretation import read_signal, reconcile

__all__ = [
    "Channel",
    "Document",
    "Duration",
    "Place",
    "PolicyError",
    "PolicyFileError",
    "PolicySet",
    "Problem",
    "assess",
    "compile_policy_set",
    "interpret",
    "load_document",
    "load_policy_set",
    "rule",
]


def assess(policies: PolicySet, readings: Iterable[Reading], now: datetime) -> Assessment | None:
    """Reconcile readings that may disagree; None if none of them has any weight."""
    return reconcile(policies.interpretation, readings, now)


def interpret(policies: PolicySet, signal: Signal) -> Signal:
    """Add the reading a signal's kind stands for, unless it has one of its own or its kind says nothing."""
    return read_signal(policies.interpretation, signal)
