"""Record the histories of a release: `python -m tests.histories.record 0.2.0`.

Histories that are stored stay as they are; a release adds its own. Each file is one run of one account.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from temporalio.testing import WorkflowEnvironment

from domain import Answer, Changes, Content, PolicyPublished, SignalKind, TouchStatus
from tests.conftest import SEARCH_ATTRIBUTES, program
from tests.workflows.approving import (
    THREE,
    asked,
    at_rest,
    claim,
    give,
    question,
    release,
    says,
    sent,
)
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import Stage, staged
from tests.workflows.test_account import answered, reply
from tests.workflows.test_continuity import queried, runs_of, visit
from tests.workflows.test_deputies import leave
from tests.workflows.test_plays import BRISK, FILES, introduced, seen
from workflows import tutti_plugin, workflow_id

FOLDER = Path(__file__).parent


async def main_job(stage: Stage) -> None:
    """Four proposals, one touch, a publication, an approval, a reply."""
    await set_up(stage)
    await stage.propose(*(wanted(item) for item in ("sdr-1", "nurture-1", "site-1", "exec-1")))
    await stage.status_when(lambda s: any(t.status is TouchStatus.HANDED_OVER for t in s.touches), "a touch")
    await stage.handle.signal("policy_published", PolicyPublished(digest="0" * 64))
    await stage.accounts.answer(stage.account_id, await answered(stage, "exec-1"))
    await stage.handle.signal("observe", "garbage")
    await stage.accounts.observe(stage.account_id, [reply()])
    await stage.status_when(lambda s: all(v.status.final for v in s.proposals), "the end")


async def under_queries(stage: Stage) -> None:
    """Signals and proposals across new runs, while others keep asking."""
    await set_up(stage)
    async with queried(stage):
        proposing = asyncio.create_task(stage.propose(wanted("sdr-1"), wanted("exec-1")))
        for number in range(60):
            await stage.accounts.observe(stage.account_id, [visit(number)])
        await proposing
        await stage.status_when(lambda s: s.signals_absorbed == 60, "every signal")


async def play(stage: Stage) -> None:
    """A play with two touches and two waits over several runs under queries, until a reply ends it."""
    await introduced(stage)
    async with queried(stage):
        await seen(stage, SignalKind.INTENT_SURGE)
        await stage.status_when(lambda s: bool(s.plays) and s.plays[0].step == "rest", "the last wait")
        await seen(stage, SignalKind.REPLY, "s2")
        await stage.status_when(lambda s: bool(s.ended_plays), "the end of the play")


async def approvals(stage: Stage) -> None:
    """A question over several runs under queries: claimed, refused, delegated, changed, and approved."""
    approval = await asked(stage)
    async with queried(stage):
        await stage.accounts.claim_approval(stage.account_id, claim(approval, "dana.reyes"))
        await give(stage, says(approval, approver="mara.lindqvist"))
        await stage.accounts.release_approval(stage.account_id, release(approval, "dana.reyes"))
        await stage.ledger.delegate(leave("dana.reyes", "lena.fischer"))
        better = Changes(content=Content(subject="A better subject", text="Hello Helen,\n\nshorter.\n"))
        await give(stage, says(approval, Answer.MODIFY, changes=better))
        changed = await question(stage)
        for number in range(30):
            await stage.accounts.observe(stage.account_id, [visit(number)])
        await give(stage, says(changed, approver="lena.fischer"))
        await give(stage, says(changed, approver="mara.lindqvist"))
        await sent(stage)
        await at_rest(stage)


class Story(NamedTuple):
    """What is played, under which policy set, and after how many events a run continues as new."""

    name: str
    play: Callable[[Stage], Awaitable[None]]
    events: int
    edits: Mapping[str, Iterable[tuple[str, str]]] | None = None
    files: Mapping[str, str] | None = None


STORIES = (
    Story("main-job", main_job, 400),
    Story("under-queries", under_queries, 80),
    Story("play", play, 60, BRISK, FILES),
    Story("approvals", approvals, 60, THREE),
)


async def record(release: str) -> None:
    """Play all stories on a server of their own and store every run."""
    async with await WorkflowEnvironment.start_local(
        plugins=[tutti_plugin()],
        dev_server_existing_path=program("temporal"),
        dev_server_log_level="error",
        search_attributes=SEARCH_ATTRIBUTES,
    ) as environment:
        for story in STORIES:
            with tempfile.TemporaryDirectory() as folder:
                async with staged(
                    environment.client,
                    Path(folder),
                    continue_after_events=story.events,
                    edits=story.edits,
                    files=story.files,
                ) as stage:
                    await story.play(stage)
                    for number, run_id in enumerate(await runs_of(stage), start=1):
                        handle = stage.client.get_workflow_handle(
                            workflow_id(stage.account_id), run_id=run_id
                        )
                        file = FOLDER / f"{release}-{story.name}-{number}.json"
                        file.write_text((await handle.fetch_history()).to_json() + "\n", encoding="utf-8")
                        sys.stdout.write(f"{file.name}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.histories.record RELEASE, e.g. 0.1.0")
    asyncio.run(record(sys.argv[1]))
