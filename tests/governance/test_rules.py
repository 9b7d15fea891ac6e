"""Golden cases: what each family says, and why."""

from datetime import timedelta
from pathlib import Path

import pytest

from domain import Candidate, Consent, Contact, Hold, Proposal, ReasonCode, Verdict
from governance import load_policy_set
from tests.governance.worlds import (
    CONTACTS,
    NORTHWIND,
    NOW,
    candidate,
    decisions,
    edited,
    email,
    executive,
    nurture,
    only,
    person,
    personalization,
    policies,
    request,
    rule_ids,
)


def to(contact: Contact, **changes: object) -> dict[str, object]:
    return {"contacts": {**CONTACTS, "champion": contact}, **changes}


@pytest.mark.parametrize(
    ("proposal", "world", "reason"),
    [
        (email(), {"account": None}, ReasonCode.UNKNOWN_ACCOUNT),
        (email(actor="stranger"), {}, ReasonCode.UNKNOWN_ACTOR),
        (email(channel="pigeon"), {}, ReasonCode.UNKNOWN_CHANNEL),
        (email(contact_id="nobody"), {}, ReasonCode.UNKNOWN_CONTACT),
        (email(), {"suppressed": ("champion",)}, ReasonCode.SUPPRESSED),
        (email(), to(person("champion", opted_out_at=NOW)), ReasonCode.SUPPRESSED),
        (email(), to(person("champion", email=None)), ReasonCode.UNREACHABLE_CONTACT),
        (email(contact_id=None), {}, ReasonCode.UNREACHABLE_CONTACT),
        (email(), to(person("champion", consent=Consent.WITHDRAWN)), ReasonCode.CONSENT_MISSING),
        (email(action="call_the_president"), {}, ReasonCode.NO_AUTHORITY),
        (nurture(action="send_email"), {}, ReasonCode.NO_AUTHORITY),
    ],
    ids=lambda value: value.value if isinstance(value, ReasonCode) else "",
)
def test_denied(proposal: Proposal, world: dict[str, object], reason: ReasonCode) -> None:
    decision = only(policies(), proposal, **world)

    assert (decision.verdict, decision.reason) == (Verdict.DENY, reason)
    assert decision.hits[0].effect is Verdict.DENY
    assert (decision.handover, decision.route, decision.until) == (None, None, None)


def test_everything_unknown_is_told_at_once() -> None:
    decision = only(policies(), email(actor="who", channel="what", contact_id="whom"), account=None)

    assert rule_ids(decision) == {
        "engine.unknown_account",
        "engine.unknown_actor",
        "engine.unknown_channel",
        "engine.unknown_contact",
    }


def test_an_approval_lifts_no_denial() -> None:
    approved = candidate(executive(), approved_by="dana.reyes")

    decision = only(policies(), approved, suppressed=("executive_sponsor",))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.SUPPRESSED)


@pytest.mark.parametrize("consent", [Consent.UNKNOWN, Consent.IMPLIED])
@pytest.mark.parametrize(
    ("contact_country", "account_country", "allowed"),
    [
        ("DE", "US", False),
        ("AT", None, False),
        ("CA", "US", False),
        (None, "DE", False),
        (None, None, False),
        ("US", "DE", True),
        (None, "US", True),
    ],
)
def test_prior_consent_follows_the_persons_country(
    contact_country: str | None, account_country: str | None, *, allowed: bool, consent: Consent
) -> None:
    contact = person("champion", country=contact_country, consent=consent, time_zone="Europe/Berlin")
    account = NORTHWIND.model_copy(update={"country": account_country})

    decision = only(policies(), email(), **to(contact, account=account))

    wanted = Verdict.ALLOW if allowed else Verdict.DENY
    assert decision.verdict is wanted
    granted = contact.model_copy(update={"consent": Consent.GRANTED})
    assert only(policies(), email(), **to(granted, account=account)).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({}, Verdict.ALLOW, ReasonCode.ALLOWED),
        ({"value": 50_000.0}, Verdict.ALLOW, ReasonCode.ALLOWED),
        ({"value": 50_000.01}, Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED),
        ({"confidence": 0.75}, Verdict.ALLOW, ReasonCode.ALLOWED),
        ({"confidence": 0.74}, Verdict.REQUIRE_APPROVAL, ReasonCode.LOW_CONFIDENCE),
        ({"confidence": 0.5}, Verdict.REQUIRE_APPROVAL, ReasonCode.LOW_CONFIDENCE),
        ({"confidence": 0.49}, Verdict.SUPPRESS, ReasonCode.LOW_CONFIDENCE),
    ],
)
def test_the_band_within_which_an_agent_acts_alone(
    changes: dict[str, object], verdict: Verdict, reason: ReasonCode
) -> None:
    decision = only(policies(), email(**changes))

    assert (decision.verdict, decision.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("level", "verdict", "reason"),
    [
        ("off", Verdict.DENY, ReasonCode.NO_AUTHORITY),
        ("draft_only", Verdict.SUPPRESS, ReasonCode.AUTHORITY_EXCEEDED),
        ("approval_required", Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED),
        ("veto_window", Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED),
        ("act_and_report", Verdict.ALLOW, ReasonCode.ALLOWED),
    ],
)
def test_the_most_restrictive_grant_counts(
    tmp_path: Path, level: str, verdict: Verdict, reason: ReasonCode
) -> None:
    grant = f"""grants:
  - id: all-agents
    actor_kind: ai_agent
    actions: [any]
    channels: [any]
    level: {level}
    confidence: {{act_at: 0.1, ask_at: 0.0}}
    max_value: 1000000
    irreversible: act
    granted_by: dana.reyes
    valid_until: 2028-12-31
"""
    folder = edited(tmp_path, "authority.yaml", ("grants:\n", grant))

    decision = only(load_policy_set(folder), email())

    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert {"all-agents", "sdr-emails"} <= rule_ids(decision)


