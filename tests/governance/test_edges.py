"""Corners in which something went out that must not, or a file said something that had no effect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain import Account, Consent, Reading, ReasonCode, Stage, Verdict
from governance import PolicySet, compile_policy_set
from governance._policy_set import PolicyError
from tests.governance.rivalries import arbitration, scheduled
from tests.governance.worlds import (
    DEFAULT,
    NORTHWIND,
    NOW,
    candidate,
    decisions,
    edited,
    email,
    only,
    person,
    policies,
    request,
    rule,
    rule_ids,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def refused(change: Callable[[Any], object], file: str) -> str:
    """Return the one mistake of a set."""
    with pytest.raises(PolicyError) as caught:
        arbitration(change, file)
    (problem,) = caught.value.problems
    return str(problem)


def kept_apart(*pairs: tuple[str, str]) -> PolicySet:
    """The default set without a rest between touches, and with conflicts between intents."""
    entries = [
        {"id": f"apart-{index}", "intents": list(pair), "then": "defer", "message": "Not together."}
        for index, pair in enumerate(pairs)
    ]
    files = {
        **arbitration(lambda content: content.update(conflicts=entries)).files,
        "timing.yaml": arbitration(
            lambda content: content["minimum_gap"].update(at_least="1s"), "timing.yaml"
        ).files["timing.yaml"],
    }
    return compile_policy_set(files)


def test_one_goes_first_where_the_one_they_wait_for_runs_out_of_time() -> None:
    policy_set = kept_apart(("better", "later"), ("one", "better"), ("other", "better"))
    better = candidate(email(proposal_id="better", intent="better", value=50_000), expires_at=NOW + 2 * HOUR)
    one = email(proposal_id="one", intent="one", contact_id="influencer", value=40_000)
    other = email(proposal_id="other", intent="other", contact_id="practitioner", value=30_000)
    later = scheduled(email(proposal_id="later", intent="later"), 1e6, NOW + 3 * DAY)

    ruled = decisions(policy_set, request(better, one, other, scheduled=(later,)))

    assert ruled["better"].verdict is Verdict.SUPPRESS
    assert (ruled["one"].verdict, ruled["one"].rank) == (Verdict.ALLOW, 1)
    assert (ruled["other"].verdict, ruled["other"].reason) == (Verdict.DEFER, ReasonCode.LOWER_PRIORITY)


def test_one_goes_first_at_the_end_of_a_chain_that_breaks_in_the_middle() -> None:
    policy_set = kept_apart(("a", "later"), ("b", "a"), ("one", "b"), ("other", "b"))
    chain = [
        candidate(email(proposal_id="a", intent="a", value=50_000)),
        candidate(
            email(proposal_id="b", intent="b", contact_id="decision_maker", value=30_000),
            expires_at=NOW + 2 * HOUR,
        ),
        candidate(email(proposal_id="one", intent="one", contact_id="influencer", value=20_000)),
        candidate(email(proposal_id="other", intent="other", contact_id="practitioner", value=10_000)),
    ]
    later = scheduled(email(proposal_id="later", intent="later"), 1e6, NOW + 3 * DAY)

    ruled = decisions(policy_set, request(*chain, scheduled=(later,)))

    assert ruled["a"].verdict is Verdict.DEFER
    assert ruled["b"].verdict is Verdict.SUPPRESS
    assert [ruled["one"].verdict, ruled["other"].verdict] == [Verdict.ALLOW, Verdict.DEFER]


def test_a_rule_id_is_taken_once_also_within_a_line() -> None:
    files = {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}
    files["frequency.yaml"] = (
        "caps: [{id: a, per: account, limit: 5, window: 7d, message: Five.}, "
        "{id: a, per: account, limit: 1, window: 7d, message: One.}]\n"
    )

    with pytest.raises(PolicyError, match=r"frequency.yaml:1:\d+: .*'a' is already used in frequency.yaml:1"):
        compile_policy_set(files)


@pytest.mark.parametrize("code", ["UK", "XX"])
def test_a_code_that_is_no_country_has_the_strictest_rule(code: str) -> None:
    anywhere = {"id": "anywhere", "countries": ["any"], "media": ["email"], "regime": "opt_out"}
    policy_set = arbitration(
        lambda content: content["jurisdictions"].append({**anywhere, "source": "None", "message": "Free."}),
        "consent.yaml",
    )
    somebody = {"champion": person("champion", consent=Consent.UNKNOWN)}

    def verdict(country: str) -> Verdict:
        account: Account = NORTHWIND.model_copy(update={"country": country})
        return only(policy_set, email(), contacts=somebody, account=account).verdict

    assert verdict("JP") is Verdict.ALLOW
    assert verdict(code) is Verdict.DENY


@pytest.mark.parametrize(
    ("limit", "asked", "verdict"),
    [
        ("max_value: 100", {}, Verdict.REQUIRE_APPROVAL),
        ("max_value: 100000\n    irreversible: never", {}, Verdict.DENY),
        ("max_value: 100000\n    irreversible: act", {"confidence": 0.4}, Verdict.SUPPRESS),
        ("max_value: 100000\n    irreversible: act", {"confidence": 0.9}, Verdict.ALLOW),
    ],
)
def test_a_limit_of_a_grant_does_not_fall_with_its_last_day(
    tmp_path: Path, limit: str, asked: dict[str, object], verdict: Verdict
) -> None:
    ended = f"""\
  - id: ended
    actor: sdr-agent
    actions: [send_email]
    channels: [email]
    level: act_and_report
    confidence: {{act_at: 0.5, ask_at: 0.5}}
    {limit}
    granted_by: dana.reyes
    valid_until: 2026-01-31

  - id: nurture-emails
