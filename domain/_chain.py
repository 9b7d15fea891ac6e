"""The decision log: every fact of an account that somebody answers for, chained by hashes.

A link holds the digest of its fact and not the fact itself, so that personal data can be erased from a record
without breaking the chain that shows there was one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from domain._base import Frozen
from domain._canonical import digest_of

if TYPE_CHECKING:
    from domain._records import Fact

GENESIS: Final = "0" * 64
"""What the first link of every account follows."""

LOGGED: Final = frozenset(
    {
        "proposal",
        "decision",
        "approval",
        "answer",
        "approval_step",
        "window",
        "touch",
        "outcome",
        "play",
        "settlement",
        "recall",
        "hold",
        "suppression",
    }
)
"""Types of facts in the decision log. Signals and profiles are evidence, and refused messages are many: they
may be given up when the ledger is away for long, which no link of a chain may be."""


class Link(Frozen):
    """A fact's place in the decision log of its account."""

    number: Annotated[int, Field(ge=1)]
    """Counts the links of one account without gaps."""
    previous: str
    """`digest` of the link before, or `GENESIS`."""
    body: str
    """SHA-256 over the canonical JSON of the fact, without its link."""
    digest: str
    """SHA-256 over the canonical JSON of account, number, previous and body."""


class ChainHead(Frozen):
    """The last link of an account's decision log."""

    number: Annotated[int, Field(ge=0)] = 0
    digest: str = GENESIS


def body_digest(body: str) -> str:
    """Return the digest of a fact, given as the JSON it was written as, without its link."""
    fields = json.loads(body)
    fields.pop("link", None)
    return digest_of(fields)


def link_digest(account_id: str, number: int, previous: str, body: str) -> str:
    """Return the digest of a link from what it ties together."""
    return digest_of({"account_id": account_id, "number": number, "previous": previous, "body": body})


def next_link(account_id: str, head: ChainHead, fact: Fact) -> Link:
    """Return the link that a fact becomes behind a chain's head."""
    body, number = body_digest(fact.model_dump_json()), head.number + 1
    return Link(
        number=number,
        previous=head.digest,
        body=body,
        digest=link_digest(account_id, number, head.digest, body),
    )
