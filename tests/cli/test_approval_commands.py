"""`tutti inbox`, `tutti approve` and their kin, on the real engine: what people type and what comes of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from rich.console import Console
from temporalio.testing import WorkflowEnvironment
from typer.testing import CliRunner

from domain import Answer, Approval, ProposalStatus, StepKind
from ledger import InboxFilter
from tests.cli.test_touch_commands import in_doubt
from tests.workflows.cast import profile, wanted
from tests.workflows.stage import FAST, Stage, soon, staged, until
from tutti.approvals.answering import Said, answer_each
from tutti.approvals.options import QuestionId
from tutti.cli import app

DOUBTS = "{id: ask-about-doubts, group: sales-leadership, answer_within: 8h}"
SLOW = {
    "approvals.yaml": [
        ("answer_within: 60s", "answer_within: 8h"),
        ("due_in: 20s", "due_in: 2h"),
        ("remind: [15s]", "remind: [1h]"),
        ("after: 30s", "after: 3h"),
        ("risk: high", "risk: normal"),
        ("default_route:", f"exceptions:\n  in_doubt: {DOUBTS}\n\ndefault_route:"),
    ]
}
"""Nothing comes due while a test runs, and doubts go to the inbox."""


@pytest_asyncio.fixture(loop_scope="session")
async def stage(temporal: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(temporal.client, tmp_path, edits=FAST | SLOW) as made:
        yield made


async def asked(
    stage: Stage, account_id: str | None = None, which: str = "exec-1", **changes: object
) -> Approval:
    """Have something proposed, a mail to an executive if not said otherwise, that people are asked about."""
    account_id = account_id or stage.account_id
    await stage.accounts.observe(account_id, profile(account_id))
    proposal = wanted(which, **changes)
    view = await stage.accounts.propose(account_id, proposal)
    assert view.status is ProposalStatus.PENDING_APPROVAL, view
    status = await stage.accounts.status(account_id)
    (approval,) = [each for each in status.approvals if each.proposal_id == proposal.proposal_id]
    return approval


async def said(stage: Stage, *arguments: str, code: int = 0, **settings: str) -> str:
    """Run a command to its end, as typed on a wide terminal, and return its words."""
    environment = {
        "TUTTI_LEDGER_URL": f"sqlite+aiosqlite:///{stage.database}",
        "TEMPORAL_ADDRESS": stage.client.service_client.config.target_host,
        "TUTTI_LOGIN": None,
        "TUTTI_USER": None,
        "COLUMNS": "200",
    }
    # In a thread: a command runs an event loop of its own.
    result = await asyncio.to_thread(
        lambda: CliRunner().invoke(app, list(arguments), env=environment | settings)
    )
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def answers(stage: Stage) -> list[tuple[str, bool]]:
    """Who answered, and whether it counted, as the ledger has it."""
    with closing(sqlite3.connect(stage.database)) as connection:
        return connection.execute("SELECT approver, accepted FROM approval_answers ORDER BY seq").fetchall()


async def recorded(stage: Stage, *expected: tuple[str, bool]) -> None:
    async def look() -> bool | None:
        return answers(stage) == [*expected] or None

    await until(look, f"the record of {expected}")


async def in_the_inbox(stage: Stage, count: int = 1) -> None:
    async def look() -> bool | None:
        return (await stage.ledger.inbox(InboxFilter(), at=soon())).total == count or None

    await until(look, f"{count} in the inbox")


async def test_a_question_is_found_looked_at_and_approved_once(stage: Stage) -> None:
    """Given a question, when its approver finds, opens and approves it twice and another rejects it, then it
    goes out once, the same answer has the same result, and the other one learns who was first."""
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"
    await in_the_inbox(stage)

    listed = await said(stage, "inbox", "--for", "dana.reyes")
    assert "1 question open for dana.reyes" in listed
    assert question in listed
    assert await said(stage, "inbox", "--for", "tom.okafor") == "nothing waits for tom.okafor"
    shown = await said(stage, "approval", "show", question, "--as", "dana.reyes")
    assert "Executive sponsors hear from us only after a person has agreed." in shown
    assert "approvals.yaml:20" in shown
    assert approval.digest in shown
    assert await said(stage, "approval", "show", question, "--html") == "there is no HTML version"

    async def looks() -> list[str] | None:
        trail = await stage.ledger.approval_trail(stage.account_id, approval.approval_id)
        return [fact.step.actor for fact in trail if fact.step.kind is StepKind.VIEWED] or None

    assert await until(looks, "the record of the look") == ["dana.reyes"]

    first = ("approve", question, "--as", "dana.reyes", "--answer-id", "w1", "--digest", approval.digest[:12])
    assert "recorded: approved by dana.reyes" in await said(stage, *first)
    assert "recorded: approved by dana.reyes" in await said(stage, *first)  # a second tab
    late = await said(
        stage, "reject", question, "--as", "tom.okafor", "--code", "legal", "--comment", "no", code=1
    )
    assert f"refused {question}" in late
    assert "already approved by dana.reyes at" in late
    await stage.status_when(lambda s: s.proposals[0].status is ProposalStatus.SENT, "the mail")
    assert len(stage.relay.envelopes) == 1
    await recorded(stage, ("dana.reyes", True), ("tom.okafor", False))
    await in_the_inbox(stage, 0)


async def test_what_must_not_count_is_refused_and_recorded(stage: Stage) -> None:
    """Given a question, when answers come for another digest, by an unknown person, by the owner of the agent
    and to an id that nobody knows, then each is refused with its reason, and on record."""
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"

    wrong = await said(stage, "approve", question, "--as", "dana.reyes", "--digest", "0" * 64, code=1)
    assert "the answer is for another version of the action" in wrong
    assert "nobody.known is not in people.yaml" in await said(
        stage, "approve", question, "--as", "nobody.known", code=1
    )
    assert "refused" in await said(stage, "approve", question, "--as", "tom.okafor", code=1)
    unknown = await said(
        stage, "approve", f"{stage.account_id}/x:a1", "contoso/x:a1", TUTTI_LOGIN="d", code=1
    )
    assert "there is no approval x:a1" in unknown
    assert "there is no account 'contoso'" in unknown
    assert "0 of 2 answers taken" in unknown
    await recorded(stage, ("dana.reyes", False), ("nobody.known", False), ("tom.okafor", False), ("d", False))
    assert len((await stage.accounts.status(stage.account_id)).approvals) == 1


async def test_what_the_policies_do_not_allow_is_refused_with_what_they_say(stage: Stage) -> None:
    """Given policies without windows and without a glass to break, then nobody gets the one or breaks the
    other, and the question stays open."""
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"

    window = ("--window", "7d", "--at-most", "5", "--as", "dana.reyes")
    assert "lets nothing be approved in advance" in await said(stage, "approve", question, *window, code=1)
    why = ("--code", "emergency", "--comment", "It burns.", "--as", "mara.lindqvist")
    broken = await said(stage, "approval", "break-glass", question, *why, code=1)
    assert "refused" in broken
    assert stage.relay.envelopes == []
    assert len((await stage.accounts.status(stage.account_id)).approvals) == 1


async def test_nobody_answers_over_somebody_who_holds_it(stage: Stage) -> None:
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"

    assert "held by dana.reyes for" in await said(stage, "approval", "claim", question, "--as", "dana.reyes")
    assert "tom.okafor" in await said(stage, "approval", "claim", question, "--as", "tom.okafor", code=1)
    assert "anybody may answer it" in await said(stage, "approval", "release", question, "--as", "dana.reyes")
    assert "nothing waits" not in await said(stage, "inbox")


async def test_an_approver_writes_another_version(stage: Stage, tmp_path: Path) -> None:
    """Given a mail, when its approver writes a shorter one, then it is another action, ruled on again, which
    they cannot approve themselves."""
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"
    text = tmp_path / "better.txt"
    text.write_text("Dear Helen,\nshall we talk?\n")
    why = ("--code", "improved", "--comment", "Shorter.", "--as", "dana.reyes")

    nothing = await said(stage, "approval", "modify", question, *why, code=2)
    assert "nothing is to be different; say what with --text" in nothing
    assert "ok" in await said(stage, "approval", "modify", question, "--text", str(text), *why)

    status = await stage.status_when(
        lambda s: s.proposals[0].proposal.content.text.endswith("shall we talk?\n"), "the other version"
    )
    assert status.proposals[0].proposal.content.subject == "A word between operations people"
    assert status.proposals[0].proposal.edited_by == ("dana.reyes",)
    assert stage.relay.envelopes == []


async def test_a_proposal_is_sent_back(stage: Stage) -> None:
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"
    why = ("--code", "wrong_facts", "--comment", "They have no plant in Leeds.", "--as", "dana.reyes")

    assert "ok" in await said(stage, "approval", "send-back", question, *why)

    status = await stage.status_when(lambda s: not s.approvals, "the end of the question")
    assert status.proposals[0].reason is not None
    assert status.proposals[0].reason.value == "SENT_BACK"


async def test_whoever_proposed_it_takes_it_back(stage: Stage) -> None:
    await asked(stage)
    take_back = ("approval", "withdraw", f"{stage.account_id}/exec-1", "--reason", "They called us.")

    assert "dana.reyes" in await said(stage, *take_back, "--as", "dana.reyes", code=1)
    assert "nobody is asked any more" in await said(stage, *take_back, "--as", "tom.okafor")
    assert (await stage.accounts.status(stage.account_id)).approvals == ()


async def test_several_of_one_sort_are_answered_together_and_others_are_not(stage: Stage) -> None:
    """Given two questions of one rule and one of another, when they are answered together, then only the two
    are, each with its outcome, and what is mixed is not answered at all."""
    other = f"{stage.account_id}-b"
    first, second = await asked(stage), await asked(stage, other)
    third = await asked(stage, f"{stage.account_id}-c", "sdr-1", value=900_000)
    ids = [
        f"{stage.account_id}/{first.approval_id}",
        f"{other}/{second.approval_id}",
        f"{stage.account_id}-c/{third.approval_id}",
    ]

    mixed = await said(stage, "approve", *ids, "--as", "dana.reyes", code=1)
    assert "nothing was answered:" in mixed
    assert "only what one rule asks is answered together" in mixed
    together = await said(stage, "approve", ids[0], ids[1], "contoso/x:a1", "--as", "dana.reyes", code=1)
    assert together.count("recorded: approved by dana.reyes") == 2
    assert "refused contoso/x:a1 there is no account 'contoso'" in together
    assert "2 of 3 answers taken" in together


async def test_all_that_one_rule_asks_is_answered_once_somebody_says_so(stage: Stage) -> None:
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"
    await in_the_inbox(stage)
    everything = (
        *("reject", "--all", "--rule", "executive-sponsors", "--action", "send_executive_email"),
        *("--as", "dana.reyes", "--code", "wrong_time", "--comment", "Not this quarter."),
    )

    unsure = await said(stage, *everything, code=2)
    assert question in unsure
    assert "reject these 1? Nothing was answered; look at them, and say so with --yes" in unsure
    assert "recorded: rejected by dana.reyes" in await said(stage, *everything, "--yes")
    await in_the_inbox(stage, 0)
    over = await said(stage, *everything, "--yes", code=1)
    assert "nothing about send_executive_email that executive-sponsors asks waits for dana.reyes" in over


async def test_what_became_of_a_touch_is_settled_from_the_inbox(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given a touch in doubt, when a person says from the inbox what they found, then the doubt is over."""
    edits = FAST | SLOW
    async with staged(temporal.client, tmp_path, edits=edits, channels=(), more={"email": in_doubt}) as stage:
        await stage.accounts.observe(stage.account_id, profile(stage.account_id))
        await stage.propose(wanted("sdr-1"))
        status = await stage.status_when(lambda s: bool(s.approvals), "the question")
        question = f"{stage.account_id}/{status.approvals[0].approval_id}"
        await in_the_inbox(stage)
        why = ("--code", "verified", "--comment", "It is not in the mail log.", "--as", "dana.reyes")

        assert question in await said(stage, "inbox", "--kind", "in_doubt", "--for", "dana.reyes")
        assert "look for" in await said(stage, "approval", "show", question, "--as", "dana.reyes")
        wrong = await said(stage, "approval", "settle", question, "--stage", "aware", *why, code=1)
        assert "say what became of the touch" in wrong
        found = ("--found", "not_handed_over")
        assert "ok" in await said(stage, "approval", "settle", question, *found, *why)
        after = await stage.status_when(lambda s: not s.in_doubt, "the end of the doubt")
        assert after.proposals[0].status is ProposalStatus.FAILED


