"""Answers to several questions at once: only where they are of one sort, and never where the risk is high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from domain._approval import Approval
from domain._exception_words import Risk

BULK_LIMIT: Final = 50
"""Questions that one answer may be for: more than that nobody has looked at."""


def bulk_refusal(approvals: Sequence[Approval]) -> str | None:
    """Say why questions may not be answered together, in one sentence; None if they may.

    One question alone may always be answered. Several are answered together only if one rule asks them all
    about one action and their risk is not high, and at most `BULK_LIMIT` at once.
    """
    if len(approvals) <= 1:
        return None
    if len(approvals) > BULK_LIMIT:
        return f"at most {BULK_LIMIT} questions are answered at once, and these are {len(approvals)}"
    for each in approvals:
        if each.route.risk is Risk.HIGH:
            return f"{each.approval_id} is of high risk and is answered alone"
        if each.rule_id is None or each.action is None:
            return f"{each.approval_id} is about no action that one rule asks about, and is answered alone"
    first = approvals[0]
    for each in approvals:
        if each.rule_id != first.rule_id:
            return (
                f"{first.approval_id} is asked by {first.rule_id} and {each.approval_id} by {each.rule_id}; "
                "only what one rule asks is answered together"
            )
        if each.action != first.action:
            return (
                f"{first.approval_id} is about {first.action} and {each.approval_id} about {each.action}; "
                "only questions about one action are answered together"
            )
    return None
