"""Rulings: kept as they were judged, in a stable order, without what no rule reads."""

from datetime import timedelta

from domain import Content, Hold, Reading, ReasonCode, RulingRequest, Stage, Verdict
from ledger import HitCounts, Ledger, RuleCount, RuledProposal
from tests.builders import POLICY
from tests.ledger import facts as f
from tests.ledger.conftest import Query
from tests.ledger.limits import allowing, draw, nothing, request_of


async def enter(ledger: Ledger, *requests: RulingRequest) -> None:
    for asked in requests:
        assert await ledger.enter_ruling(asked, nothing(asked))


async def test_a_ruling_comes_back_as_it_was_asked_and_answered(ledger: Ledger) -> None:
    asked = request_of("northwind", "p1", "p2", seq=4, revision=3)

    await ledger.enter_ruling(asked, allowing(asked, draw(touches=1)))

    (ruling,) = await ledger.rulings()
    assert (ruling.account_id, ruling.at, ruling.revision, ruling.seq) == ("northwind", f.NOON, 3, 4)
    assert ruling.policy_digest == POLICY
    assert ruling.outcomes == (
        RuledProposal(
            proposal_id="p1",
            decision_id="p1:1",
            verdict=Verdict.ALLOW,
            reason=ReasonCode.ALLOWED,
            rule_id=None,
        ),
        RuledProposal(
            proposal_id="p2",
            decision_id="p2:1",
            verdict=Verdict.DEFER,
            reason=ReasonCode.NO_SLOT,
            rule_id=None,
        ),
    )
    same = {"account", "readings", "holds", "touches", "standing", "suppressed", "scheduled", "now", "seq"}
    assert ruling.request.model_dump(include=same) == asked.model_dump(include=same)


async def test_what_no_rule_reads_is_withheld(ledger: Ledger, query: Query) -> None:
    told = Reading(
        system="crm",
        stage=Stage.ENGAGED,
        urgency=0.5,
        confidence=0.5,
        observed_at=f.NOON,
        note="Amira is on leave",
    )
    frozen = Hold(hold_id="h1", placed_by="dana.reyes", reason="Amira complained", placed_at=f.NOON)
    thrown = f.stop().model_copy(update={"reason": "Amira phoned"})
    asked = request_of(
        "northwind", content=Content(subject="Hello Amira", text="secret"), reading=told
    ).model_copy(update={"holds": (frozen,), "readings": (told,), "stops": (thrown,)})
    await enter(ledger, asked)

    ((stored,),) = query("SELECT request FROM rulings")

    assert isinstance(stored, str)
    for personal in ("Hello Amira", "secret", "amira@", '"Amira"', "+44", "on leave", "complained", "phoned"):
        assert personal in asked.model_dump_json(), f"the test would see {personal}"
        assert personal not in stored
    (ruling,) = await ledger.rulings()
    (contact,) = ruling.request.contacts.values()
    assert contact.email is not None, "whether there is an address is known"
    assert contact.phone is not None
    assert contact.role is asked.contacts["amira"].role


async def test_the_same_request_ruled_on_again_stands_once_with_its_last_answer(ledger: Ledger) -> None:
    asked = request_of("northwind")
    await enter(ledger, asked)

    await ledger.enter_ruling(asked, allowing(asked))

    (ruling,) = await ledger.rulings()
    assert [outcome.verdict for outcome in ruling.outcomes] == [Verdict.ALLOW]


async def test_rulings_are_paged_in_the_order_of_their_moments(ledger: Ledger) -> None:
    later = f.NOON + timedelta(microseconds=1)
    await enter(
        ledger,
        request_of("b", now=later),
        request_of("c", now=f.NOON, revision=2),
        request_of("c", now=f.NOON, revision=10),
        request_of("a", now=later),
        request_of("d", now=f.NOON),
    )

    first = await ledger.rulings(limit=2)
    second = await ledger.rulings(limit=2, after=first[-1].key)
    third = await ledger.rulings(limit=2, after=second[-1].key)

    assert [(r.account_id, r.revision) for r in (*first, *second, *third)] == [
        ("c", 2),
        ("c", 10),
        ("d", 1),
        ("a", 1),
        ("b", 1),
    ]
    assert await ledger.rulings(after=third[-1].key) == []
    assert [ruling.account_id for ruling in await ledger.rulings(since=later)] == ["a", "b"]
    assert [r.account_id for r in await ledger.rulings(since=later, after=second[-1].key)] == ["b"]


async def test_rules_are_counted_with_their_last_moment(ledger: Ledger) -> None:
    assert await ledger.rule_hit_counts() == HitCounts(decisions=0, rules={})
    await ledger.record(f.batch(f.decision_fact(1, 1, hits=2), f.decision_fact(5, 2, hits=1)))

    assert await ledger.rule_hit_counts() == HitCounts(
        decisions=2,
        rules={
            "frequency.rule_0": RuleCount(fired=2, last_at=f.moment(5)),
            "frequency.rule_1": RuleCount(fired=1, last_at=f.moment(1)),
        },
    )


async def test_the_latest_decisions_of_a_rule_can_be_read(ledger: Ledger) -> None:
    old, new = f.decision_fact(1, 1, hits=2), f.decision_fact(5, 2, hits=1)
    await ledger.record(f.batch(old, new))

    found = await ledger.recent_hits("frequency.rule_0")

    assert [(hit.account_id, hit.decision) for hit in found] == [
        (f.ACCOUNT, new.decision),
        (f.ACCOUNT, old.decision),
    ]
    assert len(await ledger.recent_hits("frequency.rule_0", limit=1)) == 1
    assert await ledger.recent_hits("frequency.rule_9") == []
