"""`tutti approval seed`: plant a bad proposal and see whether the approvers catch it; it never goes out."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from domain import Frozen, Identifier, Proposal, ProposalStatus, Seeded
from governance import load_document
from tutti.render import plain, words
from tutti.terminal import CommandError
from workflows import AccountClient, connect


class SeedFile(Frozen):
    """A bad proposal and the account on which it is planted, as a YAML or JSON file says it."""

    account: Identifier
    proposal: Proposal


def read_seed(path: Path) -> SeedFile:
    """Read the file.

    Raises:
        PolicyFileError: it does not fit; every problem with line and column.
        OSError: it cannot be read.
    """
    return load_document(path.as_posix(), path.read_bytes()).validate(SeedFile)


async def plant(console: Console, seed: SeedFile, *, login: str) -> None:
    """Plant a proposal and tell who is asked about it.

    Raises:
        AccountError: it was refused, or the engine does not answer.
        CommandError: nobody is asked about it, so it tests nobody.
    """
    accounts = AccountClient(await connect())
    seeded = Seeded(proposal=seed.proposal, seeded_by=login)
    view = await accounts.seed(seed.account, seeded)
    name = f"{seed.account}/{seed.proposal.proposal_id}"
    if view.status is not ProposalStatus.PENDING_APPROVAL or view.approval_id is None:
        why = f": {plain(view.message)}" if view.message else ""
        raise CommandError(f"nobody is asked about {name}: it is {words(view.status.value)}{why}")
    card = await accounts.card(seed.account, view.approval_id)
    console.print(
        Text.assemble(
            ("ok ", "bold green"),
            f"{name} is planted; {plain(card.approval.route.group)} is asked: "
            f"{seed.account}/{view.approval_id}\nIt never goes out, whatever they answer.",
        ),
        highlight=False,
    )
