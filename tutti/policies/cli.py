"""The commands below `tutti policy`: what is typed; what they do stands in the modules beside this one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from tutti.terminal import (
    FAILED,
    complain,
    err,
    fail,
    load_policies,
    load_settings,
    one_reason,
    out,
    policies_folder,
    run,
    run_on_ledger,
)

if TYPE_CHECKING:
    from governance import Comparison
    from tutti.policies.sets import NamedSet

policy_app = typer.Typer(
    help="Check, test, compare and publish the policies that people own.", no_args_is_help=True
)

FolderArgument = Annotated[
    Path | None,
    typer.Argument(help="Folder of the policy set. Default: TUTTI_POLICIES, or ./policies."),
]
SetOption = Annotated[
    str | None,
    typer.Option("--set", help="A folder, the number of a release, or the beginning of a digest."),
]
AuthorOption = Annotated[
    str | None,
    typer.Option("--author", help="Login of the person who publishes. Default: TUTTI_USER, or your login."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in one line; it stays on record.")]


def _length(given: str | None) -> timedelta | None:
    from pydantic import TypeAdapter, ValidationError

    from governance import Duration

    if given is None:
        return None
    try:
        return TypeAdapter[timedelta](Duration).validate_python(given)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(said) from None


SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="How far back, such as 30d. Default: as far as the ledger goes."),
]


@policy_app.command("check")
def check(
    directory: FolderArgument = None,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Let warnings fail, too: for automatic checks.")
    ] = False,
) -> None:
    """Check a policy set: all its mistakes and warnings at once, with file, line and caret."""
    from governance import lint
    from tutti.render import plain

    folder = policies_folder(directory)
    policy_set = load_policies(folder)
    warnings = lint(policy_set, datetime.now(UTC).date())
    for warning in warnings:
        shown = plain(warning.render(policy_set.files[warning.place.file]))
        err.print(f"{shown}\n", highlight=False, markup=False, soft_wrap=True)
    count = f", {len(warnings)} warning{'' if len(warnings) == 1 else 's'}" if warnings else ""
    out.print(
        Text.assemble(
            ("ok ", "green"),
            f"{folder}: {len(policy_set.files)} files, policy set ",
            (policy_set.digest[:12], "bold"),
            (count, "yellow"),
        ),
        highlight=False,
        soft_wrap=True,
    )
    if strict and warnings:
        raise typer.Exit(FAILED)


@policy_app.command("schema")
def schema(
    directory: Annotated[
        Path, typer.Option("--out", help="Folder the schemas are written to; it is made if need be.")
    ] = Path("docs/schemas/policies"),
) -> None:
    """Write a JSON Schema for every policy file, for editors that complete and explain."""
    from governance import schemas

    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in schemas().items():
            (directory / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        fail(f"{error.filename or directory}: {error.strerror}; choose a folder you can write to with --out")
    out.print(
        Text.assemble(("ok ", "green"), f"{len(schemas())} schemas in {directory}"),
        highlight=False,
        soft_wrap=True,
    )


@policy_app.command("test")
def run_tests_of(directory: FolderArgument = None) -> None:
    """Run the tests in the set's folder `tests`: situations, and what must become of proposals."""
    from governance import CasesError
    from tutti.policies.telling import told_result
    from tutti.policies.testing import run_tests
    from tutti.terminal import CommandError

    folder = policies_folder(directory)
    policy_set = load_policies(folder)
    try:
        results = run_tests(policy_set, folder)
    except CasesError as error:
        complain(str(error))
    except CommandError as error:
        fail(error)
    if not results:
        fail(f"{folder / 'tests'}: no tests; docs/policies.md shows how to write one")
    for result in results:
        out.print(told_result(result), soft_wrap=result.passed)
    failed = sum(not result.passed for result in results)
    ending = (f"{failed} failed", "bold red") if failed else ("all passed", "green")
    out.print(Text.assemble(f"\n{len(results)} tests, ", ending), highlight=False)
    if failed:
        raise typer.Exit(FAILED)


