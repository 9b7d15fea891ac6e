"""Mistakes in people.yaml and in routes: each with its line, a caret below it, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from governance import PolicyError, PolicySet, compile_policy_set, lint, load_policy_set
from tests.governance.asking import NOW, never_ambiguous
from tests.governance.worlds import edited, policies

HOURS = 'hours: {from: "08:00", until: "18:00", time_zone: Europe/Berlin, holidays: DE}'
OPS_HOURS = 'half_days: {fri: "14:00"}'
GROUPS = "groups:\n"
LEAVE = "leave:\n  - {{person: dana.reyes, from: 2026-12-21, until: 2027-01-04{}}}\ngroups:\n"
DEFAULT_ROUTE = "  due_in: 4h\n  remind: [2h, 4h]\n"
EXECUTIVES = "    escalate: [{after: 12h, to: executives}]\n"


def with_leave(*entries: str) -> tuple[str, str]:
    listed = "\n".join(f"  - {{{entry}}}" for entry in entries)
    return GROUPS, f"leave:\n{listed}\n{GROUPS}"


AWAY = "person: dana.reyes, from: 2026-12-21, until: 2027-01-04"
PEOPLE = [
    ((HOURS, HOURS.replace("18:00", "08:00")), '"08:00", time', "the hours are empty"),
    ((HOURS, HOURS.replace("18:00", "07:30")), '"07:30"', "the hours end before they begin"),
    ((HOURS, HOURS.replace("holidays: DE", "holidays: ZZ")), "ZZ", "public holidays of 'ZZ' are not known"),
    ((HOURS, HOURS.replace("Europe/Berlin", "Europe/Berlyn")), "Europe/Berlyn", "no IANA time zone"),
    ((HOURS, HOURS.replace("{from", "{days: [], from")), "[]", "at least 1 entry"),
    ((HOURS, HOURS.replace("{from", "{days: [mon, mon], from")), "mon], from", "'mon' is listed twice"),
    ((HOURS, HOURS.replace("{from", "{days: [mun], from")), "mun", "mon"),
    ((OPS_HOURS, 'half_days: {fry: "14:00"}'), "fry", "'fry' is no day"),
    ((OPS_HOURS, 'half_days: {02-30: "14:00"}'), "02-30", "'02-30' is no day"),
    ((OPS_HOURS, 'half_days: {sat: "14:00"}'), "sat", "does not work on 'sat' at all"),
    ((OPS_HOURS, 'half_days: {fri: "17:00"}'), '"17:00"}', "before it ends on other days"),
    ((OPS_HOURS, 'half_days: {fri: "09:00"}'), '"09:00"}', "after work begins"),
    (with_leave(AWAY.replace("dana.reyes", "dana.rayes")), "dana.rayes", "no person 'dana.rayes'"),
    (with_leave(AWAY.replace("dana.reyes", "sdr-agent")), "sdr-agent", "no person 'sdr-agent'"),
    (with_leave(AWAY + ", delegate: dana.reyes"), "dana.reyes}", "cannot answer in their own place"),
    (with_leave(AWAY + ", delegate: sdr-agent"), "sdr-agent}", "agents never approve, for nobody"),
    (with_leave(AWAY + ", delegate: nobody"), "nobody", "no person 'nobody'"),
    (with_leave(AWAY.replace("2027-01-04", "2026-12-20")), "2026-12-20", "ends before it begins"),
    (with_leave(AWAY.replace("2026-12-21", "soon")), "soon", "a date"),
    (
        with_leave(AWAY, "person: dana.reyes, from: 2027-01-04, until: 2027-01-05"),
        "2027-01-04, until: 2027-01-05",
        "dana.reyes is away from 2026-12-21 until 2027-01-04 already",
    ),
    (("members: [ines.castell]", "members: []"), "[]", "at least 1 entry"),
    (
        ("{id: nurture, kind: system}", "{id: nurture, kind: system, email: n@example.com}"),
        "n@example.com",
        "only persons are told what waits for them",
    ),
    (
        ("email: tom.okafor@example.com}", "email: tom}"),
        "tom}",
        "email address",
    ),
]
ROUTES = [
    (("to: executives", "to: executive"), "executive}", "no group 'executive'"),
    (("to: executives", "to: sales-leadership"), "sales-leadership}", "has been asked already by then"),
    (("after: 12h", "after: 24h"), "24h, to", "ended with `answer_within`"),
    (
        (EXECUTIVES, "    escalate: [{after: 12h, to: executives}, {after: 6h, to: revenue-operations}]\n"),
        "6h, to",
        "must come later than the one before it",
    ),
    ((DEFAULT_ROUTE, "  due_in: 9h\n"), "9h", "due only after it has ended"),
    ((DEFAULT_ROUTE, "  remind: [8h]\n"), "8h]", "never goes out"),
    ((DEFAULT_ROUTE, "  due_in: 4h\n  remind: [5h]\n"), "5h]", "comes after the answer is due"),
    ((DEFAULT_ROUTE, "  remind: [2h, 2h]\n"), "2h]", "listed twice"),
    ((DEFAULT_ROUTE, "  groups: [executives]\n"), "groups: [executives]", "either `group` or `groups`"),
    (
        (f"  group: sales-leadership\n  answer_within: 8h\n{DEFAULT_ROUTE}", "  answer_within: 8h\n"),
        "id: ask-sales",
        "who is asked?",
    ),
    ((DEFAULT_ROUTE, "  quorum: 3\n"), "3", "has only 2 members"),
    ((DEFAULT_ROUTE, "  quorum: 2\n  distinct_groups: true\n"), "true", "only be asked for with `groups`"),
    (
        (
            "      groups: [revenue-operations, sales-leadership]\n",
            "      groups: [revenue-operations, executives]\n      quorum: 3\n      distinct_groups: true\n",
        ),
        "3",
        "only 2 groups are asked",
    ),
    (
        (
            "      groups: [revenue-operations, sales-leadership]\n",
            "      groups: [executives, executives]\n",
        ),
        "executives]",
        "listed twice",
    ),
    (
        ("      groups: [revenue-operations, sales-leadership]\n", "      groups: [executives, sales]\n"),
        "sales]",
        "no group 'sales'",
    ),
    ((DEFAULT_ROUTE, "  clock: business\n"), "business", "business_hours"),
    (
        ("    group: revenue-operations\n    clock", "    group: executives\n    clock"),
        "business_hours",
        "executives has no `hours` in people.yaml",
    ),
    (("    group: executives\n    review", "    group: nobody\n    review"), "nobody", "no group 'nobody'"),
    (("      id: review-broken-glass", "      id: ask-about-doubts"), "ask-about-doubts", "is already used"),
    (("    answer_within: 40h", "    answer_within: 91d"), "91d", "at most 90d of business hours"),
    ((DEFAULT_ROUTE, "  risk: extreme\n"), "extreme", "high"),
    (("  in_doubt:\n", "  in_dout:\n"), "in_dout", "no key `in_dout`"),
]


@pytest.mark.parametrize(
    ("file", "change", "marked", "words"),
    [
        *(("people.yaml", *row) for row in PEOPLE),
        *(("approvals.yaml", *row) for row in ROUTES),
    ],
)
def test_a_mistake_is_told_where_it_stands(
    tmp_path: Path, file: str, change: tuple[str, str], marked: str, words: str
) -> None:
    folder = edited(tmp_path, file, change)

    with pytest.raises(PolicyError) as caught:
        load_policy_set(folder)

    problem = next(each for each in caught.value.problems if words in str(each))
    text = (folder / file).read_text().splitlines()
    shown = text[problem.place.line - 1][problem.place.column - 1 :]
    assert problem.place.file == file
    assert shown.startswith(marked.strip()) or marked in shown
    assert re.search(r"^ +\| +\^", str(caught.value), re.MULTILINE), "a caret below it"


def test_four_eyes_need_persons_who_are_not_the_same(tmp_path: Path) -> None:
    edited(tmp_path, "people.yaml", ("members: [mara.lindqvist, lena.fischer]", "members: [ines.castell]"))
    route = "      groups: [revenue-operations, sales-leadership]\n"
    four = "      groups: [revenue-operations, executives]\n      quorum: 2\n      distinct_groups: true\n"

    with pytest.raises(PolicyError) as caught:
        load_policy_set(edited(tmp_path, "approvals.yaml", (route, four)))

    assert "2 must approve" in str(caught.value) or "2 from different groups must approve" in str(
        caught.value
    )


def without_the_new_words() -> PolicySet:
    """The shipped set as it was before routes had more to say than a group and a time."""
    approvals = policies().files["approvals.yaml"]
    approvals = approvals[: approvals.index("exceptions:")]
    for line in ("due_in", "remind", "escalate", "risk"):
        approvals = re.sub(rf"^ +{line}: .*\n", "", approvals, flags=re.MULTILINE)
    return compile_policy_set(
        {**policies().files, "approvals.yaml": approvals, "interpretation.yaml": never_ambiguous()}
    )


def test_files_without_the_new_words_mean_what_they_meant() -> None:
    old, new = without_the_new_words(), policies()

    for before, after in zip(old.approvals.routes, new.approvals.routes, strict=True):
        assert (before.groups, before.quorum) == (after.groups, after.quorum)
        assert (before.answer_within, before.on_expiry) == (after.answer_within, after.on_expiry)
        assert before.due_in == before.answer_within
    assert (old.approvals.exceptions, old.approvals.break_glass) == ({}, None)


def test_every_group_that_any_part_of_the_file_names_is_in_use() -> None:
    assert not [warning for warning in lint(policies(), NOW.date()) if warning.code == "unused-group"]
    unused = [
        warning for warning in lint(without_the_new_words(), NOW.date()) if warning.code == "unused-group"
    ]
    assert [warning.message for warning in unused] == [
        "no route in approvals.yaml asks the group revenue-operations",
        "no route in approvals.yaml asks the group executives",
    ]


AWAY_TOO = "lena.fischer is away as well from 2026-12-03 until 2026-12-04; nobody answers for dana.reyes then"


def test_a_leave_that_is_over_and_a_delegate_who_is_away_deserve_a_look(tmp_path: Path) -> None:
    entries = (
        "person: tom.okafor, from: 2026-11-02, until: 2026-11-23",
        "person: dana.reyes, from: 2026-11-24, until: 2026-12-04, delegate: lena.fischer",
        "person: lena.fischer, from: 2026-12-03, until: 2026-12-09",
    )
    policy_set = load_policy_set(edited(tmp_path, "people.yaml", with_leave(*entries)))

    found = [(each.code, each.message) for each in lint(policy_set, NOW.date())]

    assert found == [
        ("expired", "the leave of tom.okafor ended on 2026-11-23; remove it"),
        ("delegate-away", AWAY_TOO),
    ]
