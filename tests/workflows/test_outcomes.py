"""What comes back, all the way: a mail goes out, its provider calls back, the account reacts."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2 as httpx
import pytest
import pytest_asyncio
from rich.console import Console

from domain import AccountStatus, OutcomeKind, PastTouch, ProposalStatus, ReasonCode, TouchStatus
from gateway.app import Bounces, create_app
from tests.channels.support import http_server
from tests.gateway.reporting import KEYS, TOKENS, Office
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import LINKS, Stage, soon
from tutti.reporting import read_report, report
from tutti.terminal import CommandError


@pytest_asyncio.fixture(loop_scope="session")
async def office(stage: Stage) -> AsyncIterator[Office]:
    """The gateway in front of the stage's accounts."""
    app = create_app(
        ledger=stage.ledger,
        accounts=stage.accounts,
        links=LINKS,
        outcome_keys=KEYS,
        bounces=Bounces(TOKENS),
    )
    async with http_server(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        yield Office(http, stage.client, stage.account_id)


async def one_sent_one_scheduled(stage: Stage) -> str:
    """An account with a mail that went out and another touch that is planned; returns the mail's touch id."""
    await set_up(stage)
    await stage.propose(wanted("sdr-1"), wanted("site-1"))
    status = await stage.status_when(
        lambda s: any(t.status is TouchStatus.HANDED_OVER for t in s.touches), "the touch"
    )
    (touch,) = status.touches
    return touch.touch_id


def came_back(status: AccountStatus, touch_id: str) -> set[OutcomeKind]:
    return {kind for touch in status.touches if touch.touch_id == touch_id for kind in touch.outcomes}


async def test_callbacks_twice_and_out_of_order_end_what_is_scheduled_and_pause_the_person(
    stage: Stage, office: Office
) -> None:
    touch_id = await one_sent_one_scheduled(stage)
    kinds = {"reply": 30, "bounce": 20, "click": 10, "open": 0}  # the last thing that happened comes first
    callbacks = [
        office.report(
            outcome_id=f"evt-{kind}", touch_id=touch_id, kind=kind, at=soon(seconds=after - 60).isoformat()
        )
        for kind, after in kinds.items()
    ]

    # When each callback is posted twice, and one of a touch that another tool has not told of yet
    answers = await asyncio.gather(*(office.post(each) for each in [*callbacks, *reversed(callbacks)]))
    early = await office.post(office.report(outcome_id="evt-early", touch_id="nurture:m-1", kind="click"))

    # Then all are accepted, count once, and the reply has ended what was scheduled
    assert {answer.status_code for answer in (*answers, early)} == {202}
    wanted_kinds = {OutcomeKind(kind) for kind in kinds}
    status = await stage.status_when(lambda s: came_back(s, touch_id) == wanted_kinds, "the outcomes")
    ended = {view.proposal.proposal_id: view.reason for view in status.proposals}
    assert ended["site-1"] is ReasonCode.EXIT_SIGNAL
    story = await stage.accounts.timeline(stage.account_id)
    assert sum("Outcome of send_email" in line for line in story) == len(kinds)

    # And the touch of the other tool takes up its outcome when it becomes known
    made = PastTouch(
        touch_id="m-1",
        source="nurture",
        channel="email",
        action="newsletter",
        at=soon(days=-1),
        contact_id="bela",
    )
    await stage.accounts.observe(stage.account_id, [made])
    await stage.status_when(lambda s: came_back(s, "nurture:m-1") == {OutcomeKind.CLICK}, "the early outcome")

    # And the next mail to the person is suppressed because the last one bounced
    again = wanted("sdr-1", proposal_id="sdr-2")
    (view,) = await stage.propose(again)
    assert view.status is ProposalStatus.SUPPRESSED
    assert view.decision is not None
    assert "bounced-address" in {hit.rule_id for hit in view.decision.hits}
    assert len(stage.relay.envelopes) == 1

    # And the ledger has each outcome once
    await stage.status_when(lambda s: s.unsent_facts == 0, "an empty outbox")
    assert (await stage.ledger.counts())["outcomes"] == len(kinds) + 1


async def test_a_person_reports_what_came_back_by_telephone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)
    touch_id = await one_sent_one_scheduled(stage)
    told = [await tell(stage, touch_id, "reply") for _ in range(2)]

    assert "Outcome of send_email: reply" in told[0]
    assert "personalize_site suppressed (EXIT_SIGNAL)" in told[0]
    assert told[1] == "it was reported before: nothing changed\n"
    with pytest.raises(CommandError, match=r"the account refused it: .* lies in the future"):
        await tell(stage, touch_id, "meeting", at=(soon() + timedelta(days=9)).isoformat())


async def tell(stage: Stage, touch_id: str, kind: str, at: str | None = None) -> str:
    printed = io.StringIO()
    outcome = read_report(stage.account_id, touch_id, kind, contact=None, at=at, source="dana.reyes")
    await report(Console(file=printed, width=200), stage.account_id, outcome)
    return printed.getvalue()
