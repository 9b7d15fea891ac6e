import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx2 as httpx
import pytest
import pytest_asyncio
import structlog

from activities.channels import BounceTokens
from domain import Observation, Outcome, Signal, SignalKind
from gateway.app import MAX_BODY_BYTES, Bounces, OutcomeKeys, create_app
from ledger import Ledger
from tests.channels.support import ADA, KEY, LINKS, broken, http_server

PATH = LINKS.url("northwind", "c-1", "northwind/p-1/1", ADA).removeprefix("https://tutti.example.com")


class Accounts:
    """Writes down what the accounts would be told; the workflow side has its own tests."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.told: list[tuple[str, Sequence[Observation]]] = []
        self.suppressed_when_told: list[bool] = []
        self.failure: Exception | None = None
        self.silent = False

    async def observe(self, account_id: str, observations: Sequence[Observation]) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        self.suppressed_when_told.append(bool(await self._ledger.suppressed([ADA])))
        self.told.append((account_id, observations))

    async def report_outcome(self, account_id: str, outcome: Outcome) -> None:
        raise AssertionError(f"nobody reports {outcome.outcome_id} of {account_id} here")


@pytest.fixture
def accounts(ledger: Ledger) -> Accounts:
    return Accounts(ledger)


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(ledger: Ledger, accounts: Accounts) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway behind a real HTTP server, and a client for it."""
    app = create_app(
        ledger=ledger,
        accounts=accounts,
        links=LINKS,
        outcome_keys=OutcomeKeys(),
        bounces=Bounces(BounceTokens(KEY)),
    )
    async with (
        http_server(app) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client,
    ):
        yield client


async def test_looking_at_the_page_unsubscribes_nobody(
    gateway: httpx.AsyncClient, ledger: Ledger, accounts: Accounts
) -> None:
    answer = await gateway.get(PATH)

    assert answer.status_code == 200
    assert '<form method="post">' in answer.text
    assert '<html lang="en">' in answer.text
    assert "http" not in answer.text  # nothing is loaded from anywhere
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not await ledger.suppressed([ADA])
    assert accounts.told == []


async def test_one_click_records_the_objection_before_anybody_is_told(
    gateway: httpx.AsyncClient, ledger: Ledger, accounts: Accounts
) -> None:
    answer = await gateway.post(PATH, data={"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text
    assert "set-cookie" not in answer.headers
    assert await ledger.suppressed([ADA]) == {ADA}
    assert accounts.suppressed_when_told == [True]
    ((account_id, (signal,)),) = accounts.told
    assert account_id == "northwind"
    assert isinstance(signal, Signal)
    assert (signal.kind, signal.source, signal.contact_id) == (SignalKind.OPT_OUT, "unsubscribe", "c-1")
    assert signal.facts == {"touch_id": "northwind/p-1/1"}


async def test_a_second_click_is_the_same_signal(gateway: httpx.AsyncClient, accounts: Accounts) -> None:
    answers = [(await gateway.post(PATH)).status_code for _ in range(2)]

    assert answers == [200, 200]
    first, second = (observations[0] for _, observations in accounts.told)
    assert isinstance(first, Signal)
    assert isinstance(second, Signal)
    assert first.signal_id == second.signal_id


async def test_without_the_ledger_nothing_is_acknowledged(
    gateway: httpx.AsyncClient, ledger: Ledger, accounts: Accounts, database: Path
) -> None:
    with broken(database, "suppressions"):
        answer = await gateway.post(PATH)

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert '<form method="post">' in answer.text
    assert accounts.told == []
    assert not await ledger.suppressed([ADA])


@pytest.mark.parametrize("silent", [False, True])
async def test_an_account_that_cannot_be_told_does_not_undo_the_objection(
    gateway: httpx.AsyncClient,
    ledger: Ledger,
    accounts: Accounts,
    monkeypatch: pytest.MonkeyPatch,
    *,
    silent: bool,
) -> None:
    monkeypatch.setattr("gateway.unsubscribe._TELL_SECONDS", 0.2)
    accounts.failure = ConnectionError("engine is away")
    accounts.silent = silent

    with structlog.testing.capture_logs() as lines:
        answer = await gateway.post(PATH)

    assert answer.status_code == 200
    assert await ledger.suppressed([ADA]) == {ADA}
    assert [line["event"] for line in lines] == ["unsubscribe.account_not_told"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("bad", ["x", "x" * 5_000, PATH.rsplit("/", 1)[1][:-2] + "AA", "%00", "%F0%9F%98%80"])
async def test_a_link_that_is_not_ours_is_not_found(
    gateway: httpx.AsyncClient, ledger: Ledger, accounts: Accounts, method: str, bad: str
) -> None:
    answer = await gateway.request(method, f"/unsubscribe/{bad}")

    assert answer.status_code == 404
    assert "This link does not work" in answer.text
    assert accounts.told == []
    assert (await ledger.counts())["suppressions"] == 0


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_long_is_refused_and_nothing_was_done(
    gateway: httpx.AsyncClient, ledger: Ledger, *, announced: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * MAX_BODY_BYTES
        yield b"x"

    answer = await gateway.post(PATH, content=b"x" * (MAX_BODY_BYTES + 1) if announced else chunks())

    assert answer.status_code == 413
    assert not await ledger.suppressed([ADA])


async def test_a_body_of_just_the_allowed_length_is_let_through(gateway: httpx.AsyncClient) -> None:
    assert (await gateway.post(PATH, content=b"x" * MAX_BODY_BYTES)).status_code == 200


async def test_health_is_the_ledgers(gateway: httpx.AsyncClient, database: Path) -> None:
    well = await gateway.get("/healthz")
    with broken(database, "alembic_version"):
        ill = await gateway.get("/healthz")

    assert (well.status_code, well.json()) == (200, {"status": "ok"})
    assert ill.status_code == 503
    assert ill.json()["status"] == "unavailable"
    assert str(database) not in ill.text


async def test_the_description_lists_every_route(gateway: httpx.AsyncClient) -> None:
    paths = (await gateway.get("/openapi.json")).json()["paths"]

    handovers = {f"/v1/handovers/{name}" for name in ("check", "claim", "settle")}
    back = {"/v1/outcomes/{channel}", "/v1/bounces"}
    assert set(paths) == {"/healthz", "/unsubscribe/{token}"} | back | handovers
    assert {"404", "503"} <= set(paths["/unsubscribe/{token}"]["post"]["responses"])
