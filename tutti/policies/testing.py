"""Running the tests that lie beside a policy set."""

from __future__ import annotations

from pathlib import Path

from governance import CaseResult, PolicySet, load_cases, read_cases, run_case
from tutti.terminal import CommandError


def run_tests(policies: PolicySet, folder: Path) -> tuple[CaseResult, ...]:
    """Run every test in the folder's `tests`, in the order of files and lines.

    Raises:
        CasesError: A test file has mistakes.
        CommandError: One cannot be read.
    """
    try:
        files = read_cases(folder)
    except OSError as error:
        raise CommandError(
            f"{error.filename}: {error.strerror}; tests are YAML files that can be read"
        ) from None
    return tuple(run_case(policies, case) for case in load_cases(policies, files))