"""
    broad = (
        "confidence: {act_at: 0.75, ask_at: 0.5}\n    max_value: 50000",
        "confidence: {act_at: 0.0, ask_at: 0.0}\n    max_value: 50000",
    )
    folder = edited(tmp_path, "authority.yaml", broad, ("  - id: nurture-emails\n", ended))

    decision = only(policies(folder), email(**asked))

    assert decision.verdict is verdict
    if verdict is not Verdict.ALLOW:
        assert decision.hits[0].rule_id == "ended"
        assert "It ended with 2026-01-31" in decision.hits[0].message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("novelty", {"first": 5, "level": "approval_required"}),
        ("budgets", [{"touches": 5, "per": "1d"}]),
    ],
)
@pytest.mark.parametrize("level", ["off", "draft_only", "approval_required", "veto_window"])
def test_a_limit_on_acting_alone_needs_an_actor_who_acts_alone(level: str, key: str, value: object) -> None:
    problem = refused(
        lambda content: content["grants"][0].update({"level": level, key: value}), "authority.yaml"
    )

    assert f"`{key}` limits what is done alone" in problem
    assert "write level: act_and_report" in problem


@pytest.mark.parametrize("file", ["approvals.yaml", "channels.yaml", "interpretation.yaml"])
def test_a_duration_does_not_leave_the_calendar(file: str) -> None:
    def change(content: Any) -> None:  # noqa: ANN401 -- a file as data
        where = {
            "approvals.yaml": lambda: content["default_route"].update(answer_within="999999999d"),
            "channels.yaml": lambda: content["channels"][0].update(retry_after="999999999d"),
            "interpretation.yaml": lambda: content.update(half_life="3651d"),
        }
        where[file]()

    assert "must be at most 3650d, which is ten years" in refused(change, file)


def test_quiet_hours_that_end_where_they_begin_are_no_quiet_hours() -> None:
    problem = refused(
        lambda content: content["quiet_hours"][0].update({"from": "24:00", "to": "00:00"}), "timing.yaml"
    )

    assert "from and to are the same time" in problem


@pytest.mark.parametrize("day", ["1893456000", "2027-1-1", "2027-12-31T00:00:00Z", "31.12.2027"])
def test_a_day_is_written_as_a_day(day: str) -> None:
    problem = refused(lambda content: content["grants"][0].update(valid_until=day), "authority.yaml")

    assert f'`valid_until` must be a date such as 2026-01-31; found "{day}"' in problem


def test_a_text_that_is_too_short_has_too_few_characters() -> None:
    problem = refused(lambda content: content["lists"][0].update(domains=["."]), "suppression.yaml")

    assert "`domains` must have at least 3 characters" in problem


def test_a_mistaken_look_ahead_is_told_once_however_many_are_scheduled() -> None:
    policy_set = arbitration(
        lambda content: content["look_ahead"].update(
            mode="enforce", within="9d", when="contact.role == Role.CHAMPION"
        )
    )
    better = tuple(
        scheduled(email(proposal_id=f"later-{index}"), 1e6, NOW + index * HOUR) for index in range(1, 9)
    )
    general = email(
        actor="personalization", action="personalize_site", channel="webhook", contact_id=None, value=1_000.0
    )

    decision = only(policy_set, general, scheduled=better)

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert [hit.rule_id for hit in decision.hits].count("better-one-soon") == 1
    assert "better-one-soon" in rule_ids(decision)


def test_a_long_condition_does_not_hide_why_it_gave_no_answer() -> None:
    when = " && ".join(["contact.role != Role.CHAMPION"] * 40)
    policy_set = arbitration(
        lambda content: content["suitability"].append(
            {"id": "long", "when": when, "then": "suppress", "message": "Long."}
        ),
        "eligibility.yaml",
    )
    general = email(actor="personalization", action="personalize_site", channel="webhook", contact_id=None)

    decision = only(policy_set, general)

    assert decision.reason is ReasonCode.EVALUATION_ERROR
    assert "gave no answer: a value it needs is absent" in decision.hits[0].message


def test_readings_in_any_order_are_reconciled_to_the_same_bytes() -> None:
    bare = Reading(system="crm", stage=Stage.AWARE, urgency=0.5, confidence=0.5, observed_at=NOW)
    noted = bare.model_copy(update={"note": ""})
    strong = bare.model_copy(update={"system": "website", "stage": Stage.CLOSING, "confidence": 1.0})

    one = rule(policies(), request(readings=(bare, noted, strong)))
    other = rule(policies(), request(readings=(strong, noted, bare)))

    assert one.model_dump_json() == other.model_dump_json()
