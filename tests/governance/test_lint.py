"""What is allowed and still deserves a look is shown at its place; what is in order stays unmentioned."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from governance import Warn, compile_policy_set, lint, load_policy_set
from governance._facts import LOSERS
from governance._lint import _NAMES
from tests.governance.worlds import DEMO, edited, policies

TODAY = date(2026, 11, 24)


def warnings(tmp_path: Path, name: str, *replaced: tuple[str, str], today: date = TODAY) -> list[Warn]:
    return list(lint(load_policy_set(edited(tmp_path, name, *replaced)), today))


def only(found: list[Warn], code: str) -> Warn:
    (warning,) = [each for each in found if each.code == code]
    return warning


def test_the_shipped_sets_give_no_reason_for_a_warning() -> None:
    assert lint(policies(), TODAY) == ()
    assert lint(load_policy_set(DEMO), TODAY) == ()


def test_a_warning_is_shown_with_its_place_and_a_caret(tmp_path: Path) -> None:
    found = warnings(
        tmp_path,
        "authority.yaml",
        (
            "100000\n    irreversible: act\n    granted_by: tom.okafor\n    valid_until: 2028-12-31",
            "100000\n    irreversible: act\n    granted_by: tom.okafor\n    valid_until: 2026-11-23",
        ),
    )

    text = (tmp_path / "policies" / "authority.yaml").read_text()
    warning = only(found, "expired")
    shown = warning.render(text).splitlines()
    assert shown[0] == (
        f"{warning.place}: warning: executive-emails ended on 2026-11-23: it no longer grants anything; "
        "renew or remove it"
    )
    assert shown[1].endswith(text.splitlines()[warning.place.line - 1])
    assert shown[1][shown[2].index("^") :].startswith("2026-11-23")


@pytest.mark.parametrize(
    ("today", "code", "words"),
    [
        (date(2027, 6, 1), None, ""),
        (date(2027, 6, 30), None, ""),
        (date(2027, 7, 1), "review-overdue", "was to be reviewed by 2027-06-30"),
        (date(2027, 12, 1), "ends-soon", "competitors ends in 30 days, on 2027-12-31"),
        (date(2027, 12, 30), "ends-soon", "in 1 day,"),
        (date(2027, 12, 31), "ends-soon", "competitors ends today"),
        (date(2028, 1, 1), "expired", "competitors ended on 2027-12-31: it no longer binds"),
    ],
)
def test_a_suppression_is_called_to_mind_before_and_after_its_end(
    today: date, code: str | None, words: str
) -> None:
    found = [each for each in lint(policies(), today) if "competitors" in each.message]

    if code is None:
        assert found == []
    else:
        assert words in only(found, code).message


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("true", "always holds"),
        ("1.0 < 2.0", "always holds"),
        ('"contact" == "proposal.value"', "never holds"),
        ("Role.CHAMPION != Role.CHAMPION", "always gives the same answer"),
    ],
)
def test_a_condition_that_reads_nothing_is_shown(tmp_path: Path, condition: str, words: str) -> None:
    found = warnings(
        tmp_path,
        "approvals.yaml",
        (
            "when: proposal.value >= 250000.0",
            f"when: '{condition}'",
        ),
    )

    warning = only(found, "constant")
    assert "the condition of large-values reads nothing" in warning.message
    assert words in warning.message


def test_the_names_by_which_conditions_read_are_all_known_to_the_search() -> None:
    missed = [
        name
        for name in LOSERS._schema.variables  # noqa: SLF001 - the one place where all names are listed
        if not _NAMES.fullmatch(name)
    ]

    assert missed == []


def test_a_route_behind_one_that_catches_everything_is_never_reached(tmp_path: Path) -> None:
    route = (
        "  - id: catch-all\n    when: 'true'\n    group: sales-leadership\n    answer_within: 1h\n"
        "    on_expiry: deny\n"
    )
    found = warnings(tmp_path, "approvals.yaml", ("routes:\n", f"routes:\n{route}"))

    unreachable = [each.message for each in found if each.code == "unreachable"]
    assert unreachable == [
        "ask-about-executives is never reached: catch-all before it always matches",
        "ask-sales-leadership is never reached: catch-all always matches",
    ]


def test_a_route_with_the_condition_of_an_earlier_one_is_never_reached(tmp_path: Path) -> None:
    route = (
        "  - id: again\n    when: contact != null   && contact.role == Role.EXECUTIVE_SPONSOR\n"
        "    group: sales-leadership\n    answer_within: 1h\n    on_expiry: deny\n\n"
    )
    found = warnings(tmp_path, "approvals.yaml", ("default_route:", f"{route}default_route:"))

    assert only(found, "unreachable").message == (
        "again is never reached: ask-about-executives before it has the same condition"
    )


def test_a_rule_that_repeats_another_is_shown(tmp_path: Path) -> None:
    cap = (
        "  - id: again\n    per: contact\n    channels: [email, executive, webhook]\n    limit: 1\n"
        "    window: 336h\n    message: Once more.\n\n"
    )
    found = warnings(tmp_path, "frequency.yaml", ("caps:\n", f"caps:\n{cap}"))

    assert only(found, "duplicate-rule").message == (
        "one-touch-per-person has the same condition and effect as again; one of them is enough"
    )


def test_a_rule_that_is_tried_out_beside_the_one_in_force_is_no_repetition(tmp_path: Path) -> None:
    cap = (
        "  - id: stricter\n    mode: log_only\n    per: contact\n    limit: 1\n    window: 30d\n"
        "    message: Once a month.\n\n"
    )

    assert warnings(tmp_path, "frequency.yaml", ("caps:\n", f"caps:\n{cap}")) == []


@pytest.mark.parametrize(
    ("cap", "binds"),
    [
        ("per: account\n    limit: 9\n    window: 30d", False),
        ("per: account\n    limit: 8\n    window: 20d", False),
        ("per: contact\n    limit: 9\n    window: 20d", False),
        ("per: account\n    channels: [webhook]\n    limit: 8\n    window: 20d", False),
        ("per: account\n    limit: 7\n    window: 20d", True),
        ("per: account\n    limit: 9\n    window: 40d", True),
        ("per: account\n    limit: 9\n    window: 30d\n    operational: capped", True),
    ],
)
def test_a_cap_that_another_one_always_forestalls_is_shown(tmp_path: Path, cap: str, *, binds: bool) -> None:
    text = f"  - id: extra\n    {cap}\n    message: Enough.\n\n"
    # The cap per person is stricter than everything, so it is made lenient here.
    found = warnings(
        tmp_path,
        "frequency.yaml",
        ("limit: 1\n    window: 14d", "limit: 50\n    window: 1d"),
        ("caps:\n", f"caps:\n{text}"),
    )

    about = [each.message for each in found if each.message.startswith("extra never binds")]
    assert bool(about) is not binds
    if about:
        assert "account-touches allows no more (8 in 30d)" in about[0]


def test_a_rule_that_drops_every_loser_leaves_the_others_nothing_to_say(tmp_path: Path) -> None:
    found = warnings(
        tmp_path,
        "arbitration.yaml",
        (
            "then: defer\n    message: A better proposal goes first.",
            "then: suppress\n    message: It is dropped.",
        ),
    )

    assert only(found, "unreachable").message == (
        "one-voice-per-person never matters: next-turn suppresses whatever loses"
    )


def test_a_weight_without_a_condition_changes_no_order(tmp_path: Path) -> None:
    found = warnings(
        tmp_path,
        "arbitration.yaml",
        ("    when: account.tier == Tier.ONE && contact != null\n    percent", "    percent"),
    )

    assert "named-accounts has no condition" in only(found, "constant").message


def test_actors_channels_and_groups_that_nobody_uses_are_shown() -> None:
    files = dict(policies().files)
    files["people.yaml"] = files["people.yaml"].replace(
        "groups:\n",
        "  - {id: chatbot, kind: system}\n\ngroups:\n  - name: legal\n    members: [dana.reyes]\n",
    )
    channel = files["channels.yaml"][files["channels.yaml"].index("  - name: webhook") :].split("\n\n")[0]
    files["channels.yaml"] += (
        "\n" + channel.replace("webhook", "fax").replace("medium: web", "medium: post") + "\n"
    )
    files["authority.yaml"] = files["authority.yaml"].replace("channels: [any]", "channels: [email]")

    found = {each.code: each.message for each in lint(compile_policy_set(files), TODAY)}

    assert found == {
        "no-grant": "chatbot has no grant in authority.yaml, so all its proposals are denied",
        "unused-channel": "no grant in authority.yaml covers the channel fax, so nobody may use it",
        "unused-group": "no route in approvals.yaml asks the group legal",
    }
