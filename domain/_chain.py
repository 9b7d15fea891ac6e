"""The decision log: every fact of an account that somebody answers for, chained by hashes.

A link holds the digest of its fact and not the fact itself, so that personal data can be erased from a record
without breaking the chain that shows there was one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from domain._base import Frozen
from domain._canonical import digest_of

if TYPE_CHECKING:
    from domain._records import LedgerFact

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
    """SHA-256 over the canonical JSON of what `chained` returns for the fact."""
    digest: str
    """SHA-256 over the canonical JSON of account, number, previous and body."""


class ChainHead(Frozen):
    """The last link of an account's decision log."""

    number: Annotated[int, Field(ge=0)] = 0
    digest: str = GENESIS


def chained(fact: LedgerFact) -> dict[str, Any]:
    """Return a fact as the log holds it: plain, without its link, and without what it says by default.

    A field that a later version of this code adds has its default in every fact from before. Left out, it
    changes no digest, so that facts on their way during a deploy, or rebuilt years later, still fit theirs.
    """
    said = fact.model_dump(mode="json", exclude={"link"}, exclude_defaults=True)
    return {"type": fact.type, **said}


def read_body(body: str) -> dict[str, Any]:
    """Return a fact as the log holds it from its JSON; `digest_of` it is the body of its link.

    Of a name that stands there twice one reader takes the first and another the last, so that a text could
    say one thing to an audit and another to whoever asks the database.

    Raises:
        ValueError: this is no JSON object, or one that names something twice.
    """
    said = json.loads(body, object_pairs_hook=_each_once)
    if not isinstance(said, dict):
        raise ValueError("the body of a link must be a JSON object")  # noqa: TRY004 - wrong text, not a wrong call
    return said


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it names something twice")
    return found


def link_digest(account_id: str, number: int, previous: str, body: str) -> str:
    """Return the digest of a link from what it ties together."""
    return digest_of({"account_id": account_id, "number": number, "previous": previous, "body": body})


def next_link(account_id: str, head: ChainHead, fact: LedgerFact) -> Link:
    """Return the link that a fact becomes behind a chain's head."""
    body, number = digest_of(chained(fact)), head.number + 1
    return Link(
        number=number,
        previous=head.digest,
        body=body,
        digest=link_digest(account_id, number, head.digest, body),
    )
