"""Ending a proposal because the world changed, wherever on its way it is."""

from __future__ import annotations

from domain._asking import withdraw
from domain._base import one_line
from domain._state import OpenProposal
from domain._turn import Turn
from domain._vocabulary import ProposalStatus, ReasonCode


def drop(turn: Turn, item: OpenProposal, reason: ReasonCode, message: str) -> None:
    """End a proposal that is not with its channel yet; the last check may still stop one that is."""
    if item.status is ProposalStatus.IN_FLIGHT:
        turn.put(item.model_copy(update={"exit_reason": reason, "exit_message": one_line(message)}))
        turn.revoke()
        return
    withdraw(turn, item, message)
    turn.close(item, ProposalStatus.SUPPRESSED, reason, message)
