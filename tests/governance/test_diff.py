"""What differs between two policy sets is told in sentences, by rule, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from governance import ChangeKind, compile_policy_set, diff, load_policy_set
from governance._diff import Change
from tests.governance.worlds import edited, policies


def changes(tmp_path: Path, name: str, *replaced: tuple[str, str]) -> list[Change]:
    return list(diff(policies(), load_policy_set(edited(tmp_path, name, *replaced))))


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (
            "frequency.yaml",
            "limit: 1\n    window: 14d",
            "limit: 2\n    window: 21d",
            "one-touch-per-person now allows 2 touches in 21d (was 1 touch in 14d)",
        ),
        (
            "frequency.yaml",
            "limit: 2\n    window: 7d",
            "limit: 1\n    window: 7d",
            "new-contacts now allows 1 new contact in 7d (was 2 new contacts in 7d)",
        ),
        ("timing.yaml", "at_least: 2d", "at_least: 3d", "account-gap now has at least 3d (was 2d)"),
        ("timing.yaml", "decision_window: 5s", "decision_window: 9s", "decision window is now 9s (was 5s)"),
        (
            "timing.yaml",
            'from: "20:00"',
            'from: "19:00"',
            "nights now has from 19:00 (was 20:00)",
        ),
        (
            "timing.yaml",
            '[email]\n    from: "20:00"',
            '[email, web]\n    from: "20:00"',
            "nights now also lists web under media",
        ),
        (
            "approvals.yaml",
            "proposal.value >= 250000.0",
            "proposal.value >= 90000.0",
            (
                "large-values now applies when `proposal.value >= 90000.0` "
                "(before: when `proposal.value >= 250000.0`)"
            ),
        ),
        (
            "arbitration.yaml",
            "mode: log_only\n  within: 2d",
            "within: 2d",
            "better-one-soon now binds (was only tried out)",
        ),
        (
            "arbitration.yaml",
            "then: defer\n    message: A better proposal goes first.",
            "then: suppress\n    message: A better proposal goes first.",
            "next-turn now leads to suppress (was defer)",
        ),
        (
            "arbitration.yaml",
            "closing: []",
            "closing: [send_contract]",
            "intents closing now also lists send_contract there",
        ),
        (
            "arbitration.yaml",
            "percent: 55",
            "percent: 60",
            "decision-makers-first now has percent 60 (was 55)",
        ),
        (
            "people.yaml",
            "{id: nurture, kind: system}",
            "{id: nurture, kind: system, owner: dana.reyes}",
            "the actor nurture now has owner dana.reyes (was nothing)",
        ),
        (
            "interpretation.yaml",
            "web_visit:       {stage: aware",
            "web_visit:       {stage: engaged",
            (
                "signals web_visit is now stage engaged, urgency 0.2, confidence 0.4 "
                "(was stage aware, urgency 0.2, confidence 0.4)"
            ),
        ),
        (
            "suppression.yaml",
            "reason: The person complained about a message of ours.",
            "reason: They complained.",
            (
                "complained now has reason “They complained.” "
                "(was “The person complained about a message of ours.”)"
            ),
        ),
    ],
)
def test_a_change_is_told_by_rule_and_field(
    tmp_path: Path, *, name: str, old: str, new: str, sentence: str
) -> None:
    (change,) = changes(tmp_path, name, (old, new))

    assert change.sentence == f"{name}: {sentence}"
    assert change.kind is ChangeKind.CHANGED
    assert change.place.file == name


def test_a_change_names_its_rule_and_its_line(tmp_path: Path) -> None:
    (change,) = changes(tmp_path, "frequency.yaml", ("limit: 1\n", "limit: 5\n"))

    lines = (tmp_path / "policies" / "frequency.yaml").read_text().splitlines()
    assert change.rule_id == "one-touch-per-person"
    assert "one-touch-per-person" in lines[change.place.line - 1]


def test_another_way_of_writing_is_no_difference(tmp_path: Path) -> None:
    edited(
        tmp_path, "frequency.yaml", ("window: 14d", "window: 336h"), ("# How often", "# Really, how often")
    )
    edited(
        tmp_path,
        "timing.yaml",
        ("[America/Los_Angeles, Europe/Berlin]", "[Europe/Berlin, America/Los_Angeles]"),
    )
    folder = edited(
        tmp_path,
        "consent.yaml",
        (
            "when: contact != null && contact.opted_out\n",
            "when: >-\n      contact != null\n      && contact.opted_out\n",
        ),
        ("  - id: objected\n", "  - mode: enforce\n    id: objected\n"),
    )

    other = load_policy_set(folder)

    assert other.digest != policies().digest
    assert diff(policies(), other) == ()


def test_the_order_of_rules_is_no_difference_but_that_of_routes_is(tmp_path: Path) -> None:
    route = (
        "  - id: ask-about-tier-one\n    when: account.tier == Tier.ONE\n    group: sales-leadership\n"
        "    answer_within: 8h\n    on_expiry: suppress\n\n"
    )
    text = (edited(tmp_path, "approvals.yaml") / "approvals.yaml").read_text()
    before, after = text.index("  - id: ask-about-executives"), text.index("default_route:")
    first, rest = text[:before], text[before:after]
    one = {**policies().files, "approvals.yaml": first + route + rest + text[after:]}
    other = {**policies().files, "approvals.yaml": first + rest + route + text[after:]}

    (reordered,) = diff(compile_policy_set(one), compile_policy_set(other))
    (added,) = diff(policies(), compile_policy_set(one))

    assert reordered.kind is ChangeKind.REORDERED
    assert reordered.sentence == (
        "approvals.yaml: routes are now tried in this order: ask-about-executives, ask-about-tier-one "
        "(was ask-about-tier-one, ask-about-executives)"
    )
    assert added.kind is ChangeKind.ADDED
    assert "ask-about-tier-one is new, tried before ask-about-executives: " in added.sentence


def test_a_rule_that_is_new_or_gone_is_told_with_what_it_does() -> None:
    text = policies().files["frequency.yaml"]
    start, end = text.index("  - id: account-touches"), text.index("  # Two new people a week")
    shorter = compile_policy_set({**policies().files, "frequency.yaml": text[:start] + text[end:]})

    (gone,) = diff(policies(), shorter)
    (new,) = diff(shorter, policies())

    what = "“An account is touched at most eight times a month.” (per account, limit 8, window 30d)"
    assert (gone.kind, gone.sentence) == (
        ChangeKind.REMOVED,
        f"frequency.yaml: account-touches is gone: {what}",
    )
    assert (new.kind, new.sentence) == (ChangeKind.ADDED, f"frequency.yaml: account-touches is new: {what}")
    assert (gone.rule_id, new.rule_id) == ("account-touches", "account-touches")


def test_a_rule_under_another_name_is_no_other_rule(tmp_path: Path) -> None:
    (change,) = changes(tmp_path, "timing.yaml", ("id: nights", "id: night-rest"))

    assert change.kind is ChangeKind.RENAMED
    assert (
        change.sentence == "timing.yaml: nights is now called night-rest; nothing else about it has changed"
    )
    assert change.rule_id == "night-rest"


def test_a_rule_that_asks_another_question_is_told_as_moved() -> None:
    text = policies().files["eligibility.yaml"]
    start, end = text.index("  - id: outage-first"), text.index("  - id: serious-case-ask-first")
    rule = text[start:end]
    moved = text[:start] + text[end:]
    moved = moved.replace("applicability:\n", f"applicability:\n{rule}")

    (change,) = diff(policies(), compile_policy_set({**policies().files, "eligibility.yaml": moved}))

    assert change.sentence == "eligibility.yaml: outage-first has moved from suitability to applicability"


def test_a_set_does_not_differ_from_itself() -> None:
    assert diff(policies(), policies()) == ()
