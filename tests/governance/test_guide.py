"""What docs/policies.md tells policy owners is what the code does."""

from __future__ import annotations

import re
from typing import get_type_hints

from governance import compile_policy_set, load_cases, run_case
from governance._facts import (
    AccountFacts,
    ActorFacts,
    AssessmentFacts,
    ContactFacts,
    ProposalFacts,
    WinnerFacts,
)
from tests.governance.worlds import ROOT, policies

GUIDE = (ROOT / "docs" / "policies.md").read_text()


def examples(beginning: str) -> list[str]:
    """The examples in YAML that hold a key."""
    return [each for each in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if beginning in each]


def test_the_example_of_a_route_can_be_copied() -> None:
    (example,) = examples("routes:")
    people, approvals = policies().files["people.yaml"], policies().files["approvals.yaml"]
    legal = "  - {name: legal, members: [lena.fischer]}\n"
    others = approvals.index("  - id: ask-about-executives"), approvals.index("default_route:")

    copied = compile_policy_set(
        {
            **policies().files,
            "people.yaml": people.replace("groups:\n  - name", f"groups:\n{legal}  - name"),
            "approvals.yaml": approvals[: others[0]]
            + example.removeprefix("routes:\n")
            + "\n"
            + approvals[others[1] :],
        }
    )

    assert copied.approvals.routes[0].all_groups == (
        "sales-leadership",
        "legal",
        "revenue-operations",
        "executives",
    )


def test_the_example_of_a_test_can_be_copied() -> None:
    (example,) = examples("cases:")

    (case,) = load_cases(policies(), {"tests/example.yaml": example.encode()})

    assert run_case(policies(), case).passed


def test_every_file_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+\.yaml)` \|", GUIDE, re.MULTILINE)

    assert sorted(rows) == sorted(name for name in policies().files if "/" not in name)
    assert "| `plays/` |" in GUIDE
    assert "| `content/` |" in GUIDE
    assert "a folder of eleven YAML" in " ".join(GUIDE.split())


def test_every_name_conditions_can_read_is_listed() -> None:
    tables = {
        "account": AccountFacts,
        "contact": ContactFacts,
        "proposal": ProposalFacts,
        "actor": ActorFacts,
        "assessment": AssessmentFacts,
        "winner": WinnerFacts,
    }

    for name, facts in tables.items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", GUIDE, re.MULTILINE)
        listed = set(re.findall(r"`([a-z_]+)`", row)) - {"losers", "look_ahead"}
        assert listed == set(get_type_hints(facts)), name


def test_every_command_is_named() -> None:
    commands = (
        "check",
        "test",
        "diff",
        "replay",
        "publish",
        "rollback",
        "releases",
        "explain",
        "coverage",
        "schema",
    )

    assert [
        each
        for each in commands
        if f"`tutti policy {each}" not in GUIDE and f"tutti policy {each} " not in GUIDE
    ] == []
