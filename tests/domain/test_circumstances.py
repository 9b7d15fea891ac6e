"""What an account remembers of what it is going through, and of what came back after touches."""

from datetime import timedelta

from domain import (
    Block,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    SignalKind,
    SuppressionFact,
    Verdict,
)
from tests.builders import START, Shell, proposal, signal


def support(shell: Shell, signal_id: str, ago: timedelta = timedelta(0), **facts: str) -> None:
    at = shell.now - ago
    observed = signal(signal_id, kind=SignalKind.SUPPORT_CASE, observed_at=at, facts=facts)
    shell.send(Observed(observation=observed))


def open_cases(shell: Shell) -> dict[str, int]:
    return {case.case_id: case.severity for case in shell.state.circumstances.open_cases}


def sent() -> Shell:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.ALLOW})
    shell.deliver()
    return shell


def test_a_support_case_stays_open_until_it_is_closed() -> None:
    shell = Shell()
    support(shell, "s1", case_id="c-7", severity="2", status="open")
    support(shell, "s2", case_id="c-8", severity="high")
    assert open_cases(shell) == {"c-7": 2, "c-8": 2}

    support(shell, "s3", case_id="c-7", severity="1", status="escalated")
    assert open_cases(shell) == {"c-7": 1, "c-8": 2}

    support(shell, "s4", case_id="c-7", status="Resolved")
    assert open_cases(shell) == {"c-8": 2}


def test_reports_may_come_in_any_order() -> None:
    told = [
        (timedelta(days=9), {"severity": "3", "status": "open"}),
        (timedelta(days=5), {"severity": "1", "status": "open"}),
        (timedelta(days=1), {"status": "closed"}),
    ]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)):
        shell = Shell()
        for place in order:
            ago, facts = told[place]
            support(shell, f"s{place}", ago, case_id="c", **facts)
        assert open_cases(shell) == {}
    shell = Shell()
    for place in (1, 0):
        ago, facts = told[place]
        support(shell, f"s{place}", ago, case_id="c", **facts)
    assert open_cases(shell) == {"c": 1}


def test_of_two_reports_of_one_moment_the_more_severe_one_counts() -> None:
    for order in (("1", "3"), ("3", "1")):
        shell = Shell()
        for severity in order:
            support(shell, f"s{severity}", case_id="c", severity=severity)
        assert open_cases(shell) == {"c": 1}


def test_a_severity_nobody_can_read_counts_as_the_worst() -> None:
    shell = Shell()

    support(shell, "s1", severity="urgent!!")
    support(shell, "s2")

    assert open_cases(shell) == {"s1": 1, "s2": 1}


def test_the_worst_cases_are_the_ones_that_are_remembered() -> None:
    shell = Shell()
    for number in range(60):
        support(shell, f"s{number:02}", case_id=f"c{number:02}", severity="4")
    support(shell, "bad", case_id="bad", severity="1")

    assert len(open_cases(shell)) == 50
    assert open_cases(shell)["bad"] == 1


def test_objections_of_strangers_do_not_swell_the_account() -> None:
    """The shared store takes every one of them; whom the account does not know it cannot touch."""
    shell = Shell()
    for number in range(2_500):
        stop = signal(f"s{number}", kind=SignalKind.OPT_OUT, contact_id=f"stranger-{number}")
        shell.send(Observed(observation=stop))

    assert len(shell.state.contacts) == 2_000
    blocked = {
        fact.contact_id
        for effect in shell.effects
        if isinstance(effect, Block)
        for fact in effect.batch.facts
        if isinstance(fact, SuppressionFact)
    }
    assert len(blocked) == 2_500


def test_a_new_case_makes_a_ruling_on_its_way_stale() -> None:
    shell = Shell()
    before = shell.state.revision

    support(shell, "s1", severity="1")

    assert shell.state.revision > before


def test_the_latest_signal_of_each_kind_is_remembered_in_whatever_order_they_come() -> None:
    shell = Shell()
    for index, ago in enumerate((timedelta(days=3), timedelta(days=9), timedelta(days=5))):
        observed = signal(f"s{index}", kind=SignalKind.DEAL_LOST, observed_at=START - ago)
        shell.send(Observed(observation=observed))

    assert shell.state.circumstances.latest[SignalKind.DEAL_LOST] == START - timedelta(days=3)


def test_an_outcome_stays_with_its_touch_at_the_first_moment() -> None:
    shell = sent()
    (touch,) = shell.state.touches.values()
    at = shell.now
    for index, later in enumerate((timedelta(hours=3), timedelta(hours=1))):
        shell.wait(seconds=4 * 3600)
        outcome = Outcome(
            outcome_id=f"o{index}",
            source="email",
            touch_id=touch.touch_id,
            kind=OutcomeKind.NO_RESPONSE,
            at=at + later,
        )
        shell.send(OutcomeReported(outcome=outcome))

    (touch,) = shell.state.touches.values()
    assert touch.outcomes == {OutcomeKind.NO_RESPONSE: at + timedelta(hours=1)}


def test_a_reaction_of_the_person_counts_for_the_last_touch() -> None:
    shell = sent()
    (touch,) = shell.state.touches.values()
    shell.wait(seconds=60)
    clicked = signal("s9", kind=SignalKind.EMAIL_CLICK, contact_id=touch.contact_id, observed_at=shell.now)

    shell.send(Observed(observation=clicked))

    (touch,) = shell.state.touches.values()
    assert touch.outcomes == {OutcomeKind.CLICK: shell.now}


def test_somebody_elses_reaction_counts_for_no_touch() -> None:
    shell = sent()
    shell.wait(seconds=60)

    shell.send(
        Observed(
            observation=signal(
                "s9", kind=SignalKind.EMAIL_CLICK, contact_id="stranger", observed_at=shell.now
            )
        )
    )

    (touch,) = shell.state.touches.values()
    assert touch.outcomes == {}
