"""A gateway in front of accounts that ask people: real engine, governance and ledger behind it."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
from pydantic import SecretStr
from temporalio.client import Client

from activities.channels import BounceTokens
from activities.notices import AnswerLinks, AnswerTicket
from activities.notifying import addresses_of
from activities.policies import PolicyKeeper
from domain import (
    Account,
    Answer,
    AnswerFact,
    Approval,
    ApprovalAnswer,
    ApprovalStatus,
    ApprovalStep,
    ApprovalStepFact,
    ExceptionCard,
    Observation,
    Proposal,
)
from gateway.app import Approvals, ApproverTokens, Bounces, OutcomeKeys, Replies, create_app
from tests.channels.support import KEY, LINKS, http_server
from tests.workflows.cast import profile, wanted
from tests.workflows.stage import Stage, soon, staged, until

ANSWER_LINKS = AnswerLinks("https://tutti.example.com", KEY)
DANA, TOM, LENA = "dana.reyes", "tom.okafor", "lena.fischer"
TOKENS = {login: f"{login[0]}" * 40 for login in (DANA, TOM, LENA)}
REPLIES = "r" * 32
Edits = dict[str, list[tuple[str, str]]]
"""What a test wants to be different in the demo's policies, by file."""
QUICK: Edits = {
    "timing.yaml": [("decision_window: 2s", "decision_window: 0.1s")],
    "approvals.yaml": [("answer_within: 60s", "answer_within: 1h")],
}


@dataclass(repr=False)
class Desk:
    """A gateway, and one account that asks."""

    stage: Stage
    http: httpx.AsyncClient

    @property
    def account_id(self) -> str:
        """The account of this test."""
        return self.stage.account_id

    async def another(self, *observations: Observation) -> Desk:
        """The same with an account of its own, which knows the demo's people, or others."""
        account_id = f"acme-{uuid.uuid4().hex[:8]}"
        made = replace(self, stage=replace(self.stage, account_id=account_id))
        items = [
            item.model_copy(update={"account_id": account_id}) if isinstance(item, Account) else item
            for item in observations or profile(account_id)
        ]
        await self.stage.accounts.observe(account_id, items)
        return made

    async def asks(self, which: str = "exec-1", **changes: object) -> Approval:
        """Have something proposed that a person must decide, and return the question."""
        proposal = wanted(which, **{"value": 300_000.0, "expires_at": soon(hours=3), **changes})
        return await self.asks_about(proposal)

    async def asks_about(self, proposal: Proposal) -> Approval:
        """The same for a proposal that is at hand."""
        view = await self.stage.accounts.propose(self.account_id, proposal)
        assert view.approval_id is not None, view.message
        return (await self.card(view.approval_id)).approval

    async def card(self, approval_id: str) -> ExceptionCard:
        """The card as the account has it."""
        return await self.stage.accounts.card(self.account_id, approval_id)

    async def status(self, approval_id: str) -> ApprovalStatus:
        """Where a question stands."""
        return (await self.card(approval_id)).approval.status

    async def decide(
        self, approval: Approval, login: str = DANA, answer: Answer = Answer.APPROVE
    ) -> ApprovalAnswer:
        """Have somebody answer past the gateway."""
        given = ApprovalAnswer(
            answer_id=f"past-{uuid.uuid4().hex[:8]}",
            approval_id=approval.approval_id,
            answer=answer,
            approver=login,
            digest=approval.digest,
            code=None if answer is Answer.APPROVE else "other",  # type: ignore[arg-type]  # read as a word
            comment=None if answer is Answer.APPROVE else "no",
        )
        assert (await self.stage.accounts.answer(self.account_id, given)).accepted
        return given

    async def answers(self, many: int) -> list[AnswerFact]:
        """What is on record as answered, once so many answers are."""

        async def look() -> list[AnswerFact] | None:
            found = self._answers()
            return found if len(found) >= many else None

        found = await until(look, f"{many} recorded answers")
        assert len(found) == many
        return found

    async def told(self) -> list[str]:
        """What people have told the account: its history is the truth, and is ahead of the ledger."""
        names = []
        for event in (await self.stage.handle.fetch_history()).events:
            accepted = event.workflow_execution_update_accepted_event_attributes
            names.append(accepted.accepted_request.input.name)
            names.append(event.workflow_execution_signaled_event_attributes.signal_name)
        return [name for name in names if name.startswith(("answer", "approval", "claim", "release"))]

    @property
    def links(self) -> AnswerLinks:
        """What the gateway reads links with."""
        return ANSWER_LINKS

    async def looks(self, approval_id: str) -> list[ApprovalStep]:
        """Looks at the card, as the ledger has them."""

        async def look() -> list[ApprovalStep] | None:
            with sqlite3.connect(self.stage.database, timeout=10) as connection:
                rows = connection.execute(
                    "SELECT body FROM approval_steps "
                    "WHERE account_id = ? AND approval_id = ? AND kind = 'viewed'",
                    (self.account_id, approval_id),
                ).fetchall()
            connection.close()
            return [ApprovalStepFact.model_validate_json(body).step for (body,) in rows] or None

        return await until(look, "a recorded look")

    def _answers(self) -> list[AnswerFact]:
        with sqlite3.connect(self.stage.database, timeout=10) as connection:
            rows = connection.execute(
                "SELECT body FROM approval_answers WHERE account_id = ? ORDER BY seq", (self.account_id,)
            ).fetchall()
        connection.close()
        return [AnswerFact.model_validate_json(body) for (body,) in rows]

    def api(self, login: str | None = DANA) -> dict[str, str]:
        """Headers of a person's own tool."""
        return {"authorization": f"Bearer {TOKENS[login]}"} if login else {}

    def question(self, approval: Approval, what: str = "") -> str:
        """Path of a question at the API."""
        return f"/v1/approvals/{self.account_id}/{approval.approval_id}{what}"


def ticket(desk: Desk, approval: Approval, login: str = DANA, **changes: object) -> AnswerTicket:
    """What a link to a question says."""
    made: dict[str, Any] = {
        "account_id": desk.account_id,
        "approval_id": approval.approval_id,
        "login": login,
        "digest": approval.digest,
        "expires_at": approval.route.expires_at,
        "nonce": f"link-{uuid.uuid4().hex}",
    }
    return AnswerTicket(**made | changes)


def link(made: AnswerTicket, links: AnswerLinks = ANSWER_LINKS) -> str:
    """The path of a link."""
    return links.url(made).removeprefix("https://tutti.example.com")


def words(answer: httpx.Response) -> str:
    """What a page says to whoever reads it."""
    body = re.sub(r"<style>.*?</style>", "", answer.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@asynccontextmanager
async def desk_of(client: Client, folder: Path, edits: Edits = QUICK) -> AsyncIterator[Desk]:
    """Open a gateway on a stage."""
    async with staged(client, folder, edits=edits) as stage:
        app = create_app(
            ledger=stage.ledger,
            accounts=stage.accounts,
            links=LINKS,
            outcome_keys=OutcomeKeys(),
            bounces=Bounces(BounceTokens(KEY)),
            approvals=Approvals(
                accounts=stage.accounts,
                links=ANSWER_LINKS,
                tokens=ApproverTokens({login: [SecretStr(token)] for login, token in TOKENS.items()}),
                replies=Replies(addresses_of(PolicyKeeper(stage.ledger, stage.policies)), SecretStr(REPLIES)),
            ),
        )
        async with (
            http_server(app) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http,
        ):
            yield Desk(stage, http)
