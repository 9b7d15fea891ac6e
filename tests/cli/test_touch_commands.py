"""`tutti touch`: doubts are shown with all that it takes to settle them, and settled once."""

from __future__ import annotations

import json
from pathlib import Path

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from activities.channels import ChannelActivities, ChannelEnvironment, receipt_for
from domain import ChannelFault, ProposalStatus, Receipt, ReceiptStatus, Touch
from tests.channels.support import settled
from tests.cli.program import Finished, refused, tutti
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import FAST, Stage, staged


def in_doubt(_: ChannelEnvironment) -> ChannelActivities:
    """A channel whose provider never says whether it took a touch."""

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        raise ApplicationError(
            f"look for {touch.touch_id} there", type=ChannelFault.IN_DOUBT.value, non_retryable=True
        )

    return ChannelActivities(hand_over)


async def touch_command(stage: Stage, *arguments: str, cwd: Path) -> Finished:
    return await tutti(
        "touch",
        *arguments,
        cwd=cwd,
        TUTTI_LEDGER_URL=f"sqlite+aiosqlite:///{stage.database}",
        TEMPORAL_ADDRESS=stage.client.service_client.config.target_host,
    )


async def test_a_doubt_is_shown_whole_and_settled_once(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    # Given a touch in doubt
    async with staged(temporal.client, tmp_path, edits=FAST, channels=(), more={"email": in_doubt}) as stage:
        await set_up(stage)
        await stage.propose(wanted("sdr-1"))
        status = await stage.status_when(lambda s: bool(s.in_doubt), "the doubt")
        (doubt,) = status.in_doubt

        # When a person and a program look at it
        shown = await touch_command(stage, "doubts", stage.account_id, cwd=tmp_path)
        listed = await touch_command(stage, "doubts", stage.account_id, "--json", cwd=tmp_path)

        # Then the one reads what to look for and how to settle it, and the other has one line for it
        assert f"look for {doubt.touch.touch_id} there" in shown.out
        assert f"tutti touch settle {doubt.touch.touch_id} handed_over|not_handed_over" in " ".join(
            shown.out.split()
        )
        (line,) = listed.out.splitlines()
        assert json.loads(line)["touch"]["touch_id"] == doubt.touch.touch_id

        # When it is settled, then it is settled in the account and on its claim, once
        found = ("settle", doubt.touch.touch_id, "not_handed_over", "--comment", "not in the log")
        first = await touch_command(stage, *found, cwd=tmp_path)
        again = await touch_command(stage, *found, cwd=tmp_path)
        assert first.code == 0, first.err
        assert "counts as not handed over; it is not sent again" in first.out
        assert "is not in doubt" in refused(again)
        after = await stage.status_when(lambda s: not s.in_doubt, "the end of the doubt")
        assert after.proposals[0].status is ProposalStatus.FAILED
        assert await settled(stage.ledger, doubt.touch) is ReceiptStatus.UNDELIVERED
        assert (
            "no touch is in doubt"
            in (await touch_command(stage, "doubts", stage.account_id, cwd=tmp_path)).out
        )


async def test_nobody_settles_against_what_the_channel_has_reported_since(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given a touch in doubt, whose worker was only slow and reports that the provider took it, when somebody
    who saw nothing settles it as not handed over, then this is refused, with what the channel said."""
    async with staged(temporal.client, tmp_path, edits=FAST, channels=(), more={"email": in_doubt}) as stage:
        await set_up(stage)
        await stage.propose(wanted("sdr-1"))
        (doubt,) = (await stage.status_when(lambda s: bool(s.in_doubt), "the doubt")).in_doubt
        await stage.ledger.settle(receipt_for(doubt.touch, ReceiptStatus.ACCEPTED, "250 queued as 4711"))

        words = ("--comment", "not in the log")
        wrong = await touch_command(
            stage, "settle", doubt.touch.touch_id, "not_handed_over", *words, cwd=tmp_path
        )
        right = await touch_command(
            stage, "settle", doubt.touch.touch_id, "handed_over", *words, cwd=tmp_path
        )

        assert "accepted (250 queued as 4711); look again, and settle it as handed_over" in refused(wrong)
        assert right.code == 0, right.err


async def test_what_is_no_touch_id_is_refused_in_one_line(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=FAST, channels=()) as stage:
        await set_up(stage)
        words = ("handed_over", "--comment", "seen")
        assert "is no touch id" in refused(await touch_command(stage, "settle", "x", *words, cwd=tmp_path))
        unknown = f"{stage.account_id}/p-1/1"
        assert "is not in doubt" in refused(
            await touch_command(stage, "settle", unknown, *words, cwd=tmp_path)
        )
        nobody = await touch_command(stage, "settle", "nobody/p-1/1", *words, cwd=tmp_path)
        assert "there is no account 'nobody'" in refused(nobody)
        recalled = await touch_command(stage, "recall", unknown, "--reason", "wrong", cwd=tmp_path)
        assert unknown in refused(recalled)
