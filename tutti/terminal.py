"""What all commands share: where they print, how they end, and how they read settings and policy sets."""

from __future__ import annotations

import asyncio
import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from governance import PolicySet
    from tutti.settings import Settings

# Functions import what they need when they run: the engine's client alone takes most of a second to load.

LONGEST_LOGIN = 100
LONGEST_REASON = 300
"""Characters of a reason that are kept."""
FAILED = 1
UNUSABLE = 2

out = Console()
err = Console(stderr=True)

PoliciesOption = Annotated[
    Path | None,
    typer.Option("--policies", help="Folder of the policy set. Default: TUTTI_POLICIES, or ./policies."),
]
_T = TypeVar("_T")


class CommandError(Exception):
    """A command cannot go on; the text is one clear line with what, where and what to do."""

    code = "COMMAND"


def fail(message: object, code: int = FAILED) -> NoReturn:
    """End the command with one clear line."""
    # As text: what a user or a source wrote may hold brackets, which are no markup.
    err.print(Text.assemble(("error: ", "bold red"), str(message).rstrip()), highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def complain(text: str) -> NoReturn:
    """End the command with lines that show mistakes in files."""
    from tutti.render import plain

    err.print(plain(text), highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(FAILED)


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a command that talks to the engine or the ledger; what they refuse ends it with one clear line."""
    from governance import CasesError, PolicyError
    from ledger import LedgerError
    from tutti.settings import SettingsError, temporal_config
    from workflows import AccountError

    try:
        temporal_config()  # a wrong TEMPORAL_* setting is told before anything tries to connect with it
        return asyncio.run(work)
    except (CasesError, PolicyError) as error:
        complain(str(error))
    except (AccountError, CommandError, LedgerError, SettingsError) as error:
        fail(error)
    finally:
        work.close()


def run_on_ledger(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a command that needs the ledger at most, without the time it takes to load the engine's client."""
    from governance import PolicyError
    from ledger import LedgerError

    try:
        return asyncio.run(work)
    except PolicyError as error:
        complain(str(error))
    except (CommandError, LedgerError) as error:
        fail(error)
    finally:
        work.close()


def session_login() -> str:
    """Return the login of this terminal's session; empty for a container whose user has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def person(given: str | None) -> str:
    """Return who acts: the given login, else TUTTI_USER, else the session's; without any the command ends."""
    login = given or os.environ.get("TUTTI_USER") or session_login()
    if not login.strip() or len(login) > LONGEST_LOGIN or not login.isprintable():
        fail("it is not clear who you are; name a login with --by or TUTTI_USER", UNUSABLE)
    return login


def one_reason(text: str, option: str = "--reason") -> str:
    """Return what a person wrote as one line of at most 300 characters; without a word the command ends."""
    from tutti.render import plain

    # What no ledger takes is replaced: control characters, and bytes that are no text in this terminal.
    readable = plain(text.encode("utf-8", "replace").decode())
    said = " ".join(readable.split())[:LONGEST_REASON]
    if not said:
        fail(f"{option} is empty; say in a few words why", UNUSABLE)
    return said


def load_settings() -> Settings:
    """Read the environment; a wrong value ends the command."""
    from tutti.settings import Settings, SettingsError

    try:
        return Settings.load()
    except SettingsError as error:
        fail(error)


def policies_folder(given: Path | None) -> Path:
    """Return the folder of the policy set: the given one, else that of the settings."""
    return given or load_settings().policies


def load_policies(given: Path | None) -> PolicySet:
    """Read and check a policy set; mistakes in it end the command."""
    from governance import PolicyError, load_policy_set

    folder = policies_folder(given)
    if not folder.is_dir():
        fail(f"{folder}: no such folder of policies; name one with --policies or TUTTI_POLICIES")
    try:
        return load_policy_set(folder)
    except PolicyError as error:
        complain(str(error))