async def test_a_planted_proposal_is_asked_about_and_never_goes_out(stage: Stage, tmp_path: Path) -> None:
    """Given a bad proposal that is planted, when it is approved, then it was a test, and nothing is sent."""
    await stage.accounts.observe(stage.account_id, profile(stage.account_id))
    bad = wanted("exec-1", proposal_id="seed-1").model_dump(mode="json", exclude_none=True)
    file = tmp_path / "seed.json"
    file.write_text(json.dumps({"account": stage.account_id, "proposal": bad}))

    planted = await said(stage, "approval", "seed", str(file), "--as", "mara.lindqvist")
    assert f"{stage.account_id}/seed-1 is planted; sales-leadership is asked" in planted
    (approval,) = (await stage.accounts.status(stage.account_id)).approvals
    question = f"{stage.account_id}/{approval.approval_id}"
    await in_the_inbox(stage)
    for shown in ((), ("--json",)):
        told = await said(stage, "approval", "show", question, *shown)
        assert "requested" in told
        assert "seed" not in told.replace("seed-1", ""), "whoever is tested knows it"
    assert "ok" in await said(stage, "approve", question, "--as", "dana.reyes")

    status = await stage.status_when(
        lambda s: all(p.status.final for p in s.proposals), "the end of the test"
    )
    assert status.proposals[0].status is not ProposalStatus.SENT
    assert stage.relay.envelopes == []


