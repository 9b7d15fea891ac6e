"""The audience channel: many touches in one request, each with a receipt of its own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError

from activities.channels import ChannelActivities, Matching
from activities.channels.paid_media import address_hash
from domain import RecallStatus, Receipt, ReceiptStatus, Touch
from ledger import Ledger
from tests.channels.support import ADA, NOW, an_environment, to
from tests.channels.vendors import World, recall_of, touch_for, vendors

CHANNEL = "paid_media"
PATH = "/v1/audiences"


@pytest_asyncio.fixture(loop_scope="session")
async def world(ledger: Ledger, tmp_path: Path) -> AsyncIterator[World]:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as running:
        yield running


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def all_at_once(activities: ChannelActivities, touches: list[Touch]) -> list[Receipt | BaseException]:
    """Hand touches over as one worker does that has them all in hand."""
    return await asyncio.gather(
        *(an_environment().run(activities.hand_over, touch) for touch in touches), return_exceptions=True
    )


async def members(world: World, audience: str = "in-market") -> list[str]:
    found = (await world.get(f"{PATH}/{audience}")).json()["members"]
    return sorted(member["member"]["value"] for member in found)


async def posts(world: World) -> list[int]:
    """How many operations each request had."""
    return [len(r["body"]["operations"]) for r in await world.seen(PATH) if r["method"] == "POST"]


@pytest.mark.parametrize(
    ("email", "google", "meta"),
    [
        ("ada@example.com", "ada@example.com", "ada@example.com"),
        (" Ada.Lovelace@Example.COM ", "ada.lovelace@example.com", "ada.lovelace@example.com"),
        ("Ada.Love.lace@GMail.com", "adalovelace@gmail.com", "ada.love.lace@gmail.com"),
        ("a.d.a@googlemail.com", "ada@googlemail.com", "a.d.a@googlemail.com"),
        ("ada+news@gmail.com", "ada+news@gmail.com", "ada+news@gmail.com"),
    ],
)
def test_an_address_is_written_as_the_platform_wants_it_before_it_is_hashed(
    email: str, google: str, meta: str
) -> None:
    assert address_hash(email, Matching.GOOGLE) == sha256(google)
    assert address_hash(email, Matching.META) == sha256(meta)


async def test_the_platform_gets_hashes_and_domains_and_no_address(world: World) -> None:
    person, company = await world.several(CHANNEL, 2)
    company = company.model_copy(
        update={"recipient": None, "fields": {"audience": "in-market", "domain": " Northwind.Example. "}}
    )

    receipts = await all_at_once(world.channel(CHANNEL), [person, company])

    (request,) = await world.seen(PATH)
    assert request["path"] == "/v1/audiences/in-market/members:batch"
    assert request["body"] == {
        "operations": [
            {
                "op": "add",
                "id": person.touch_id,
                "account_id": "acme-0",
                "member": {"type": "email_sha256", "value": sha256("ada@example.com")},
                "member_id": None,
            },
            {
                "op": "add",
                "id": company.touch_id,
                "account_id": "acme-1",
                "member": {"type": "domain", "value": "northwind.example"},
                "member_id": None,
            },
        ]
    }
    assert "ada@" not in str(request)
    assert [r.status for r in receipts if isinstance(r, Receipt)] == [ReceiptStatus.ACCEPTED] * 2


async def test_touches_that_come_together_are_one_request(world: World) -> None:
    touches = await world.several(CHANNEL, 40)
    people = [t.model_copy(update={"recipient": to(f"p{n}@example.com")}) for n, t in enumerate(touches)]

    receipts = await all_at_once(world.channel(CHANNEL, batch_seconds=0.3), people)

    assert {r.status for r in receipts if isinstance(r, Receipt)} == {ReceiptStatus.ACCEPTED}
    assert await posts(world) == [40]
    assert len(await members(world)) == 40


async def test_a_full_batch_goes_at_once_and_audiences_do_not_mix(world: World) -> None:
    touches = await world.several(CHANNEL, 7)
    other = touches[-1].model_copy(update={"fields": {"audience": "customers/1/userLists/2"}})

    started = asyncio.get_running_loop().time()
    await all_at_once(world.channel(CHANNEL, batch_seconds=0.2, batch_members=3), [*touches[:-1], other])
    took = asyncio.get_running_loop().time() - started

    assert sorted(await posts(world)) == [1, 3, 3]
    assert took < 5
    assert await members(world, "customers/1/userLists/2") == [sha256("ada@example.com")]


async def test_with_a_slow_ledger_a_batch_goes_in_parts_so_that_no_answer_gets_old(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.channels.paid_media.FRESH_SECONDS", 0.0)
    touches = await world.several(CHANNEL, 60)

    receipts = await all_at_once(world.channel(CHANNEL, batch_seconds=0.3), touches)

    assert {r.status for r in receipts if isinstance(r, Receipt)} == {ReceiptStatus.ACCEPTED}
    assert await posts(world) == [50, 10]


async def test_touches_that_come_apart_are_two_requests(world: World) -> None:
    first, second = await world.several(CHANNEL, 2)
    activities = world.channel(CHANNEL, batch_seconds=0.01)

    await all_at_once(activities, [first])
    await all_at_once(activities, [second])

    assert await posts(world) == [1, 1]


async def test_a_member_that_is_refused_spoils_nobody_elses_touch(world: World) -> None:
    touches = await world.several(CHANNEL, 5)
    await world.behave("refuse_members", PATH, times=1)

    receipts = await all_at_once(world.channel(CHANNEL), touches)

    statuses = [r.status for r in receipts if isinstance(r, Receipt)]
    assert sorted(statuses) == [ReceiptStatus.ACCEPTED] * 4 + [ReceiptStatus.REJECTED]
    (refused,) = [r for r in receipts if isinstance(r, Receipt) and r.status is ReceiptStatus.REJECTED]
    assert "nobody matches" in (refused.detail or "")
    assert await posts(world) == [5]


async def test_a_member_that_fails_for_now_is_sent_again_alone(world: World) -> None:
    touches = await world.several(CHANNEL, 3)
    await world.behave("fail_members", PATH, times=1)
    activities = world.channel(CHANNEL)

    receipts = await all_at_once(activities, touches)
    failed = [touch for touch, r in zip(touches, receipts, strict=True) if isinstance(r, ApplicationError)]
    again = await all_at_once(activities, failed)

    assert len(failed) == 1
    assert [r.status for r in again if isinstance(r, Receipt)] == [ReceiptStatus.ACCEPTED]
    assert await posts(world) == [3, 1]


async def test_a_batch_that_one_member_spoils_is_halved_until_the_culprit_stands_alone(world: World) -> None:
    # Given eight touches, one of them for a company for whose sake the platform refuses all
    touches = await world.several(CHANNEL, 8)
    touches[5] = touches[5].model_copy(
        update={"recipient": None, "fields": {"audience": "in-market", "domain": "acme.invalid"}}
    )

    receipts = await all_at_once(world.channel(CHANNEL), touches)

    statuses = [r.status if isinstance(r, Receipt) else type(r) for r in receipts]
    assert statuses == [ReceiptStatus.ACCEPTED] * 5 + [ReceiptStatus.REJECTED] + [ReceiptStatus.ACCEPTED] * 2
    assert await posts(world) == [8, 4, 4, 2, 1, 1, 2]


async def test_whoever_objected_is_left_out_and_the_others_go(world: World) -> None:
    touches = await world.several(CHANNEL, 3)
    others = [t.model_copy(update={"recipient": to(f"p{n}@example.com")}) for n, t in enumerate(touches)]
    ada = others[1].model_copy(update={"recipient": to("ada@example.com")})
    await world.ledger.suppress(ADA, account_id="contoso", contact_id="c-9", source="test", at=NOW)

    receipts = await all_at_once(world.channel(CHANNEL), [others[0], ada, others[2]])

    statuses = [r.status for r in receipts if isinstance(r, Receipt)]
    assert statuses == [ReceiptStatus.ACCEPTED, ReceiptStatus.BLOCKED, ReceiptStatus.ACCEPTED]
    assert await posts(world) == [2]
    assert sha256("ada@example.com") not in await members(world)


async def test_an_objection_while_the_batch_waits_still_counts(world: World) -> None:
    activities = world.channel(CHANNEL, batch_seconds=0.5)
    running = asyncio.create_task(all_at_once(activities, [touch_for(CHANNEL)]))

    await asyncio.sleep(0)
    await world.ledger.suppress(ADA, account_id="contoso", contact_id="c-9", source="test", at=NOW)
    (receipt,) = await running

    assert isinstance(receipt, Receipt)
    assert receipt.status is ReceiptStatus.BLOCKED
    assert await posts(world) == []


async def test_a_touch_that_is_cancelled_while_its_batch_waits_is_left_out(world: World) -> None:
    # Given two touches that wait for more
    stays, goes = await world.several(CHANNEL, 2)
    activities = world.channel(CHANNEL, batch_seconds=0.4)
    staying = asyncio.create_task(all_at_once(activities, [stays]))
    environment = an_environment()
    going = asyncio.ensure_future(environment.run(activities.hand_over, goes))
    await asyncio.sleep(0.05)

    # When one is cancelled
    environment.cancel()

    # Then it has never been handed over, and the other goes alone
    cancelled = await going
    assert cancelled.status is ReceiptStatus.UNDELIVERED
    assert "Cancelled before" in (cancelled.detail or "")
    (kept,) = await staying
    assert isinstance(kept, Receipt)
    assert kept.status is ReceiptStatus.ACCEPTED
    assert await posts(world) == [1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fields": {}}, "Not sent: the field audience is missing."),
        ({"fields": {"audience": "in market"}}, "Not sent: the field audience is no id of at most 80 "),
        ({"fields": {"audience": "a" * 81}}, "Not sent: the field audience is no id of at most 80 "),
        ({"recipient": to(None)}, "Not sent: the contact has no e-mail address."),
        ({"recipient": None}, "Not sent: there is no contact, and the field domain is missing."),
        (
            {"recipient": None, "fields": {"audience": "a", "domain": "localhost"}},
            "Not sent: the field domain is no domain like example.com.",
        ),
        (
            {"recipient": None, "fields": {"audience": "a", "domain": "https://example.com/"}},
            "Not sent: the field domain is no domain like example.com.",
        ),
    ],
)
async def test_a_member_that_cannot_be_named_is_refused_with_one_sentence(
    world: World, changes: dict[str, object], says: str
) -> None:
    receipt = await world.hand_over(CHANNEL, touch_for(CHANNEL, **changes))

    assert receipt.status is ReceiptStatus.REJECTED
    assert (receipt.detail or "").startswith(says)
    assert await world.seen() == []


async def test_a_member_stays_while_another_touch_wants_it_there(world: World) -> None:
    first, second = await world.several(CHANNEL, 2)
    activities = world.channel(CHANNEL)
    receipts = [r for r in await all_at_once(activities, [first, second]) if isinstance(r, Receipt)]

    one = await world.recall(CHANNEL, recall_of(first, receipts[0]))
    assert one.status is RecallStatus.RECALLED
    assert await members(world) == [sha256("ada@example.com")]
    other = await world.recall(CHANNEL, recall_of(second, receipts[1]))
    assert other.status is RecallStatus.RECALLED
    assert await members(world) == []


async def test_taking_back_is_batched_too(world: World) -> None:
    touches = await world.several(CHANNEL, 10)
    activities = world.channel(CHANNEL)
    receipts = [r for r in await all_at_once(activities, touches) if isinstance(r, Receipt)]
    assert activities.recall is not None

    recalled = await asyncio.gather(
        *(
            an_environment().run(activities.recall, recall_of(touch, receipt))
            for touch, receipt in zip(touches, receipts, strict=True)
        )
    )

    assert {answer.status for answer in recalled} == {RecallStatus.RECALLED}
    assert await posts(world) == [10, 10]
    assert await members(world) == []


async def test_a_receipt_that_names_no_audience_leads_nowhere(world: World) -> None:
    recalled = await world.recall(CHANNEL, recall_of(touch_for(CHANNEL)))

    assert recalled.status is RecallStatus.IMPOSSIBLE
    assert await world.seen() == []
