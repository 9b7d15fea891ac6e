from domain import TouchStatus
from ledger import Ledger
from tests.ledger import facts as f
from tests.ledger.conftest import Query


async def test_facts_come_back_as_they_were_written(ledger: Ledger) -> None:
    proposal, decision = f.proposal_fact(1), f.decision_fact(2, hits=2)
    past, touch = f.past_touch_fact(3), f.touch_fact(4, status=TouchStatus.HANDED_OVER)
    profile = f.account_fact(5)

    await ledger.record(f.batch(proposal, decision, past, touch, profile))

    assert await ledger.proposals(f.ACCOUNT) == [proposal]
    assert await ledger.decisions(f.ACCOUNT) == [decision.decision]
    assert await ledger.touches(f.ACCOUNT) == [touch, past]
    assert await ledger.accounts() == [profile.account]


async def test_decisions_can_be_asked_for_one_proposal_latest_first(ledger: Ledger) -> None:
    first, second, third = f.decision_fact(1, 1), f.decision_fact(2, 2), f.decision_fact(3, 3)
    await ledger.record(f.batch(first, second, third))

    assert await ledger.decisions(f.ACCOUNT, "p1") == [third.decision, first.decision]
    assert await ledger.decisions(f.ACCOUNT, limit=2) == [third.decision, second.decision]
    assert await ledger.decisions("contoso") == []


async def test_an_account_exists_once_its_profile_has_arrived(ledger: Ledger) -> None:
    await ledger.record(f.batch(f.signal_fact(1)))
    assert not await ledger.account_exists(f.ACCOUNT)

    await ledger.record(f.batch(f.account_fact(2)))
    assert await ledger.account_exists(f.ACCOUNT)


async def test_accounts_are_listed_page_by_page(ledger: Ledger) -> None:
    for name in ("c", "a", "b"):
        profile = f.account_fact(1).account.model_copy(update={"account_id": name})
        fact = f.account_fact(1).model_copy(update={"account": profile})
        await ledger.record(f.batch(fact, account_id=name))

    first = await ledger.accounts(limit=2)
    second = await ledger.accounts(after=first[-1].account_id, limit=2)

    assert [account.account_id for account in (*first, *second)] == ["a", "b", "c"]


async def test_known_signals_are_told_by_source_and_id(ledger: Ledger) -> None:
    await ledger.record(f.batch(f.signal_fact(1, 1), f.signal_fact(2, 2, source="web")))
    asked = [("intent", "s1"), ("intent", "s2"), ("web", "s2"), *(("crm", str(n)) for n in range(1_200))]

    assert await ledger.signals_known(f.ACCOUNT, asked) == {("intent", "s1"), ("web", "s2")}
    assert await ledger.signals_known("contoso", asked) == frozenset()


async def test_a_policy_set_is_kept_as_it_was_first_seen(ledger: Ledger, query: Query) -> None:
    files = {"consent.yaml": "# Zustimmung für alle\nrules: []\n", "timing.yaml": ""}
    await ledger.record_policy_set(f.POLICY, files=files, at=f.moment(1))
    await ledger.record_policy_set(f.POLICY, files={}, at=f.moment(2))

    assert await ledger.policy_set(f.POLICY) == files
    assert await ledger.policy_set("another") is None
    assert query("SELECT at FROM policy_sets") == [("2026-03-02 12:00:01.000000",)]
