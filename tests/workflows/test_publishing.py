"""A policy set is published while accounts wait: governance is live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import PolicyPublished, ProposalStatus, ReasonCode
from governance import PolicySet, load_policy_set
from ledger import ReleaseKind
from tests.workflows.cast import profile, set_up, wanted
from tests.workflows.stage import FAST, Stage, soon, staged, until

Edits = Mapping[str, Iterable[tuple[str, str]]]
FOR_DAYS = FAST | {"timing.yaml": [*FAST["timing.yaml"], ("at_least: 12s", "at_least: 3d")]}
NOBODY = {
    "eligibility.yaml": [
        (
            "eligibility:\n",
            "eligibility:\n  - id: nobody\n    then: suppress\n    message: Nobody for now.\n\n",
        )
    ]
}
WITHIN_SECONDS = 5.0


def changed(stage: Stage, folder: Path, edits: Edits) -> PolicySet:
    """The stage's policy set, edited, with the same queues."""
    folder.mkdir()
    for name, text in stage.policies.files.items():
        edited = text
        for old, new in edits.get(name, ()):
            assert old in edited, f"{name} does not say {old!r}"
            edited = edited.replace(old, new)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(edited, encoding="utf-8")
    return load_policy_set(folder)


async def publish(stage: Stage, policies: PolicySet) -> None:
    standing = await stage.ledger.release_in_force()
    await stage.ledger.publish(
        policies.files,
        policies.digest,
        author="dana.reyes",
        reason="test",
        at=datetime.now(UTC),
        kind=ReleaseKind.PUBLISH,
        expected=standing.number if standing else None,
    )


async def deferred_for_days(stage: Stage) -> None:
    """One touch goes out, and another waits for the gap of three days."""
    await set_up(stage)
    await stage.propose(wanted("sdr-1"), wanted("site-1", expires_at=soon(days=20)))
    await stage.status_when(
        lambda s: s.next_touch_at is not None and s.next_touch_at > datetime.now(UTC) + timedelta(days=2),
        "a touch that waits for days",
    )

    async def listed() -> bool | None:
        description = await stage.handle.describe()
        found = {pair.key.name: pair.value for pair in description.typed_search_attributes}
        return "NextTouchAt" in found or None

    await until(listed, "visibility to know of it")


async def test_a_looser_set_lets_out_at_once_what_waited_for_days(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=FOR_DAYS) as stage:
        await deferred_for_days(stage)
        looser = changed(stage, tmp_path / "looser", {"timing.yaml": [("at_least: 3d", "at_least: 0.1s")]})
        told: list[int] = []

        began = time.monotonic()
        await publish(stage, looser)
        announcing = asyncio.create_task(stage.accounts.announce_policies(looser.digest, told.append))
        await until(lambda: _called(stage), "the touch that waited")
        took = time.monotonic() - began

        assert await announcing == 1
        assert told[-1] == 1
        assert took < WITHIN_SECONDS
        status = await stage.status_when(lambda s: s.next_touch_at is None, "nothing to wait for")
        decision = next(v.decision for v in status.proposals if v.proposal.proposal_id == "site-1")
        assert decision is not None
        assert decision.policy_digest == looser.digest
        assert any("was published" in line for line in await stage.accounts.timeline(stage.account_id))
        assert await stage.accounts.announce_policies(looser.digest) == 0, "nobody waits under another set"


async def _called(stage: Stage) -> bool | None:
    return bool(stage.receiver.calls) or None


async def test_a_tighter_set_suppresses_at_once_what_waited_for_days(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=FOR_DAYS) as stage:
        await deferred_for_days(stage)
        tighter = changed(stage, tmp_path / "tighter", NOBODY)

        began = time.monotonic()
        await publish(stage, tighter)
        announcing = asyncio.create_task(stage.accounts.announce_policies(tighter.digest))
        status = await stage.status_when(
            lambda s: any(v.status is ProposalStatus.SUPPRESSED for v in s.proposals), "the suppression"
        )
        took = time.monotonic() - began

        assert await announcing == 1
        assert took < WITHIN_SECONDS
        (ended,) = [v for v in status.proposals if v.proposal.proposal_id == "site-1"]
        assert ended.decision is not None
        assert ended.decision.hits[0].rule_id == "nobody"
        assert not stage.receiver.calls


