"""The chain of an account: each fact that somebody answers for is a link, and keeps its digest for ever."""

from __future__ import annotations

import pytest

from domain import (
    GENESIS,
    LOGGED,
    FactBatch,
    ProposalFact,
    ProposalStatus,
    Proposed,
    chained,
    digest_of,
    link_digest,
    read_body,
)
from tests.auditing.accounts import begun, lived
from tests.builders import START, proposal


def test_every_fact_of_the_log_follows_the_one_before() -> None:
    facts = lived()
    previous, number = GENESIS, 0

    for fact in facts:
        assert (fact.link is not None) == (fact.type in LOGGED)
        if fact.link is not None:
            number += 1
            assert (fact.link.number, fact.link.previous) == (number, previous)
            assert fact.link.body == digest_of(chained(fact))
            assert fact.link.digest == link_digest("northwind", number, previous, fact.link.body)
            previous = fact.link.digest
    assert number > 30


def test_a_fact_keeps_its_digest_on_its_way_to_the_ledger() -> None:
    sent = FactBatch(account_id="northwind", facts=lived())

    received = FactBatch.model_validate_json(sent.model_dump_json())

    for fact in received.facts:
        if fact.link is not None:
            assert digest_of(chained(fact)) == fact.link.body


def test_the_chain_goes_on_in_the_accounts_next_run() -> None:
    made = begun("northwind")
    made.send([Proposed(proposal=proposal("p1"))])
    before = made.state.chain
    made.restart()
    made.send([Proposed(proposal=proposal("p2"))])

    after = [fact.link for fact in made.result().facts if fact.link and fact.link.number > before.number]

    assert after[0].previous == before.digest


def test_a_field_that_a_later_version_adds_changes_no_digest() -> None:
    class LaterFact(ProposalFact):
        more: tuple[str, ...] = ()
        kind: str = "action"

    fact = ProposalFact(seq=1, at=START, proposal=proposal("p1"), status=ProposalStatus.IN_WINDOW)
    later = LaterFact.model_validate_json(fact.model_dump_json())

    assert chained(later) == chained(fact)
    assert chained(later.model_copy(update={"kind": "other"})) != chained(fact)


def test_what_is_no_fact_has_no_digest() -> None:
    texts = ("", "{", "[]", "1", '{"a": 1e999}', '{"a": 12345678901234567890}', "[" * 100, '{"a": 1, "a": 1}')
    for text in texts:
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            digest_of(read_body(text))
