"""`tutti play migrate` on the real engine: thirty accounts, of which some can move to another version."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console
from temporalio.testing import WorkflowEnvironment

from domain import AccountStatus, Hold, PlayRun, SignalKind
from governance import compile_policy_set, interpret
from tests.builders import account, contact, signal
from tests.workflows.stage import FAST, Stage, soon, staged, until
from tests.workflows.test_plays import publish
from tutti.plays.migrating import migrate_play
from tutti.settings import Settings

EACH = 10
POLL_SECONDS = 0.3
"""Thirty accounts that are asked more often keep the engine busy with that alone."""
PLAY = """\
id: surge
name: Surge response
actor: sdr-agent
priority: 50
lasts_at_most: 30d
entry: {on: [intent_surge]}
reentry: never
steps:
  - id: first-mail
    touch: {channel: email, action: send_email, to: [champion], content: first, value: 20000, propensity: 0.3,
            confidence: 0.9, expires_in: 1d}
  - id: breathe
    wait: {signal: [web_visit], at_most: 20d}
  - id: second-mail
    touch: {channel: email, action: send_email, to: [decision_maker], content: first, value: 20000,
            propensity: 0.3, confidence: 0.9, expires_in: 1d}
  - id: rest
    wait: {for: 20d}
"""
SHORTER = (
    PLAY.replace("first-mail", "opening")
    .replace("breathe", "pause")
    .replace("  - id: rest\n    wait: {for: 20d}\n", "")
)
CONTENT = "id: first\nsubject: A thought\ntext: Hello {{ contact.first_name }}, may we talk?\n"
FILES = {"plays/surge.yaml": PLAY, "content/first.yaml": CONTENT}
BRISK = {**FAST, "timing.yaml": [*FAST["timing.yaml"], ("at_least: 12s", "at_least: 0.5s")]}
MAP = {"first-mail": "opening", "breathe": "pause"}


async def seen(stage: Stage, account_id: str, kind: SignalKind) -> None:
    found = interpret(stage.policies, signal(f"{kind.value}-1", kind=kind, observed_at=soon()))
    await stage.accounts.observe(account_id, [found])


async def begun(stage: Stage, account_id: str, *, held: bool) -> None:
    people = (
        contact("amira", role="champion", name="Amira Khan", consent="granted"),
        contact("bela", role="decision_maker", name="Bela Novak", consent="granted"),
    )
    await stage.accounts.observe(account_id, [account(account_id), *people])
    if held:
        hold = Hold(hold_id="h1", placed_by="dana.reyes", reason="a call", placed_at=soon())
        await stage.accounts.place_hold(account_id, hold)
    await seen(stage, account_id, SignalKind.INTENT_SURGE)


def the_run(status: AccountStatus) -> PlayRun | None:
    return next(iter(status.plays), None)


async def stands_at(stage: Stage, account_id: str, step: str) -> None:
    async def look() -> bool | None:
        await asyncio.sleep(POLL_SECONDS)
        run = the_run(await stage.accounts.status(account_id))
        return True if run is not None and run.step == step else None

    await until(look, f"{account_id} to come to {step}")


async def everywhere(stage: Stage) -> dict[str, list[str]]:
    """Bring thirty accounts to where some wait for a touch, some for a signal, and some for their end."""
    where = {
        step: [f"{stage.account_id}-{step}-{n}" for n in range(EACH)]
        for step in ("first-mail", "breathe", "rest")
    }
    await asyncio.gather(
        *(begun(stage, each, held=step == "first-mail") for step, ids in where.items() for each in ids)
    )
    await asyncio.gather(*(stands_at(stage, each, "breathe") for each in where["breathe"] + where["rest"]))
    await asyncio.gather(*(seen(stage, each, SignalKind.WEB_VISIT) for each in where["rest"]))
    await asyncio.gather(*(stands_at(stage, each, step) for step, ids in where.items() for each in ids))
    return where


async def migrated(stage: Stage, folder: Path, accounts: list[str], *, dry_run: bool) -> str:
    told = io.StringIO()
    await migrate_play(
        Console(file=told, width=200),
        Settings(policies=folder / "policies", ledger_url=f"sqlite+aiosqlite:///{stage.database}"),
        "surge",
        accounts=accounts,
        steps=MAP,
        by="dana.reyes",
        dry_run=dry_run,
    )
    return told.getvalue()


async def test_thirty_accounts_are_moved_or_told_why_not(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.client.service_client.config.target_host)
    async with staged(temporal.client, tmp_path, edits=BRISK, files=FILES) as stage:
        where = await everywhere(stage)
        accounts = sorted(each for ids in where.values() for each in ids)
        before = {each: the_run(await stage.accounts.status(each)) for each in accounts}
        newer = compile_policy_set(dict(stage.policies.files) | {"plays/surge.yaml": SHORTER})
        await publish(stage, newer)

        dry = await migrated(stage, tmp_path, accounts, dry_run=True)
        assert "30 accounts with a run of surge" in dry
        assert "30 runs of version" in dry
        assert "nothing was moved: this was a dry run" in dry
        after = {each: the_run(await stage.accounts.status(each)) for each in accounts}
        assert after == before, "a dry run moves nothing, and neither does a publication"
        mails = len(stage.relay.envelopes)
        assert mails == 3 * EACH

        told = await migrated(stage, tmp_path, accounts, dry_run=False)
        assert f"ok {EACH} runs moved" in told
        for each in where["first-mail"]:
            why = "The run waits for a touch of first-mail, which would be called otherwise"
            assert f"{each} stays where it is: {why}" in told
        for each in where["rest"]:
            assert f"{each} stays where it is: The other version has no step rest" in told
        assert not any(f"{each} stays" in told for each in where["breathe"])
        for each in where["first-mail"] + where["rest"]:
            assert the_run(await stage.accounts.status(each)) == before[each]

        # Those that moved go on by the new version, and nobody hears the first mail again.
        for each in where["breathe"]:
            run = the_run(await stage.accounts.status(each))
            assert run is not None
            assert (run.step, run.version) == ("pause", newer.plays["surge"].version)
            assert [step.step for step in run.steps] == ["opening"]
        await asyncio.gather(*(seen(stage, each, SignalKind.WEB_VISIT) for each in where["breathe"]))

        async def over() -> bool | None:
            await asyncio.sleep(POLL_SECONDS)
            statuses = [await stage.accounts.status(each) for each in where["breathe"]]
            return True if all(status.ended_plays for status in statuses) else None

        await until(over, "the shorter version to end")
        assert len(stage.relay.envelopes) == mails + EACH
        again = await migrated(stage, tmp_path, where["breathe"], dry_run=False)
        assert "nothing to move" in again
