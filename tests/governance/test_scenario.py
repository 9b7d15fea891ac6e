"""Four systems see the same account; through one ruling it sees one coherent approach."""

from datetime import timedelta
from pathlib import Path

import pytest

from domain import ReasonCode, TouchStatus, Verdict
from governance import load_policy_set
from tests.governance.worlds import (
    DEFAULT,
    DEMO,
    NOW,
    candidate,
    decisions,
    edited,
    email,
    executive,
    nurture,
    only,
    personalization,
    policies,
    request,
    rule_ids,
    touch,
)

both_sets = pytest.mark.parametrize("directory", [DEFAULT, DEMO], ids=["default", "demo"])


@both_sets
def test_four_rivals_in_one_window_end_in_one_touch_and_three_honest_reasons(directory: Path) -> None:
    made = decisions(policies(directory), request(executive(), personalization(), nurture(), email()))

    sdr, lost, site, office = (made[each] for each in ("sdr-1", "nurture-1", "web-1", "exec-1"))
    assert (sdr.verdict, sdr.reason, sdr.rank) == (Verdict.ALLOW, ReasonCode.ALLOWED, 1)
    assert sdr.handover is not None
    assert sdr.handover.task_queue == "channel-email"
    assert sdr.score is not None
    assert sdr.score.total == pytest.approx(12_000)
    assert sdr.rivals == ("exec-1", "nurture-1", "web-1")

    assert (lost.verdict, lost.reason) == (Verdict.SUPPRESS, ReasonCode.LOWER_PRIORITY)
    assert lost.hits[0].rule_id == "one-voice-per-person"
    assert lost.hits[0].file == "arbitration.yaml"
    assert (lost.handover, lost.route) == (None, None)

    assert (site.verdict, site.reason) == (Verdict.DEFER, ReasonCode.LOWER_PRIORITY)
    assert site.until == NOW + policies(directory).timing.gap_length

    assert (office.verdict, office.reason) == (Verdict.REQUIRE_APPROVAL, ReasonCode.APPROVAL_NEEDED)
    assert office.rank is None
    assert office.route is not None
    assert (office.route.group, office.route.approvers) == ("sales-leadership", ("dana.reyes",))
    assert office.route.excluded == ("tom.okafor",)


@both_sets
def test_the_approved_one_is_ruled_again_and_waits_for_the_gap(directory: Path) -> None:
    sent = touch(NOW, channel="email", contact_id="champion")
    approved = candidate(executive(), approved_by="dana.reyes", rulings=1)

    waits = only(policies(directory), approved, touches=(sent,), now=NOW + timedelta(seconds=1))

    assert (waits.verdict, waits.reason) == (Verdict.DEFER, ReasonCode.MINIMUM_GAP)
    assert waits.until == NOW + policies(directory).timing.gap_length
    assert waits.decision_id == "exec-1:2"
    later = only(policies(directory), approved, touches=(sent,), now=waits.until)
    assert later.verdict is Verdict.ALLOW
    assert "executive-sponsors" in rule_ids(later)
    assert any(hit.message.startswith("Approved by dana.reyes") for hit in later.hits)


@both_sets
def test_a_touch_in_flight_lets_everybody_else_wait(directory: Path) -> None:
    flying = touch(NOW, status=TouchStatus.IN_FLIGHT)

    waits = only(policies(directory), email(), touches=(flying,))

    assert waits.verdict is Verdict.DEFER
    (hit,) = (hit for hit in waits.hits if hit.reason is ReasonCode.TOUCH_IN_FLIGHT)
    assert hit.until == NOW + timedelta(seconds=30)


def test_the_demo_has_rules_of_the_shipped_set_in_their_order_but_no_quiet_hours() -> None:
    def ids(directory: Path) -> list[str]:
        lines = "\n".join(path.read_text() for path in sorted(directory.glob("*.yaml"))).splitlines()
        return [line.split("id: ")[1] for line in lines if "id: " in line and not line.startswith("#")]

    quiet = {rule.origin.rule_id for rule in policies(DEFAULT).timing.quiet}
    assert len(quiet) == 4
    assert quiet.isdisjoint(ids(DEMO))
    assert [each for each in ids(DEFAULT) if each in set(ids(DEMO))] == ids(DEMO)
    assert policies(DEFAULT).timing.gap_length == timedelta(days=2)
    assert policies(DEMO).timing.gap_length < timedelta(seconds=30), "nobody watches a demo for longer"
    assert policies(DEFAULT).decision_window == timedelta(seconds=5)
    assert policies(DEMO).decision_window == timedelta(seconds=2)


@pytest.mark.parametrize("directory", [DEFAULT, DEMO], ids=["default", "demo"])
def test_every_file_begins_by_explaining_itself(directory: Path) -> None:
    for path in directory.glob("*.yaml"):
        assert path.read_text().startswith("# "), path.name


def test_an_approval_counts_only_from_those_who_would_be_asked_now(tmp_path: Path) -> None:
    """Given two groups, when the matching route changes after the answer, then the other group is asked."""
    team = "\n  - name: marketing\n    members: [mara.lindqvist]\n"
    members = "    members: [dana.reyes, tom.okafor]"
    folder = edited(tmp_path, "people.yaml", (members, members + team))
    policy_set = load_policy_set(folder)
    by_marketing = only(policy_set, candidate(executive(), approved_by="mara.lindqvist"))
    assert by_marketing.verdict is Verdict.REQUIRE_APPROVAL
    assert by_marketing.route is not None
    assert by_marketing.route.group == "sales-leadership"
    by_leadership = only(policy_set, candidate(executive(), approved_by="dana.reyes"))
    assert by_leadership.verdict is not Verdict.REQUIRE_APPROVAL
