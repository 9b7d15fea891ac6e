"""Every side effect: governance with its look at the shared store, the ledger, and the channels."""

from activities.governing import Governing
from activities.recording import Recording

__all__ = ["Governing", "Recording"]
