"""`tutti policy`: what owners of policies type, and what they read."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain import FactBatch, RulingRequest, TouchStatus, Verdict
from governance import load_policy_set
from ledger import Ledger
from tests.cli.program import DEMO_POLICIES, ROOT, Finished, refused, tutti
from tests.governance.worlds import NOW, edited, email, nurture, personalization, request, rule, with_room
from tests.ledger import facts
from tutti.policies.sets import load_folder
from tutti.terminal import CommandError

POLICIES = ROOT / "policies"
GAP = ("at_least: 2d", "at_least: 3d")


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody answers, and nobody will while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def ledger_at(home: Path) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{home / 'ledger.db'}")
    try:
        await ledger.migrate()
        yield ledger
    finally:
        await ledger.close()


def draft(tmp_path: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A changed copy of the shipped set without its tests, which would fail."""
    folder = edited(tmp_path, name, *changes)
    shutil.rmtree(folder / "tests", ignore_errors=True)
    return folder


async def published(
    folder: Path, *, home: Path, nobody: str, reason: str = "because", author: str = "dana.reyes"
) -> Finished:
    return await tutti(
        "policy", "publish", folder, "--reason", reason, "--author", author,
        cwd=home, TUTTI_HOME=str(home), TEMPORAL_ADDRESS=nobody, COLUMNS="120",
    )  # fmt: skip


async def asked(*arguments: str | Path, home: Path) -> Finished:
    return await tutti("policy", *arguments, cwd=home, TUTTI_HOME=str(home), COLUMNS="120")


# check


async def test_a_good_set_is_named_and_silent(tmp_path: Path) -> None:
    checked = await tutti("policy", "check", POLICIES, "--strict", cwd=tmp_path)

    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith(
        f"ok {POLICIES}: {len(load_policy_set(POLICIES).files)} files, "
        f"policy set {load_policy_set(POLICIES).digest[:12]}"
    )


async def test_a_warning_is_shown_at_its_place_and_fails_only_if_asked(tmp_path: Path) -> None:
    folder = draft(tmp_path, "people.yaml", ("groups:\n", "  - {id: chatbot, kind: system}\n\ngroups:\n"))

    usual, strict = await asyncio.gather(
        tutti("policy", "check", folder, cwd=tmp_path),
        tutti("policy", "check", folder, "--strict", cwd=tmp_path),
    )

    assert (usual.code, strict.code) == (0, 1)
    assert usual.err == strict.err
    assert ": warning: chatbot has no grant in authority.yaml" in usual.said[0]
    assert usual.said[1][usual.said[2].index("^") :].startswith("chatbot")
    assert usual.out.rstrip().endswith(", 1 warning")


async def test_what_a_file_holds_cannot_command_the_terminal(tmp_path: Path) -> None:
    folder = draft(tmp_path, "frequency.yaml")
    (folder / "frequency.yaml").write_bytes(b"caps: [\x1b[31m\x07]\n")

    checked = await tutti("policy", "check", folder, cwd=tmp_path)

    assert checked.code == 1
    assert "\x1b" not in checked.err
    assert "\x07" not in checked.err
    assert checked.said[0].startswith("frequency.yaml:1:")


# schema, test


