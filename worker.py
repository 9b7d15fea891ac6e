"""Process entry of the workers: one process, one role.

`python -m worker orchestrator` runs the account workflows with governance and the ledger; `python -m worker
CHANNEL` runs one channel, a team's own if `TUTTI_CHANNEL_MODULE` names its module. Connection, policies and
secrets come from the environment. The policy set is the one in force in the ledger; the policy folder is what
the first worker on an empty ledger puts in force. The process prints one JSON line `{"ready": ROLE}` when it
polls, and stops on SIGTERM or SIGINT after its work in hand is done.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.channels import ChannelError, UnsubscribeLinks, build_channel
from activities.governing import Governing
from activities.notices import AnswerLinks, NoticeChat, NoticeMail, read_notice_settings
from activities.notifying import Notifying, addresses_of
from activities.planning import Planning
from activities.policies import NoPolicySetError, PolicyKeeper, keep_policies
from activities.recording import Recording
from activities.vetting import Deputies
from governance import PolicyError, PolicySet
from ledger import Ledger, LedgerError
from tutti.settings import Settings, SettingsError
from workflows import TASK_QUEUE, AccountWorkflow, EngineUnavailableError, connect

ORCHESTRATOR = "orchestrator"
GRACE = timedelta(seconds=20)
"""How long work in hand may take after SIGTERM; keep it below the process manager's own grace period."""


_UNUSABLE = (
    SettingsError,
    PolicyError,
    NoPolicySetError,
    LedgerError,
    ChannelError,
    EngineUnavailableError,
)


def orchestrator(  # noqa: PLR0913 - what the orchestrator works with
    client: Client,
    keeper: PolicyKeeper,
    ledger: Ledger,
    *,
    notifying: Notifying | None = None,
    task_queue: str = TASK_QUEUE,
    max_cached_workflows: int = 1_000,
) -> Worker:
    """Return the worker that runs account workflows, governance, the ledger and notices.

    Without `notifying` nobody is told of exceptions; the inbox has them all.
    """
    governing, planning, recording = Governing(keeper, ledger), Planning(keeper, ledger), Recording(ledger)
    deputies = Deputies(keeper, ledger)
    telling = notifying or Notifying(ledger, addresses_of(keeper))
    return Worker(
        client,
        task_queue=task_queue,
        max_cached_workflows=max_cached_workflows,
        workflows=[AccountWorkflow],
        activities=[
            governing.govern,
            planning.plan,
            recording.project,
            recording.resolve_touch,
            deputies.vet,
            telling.notify,
        ],
        graceful_shutdown_timeout=GRACE,
    )


def notifying_of(keeper: PolicyKeeper, ledger: Ledger, settings: Settings) -> Notifying:
    """Return what tells persons of exceptions, by the media that the environment names.

    Raises:
        ChannelSettingsError: A setting of a medium is missing or wrong; names the variable.
        SettingsError: Mails could have no links: the signing key or the public address does not serve.
    """
    media = read_notice_settings()
    mail = None
    if media.mail is not None:
        try:
            links = AnswerLinks(str(settings.public_url), settings.required_signing_key())
        except ValueError as error:
            raise SettingsError(str(error)) from None
        mail = NoticeMail(media.mail, links)
    chat = NoticeChat(media.chat) if media.chat is not None else None
    return Notifying(ledger, addresses_of(keeper), mail=mail, chat=chat)


def channel(  # noqa: PLR0913 - what a channel works with
    name: str,
    client: Client,
    policies: PolicySet,
    ledger: Ledger,
    links: UnsubscribeLinks,
    *,
    module: str | None = None,
) -> Worker:
    """Return the worker of one channel, on the task queue that the policy set names."""
    activities, entry = (
        build_channel(name, ledger=ledger, unsubscribe=links, module=module),
        policies.channels[name],
    )
    return Worker(
        client,
        task_queue=entry.handover.task_queue,
        activities=list(activities),
        max_concurrent_activities=activities.at_once,
        max_task_queue_activities_per_second=entry.per_second,
        graceful_shutdown_timeout=GRACE,
    )


async def _worker_of(role: str, keeper: PolicyKeeper, ledger: Ledger, settings: Settings) -> Worker:
    if role == ORCHESTRATOR:
        notifying = notifying_of(keeper, ledger, settings)
        return orchestrator(await connect(), keeper, ledger, notifying=notifying)
    policies = await keeper.in_force()
    if role not in policies.channels:
        known = ", ".join([ORCHESTRATOR, *sorted(policies.channels)])
        raise ChannelError(f"there is no role '{role}'; the policy set in force knows {known}")
    links = UnsubscribeLinks(str(settings.public_url), settings.required_signing_key())
    return channel(role, await connect(), policies, ledger, links, module=settings.channel_module)


async def serve(role: str) -> None:
    """Run one role until a stop signal arrives.

    Raises:
        SettingsError: a setting is wrong or missing.
        PolicyError, NoPolicySetError, LedgerError, ChannelError, EngineUnavailableError: what it works with
            is unusable; each says why in words for the person who runs the process.
    """
    settings = Settings.load()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.check()
        keeper = await keep_policies(ledger, settings.policies)
        worker = await _worker_of(role, keeper, ledger, settings)
        async with worker:
            sys.stdout.write(json.dumps({"ready": role}) + "\n")
            sys.stdout.flush()
            await stop.wait()
    finally:
        await ledger.close()


def main() -> None:
    """Run the role named on the command line."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its one argument
        sys.exit("usage: python -m worker ROLE, where ROLE is orchestrator or the name of a channel")
    try:
        asyncio.run(serve(sys.argv[1]))
    except _UNUSABLE as error:
        sys.exit(f"worker {sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
