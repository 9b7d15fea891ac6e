"""The default set with some of arbitration.yaml changed, and proposals that get in each other's way."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from domain import (
    Proposal,
    ProposalStatus,
    Scheduled,
)
from governance import PolicySet, compile_policy_set
from tests.governance.worlds import (
    DEFAULT,
    NOW,
    email,
    nurture,
)


def arbitration(change: Callable[[Any], object], file: str = "arbitration.yaml") -> PolicySet:
    """The default set with one file changed as data."""
    files = {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}
    yaml = YAML()
    content = yaml.load(files[file])
    change(content)
    target = io.StringIO()
    yaml.dump(content, target)
    return compile_policy_set({**files, file: target.getvalue()})


@cache
def with_conflict(*items: tuple[str, object]) -> PolicySet:
    """The default set with one conflict in place of its own."""
    entry: dict[str, object] = {
        "id": "clash",
        "intents": ["nurture", "closing"],
        "then": "suppress",
        "message": "Not together.",
    }
    entry |= {key: list(value) if isinstance(value, tuple) else value for key, value in items}
    return arbitration(lambda content: content.update(conflicts=[entry]))


def closing(**changes: object) -> Proposal:
    return email(**{"proposal_id": "close-1", "intent": "closing", **changes})


def caring(**changes: object) -> Proposal:
    """A nurture mail to somebody else than the others address."""
    return nurture(**{"proposal_id": "care-1", "contact_id": "influencer", **changes})


def scheduled(proposal: Proposal, score: float, due_at: datetime | None, **changes: object) -> Scheduled:
    given: dict[str, object] = {
        **{
            key: getattr(proposal, key)
            for key in ("proposal_id", "actor", "action", "channel", "contact_id", "intent", "value")
        },
        "status": ProposalStatus.DEFERRED,
        "due_at": due_at,
        "received_at": NOW - timedelta(days=1),
        "score": score,
    }
    return Scheduled.model_validate({**given, **changes})