async def test_an_account_that_nobody_told_meets_the_new_set_at_its_next_ruling(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=FOR_DAYS) as stage:
        await set_up(stage)
        await publish(stage, changed(stage, tmp_path / "new", NOBODY))

        (view,) = await stage.propose(wanted("sdr-1"))

        assert view.decision is not None
        assert view.decision.hits[0].rule_id == "nobody"


async def test_an_account_that_closes_meanwhile_is_not_missed_nor_counted(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=FOR_DAYS) as stage:
        await deferred_for_days(stage)
        looser = changed(stage, tmp_path / "looser", {"timing.yaml": [("at_least: 3d", "at_least: 0.1s")]})
        # The list is read before the signal is sent: in between, the account ends.
        news = PolicyPublished(digest=looser.digest)
        assert await stage.accounts._signal_if_running(f"account/{stage.account_id}", news)  # noqa: SLF001 - the gap
        await stage.handle.terminate("closed")
        assert not await stage.accounts._signal_if_running(f"account/{stage.account_id}", news)  # noqa: SLF001 - the gap
        assert await stage.accounts.announce_policies(looser.digest) == 0


@pytest.mark.parametrize(
    "arguments",
    [[], [None], [{"digest": 5}], [{"digest": "a", "more": 1}], ["x" * 64], [{"digest": "a" * 400}], [1, 2]],
)
async def test_a_publication_that_cannot_be_read_is_refused_and_changes_nothing(
    temporal: WorkflowEnvironment, tmp_path: Path, arguments: list[object]
) -> None:
    async with staged(temporal.client, tmp_path) as stage:
        await set_up(stage)
        await stage.handle.signal("policy_published", args=arguments)

        status = await stage.status_when(lambda s: s.refusals == 1, "the refusal")

        assert status.refusals == 1
        (view,) = await stage.propose(wanted("sdr-1"))
        assert view.settled


async def test_of_many_accounts_at_once_one_takes_the_last_place_and_the_others_learn_when(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Promise 3 over accounts: a cap of one over the tenant, many accounts at once, one touch."""
    cap = (
        "caps:\n  - id: one-for-all\n    per: tenant\n    limit: 1\n    window: 1d\n"
        "    message: One touch a day over all accounts.\n\n"
    )
    edits = FAST | {"frequency.yaml": [("caps:\n", cap)]}
    accounts = 40
    async with staged(temporal.client, tmp_path, edits=edits) as stage:
        ids = [f"{stage.account_id}-{number}" for number in range(accounts)]
        for account_id in ids:
            await stage.accounts.observe(account_id, profile(account_id))

        views = await asyncio.gather(*(stage.accounts.propose(each, wanted("sdr-1")) for each in ids))

        waiting = [view for view in views if view.status is ProposalStatus.DEFERRED]
        ended = [view for view in views if view.status.final and view.status is not ProposalStatus.SENT]
        assert len(views) - len(waiting) - len(ended) == 1
        for view in (*waiting, *ended):
            assert view.decision is not None
            assert "one-for-all" in {hit.rule_id for hit in view.decision.hits}
            assert {hit.reason for hit in view.decision.hits} >= {ReasonCode.FREQUENCY_CAP}
        await until(lambda: _sent(stage), "the one e-mail")
        assert len(stage.relay.envelopes) == 1
        counts = await stage.ledger.counts()
        assert counts["rulings"] == accounts


async def _sent(stage: Stage) -> bool | None:
    return bool(stage.relay.envelopes) or None