async def test_schemas_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    written = await tutti("policy", "schema", "--out", tmp_path / "a" / "b", cwd=tmp_path)

    assert (written.code, written.err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(
        path.name for path in (ROOT / "docs" / "schemas" / "policies").iterdir()
    )


async def test_schemas_that_cannot_be_written_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    line = refused(await tutti("policy", "schema", "--out", tmp_path / "file", cwd=tmp_path))

    assert line == f"{tmp_path / 'file'}: File exists; choose a folder you can write to with --out"


async def test_passing_tests_are_a_line_each(tmp_path: Path) -> None:
    tested = await tutti("policy", "test", POLICIES, cwd=tmp_path)

    lines = tested.out.splitlines()
    assert (tested.code, tested.err) == (0, "")
    assert sum(line.startswith("pass ") for line in lines) == len(lines) - 2 > 60
    assert lines[-1] == f"{len(lines) - 2} tests, all passed"


async def test_a_failing_test_tells_what_was_expected_and_which_rules_spoke(tmp_path: Path) -> None:
    folder = edited(tmp_path, "frequency.yaml", ("limit: 1\n    window: 14d", "limit: 1\n    window: 10d"))

    tested = await tutti("policy", "test", folder, cwd=tmp_path, COLUMNS="120")

    assert tested.code == 1
    said = tested.out[tested.out.index("FAIL A second mail to the same person") :]
    assert "second: until expected 2026-12-03T10:00:00Z, got 2026-11-30T07:00:00Z" in said
    assert "FREQUENCY_CAP  one-touch-per-person  frequency.yaml:" in said
    assert " failed" in tested.out.splitlines()[-1]


async def test_a_set_without_tests_and_a_test_with_a_mistake_are_told(tmp_path: Path) -> None:
    folder = draft(tmp_path, "frequency.yaml")
    none = await tutti("policy", "test", folder, cwd=tmp_path)
    (folder / "tests").mkdir()
    (folder / "tests" / "mine.yaml").write_text("cases:\n  - nam: x\n")

    wrong = await tutti("policy", "test", folder, cwd=tmp_path)

    os.mkfifo(folder / "tests" / "pipe.yaml")
    endless = await tutti("policy", "test", folder, cwd=tmp_path)

    assert refused(none).startswith(f"{folder / 'tests'}: no tests; ")
    assert refused(endless).startswith(f"{folder / 'tests' / 'pipe.yaml'}: it is no regular file; ")
    assert (wrong.code, wrong.out) == (1, "")
    assert any("tests/mine.yaml:2:5: error: there is no key `nam`" in line for line in wrong.said)


# diff


async def test_two_folders_are_compared_without_a_ledger(tmp_path: Path) -> None:
    folder = draft(tmp_path, "timing.yaml", GAP)
    (tmp_path / "home").mkdir()

    compared, same = await asyncio.gather(
        asked("diff", POLICIES, folder, home=tmp_path / "home"),
        asked("diff", POLICIES, POLICIES, home=tmp_path / "home"),
    )

    assert (compared.code, compared.err) == (0, "")
    assert [line.rstrip() for line in compared.out.splitlines()[1:]] == [
        "~ timing.yaml: account-gap now has at least 3d (was 2d)"
    ]
    assert same.out.splitlines()[1] == "no difference"


async def test_what_names_no_set_is_one_clear_line(tmp_path: Path, nobody: str) -> None:
    unknown = await asked("diff", "nowhere", POLICIES, home=tmp_path)
    endless = await asked("diff", "x" * 5_000, POLICIES, home=tmp_path)
    no_ledger = await asked("diff", "3", POLICIES, home=tmp_path)
    await published(POLICIES, home=tmp_path, nobody=nobody)
    number, digest, broken = await asyncio.gather(
        asked("diff", "3", POLICIES, home=tmp_path),
        asked("diff", "abcdef0", POLICIES, home=tmp_path),
        asked("diff", home=tmp_path),
    )

    assert refused(unknown).startswith("nowhere: neither a folder, nor the number of a release, nor ")
    assert ": neither a folder, nor " in refused(endless)
    assert refused(no_ledger).startswith(f"there is no ledger at {tmp_path / 'ledger.db'}; start the stack")
    assert refused(number) == "the ledger knows no release or policy set 3; the latest is 1"
    assert refused(digest) == "the ledger knows no release or policy set abcdef0; the latest is 1"
    assert (
        refused(broken)
        == f"{tmp_path / 'policies'}: no such folder of policies; name one, or set TUTTI_POLICIES"
    )


# publish, rollback, releases


async def test_a_set_is_published_compared_and_rolled_back(tmp_path: Path, nobody: str) -> None:
    home, folder = tmp_path / "home", draft(tmp_path, "timing.yaml", GAP)
    home.mkdir()
    first, second = load_policy_set(POLICIES), load_policy_set(folder)

    one = await published(POLICIES, home=home, nobody=nobody, reason="first set")
    two = await published(folder, home=home, nobody=nobody, reason="longer rest", author="mara.lindqvist")
    again = await published(folder, home=home, nobody=nobody)
    backwards = await asked("diff", "1", "2", home=home)
    by_digest = await asked("diff", first.digest[:8], second.digest, home=home)
    in_force = await asked("diff", str(POLICIES), "2", home=home)
    back = await tutti(
        "policy", "rollback", "--reason", "too\nlong", "--author", "tom.okafor",
        cwd=home, TUTTI_HOME=str(home), TEMPORAL_ADDRESS=nobody,
    )  # fmt: skip
    listed = await asked("releases", home=home)

    change = "~ timing.yaml: account-gap now has at least 3d (was 2d)"
    assert (one.code, two.code, again.code, back.code) == (0, 0, 0, 0), (one, two, again, back)
    assert f"ok release 1, policy set {first.digest[:12]}" in one.out
    assert "the engine does not answer; accounts take the set up at their next ruling" in one.out
    assert change in two.out
    assert f"ok release 2, policy set {second.digest[:12]}" in two.out
    assert (
        f"policy set {second.digest[:12]} is in force already: release 2, published by mara.lindqvist"
        in again.out
    )
    for compared in (backwards, by_digest, in_force):
        assert compared.out.splitlines()[1].rstrip() == change
    assert "~ timing.yaml: account-gap now has at least 2d (was 3d)" in back.out
    rows = [line.split() for line in listed.out.splitlines()[1:]]
    assert [(row[0], row[1], row[4], row[5], " ".join(row[6:])) for row in rows] == [
        ("3", first.digest[:12], "tom.okafor", "rollback", "too long"),
        ("2", second.digest[:12], "mara.lindqvist", "publish", "longer rest"),
        ("1", first.digest[:12], "dana.reyes", "publish", "first set"),
    ]
    async with ledger_at(home) as ledger:
        release = await ledger.release_in_force()
        assert release is not None
        assert await ledger.policy_set(release.digest) == dict(first.files)


async def test_nobody_but_a_person_of_the_set_in_force_publishes(tmp_path: Path, nobody: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    folder = draft(tmp_path, "people.yaml", ("groups:\n", "  - {id: eve.new, kind: person}\n\ngroups:\n"))

    agent = await published(POLICIES, home=home, nobody=nobody, author="sdr-agent")
    first = await published(POLICIES, home=home, nobody=nobody)
    herself = await published(folder, home=home, nobody=nobody, author="eve.new")
    by_setting = await tutti(
        "policy", "publish", folder, "--reason", "eve joins",
        cwd=home, TUTTI_HOME=str(home), TEMPORAL_ADDRESS=nobody, TUTTI_USER="tom.okafor",
    )  # fmt: skip

    assert "sdr-agent is no person in people.yaml of " in agent.err
    assert agent.code == 1
    assert first.code == 0
    assert "eve.new is no person in people.yaml of release 1" in herself.err
    assert by_setting.code == 0
    async with ledger_at(home) as ledger:
        assert [(each.number, each.author) for each in await ledger.releases()] == [
            (2, "tom.okafor"),
            (1, "dana.reyes"),
        ]


async def test_a_set_whose_tests_fail_is_not_published(tmp_path: Path, nobody: str) -> None:
    home, folder = tmp_path / "home", edited(tmp_path, "timing.yaml", GAP)
    home.mkdir()

    finished = await published(folder, home=home, nobody=nobody)

    assert finished.code == 1
    assert "error: nothing was published: " in finished.err
    assert "FAIL " in finished.out
    assert not (home / "ledger.db").exists()


async def test_a_file_that_is_gone_by_the_time_of_publishing_is_named(tmp_path: Path, nobody: str) -> None:
    home, folder = tmp_path / "home", draft(tmp_path, "timing.yaml")
    home.mkdir()
    checked = await tutti("policy", "check", folder, cwd=tmp_path)
    (folder / "timing.yaml").unlink()

    finished = await published(folder, home=home, nobody=nobody)

    assert checked.code == 0
    assert (finished.code, finished.out) == (1, "")
    assert finished.said[0] == f"timing.yaml: error: the file is missing in {folder}"
    assert not (home / "ledger.db").exists()


async def test_there_must_be_something_to_go_back_to(tmp_path: Path, nobody: str) -> None:
    async with ledger_at(tmp_path):
        nothing = await asked("rollback", "--reason", "x", home=tmp_path)
    await published(POLICIES, home=tmp_path, nobody=nobody)
    single, unknown, silent = await asyncio.gather(
        asked("rollback", "--reason", "x", home=tmp_path),
        asked("rollback", "--reason", "x", "--to", "9", home=tmp_path),
        asked("rollback", "--reason", "  ", home=tmp_path),
    )

    assert refused(nothing) == "nothing has been published yet, so there is nothing to go back to"
    assert refused(single) == "release 1 is the only policy set so far; nothing to go back to"
    assert refused(unknown) == "there is no release 9; the latest is 1"
    assert refused(silent, 2) == "--reason is empty; say in a few words why"


async def test_a_reason_that_would_command_the_terminal_is_kept_without_that(
    tmp_path: Path, nobody: str
) -> None:
    done = await published(POLICIES, home=tmp_path, nobody=nobody, reason="calm \x1b[31m\udcff\x07 words")
    listed = await asked("releases", home=tmp_path)

    assert (done.code, done.err) == (0, "")
    assert "calm [31m? words" in listed.out


# explain, coverage, replay


async def rulings_on_record(home: Path, count: int = 24) -> None:
    """Rulings under the shipped set, an hour apart up to now."""
    policies = load_policy_set(POLICIES)

    def at(number: int) -> RulingRequest:
        moment = NOW + timedelta(hours=number)
        rivals = (email(), nurture(), personalization())
        return with_room(policies, request(*rivals, now=moment, revision=number + 1))

    async with ledger_at(home) as ledger:
        for number in range(count):
            made = at(number)
            ruling = rule(policies, made)
            # The touches are not made, so nothing must take their places.
            free = tuple(decision.model_copy(update={"draws": ()}) for decision in ruling.decisions)
            assert await ledger.enter_ruling(made, ruling.model_copy(update={"decisions": free}))


async def test_a_draft_is_held_against_the_rulings_on_record(tmp_path: Path) -> None:
    await rulings_on_record(tmp_path)
    folder = draft(tmp_path, "timing.yaml", ('to: "08:00"', 'to: "10:00"'))

    told, plain, none = await asyncio.gather(
        asked("replay", "--set", folder, home=tmp_path),
        asked("replay", "--set", folder, "--json", home=tmp_path),
        asked("replay", "--set", folder, "--since", "1s", home=tmp_path),
    )

    found = json.loads(plain.out)
    assert (told.code, plain.code, plain.err) == (0, 0, "")
    assert (found["rulings"], found["decisions"]) == (24, 72)
    assert found["changed"] == sum(each["decisions"] for each in found["verdicts"]) > 0
    assert found["actors"].keys() >= {"sdr-agent"}
    assert set(found["rules_now"]) >= {"nights"}
    assert found["policy_digest"] == load_policy_set(folder).digest
    assert told.out.startswith(f"{found['changed']} of 72 decisions would come out otherwise under")
    assert "Each ruling was judged on its own" in told.out
    assert "allow -> defer" in told.out
    if datetime.now(UTC) > NOW + timedelta(days=2):  # the record is older than a second
        assert none.out.startswith("no rulings on record for that time")


async def test_a_shared_cap_that_only_the_draft_has_is_counted_from_the_ledger(tmp_path: Path) -> None:
    await rulings_on_record(tmp_path, 3)
    cap = "  - id: everybody\n    per: tenant\n    limit: 9\n    window: 1d\n    message: Enough.\n\n"
    folder = draft(tmp_path, "frequency.yaml", ("caps:\n", f"caps:\n{cap}"))

    found = json.loads((await asked("replay", "--set", folder, "--json", home=tmp_path)).out)

    assert (found["rulings"], found["changed"]) == (3, 0)


async def test_a_shared_cap_that_the_draft_tightens_is_counted_again(tmp_path: Path) -> None:
    """What was recorded is the room under the old number: the draft's is another one."""
    cap = "  - id: everybody\n    per: tenant\n    limit: {}\n    window: 1d\n    message: Enough.\n\n"
    wide = draft(tmp_path / "wide", "frequency.yaml", ("caps:\n", f"caps:\n{cap.format(9)}"))
    tight = draft(tmp_path / "tight", "frequency.yaml", ("caps:\n", f"caps:\n{cap.format(1)}"))
    policies = load_policy_set(wide)
    made = with_room(policies, request(email()))
    ruling = rule(policies, made)
    async with ledger_at(tmp_path) as ledger:
        await ledger.record_policy_set(policies.digest, files=policies.files, at=NOW)
        elsewhere = facts.touch_fact(1, status=TouchStatus.HANDED_OVER)
        before = elsewhere.model_copy(update={"at": NOW - timedelta(hours=1)})
        await ledger.record(FactBatch(account_id="contoso", facts=(before,)))
        assert await ledger.enter_ruling(made, ruling)

    same, found = await asyncio.gather(
        asked("replay", "--set", wide, "--json", home=tmp_path),
        asked("replay", "--set", tight, "--json", home=tmp_path),
    )

    assert ruling.decisions[0].verdict is Verdict.ALLOW
    assert json.loads(same.out)["changed"] == 0
    assert json.loads(found.out)["verdicts"] == [{"before": "allow", "after": "defer", "decisions": 1}]
    assert json.loads(found.out)["rules_now"] == {"everybody": 1}


async def test_rules_that_never_and_always_speak_are_listed(tmp_path: Path) -> None:
    await rulings_on_record(tmp_path)

    shown, empty = await asyncio.gather(
        asked("coverage", "--set", POLICIES, home=tmp_path),
        asked("coverage", "--set", POLICIES, "--since", "1 week", home=tmp_path),
    )

    never, always = shown.out.index("never spoke: "), shown.out.index("always spoke: ")
    rest = shown.out.index("spoke now and then: ")
    assert never < shown.out.index("large-values") < always < shown.out.index("nurture-emails") < rest
    assert rest < shown.out.index("nights")
    assert "24 rulings judged again" in shown.out
    assert empty.code == 2
    assert "write it like 30s, 15m, 4h or 7d" in empty.err


async def test_a_rule_is_explained_with_its_lines_and_what_it_did(tmp_path: Path) -> None:
    without = await asked("explain", "competitors", "--set", POLICIES, home=tmp_path)
    await rulings_on_record(tmp_path, 1)
    known, misspelt, built_in = await asyncio.gather(
        asked("explain", "nights", "--set", POLICIES, home=tmp_path),
        asked("explain", "nihgts", "--set", POLICIES, home=tmp_path),
        asked("explain", "engine.hold", "--set", POLICIES, home=tmp_path),
    )

    text = (POLICIES / "suppression.yaml").read_text().splitlines()
    line = text.index("  - id: competitors") + 1
    assert f"competitors  lists of suppression.yaml:{line}" in without.out
    assert f"{line:>4} |   - id: competitors" in without.out
    assert "owner    mara.lindqvist" in without.out
    assert "there is no ledger here" in without.out
    assert "it has not spoken in any of " in known.out
    assert refused(misspelt) == "the policy set has no rule 'nihgts'; did you mean 'nights'?"
    assert "engine.hold  built in; no policy file can change it" in built_in.out


async def test_a_folder_is_named_as_it_was_typed() -> None:
    assert load_folder(DEMO_POLICIES).label == str(DEMO_POLICIES)
    assert CommandError.code == "COMMAND"
