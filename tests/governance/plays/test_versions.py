"""A run keeps the version it started with, and moves to another one only on purpose."""

from __future__ import annotations

import pytest

from domain import PlayMove, PlayStatus, SignalKind
from governance import PolicyFileError, PolicySet, compile_policy_set, load_play
from tests.governance.plays.staging import DAY, HEAD, Stage, files, mail, task, wait, with_steps

OLD = with_steps(mail() + wait() + task())


def policies_with(play: str, **contents: str) -> PolicySet:
    return compile_policy_set(files(play, **contents))


def republished(stage: Stage, play: str, **contents: str) -> Stage:
    """Another set is in force; the version of the run is read from the files of the old one."""
    run, old = stage.standing, stage.policies
    stage.pinned[old.digest, run.play_id] = load_play(old.files, run.play_id)
    stage.policies = policies_with(play, **contents)
    return stage


def moving(stage: Stage, **steps: str) -> PlayMove:
    return PlayMove(policy_digest=stage.policies.digest, steps=steps)


def test_a_version_is_what_the_play_and_its_contents_say() -> None:
    def version(play: str = OLD, **contents: str) -> str:
        return policies_with(play, **contents).plays["welcome"].version

    text = files()["content/hello.yaml"]
    assert version(OLD + "# A comment.\n") == version()
    assert version(OLD.replace("for: 3d", "for:   3d")) == version()
    assert version(hello=f"# A comment.\n{text}") == version()
    assert version(unused="id: unused\ntext: Nobody reads this.\n") == version()
    assert version(OLD.replace("for: 3d", "for: 4d")) != version()
    assert version(hello=text.replace("Good", "So good")) != version()


def test_a_play_is_read_from_an_old_set_whatever_has_become_of_the_rest() -> None:
    old = {**files(OLD), "timing.yaml": "broken: [", "plays/other.yaml": "id: [", "people.yaml": ""}

    assert load_play(old, "welcome").version == policies_with(OLD).plays["welcome"].version
    del old["content/hello.yaml"]
    with pytest.raises(PolicyFileError, match=r"content/hello\.yaml.*missing"):
        load_play(old, "welcome")
    with pytest.raises(PolicyFileError, match=r"plays/nothing\.yaml.*no such play"):
        load_play(old, "nothing")
    with pytest.raises(PolicyFileError, match=r"plays/other\.yaml"):
        load_play(old, "other")


def test_a_run_keeps_its_version_when_another_set_is_published() -> None:
    stage = Stage(OLD).enter()
    version = stage.standing.version

    republished(stage, with_steps(mail() + wait(what="for: 9d") + task("other")))

    stage.end("mail")
    assert stage.standing.due_at == stage.now + 3 * DAY
    assert stage.later(3 * DAY).steps_open == ["task"]
    assert stage.standing.version == version


def test_a_run_keeps_its_version_even_when_its_play_is_gone() -> None:
    stage = Stage(OLD).enter()
    republished(stage, with_steps(task(), HEAD.replace("welcome", "other")))

    assert stage.end("mail").later(3 * DAY).steps_open == ["task"]


def test_a_run_whose_version_cannot_be_read_ends_as_broken() -> None:
    stage = Stage(OLD).enter()
    republished(stage, with_steps(task()))
    stage.pinned.clear()

    stage.end("mail")

    assert (stage.standing.status, stage.standing.end_id) == (PlayStatus.EXITED, "broken")
    assert "cannot be read" in (stage.standing.end_message or "")


def test_a_run_moves_to_another_version_on_purpose() -> None:
    head = HEAD.replace("30d", "40d") + (
        "goal: {on: [meeting_booked], message: Booked.}\n"
        "exit:\n  - {id: hot, when: days_since.web_visit != null, message: They look.}\n"
        "displaced_by:\n  - {id: rest, intents: [closing], then: suspend, message: M.}\n"
        "recall: [call]\n"
    )
    stage = Stage(OLD).enter().end("mail")
    started = stage.standing
    republished(stage, with_steps(mail() + wait("rest", "for: 9d") + task("call"), head))

    stage.ask(move_to=moving(stage, pause="rest"))

    run = stage.standing
    assert (run.run_id, run.step, run.entered_at) == (started.run_id, "rest", started.entered_at)
    assert run.due_at == started.entered_at + 9 * DAY, "the wait is that of the new version"
    assert (run.version, run.policy_digest) == (
        stage.policies.plays["welcome"].version,
        stage.policies.digest,
    )
    assert [each.exit_id for each in run.exits] == ["goal"]
    assert [each.rule_id for each in run.preemptions] == ["rest"]
    assert (run.recalls, run.reviews, run.ends_by) == (("call",), True, started.started_at + 40 * DAY)
    assert stage.later(9 * DAY).steps_open == ["call"]


