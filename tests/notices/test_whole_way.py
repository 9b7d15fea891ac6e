"""From the question to the touch on the real engine: somebody is told, follows the link, and it goes out."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import httpx2 as httpx
import pytest_asyncio
from fastapi import FastAPI
from temporalio.testing import WorkflowEnvironment

from activities.notifying import Notifying, addresses_of
from activities.policies import PolicyKeeper
from domain import Answer, ApprovalStatus, StepKind
from gateway.answer_page import answer_routes
from ledger import Ledger
from tests.channels.support import Relay, content, http_server, mail_server
from tests.notices.support import LINKS, PUBLIC_URL, mail_to, messages
from tests.workflows.approving import asked, at_rest, give, says, sent
from tests.workflows.stage import FAST, Stage, staged, until

REMINDING = FAST | {"approvals.yaml": [("remind: [15s]", "remind: [2s]")]}
LINK = re.compile(rf"{PUBLIC_URL}(/answer/[A-Za-z0-9_-]+)")


@dataclass
class Office:
    """A stage, the mailboxes of its approvers, and the gateway that their links lead to."""

    stage: Stage
    mailbox: Relay
    http: httpx.AsyncClient

    async def mails(self, count: int) -> list[EmailMessage]:
        """What all approvers got, once there is so much."""

        async def look() -> list[EmailMessage] | None:
            found = messages(self.mailbox)
            return found if len(found) >= count else None

        return await until(look, f"{count} mails to approvers")

    async def steps(self, *kinds: StepKind) -> list[str]:
        """Details of entries in the audit trail, once the ledger has been told of everything."""
        await self.stage.status_when(lambda s: not s.unsent_facts, "an empty outbox")
        with closing(sqlite3.connect(self.stage.database)) as connection:
            rows = connection.execute(
                "SELECT kind, body FROM approval_steps WHERE account_id = ? ORDER BY seq",
                (self.stage.account_id,),
            ).fetchall()
        return [
            str(json.loads(body)["step"]["detail"])
            for kind, body in rows
            if kind in {each.value for each in kinds}
        ]


@pytest_asyncio.fixture(loop_scope="session")
async def office(temporal: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        mailbox = await stack.enter_async_context(mail_server())

        def notifying(keeper: PolicyKeeper, ledger: Ledger) -> Notifying:
            return Notifying(ledger, addresses_of(keeper), mail=mail_to(mailbox.port))

        stage = await stack.enter_async_context(
            staged(temporal.client, tmp_path, edits=REMINDING, notifying=notifying)
        )
        app = FastAPI()
        app.include_router(answer_routes(stage.accounts, LINKS))
        url = await stack.enter_async_context(http_server(app))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False, timeout=30))
        yield Office(stage, mailbox, http)


def link_of(message: EmailMessage) -> str:
    found = LINK.search(content(message, "plain"))
    assert found is not None
    return found[1]


async def test_a_person_is_told_follows_the_link_and_the_touch_goes_out(office: Office) -> None:
    approval = await asked(office.stage)
    mails = {str(mail["To"]): mail for mail in await office.mails(len(approval.asked))}
    mine = mails["dana.reyes@example.com"]

    page = await office.http.get(link_of(mine))
    assert page.status_code == 200
    assert not office.stage.relay.envelopes, "looking answers nothing"
    answered = await office.http.post(link_of(mine), data={"answer": "approve"})
    again = await office.http.post(link_of(mine), data={"answer": "reject", "code": "legal", "comment": "no"})

    assert answered.status_code == 200
    assert again.status_code == 409, "a link counts once"
    await sent(office.stage)
    await at_rest(office.stage)
    settled = (await office.stage.accounts.card(office.stage.account_id, approval.approval_id)).approval
    assert settled.status is ApprovalStatus.APPROVED
    assert settled.answered_by == "dana.reyes"
    assert len(office.stage.relay.envelopes) == 1
    assert await office.steps(StepKind.NOTIFIED) == ["dana.reyes by mail: requested"]
    assert not await office.steps(StepKind.NOT_NOTIFIED)


async def test_whoever_does_not_answer_is_reminded_in_the_same_conversation(office: Office) -> None:
    approval = await asked(office.stage)
    asked_for = len(approval.asked)
    first = (await office.mails(asked_for))[:asked_for]
    both = await office.mails(2 * asked_for)
    reminders = both[asked_for:]

    began = {str(mail["To"]): mail["Message-ID"] for mail in first}
    assert {str(mail["To"]): mail["In-Reply-To"] for mail in reminders} == began
    assert all("A reminder: nobody has decided yet." in content(mail, "plain") for mail in reminders)
    result = await give(office.stage, says(approval, Answer.REJECT))
    assert result.accepted
    assert await office.steps(StepKind.NOTIFIED)