def test_a_person_cannot_approve_what_they_propose() -> None:
    asked = email(actor="dana.reyes", value=300_000.0)

    decision = only(policies(), asked)

    assert decision.route is not None
    assert decision.route.approvers == ("tom.okafor",)
    assert decision.route.excluded == ("dana.reyes",)
    own = only(policies(), candidate(asked, approved_by="dana.reyes"))
    assert own.verdict is Verdict.REQUIRE_APPROVAL
    other = only(policies(), candidate(asked, approved_by="tom.okafor"))
    assert other.verdict is Verdict.ALLOW


def test_the_approval_of_somebody_who_may_no_longer_approve_does_not_count() -> None:
    decision = only(policies(), candidate(executive(), approved_by="lena.fischer"))

    assert decision.verdict is Verdict.REQUIRE_APPROVAL


def test_without_anybody_left_who_may_approve_it_is_denied(tmp_path: Path) -> None:
    folder = edited(
        tmp_path,
        "people.yaml",
        ("members: [dana.reyes, tom.okafor]", "members: [tom.okafor]"),
        ("members: [ines.castell]", "members: [tom.okafor]"),
    )

    decision = only(load_policy_set(folder), executive())

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.APPROVAL_NEEDED)
    assert decision.hits[0].rule_id == "engine.no_approver"
    assert decision.route is None


def test_nobody_is_asked_longer_than_the_proposal_lives() -> None:
    asked = candidate(executive(), expires_at=NOW + timedelta(hours=1))

    route = only(policies(), asked).route

    assert route is not None
    assert route.expires_at == NOW + timedelta(hours=1)
    assert route.on_expiry is Verdict.SUPPRESS


def test_the_first_matching_route_is_taken_and_else_the_default() -> None:
    sponsors, others = only(policies(), executive()).route, only(policies(), email(value=60_000.0)).route

    assert sponsors is not None
    assert others is not None
    assert sponsors.expires_at - NOW == timedelta(hours=24)
    assert others.expires_at - NOW == timedelta(hours=8)


def test_a_condition_that_gives_no_answer_denies_in_the_name_of_its_rule(tmp_path: Path) -> None:
    folder = edited(
        tmp_path, "approvals.yaml", ("when: proposal.value >= 250000.0", 'when: contact.title == "CEO"')
    )

    decision = only(load_policy_set(folder), personalization())
    lines = (folder / "approvals.yaml").read_text().splitlines()

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert decision.hits[0].rule_id == "large-values"
    assert decision.hits[0].file == "approvals.yaml"
    assert decision.hits[0].line == lines.index("  - id: large-values") + 1


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("frequency.yaml", ("    limit: 8\n", '    limit: 8\n    when: contact.title == "x"\n')),
        (
            "arbitration.yaml",
            ("when: account.tier == Tier.ONE && contact != null", 'when: contact.title == "x"'),
        ),
        (
            "authority.yaml",
            ("    level: act_and_report\n", '    level: act_and_report\n    when: contact.title == "x"\n'),
        ),
        ("consent.yaml", ("when: contact != null && contact.opted_out", "when: contact.opted_out")),
    ],
)
def test_no_family_lets_a_missing_value_through(tmp_path: Path, name: str, changes: tuple[str, str]) -> None:
    decision = only(load_policy_set(edited(tmp_path, name, changes)), personalization())

    assert decision.verdict is Verdict.DENY
    assert ReasonCode.EVALUATION_ERROR in {hit.reason for hit in decision.hits}


def test_a_route_whose_condition_fails_denies(tmp_path: Path) -> None:
    route = "when: contact != null && contact.role == Role.EXECUTIVE_SPONSOR\n    group"
    folder = edited(tmp_path, "approvals.yaml", (route, 'when: contact.title == "x"\n    group'))

    decision = only(load_policy_set(folder), personalization(value=60_000.0))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert decision.route is None


def test_a_loser_rule_whose_condition_fails_denies_the_loser(tmp_path: Path) -> None:
    folder = edited(tmp_path, "arbitration.yaml", ("when: winner.same_contact", 'when: contact.title == "x"'))

    made = decisions(load_policy_set(folder), request(email(), personalization()))

    assert made["sdr-1"].verdict is Verdict.ALLOW
    assert (made["web-1"].verdict, made["web-1"].reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)