async def test_what_is_long_over_is_told_from_the_ledger(stage: Stage) -> None:
    """Given a question that its account has forgotten, when it is shown, then the ledger tells its end."""
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"
    await in_the_inbox(stage)
    with closing(sqlite3.connect(stage.database)) as connection, connection:
        connection.execute(
            "UPDATE approvals SET account_id = 'gone', body = replace(body, '\"pending\"', '\"expired\"')"
        )

    shown = await said(stage, "approval", "show", f"gone/{approval.approval_id}")
    assert "from the ledger: the account itself no longer holds it" in shown
    assert "expired" in shown
    unknown = await said(stage, "approval", "show", f"{question}9", code=1)
    assert f"account {stage.account_id} asks nothing under '{approval.approval_id}9'" in unknown


async def test_an_answer_whose_result_is_not_known_says_how_to_repeat_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a worker that is away, when somebody answers, then they read that it is not confirmed, and what
    to type to have the same answer count once."""
    approval = await asked(stage)
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)
    monkeypatch.setattr("sys.argv", ["tutti", "approve", "X"])
    question = QuestionId(stage.account_id, approval.approval_id)
    answer = Said(answer=Answer.APPROVE, approver="dana.reyes", answer_id="w1")
    await stage.orchestrator.shutdown()
    console = Console(record=True, width=200)

    code = await answer_each(
        console, [question], answer, digest=approval.digest, patience=timedelta(seconds=1)
    )

    assert code == 1
    text = " ".join(console.export_text().split())
    assert f"not confirmed {question} the engine does not answer" in text
    assert "tutti approve X --answer-id w1" in text


async def test_an_engine_that_is_away_is_told_in_one_line(stage: Stage) -> None:
    result = await said(stage, "approve", "a/b", "--as", "d", code=1, TEMPORAL_ADDRESS="127.0.0.1:1")

    assert "no Temporal server answers at 127.0.0.1:1" in result


async def test_somebody_answers_in_anothers_place_for_a_time(stage: Stage) -> None:
    """Given dana is away and lena answers for her, then lena finds and approves what waits for dana; and once
    it is ended, she does not find it any more."""
    approval = await asked(stage)
    question = f"{stage.account_id}/{approval.approval_id}"
    await in_the_inbox(stage)
    away = ("delegate", "--from", "dana.reyes", "--as", "dana.reyes", "--ends", "2099-01-01")

    assert "nothing waits for lena.fischer" in await said(stage, "inbox", "--for", "lena.fischer")
    wrong = await said(stage, *away, "--to", "sdr-agent", code=1)
    assert "nothing was delegated: sdr-agent is no person; agents never approve" in wrong
    entered = await said(stage, *away, "--to", "lena.fischer")
    assert "lena.fischer answers for dana.reyes from" in entered
    delegation_id = entered.rpartition("--end ")[2]
    assert delegation_id in await said(stage, "approval", "deputies")
    assert question in await said(stage, "inbox", "--for", "lena.fischer")
    ended = await said(stage, "delegate", "--end", delegation_id, "--as", "dana.reyes")
    assert "lena.fischer no longer answers for dana.reyes" in ended
    assert "nothing waits for lena.fischer" in await said(stage, "inbox", "--for", "lena.fischer")
    assert "nobody answers in another's place" in await said(stage, "approval", "deputies")
    gone = await said(stage, "delegate", "--end", "d-none", "--as", "dana.reyes", code=1)
    assert "there is no delegation 'd-none'" in gone
