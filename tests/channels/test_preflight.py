"""The last check before a hand-over: what it refuses, in which order, and with which words."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import HttpUrl, SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from temporalio.exceptions import ApplicationError

from activities.channels import LEDGER_UNAVAILABLE, ChannelEnvironment, HandOver, WebhookSettings, webhook
from activities.channels._contract import preflight
from domain import (
    FactBatch,
    ProposalFact,
    ProposalStatus,
    ReceiptStatus,
    Stop,
    StopScope,
    Touch,
    TouchFact,
    TouchStatus,
)
from ledger import Ledger, LedgerError
from tests.channels.support import (
    ADA,
    LINKS,
    NOW,
    Relay,
    a_touch,
    allow,
    broken,
    email_activity,
    http_server,
    mail_server,
    perform,
    put_in_force,
    settled,
)

LATER = datetime(2099, 1, 1, tzinfo=UTC)
SCOPES = [
    (StopScope.TENANT, None, "everything"),
    (StopScope.AGENT, "sdr", "the agent sdr"),
    (StopScope.ACTION, "intro", "the action intro"),
    (StopScope.CHANNEL, "email", "the channel email"),
    (StopScope.ACCOUNT, "northwind", "the account northwind"),
]


def a_stop(scope: StopScope = StopScope.TENANT, name: str | None = None) -> Stop:
    return Stop(
        stop_id="s-1", scope=scope, name=name, reason="wrong price list", placed_by="dana", placed_at=NOW
    )


async def object_to(ledger: Ledger) -> None:
    await ledger.suppress(ADA, account_id="contoso", contact_id="c-9", source="link", at=NOW)


async def end_it(ledger: Ledger) -> None:
    """Tell what became of the touch's proposal, which gives its place back."""
    touch = a_touch()
    fact = TouchFact(seq=5, at=NOW, touch=touch, status=TouchStatus.RELEASED)
    await ledger.record(FactBatch(account_id=touch.account_id, facts=(fact,)))


async def test_a_touch_that_was_allowed_may_go(ledger: Ledger) -> None:
    assert await preflight(ledger, a_touch()) is None
    assert await preflight(ledger, a_touch(good_until=LATER)) is None


async def test_a_person_who_objected_is_blocked_for_good(ledger: Ledger) -> None:
    await object_to(ledger)

    refusal = await preflight(ledger, a_touch())

    assert refusal is not None
    assert refusal.status is ReceiptStatus.BLOCKED


@pytest.mark.parametrize(("scope", "name", "subject"), SCOPES)
async def test_a_stop_says_who_stopped_what_why_and_what_happens_next(
    ledger: Ledger, scope: StopScope, name: str | None, subject: str
) -> None:
    await ledger.place_stop(a_stop(scope, name))

    refusal = await preflight(ledger, a_touch())

    assert refusal is not None
    assert refusal.status is ReceiptStatus.UNDELIVERED
    assert refusal.retry_at is None
    assert refusal.detail == (
        f"Not handed over: dana stopped {subject} (wrong price list); it is ruled on again, and waits until "
        "the stop s-1 is lifted."
    )
    await ledger.lift_stop("s-1", by="dana", reason="mended", at=NOW)
    assert await preflight(ledger, a_touch()) is None


async def test_a_ruling_that_held_until_a_moment_that_has_passed_does_not_count(ledger: Ledger) -> None:
    refusal = await preflight(ledger, a_touch(good_until=NOW))

    assert refusal is not None
    assert refusal.status is ReceiptStatus.UNDELIVERED
    assert refusal.detail == (
        "Not handed over: its ruling held until 2026-03-02 09:00:00Z only; it is ruled on again."
    )


async def test_a_policy_set_that_came_since_the_ruling_rules_first(ledger: Ledger) -> None:
    await put_in_force(ledger, "2" * 64, at=NOW + timedelta(seconds=1))

    refusal = await preflight(ledger, a_touch())

    assert refusal is not None
    assert refusal.status is ReceiptStatus.UNDELIVERED
    assert refusal.detail == (
        "Not handed over: ada put another policy set in force since its ruling (release 2, 222222222222); "
        "it is ruled on again."
    )


@pytest.mark.parametrize(("after", "goes"), [(timedelta(seconds=30), False), (timedelta(minutes=5), True)])
async def test_a_release_that_no_worker_can_use_stops_nothing_for_good(
    ledger: Ledger, after: timedelta, *, goes: bool
) -> None:
    """Given a release that rulings go on without, when one of those comes long after it, then it counts."""
    await put_in_force(ledger, "2" * 64, at=NOW + timedelta(hours=1))
    touch = a_touch(proposal_id="p-2", touch_id="northwind/p-2/1")
    await allow(ledger, touch, at=NOW + timedelta(hours=1) + after)

    assert (await preflight(ledger, touch) is None) is goes


async def test_without_any_policy_set_nothing_goes(tmp_path: Path) -> None:
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}")
    await ledger.migrate()
    await allow(ledger, a_touch())

    refusal = await preflight(ledger, a_touch())

    assert refusal is not None
    assert "no policy set is in force" in (refusal.detail or "")
    await ledger.close()


async def test_a_place_that_was_given_back_is_no_place(ledger: Ledger) -> None:
    await end_it(ledger)

    refusal = await preflight(ledger, a_touch())

    assert refusal is not None
    assert refusal.status is ReceiptStatus.UNDELIVERED
    assert refusal.detail == (
        "Not handed over: the place that its ruling took in all limits was given back meanwhile; "
        "it is ruled on again."
    )