@policy_app.command("diff")
def show_diff(
    earlier: Annotated[
        str | None,
        typer.Argument(help="A folder, a release such as 3, or a digest. Default: what is in force."),
    ] = None,
    later: Annotated[
        str | None, typer.Argument(help="Another one. Default: TUTTI_POLICIES, or ./policies.")
    ] = None,
) -> None:
    """Tell in sentences what one policy set does differently from another."""
    from governance import diff
    from tutti.policies.sets import in_force, load_named
    from tutti.policies.telling import told_changes

    settings = load_settings()

    async def both() -> tuple[NamedSet, NamedSet]:
        one = await load_named(earlier, settings) if earlier is not None else await in_force(settings)
        return one, await load_named(later if later is not None else _folder(None), settings)

    one, other = run_on_ledger(both())
    out.print(Text(f"from {one.label} to {other.label}", style="dim"), soft_wrap=True)
    same = one.policies.digest == other.policies.digest
    out.print(told_changes(diff(one.policies, other.policies), same_bytes=same))


@policy_app.command("publish")
def publish(directory: FolderArgument = None, *, reason: ReasonOption, author: AuthorOption = None) -> None:
    """Put a policy set in force: checked, tested, compared, recorded, and told to the running accounts."""
    from tutti.policies import publishing

    folder = Path(_folder(None if directory is None else str(directory)))
    run(publishing.publish(out, load_settings(), folder, author=author, reason=one_reason(reason)))


@policy_app.command("rollback")
def rollback(
    *,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="Number of the release. Default: the one before.")
    ] = None,
    reason: ReasonOption,
    author: AuthorOption = None,
) -> None:
    """Put the files of an earlier release in force again, as a new release."""
    from tutti.policies import publishing

    run(publishing.rollback(out, load_settings(), to, author=author, reason=one_reason(reason)))


@policy_app.command("releases")
def releases(
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = 20,
) -> None:
    """List what was put in force, when, by whom and why; the first one is in force."""
    from tutti.policies.publishing import show_releases

    run_on_ledger(show_releases(out, load_settings(), limit))


@policy_app.command("explain")
def explain(
    rule: Annotated[str, typer.Argument(help="Id of the rule, such as one-touch-per-person.")],
    named: SetOption = None,
) -> None:
    """Explain a rule: where it stands, who answers for it, how often it has fired, what it decided."""
    from tutti.policies.explaining import explain_rule
    from tutti.policies.sets import load_named

    settings = load_settings()

    async def told() -> None:
        await explain_rule(out, settings, await load_named(_folder(named), settings), rule)

    run_on_ledger(told())


@policy_app.command("coverage")
def coverage(named: SetOption = None, since: SinceOption = None) -> None:
    """Tell which rules never speak and which always do, going by the recorded rulings."""
    from tutti.policies import replaying
    from tutti.policies.sets import load_named
    from tutti.policies.telling import told_coverage

    settings, length = load_settings(), _length(since)

    async def told() -> None:
        chosen = await load_named(_folder(named), settings)
        uses, rulings = await replaying.coverage(out, settings, chosen.policies, length)
        out.print(told_coverage(uses, rulings))

    run_on_ledger(told())


@policy_app.command("replay")
def replay(
    named: Annotated[
        str, typer.Option("--set", help="The draft: a folder, the number of a release, or a digest.")
    ],
    since: SinceOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Judge the recorded rulings again under a draft, and tell what would come out otherwise."""
    from tutti.policies import replaying
    from tutti.policies.sets import load_named
    from tutti.policies.telling import told_comparison

    settings, length = load_settings(), _length(since)

    async def compared() -> tuple[NamedSet, Comparison]:
        chosen = await load_named(named, settings)
        progress = err if as_json else out
        return chosen, await replaying.replay(progress, settings, chosen.policies, length)

    chosen, comparison = run_on_ledger(compared())
    if as_json:
        from tutti.policies.telling import as_plain

        typer.echo(json.dumps(as_plain(chosen.label, comparison), indent=2))
        return
    out.print(told_comparison(chosen.label, comparison))


def _folder(given: str | None) -> str:
    """Return what was named, or the usual folder, which must exist."""
    if given is not None:
        return given
    folder = policies_folder(None)
    if not folder.is_dir():
        fail(f"{folder}: no such folder of policies; name one, or set TUTTI_POLICIES")
    return str(folder)
