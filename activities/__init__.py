"""Every side effect: governance with its look at the shared store, the ledger, notices, and the channels."""

from activities.governing import Governing
from activities.notifying import Notifying
from activities.planning import Planning
from activities.policies import PolicyKeeper, keep_policies, publish_first
from activities.recording import Recording
from activities.vetting import Deputies

__all__ = [
    "Deputies",
    "Governing",
    "Notifying",
    "Planning",
    "PolicyKeeper",
    "Recording",
    "keep_policies",
    "publish_first",
]
