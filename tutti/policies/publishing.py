"""`tutti policy publish`, `rollback` and `releases`: which set is in force, and who put it there."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from domain import ActorKind
from governance import PolicySet, diff, load_policy_set
from ledger import Ledger, Release, ReleaseKind
from tutti.policies.sets import MANY, NamedSet, open_ledger, stored
from tutti.policies.telling import told_changes, told_releases, told_result
from tutti.policies.testing import run_tests
from tutti.render import clock, counted, plain
from tutti.terminal import CommandError, session_login
from workflows import AccountClient, AccountError, connect

if TYPE_CHECKING:
    from rich.console import Console

    from tutti.settings import Settings


async def publish(
    console: Console, settings: Settings, folder: Path, *, author: str | None, reason: str
) -> None:
    """Check the set of a folder, run its tests, show what changes and put it in force.

    Args:
        console: Where it is told.
        settings: Where the ledger is; the ledger is made if there is none.
        folder: Folder of the policy set.
        author: Login of the person who answers for it; by default TUTTI_USER or the login of this session.
        reason: Why, in a line.

    Raises:
        PolicyError: The set has mistakes.
        CasesError: Its tests have mistakes.
        CommandError: A test fails, or the author is no person of the set in force.
        LedgerError: The ledger cannot be written, or somebody else has published meanwhile.
    """
    # Read once: what was checked and tested is what is published, whatever happens to the folder meanwhile.
    policies = load_policy_set(folder)
    _demand_tests(console, policies, folder)
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.migrate()
        standing = await ledger.release_in_force()
        earlier = await _set_of(console, ledger, standing)
        login = _author(author, earlier or NamedSet(str(folder), policies))
        if standing is not None and standing.digest == policies.digest:
            console.print(_in_force_already(standing), highlight=False, soft_wrap=True)
            return
        if earlier is not None:
            console.print(told_changes(diff(earlier.policies, policies), same_bytes=False))
        release = await _enter(ledger, policies, standing, login, reason, ReleaseKind.PUBLISH)
    finally:
        await ledger.close()
    await _announce(console, release)


async def rollback(
    console: Console, settings: Settings, number: int | None, *, author: str | None, reason: str
) -> None:
    """Put the files of an earlier release in force again, as a new release.

    Args:
        console: Where it is told.
        settings: Where the ledger is.
        number: The release to go back to; by default the latest one whose set is not in force.
        author: As for `publish`.
        reason: Why, in a line.

    Raises:
        CommandError: There is no such release, this code cannot read its files, or the author is no person
            of the set in force.
        LedgerError: The ledger cannot be written, or somebody else has published meanwhile.
    """
    async with open_ledger(settings) as ledger:
        releases = await ledger.releases(limit=MANY)
        target = _target(releases, number)
        standing = releases[0]
        earlier = await _set_of(console, ledger, standing)
        later = await stored(ledger, (f"release {target.number}", target.digest))
        login = _author(author, earlier or later)
        if standing.digest == target.digest:
            console.print(_in_force_already(standing), highlight=False, soft_wrap=True)
            return
        if earlier is not None:
            console.print(told_changes(diff(earlier.policies, later.policies), same_bytes=False))
        release = await _enter(ledger, later.policies, standing, login, reason, ReleaseKind.ROLLBACK)
    await _announce(console, release)


async def show_releases(console: Console, settings: Settings, limit: int) -> None:
    """Print the releases, the one in force first."""
    async with open_ledger(settings) as ledger:
        releases = await ledger.releases(limit=limit)
    if releases:
        console.print(told_releases(releases))
    else:
        console.print("nothing has been published yet; `tutti policy publish` does it")


def _demand_tests(console: Console, policies: PolicySet, folder: Path) -> None:
    results = run_tests(policies, folder)
    failed = [result for result in results if not result.passed]
    for result in failed:
        console.print(told_result(result))
    if failed:
        raise CommandError(
            f"nothing was published: {len(failed)} of {counted(len(results), 'test')} in "
            f"{folder / 'tests'} failed"
        )
    if results:
        console.print(
            Text.assemble(("ok ", "green"), f"{counted(len(results), 'test')} passed"), highlight=False
        )
    else:
        console.print(Text(f"there are no tests in {folder / 'tests'}", style="yellow"), soft_wrap=True)


def _target(releases: list[Release], number: int | None) -> Release:
    if not releases:
        raise CommandError("nothing has been published yet, so there is nothing to go back to")
    if number is None:
        found = next((each for each in releases if each.digest != releases[0].digest), None)
        if found is None:
            raise CommandError(
                f"release {releases[0].number} is the only policy set so far; nothing to go back to"
            )
        return found
    found = next((each for each in releases if each.number == number), None)
    if found is None:
        raise CommandError(f"there is no release {number}; the latest is {releases[0].number}")
    return found


async def _set_of(console: Console, ledger: Ledger, release: Release | None) -> NamedSet | None:
    """Return the set of a release; None if there is none, or if this code cannot read it any more."""
    if release is None:
        return None
    try:
        return await stored(ledger, (f"release {release.number}", release.digest))
    except CommandError as error:
        first = str(error).splitlines()[0].rstrip(":")
        console.print(Text(f"no comparison with what is in force: {first}", style="yellow"), soft_wrap=True)
        return None


def _author(given: str | None, named: NamedSet) -> str:
    login = given or os.environ.get("TUTTI_USER") or session_login()
    actor = named.policies.people.actors.get(login)
    if actor is None or actor.kind is not ActorKind.PERSON:
        raise CommandError(
            f"{login or 'nobody'} is no person in people.yaml of {named.label}, and only such a person can "
            "publish; name one with --author or TUTTI_USER"
        )
    return login


async def _enter(  # noqa: PLR0913, PLR0917 - the record of who did what, when and why
    ledger: Ledger, policies: PolicySet, standing: Release | None, author: str, reason: str, kind: ReleaseKind
) -> Release:
    return await ledger.publish(
        policies.files,
        policies.digest,
        author=author,
        reason=reason,
        at=datetime.now(UTC),
        kind=kind,
        expected=standing.number if standing is not None else None,
    )


def _in_force_already(release: Release) -> Text:
    return Text.assemble(
        f"policy set {release.digest[:12]} is in force already: release {release.number}, published by ",
        f"{plain(release.author)} at {clock(release.at)}",
    )


async def _announce(console: Console, release: Release) -> None:
    console.print(
        Text.assemble(
            ("ok ", "green"), f"release {release.number}, policy set ", (release.digest[:12], "bold")
        ),
        highlight=False,
    )
    try:
        told = await AccountClient(await connect()).announce_policies(release.digest)
    except AccountError:
        console.print("the engine does not answer; accounts take the set up at their next ruling")
        return
    console.print(f"{counted(told, 'waiting account')} told; all others take it up at their next ruling")
