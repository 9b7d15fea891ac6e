"""The governance activity on a real ledger: exact limits, whoever asks at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from activities import Governing, PolicyKeeper, publish_first
from activities.governing import LimitsContendedError
from domain import (
    Candidate,
    Consent,
    ReasonCode,
    Role,
    Ruling,
    RulingRequest,
    Standing,
    Verdict,
    person_key,
)
from governance import PolicySet, compile_policy_set, load_policy_set, rule
from ledger import Ledger
from tests.builders import account, contact, proposal

SHIPPED = Path(__file__).resolve().parents[2] / "policies"
MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ONE_FOR_ALL = (
    "caps:\n  - id: one-for-all\n    per: tenant\n    limit: 1\n    window: 7d\n    message: One a week.\n\n"
)


def capped() -> PolicySet:
    """The shipped set, with room for one touch a week over all accounts."""
    files = dict(load_policy_set(SHIPPED).files)
    files["frequency.yaml"] = files["frequency.yaml"].replace("caps:\n", ONE_FOR_ALL)
    return compile_policy_set(files)


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    return capped()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}?timeout=30"


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(url)
    await opened.migrate()
    yield opened
    await opened.close()


def request_of(account_id: str, *proposal_ids: str, now: datetime = MONDAY) -> RulingRequest:
    return RulingRequest(
        account_id=account_id,
        account=account(account_id),
        contacts={"amira": contact(role=Role.INFLUENCER, consent=Consent.GRANTED, time_zone="Europe/London")},
        readings=(),
        holds=(),
        touches=(),
        candidates=tuple(
            Candidate(proposal=proposal(each), received_at=now, expires_at=now + timedelta(days=30))
            for each in proposal_ids or ("p1",)
        ),
        revision=1,
        now=now,
    )


async def a_governing(ledger: Ledger, policies: PolicySet) -> Governing:
    await publish_first(ledger, policies)
    return Governing(PolicyKeeper(ledger, policies), ledger)


def allowed(rulings: list[Ruling]) -> int:
    return sum(each.verdict is Verdict.ALLOW for ruling in rulings for each in ruling.decisions)


async def test_of_a_hundred_accounts_at_once_one_is_allowed_and_99_learn_when(
    ledger: Ledger, policies: PolicySet
) -> None:
    governing = await a_governing(ledger, policies)
    requests = [
        request_of(f"account-{number}", now=MONDAY + timedelta(milliseconds=number)) for number in range(100)
    ]

    rulings = await asyncio.gather(*(governing.govern(asked) for asked in requests))

    assert allowed(rulings) == 1
    winner = next(each for each in await ledger.rulings() if each.outcomes[0].verdict is Verdict.ALLOW)
    for ruling in rulings:
        (decision,) = ruling.decisions
        if decision.verdict is not Verdict.ALLOW:
            assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.FREQUENCY_CAP)
            assert decision.until is not None
            assert decision.until >= winner.at + timedelta(days=7)
    assert (await ledger.counts())["reservations"] == 1


def two_children(url: str) -> list[str]:
    """Let two processes rule at the same moment and return what each of them printed."""
    with ExitStack() as stack:
        children = []
        for name in ("here", "there"):
            command = [sys.executable, "-m", "tests.activities.test_governing", url, name]
            child = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(child.kill)
            children.append(child)
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return [child.communicate(timeout=60)[0] for child in children]


async def test_of_two_processes_that_rule_at_once_one_allows_one(
    ledger: Ledger, url: str, policies: PolicySet
) -> None:
    await publish_first(ledger, policies)

    answers = two_children(url)

    assert sum(json.loads(answer) for answer in answers) == 1
    assert (await ledger.counts())["reservations"] == 1
    assert (await ledger.counts())["rulings"] == 50


async def test_the_request_that_was_judged_is_the_one_that_is_recorded(
    ledger: Ledger, policies: PolicySet
) -> None:
    """Replaying a record under the same set gives the same ruling, byte for byte."""
    governing = await a_governing(ledger, policies)
    blocked = request_of("contoso", "p1", "p2")
    await ledger.suppress(
        person_key("amira@northwind.example.com"),
        account_id="contoso",
        contact_id="amira",
        source="link",
        at=MONDAY,
    )
    given = [await governing.govern(blocked), await governing.govern(request_of("northwind", now=MONDAY))]

    recorded = await ledger.rulings()

    assert [each.request.suppressed for each in recorded] == [("amira",), ("amira",)]
    assert [each.request.standing == Standing() for each in recorded] == [False, False]
    again = [rule(policies, each.request) for each in recorded]
    assert [each.model_dump_json() for each in again] == [each.model_dump_json() for each in given]
    assert all(d.reason is ReasonCode.SUPPRESSED for ruling in given for d in ruling.decisions)


async def test_a_set_without_shared_limits_asks_the_ledger_for_nothing_more(
    ledger: Ledger, policies: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def standing(*_: object, **__: object) -> Standing:
        asked.append("standing")
        return Standing()

    monkeypatch.setattr(ledger, "standing", standing)
    monkeypatch.setattr("activities.governing.draws", lambda *_: ())
    monkeypatch.setattr("activities.governing.tracked", lambda *_: ())
    governing = await a_governing(ledger, policies)

    await governing.govern(request_of("northwind"))

    assert asked == []


async def test_what_others_took_meanwhile_is_looked_at_again(
    ledger: Ledger, policies: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    governing = await a_governing(ledger, policies)
    real, taken = ledger.standing, False

    async def stale(*arguments: Any, **named: Any) -> Standing:  # noqa: ANN401 - handed on as they are
        nonlocal taken
        found = await real(*arguments, **named)
        if not taken:
            taken = True
            await governing.govern(request_of("contoso"))
        return found

    monkeypatch.setattr(ledger, "standing", stale)

    ruling = await governing.govern(request_of("northwind"))

    assert ruling.decisions[0].verdict is Verdict.DEFER
    assert ruling.decisions[0].reason is ReasonCode.FREQUENCY_CAP


async def test_a_ruling_that_never_gets_through_is_tried_again_by_the_engine_and_allows_nothing(
    ledger: Ledger, policies: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    governing = await a_governing(ledger, policies)

    async def refused(*_: object) -> bool:
        return False

    monkeypatch.setattr(ledger, "enter_ruling", refused)

    with pytest.raises(LimitsContendedError, match="last places in a shared limit"):
        await governing.govern(request_of("northwind"))
    assert (await ledger.counts())["rulings"] == 0


async def _child(url: str, name: str) -> None:
    """Rule on 25 accounts at once in another process, and print how many were allowed."""
    ledger = await Ledger.open(url)
    governing = Governing(PolicyKeeper(ledger, capped()), ledger)
    print("ready", flush=True)  # noqa: T201 - standard output is how the two processes talk
    await asyncio.to_thread(sys.stdin.readline)
    requests = [request_of(f"{name}-{number}") for number in range(25)]
    rulings = await asyncio.gather(*(governing.govern(asked) for asked in requests))
    await ledger.close()
    print(allowed(rulings), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    asyncio.run(_child(sys.argv[1], sys.argv[2]))