@pytest.mark.parametrize(
    ("new", "steps", "words"),
    [
        (mail() + task(), {}, "no step pause"),
        (mail() + wait("rest") + task(), {}, "no step pause"),
        (mail() + task("pause"), {}, "another sort than pause"),
        (mail() + wait("rest") + task(), {"pause": "task"}, "another sort than pause"),
    ],
)
def test_a_run_that_has_no_place_in_the_other_version_stays_as_it_is(
    new: str, steps: dict[str, str], words: str
) -> None:
    stage = Stage(OLD).enter().end("mail")
    before = stage.standing
    republished(stage, with_steps(new))

    plan = stage.ask(move_to=moving(stage, **steps))

    assert plan.run == before
    (refused,) = plan.refused
    assert words in refused.message


def test_a_run_does_not_move_to_a_set_that_has_no_such_play() -> None:
    stage = Stage(OLD).enter()
    before = stage.standing
    republished(stage, with_steps(task(), HEAD.replace("welcome", "other")))

    plan = stage.ask(move_to=moving(stage))

    assert plan.run == before
    assert "has no play welcome" in plan.refused[0].message


def test_a_touch_that_is_waited_for_keeps_its_name() -> None:
    stage = Stage(OLD).enter()
    republished(stage, with_steps(mail("letter") + wait()))

    assert "move it afterwards" in stage.ask(move_to=moving(stage, mail="letter")).refused[0].message

    republished(stage, with_steps(mail() + wait("rest")))
    assert stage.ask(move_to=moving(stage)).refused == ()
    assert stage.steps_open == ["mail"]
    assert stage.end("mail").standing.step == "rest"


def test_what_was_done_is_known_under_its_new_name() -> None:
    stage = Stage(OLD).enter().end("mail")
    republished(stage, with_steps(mail("letter") + wait() + mail("again", "{same_as: letter}")))

    stage.ask(move_to=moving(stage, mail="letter"))

    assert stage.later(3 * DAY).only().contact_id == "champion"


def test_a_suspended_run_moves_and_stays_suspended() -> None:
    stage = Stage(OLD).enter().end("mail").suspend()
    republished(stage, with_steps(mail() + wait() + task("call")))

    stage.ask(move_to=moving(stage))

    assert stage.standing.status is PlayStatus.SUSPENDED
    assert stage.standing.policy_digest == stage.policies.digest
    assert stage.later(3 * DAY).ask().proposals[0].play.step == "call"  # type: ignore[union-attr]


def test_exits_of_the_new_version_hold_at_once() -> None:
    head = HEAD + "exit:\n  - {id: hot, when: days_since.web_visit != null, message: They look.}\n"
    stage = Stage(OLD).enter().end("mail").signal(SignalKind.WEB_VISIT)
    republished(stage, with_steps(mail() + wait() + task(), head))

    stage.ask(move_to=moving(stage))

    assert stage.standing.end_id == "hot"


def test_a_run_whose_touch_has_just_ended_goes_on_when_it_cannot_move() -> None:
    stage = Stage(OLD).enter()
    republished(stage, with_steps(wait(what="for: 9d") + mail("other")))
    stage.open.clear()
    stage.run = stage.standing.model_copy(update={"pending": ()})

    plan = stage.ask(move_to=moving(stage))

    assert [refusal.play_id for refusal in plan.refused] == ["welcome"]
    assert stage.standing.pending, "it has something to wait for"
    assert stage.standing.version == stage.pinned[stage.standing.policy_digest, "welcome"].version


def test_a_touch_that_has_begun_is_not_made_again_under_a_new_name() -> None:
    def together(first: str, second: str = "two") -> str:
        inner = (mail(first), mail(second, "[decision_maker]"))
        lines = "".join(inner).splitlines(keepends=True)
        return with_steps("  - id: both\n    parallel:\n" + "".join(f"    {line}" for line in lines))

    stage = Stage(together("one")).enter().end("one")
    republished(stage, together("first"))

    plan = stage.ask(move_to=moving(stage))

    assert "has no one, which has begun" in plan.refused[0].message
    stage.end("two")
    assert len(stage.made) == 2, "nobody gets the first one again"