def test_score_shows_every_factor_and_its_rule() -> None:
    score = only(policies(), email(contact_id="decision_maker")).score

    assert score is not None
    assert [(each.name, each.rule_id, each.factor) for each in score.factors] == [
        ("propensity", None, 0.3),
        ("value", None, 40_000.0),
        ("lever", "decision-makers-first", 1.55),
    ]
    assert score.total == pytest.approx(18_600)


def test_ties_go_to_the_earlier_and_then_to_the_smaller_id() -> None:
    early = candidate(email(proposal_id="z", contact_id="influencer"), received_at=NOW - timedelta(seconds=9))
    late = candidate(email(proposal_id="a"))
    same = candidate(email(proposal_id="b", contact_id="practitioner"))

    def winner(*candidates: Candidate) -> list[str]:
        made = decisions(policies(), request(*candidates))
        return [name for name, decision in made.items() if decision.verdict is Verdict.ALLOW]

    assert winner(late, same, early) == ["z"]
    assert winner(same, late) == ["a"]


def test_a_hold_defers_until_it_ends_or_the_proposal_does() -> None:
    day = timedelta(days=1)
    until_tomorrow = Hold(
        hold_id="h1", placed_by="dana.reyes", reason="reorg", placed_at=NOW, expires_at=NOW + day
    )
    open_ended = until_tomorrow.model_copy(update={"expires_at": None})
    over = until_tomorrow.model_copy(update={"expires_at": NOW})
    asked = candidate(email(), expires_at=NOW + 3 * day)

    bounded = only(policies(), asked, holds=(until_tomorrow,))
    assert (bounded.verdict, bounded.reason) == (Verdict.DEFER, ReasonCode.ACCOUNT_HOLD)
    assert bounded.until == NOW + day
    endless = only(policies(), asked, holds=(open_ended, until_tomorrow))
    assert (endless.verdict, endless.reason) == (Verdict.DEFER, ReasonCode.ACCOUNT_HOLD)
    assert endless.until == NOW + 3 * day
    assert only(policies(), asked, holds=(over,)).verdict is Verdict.ALLOW


def test_a_hold_is_never_the_reason_why_a_proposal_dies() -> None:
    long = Hold(hold_id="h1", placed_by="dana.reyes", reason="reorg", placed_at=NOW)
    tomorrow = NOW + timedelta(days=1)
    asked = candidate(email(earliest=tomorrow), expires_at=tomorrow)

    decision = only(policies(), asked, holds=(long,))

    assert (decision.verdict, decision.reason) == (Verdict.SUPPRESS, ReasonCode.NOT_YET)
    (hold,) = (hit for hit in decision.hits if hit.reason is ReasonCode.ACCOUNT_HOLD)
    assert hold.effect is Verdict.DEFER


def test_two_proposals_without_a_person_do_not_address_the_same_person() -> None:
    made = decisions(policies(), request(personalization(), personalization(proposal_id="web-2")))

    assert made["web-1"].verdict is Verdict.ALLOW
    assert made["web-2"].verdict is Verdict.DEFER
    assert made["web-2"].hits[0].rule_id == "next-turn"


def test_not_yet_and_expired() -> None:
    tomorrow = NOW + timedelta(days=1)
    early = only(policies(), email(earliest=tomorrow))
    assert (early.verdict, early.reason, early.until) == (Verdict.DEFER, ReasonCode.NOT_YET, tomorrow)

    gone = only(policies(), candidate(email(), expires_at=NOW))
    assert (gone.verdict, gone.reason, gone.until) == (Verdict.SUPPRESS, ReasonCode.EXPIRED, None)

    never = only(policies(), candidate(email(earliest=tomorrow), expires_at=tomorrow))
    assert (never.verdict, never.reason) == (Verdict.SUPPRESS, ReasonCode.NOT_YET)
    assert "engine.expired" in rule_ids(never)


def test_a_loser_that_would_come_back_too_late_is_suppressed() -> None:
    soon = candidate(personalization(), expires_at=NOW + timedelta(days=2))

    decision = decisions(policies(), request(email(), soon))["web-1"]

    assert (decision.verdict, decision.reason) == (Verdict.SUPPRESS, ReasonCode.LOWER_PRIORITY)
    assert "engine.expired" in rule_ids(decision)


def test_extreme_requests_get_a_decision() -> None:
    huge = email(proposal_id="p" * 128, actor="a" * 128, value=1e12, propensity=1.0)
    rich = email(value=1e12, propensity=1.0, evidence=("x" * 300,) * 20)
    late = NOW.replace(year=2099, month=12, day=31)
    world = request(
        candidate(huge),
        candidate(rich, received_at=late, expires_at=late + timedelta(hours=9)),
        candidate(email(proposal_id="again"), approved_by="\u2028" * 300),
        now=late,
        touches=(),
    )

    made = decisions(policies(), world)

    assert len(made) == 3
    assert Verdict.ALLOW not in {decision.verdict for decision in made.values()}