async def test_a_touch_whose_facts_came_while_it_was_on_its_way_has_its_place(ledger: Ledger) -> None:
    touch = a_touch()
    proposal = ProposalFact.model_validate(
        {
            "seq": 4,
            "at": NOW,
            "proposal": {
                "proposal_id": touch.proposal_id,
                "actor": touch.actor,
                "action": touch.action,
                "channel": touch.channel,
                "value": 1,
                "propensity": 1,
            },
            "status": ProposalStatus.IN_FLIGHT,
        }
    )
    flying = TouchFact(seq=5, at=NOW, touch=touch, status=TouchStatus.IN_FLIGHT)
    await ledger.record(FactBatch(account_id=touch.account_id, facts=(proposal, flying)))

    assert await preflight(ledger, touch) is None


async def test_what_weighs_most_is_told_first(ledger: Ledger) -> None:
    """Given everything that can speak against a touch, when one after another goes, then the next is told."""
    await object_to(ledger)
    await ledger.place_stop(a_stop())
    await put_in_force(ledger, "2" * 64, at=NOW + timedelta(seconds=1))
    await end_it(ledger)
    late = a_touch(good_until=NOW)
    unaddressed = {"recipient": None}

    async def told(touch: Touch) -> str:
        refusal = await preflight(ledger, touch)
        assert refusal is not None
        return refusal.detail or ""

    assert "objected" in await told(late)
    assert "stopped everything" in await told(late.model_copy(update=unaddressed))
    await ledger.lift_stop("s-1", by="dana", reason="mended", at=NOW)
    assert "held until" in await told(late.model_copy(update=unaddressed))
    assert "another policy set" in await told(a_touch(**unaddressed))
    assert "place" in await told(a_touch(**unaddressed, policy_digest="2" * 64))


async def test_a_ledger_that_does_not_answer_clears_nothing(ledger: Ledger, database: Path) -> None:
    with broken(database, "stops"), pytest.raises(LedgerError):
        await preflight(ledger, a_touch())


Obstruct = Callable[[Ledger], Awaitable[None]]


async def stop_everything(ledger: Ledger) -> None:
    await ledger.place_stop(a_stop())


async def release_another(ledger: Ledger) -> None:
    await put_in_force(ledger, "2" * 64, at=NOW + timedelta(seconds=1))


OBSTACLES = [
    (object_to, ReceiptStatus.BLOCKED),
    (stop_everything, ReceiptStatus.UNDELIVERED),
    (release_another, ReceiptStatus.UNDELIVERED),
    (end_it, ReceiptStatus.UNDELIVERED),
]


def at_that_moment(database: Path, obstruct: Obstruct) -> Callable[[], None]:
    """Return what another process would do, done before the caller goes on."""

    async def act() -> None:
        other = await Ledger.open(f"sqlite+aiosqlite:///{database}")
        await obstruct(other)
        await other.close()

    def wait() -> None:
        thread = threading.Thread(target=lambda: asyncio.run(act()))
        thread.start()
        thread.join()

    return wait


@pytest.mark.parametrize(("obstruct", "status"), OBSTACLES)
async def test_at_most_once_nothing_crosses_the_line_that_is_not_cleared(
    ledger: Ledger, database: Path, obstruct: Obstruct, status: ReceiptStatus
) -> None:
    """Given a mail server that waits for the message, when something speaks up, then none is written."""
    async with mail_server(Relay(before_start_input=at_that_moment(database, obstruct))) as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch())

    assert receipt.status is status
    assert relay.envelopes == []
    assert await settled(ledger, a_touch()) is status


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A webhook receiver that fails the first request after taking it, and what it got."""
    got: list[bytes] = []

    async def take(request: Request) -> Response:
        got.append(await request.body())
        return Response(status_code=500 if len(got) == 1 else 204)

    async with http_server(Starlette(routes=[Route("/", take, methods=["POST"])])) as url:
        yield f"{url}/", got


def webhook_activity(ledger: Ledger, url: str) -> HandOver:
    settings = WebhookSettings(url=HttpUrl(url), secret=SecretStr("whsec_" + "A" * 32))
    return webhook.build(ChannelEnvironment(ledger=ledger, unsubscribe=LINKS), settings).hand_over


@pytest.mark.parametrize(("obstruct", "status"), OBSTACLES)
async def test_idempotent_every_attempt_is_checked_anew(
    ledger: Ledger, obstruct: Obstruct, status: ReceiptStatus
) -> None:
    """Given a receiver that failed, when something speaks up meanwhile, then it is not asked again."""
    async with receiver() as (url, got):
        activity = webhook_activity(ledger, url)
        with pytest.raises(ApplicationError, match="HTTP 500"):
            await perform(activity, a_touch())
        await obstruct(ledger)

        receipt = await perform(activity, a_touch())

    assert receipt.status is status
    assert len(got) == 1


async def test_idempotent_a_ledger_that_is_away_means_try_again_later(ledger: Ledger, database: Path) -> None:
    async with receiver() as (url, got):
        with broken(database, "stops"), pytest.raises(ApplicationError) as error:
            await perform(webhook_activity(ledger, url), a_touch())

    assert error.value.type == LEDGER_UNAVAILABLE
    assert not error.value.non_retryable
    assert got == []
