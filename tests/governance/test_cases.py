"""Tests that policy owners write: what they stand for, what they catch, and the shipped ones themselves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from domain import Contact, Proposal, ReasonCode, Verdict
from governance import (
    CaseResult,
    CasesError,
    PolicyCase,
    PolicySet,
    load_cases,
    load_policy_set,
    outline,
    read_cases,
    run_case,
)
from governance._situations import USUAL_NOW, GivenContact, GivenProposal
from tests.governance.worlds import DEFAULT, NOW, edited, policies

SHIPPED = load_cases(policies(), read_cases(DEFAULT))

WORLD = """\
given:
  account: {country: DE, time_zone: Europe/Berlin, tier: tier_2}
  contacts:
    - {id: amira, role: champion, consent: granted}
cases:
"""
CASE = """\
  - name: A mail
    proposals:
      - {id: mail, actor: sdr-agent, action: send_email, to: amira}
    expect:
      mail: {verdict: allow}
"""


def loaded(text: str, policy_set: PolicySet | None = None) -> tuple[PolicyCase, ...]:
    return load_cases(policy_set or policies(), {"tests/mine.yaml": text.encode()})


def ran(text: str, policy_set: PolicySet | None = None) -> CaseResult:
    (case,) = loaded(text, policy_set)
    return run_case(policy_set or policies(), case)


def refusal(text: str) -> str:
    with pytest.raises(CasesError) as caught:
        loaded(text)
    return str(caught.value)


@pytest.mark.parametrize("case", SHIPPED, ids=lambda case: case.name)
def test_the_shipped_policies_keep_what_their_tests_promise(case: PolicyCase) -> None:
    result = run_case(policies(), case)

    assert result.passed, result.misses


def test_every_family_has_shipped_tests() -> None:
    tested = {case.place.file.removeprefix("tests/") for case in SHIPPED}

    families = {name for name in policies().files if "/" not in name}
    assert families - tested == {"people.yaml", "channels.yaml"}, "these stand in authority.yaml"


NO_RULES = {"routes", "default_route", "jurisdictions", "claims", "segments", "windows", "exceptions"}
"""Sections whose entries have ids and never speak."""


def test_most_shipped_rules_have_their_say_in_a_shipped_test() -> None:
    spoken: set[str] = set()
    for case in SHIPPED:
        for decision in run_case(policies(), case).decisions.values():
            spoken |= {hit.rule_id for hit in decision.hits}
            spoken |= (
                {each.rule_id for each in decision.score.factors if each.rule_id} if decision.score else set()
            )

    rules = {
        entry.name
        for sheet in outline(policies().files).values()
        for entry in sheet.entries
        if entry.is_rule and entry.section not in NO_RULES
    }
    silent = rules - spoken
    assert silent <= {"us-calling-hours", "calls-on-holidays"}, "no shipped channel calls anybody"


def test_what_is_left_out_is_a_usual_day_with_a_reachable_person() -> None:
    (case,) = loaded(WORLD + CASE)

    request = case.request
    assert request.now == USUAL_NOW == NOW
    assert request.contacts["amira"].email == "amira@example.com"
    assert request.candidates[0].expires_at - request.now == timedelta(days=30)
    assert (request.touches, request.holds, request.readings) == ((), (), ())
    assert run_case(policies(), case).passed


def test_a_case_adds_to_what_the_file_shares_and_goes_first() -> None:
    own = (
        "    account: {tier: tier_1}\n    contacts:\n      - {id: amira, role: influencer}\n"
        "      - {id: jonas}\n"
    )

    (case,) = loaded(WORLD + CASE.replace("    proposals", f"{own}    proposals"))

    request = case.request
    assert request.account is not None
    assert (request.account.country, request.account.tier.value) == ("DE", "tier_1")
    assert sorted(request.contacts) == ["amira", "jonas"]
    assert (request.contacts["amira"].role.value, request.contacts["amira"].consent.value) == (
        "influencer",
        "granted",
    )


def test_an_empty_address_is_no_address() -> None:
    (case,) = loaded(
        WORLD
        + CASE.replace("    proposals", "    contacts:\n      - {id: amira, email: null}\n    proposals")
    )

    assert case.request.contacts["amira"].email is None


def test_everything_that_is_said_of_a_situation_reaches_governance() -> None:
    said = """\
  - name: All of it
    now: 2026-11-25T09:00:00Z
    contacts:
      - {id: jonas, consent: implied, consent_basis: purchase, consent_age: 10d, opted_out: true,
         left: true, phone: "+491"}
    readings:
      - {system: crm, stage: closing, ago: 1d}
    signals:
      - {kind: intent_surge, source: intent-provider, ago: 2d}
    open_cases: [3]
    touches:
      - {to: amira, ago: 3d, intent: closing, outcomes: {click: 2d}}
    holds:
      - {by: dana.reyes, ends_in: 2h}
    waiting:
      - {id: other, actor: nurture, action: send_nurture_email, score: 7, due_in: 4h}
      - {id: asked, actor: nurture, action: send_nurture_email, score: 7}
    suppressed: [jonas]
    full_for: {email-deliverability: 1h}
    proposals:
      - {id: mail, actor: sdr-agent, action: send_email, to: amira, evidence_age: 3d, not_before: 1h,
         waited: 5m, expires_in: 2d, deferrals: 2, approved_by: [dana.reyes], intent: intro, cost: 3,
         reach: 2}
    expect:
      mail: {verdict: defer}
"""
    (case,) = loaded(WORLD + said)

    request, day = case.request, timedelta(days=1)
    now = request.now
    jonas = request.contacts["jonas"]
    assert (jonas.consent_at, jonas.phone) == (now - 10 * day, "+491")
    assert jonas.opted_out_at is not None
    assert jonas.left_at is not None
    assert [(each.system, each.observed_at) for each in request.readings] == [
        ("crm", now - day),
        ("intent-provider", now - 2 * day),
    ]
    assert {kind.value: at for kind, at in request.circumstances.latest.items()} == {
        "intent_surge": now - 2 * day
    }
    assert [each.severity for each in request.circumstances.open_cases] == [3]
    (touch,) = request.touches
    assert (touch.at, touch.intent, list(touch.outcomes.values())) == (
        now - 3 * day,
        "closing",
        [now - 2 * day],
    )
    assert [hold.expires_at for hold in request.holds] == [now + timedelta(hours=2)]
    assert [(each.status.value, each.due_at) for each in request.scheduled] == [
        ("deferred", now + timedelta(hours=4)),
        ("pending_approval", None),
    ]
    assert request.suppressed == ("jonas",)
    assert request.standing.room_at == {"email-deliverability/mail": now + timedelta(hours=1)}
    (candidate,) = request.candidates
    proposal = candidate.proposal
    assert (proposal.evidence_at, proposal.earliest) == (now - 3 * day, now + timedelta(hours=1))
    assert (candidate.received_at, candidate.expires_at) == (now - timedelta(minutes=5), now + 2 * day)
    assert (candidate.deferrals, candidate.approvers) == (2, ("dana.reyes",))
    assert (proposal.intent, proposal.cost, proposal.reach) == ("intro", 3.0, 2)


def test_an_actor_has_done_everything_often_unless_a_case_says_how_often(tmp_path: Path) -> None:
    folder = edited(
        tmp_path,
        "authority.yaml",
        ("max_value: 50000\n    irreversible: act", "max_value: 50000\n    novelty: {first: 5, level: approval_required}\n    irreversible: act"),  # noqa: E501 - as in the file
    )  # fmt: skip
    novel = load_policy_set(folder)
    new = WORLD + CASE.replace("    proposals", "    made: {sdr-agent/send_email: 4}\n    proposals")

    assert ran(WORLD + CASE, novel).passed
    result = ran(new, novel)
    assert result.decisions["mail"].reason is ReasonCode.NOVELTY
    assert result.decisions["mail"].verdict is Verdict.REQUIRE_APPROVAL


@pytest.mark.parametrize(
    ("expected", "what", "actual"),
    [
        ("verdict: deny", "verdict", "defer"),
        ("verdict: defer, reason: QUIET_HOURS", "reason", "FREQUENCY_CAP"),
        ("verdict: defer, rule: account-emails", "rule", "one-touch-per-person"),
        ("verdict: defer, until: 2026-12-04T10:00:00Z", "until", "2026-12-03T10:00:00Z"),
        ("verdict: defer, waits: 10d", "until", "2026-12-03T10:00:00Z"),
        ("verdict: defer, asks: sales-leadership", "asks", "nobody"),
        ("verdict: defer, fires: [nights]", "fires", "it has nothing to say"),
        ("verdict: defer, silent: [one-touch-per-person]", "silent", "it has something to say"),
    ],
)
def test_whatever_comes_out_otherwise_is_told(expected: str, what: str, actual: str) -> None:
    text = CASE.replace("    proposals", "    touches:\n      - {to: amira, ago: 5d}\n    proposals")

    result = ran(WORLD + text.replace("verdict: allow", expected))

    (miss,) = result.misses
    assert (miss.proposal_id, miss.what, miss.actual) == ("mail", what, actual)
    assert not result.passed


@pytest.mark.parametrize(
    ("old", "new", "marked", "words"),
    [
        ("to: amira", "to: amria", "amria", "the case has no contact 'amria'"),
        ("verdict: allow", "verdict: alow", "alow", "did you mean `allow`?"),
        ("verdict: allow", "verdict: allow, resaon: x", "resaon", "did you mean `reason`?"),
        ("mail: {verdict", "male: {verdict", None, "the case has no proposal 'male'"),
        (
            "{verdict: allow}",
            "{verdict: allow, rule: nites}",
            "nites",
            "no rule 'nites'; did you mean 'nights'?",
        ),
        (
            "{verdict: allow}",
            "{verdict: allow, silent: [nothing-like-it]}",
            "nothing",
            "no rule 'nothing-like-it'",
        ),
        ("{verdict: allow}", "{verdict: defer, waits: 1d, until: 2026-12-01T10:00:00Z}", "1d", "either"),
        ("to: amira", "to: amira, vallue: 3", "vallue", "did you mean `value`?"),
        ("to: amira", "to: amira, value: lots", "lots", "must be a number"),
        ("to: amira", "to: amira, waited: 1 week", "1 week", "write it like 30s, 15m, 4h or 7d"),
        ("    expect:\n      mail: {verdict: allow}\n", "    expect: {}\n", "{}", "needs at least 1 entry"),
        ("    proposals", "    full_for: {emails: 1h}\n    proposals", "1h", "no rule 'emails'"),
        ("    proposals", "    now: tomorrow\n    proposals", "tomorrow", "date and time"),
    ],
)
def test_a_mistake_in_a_test_is_shown_with_its_place_and_a_caret(
    old: str, new: str, marked: str | None, words: str
) -> None:
    assert old in CASE
    text = WORLD + CASE.replace(old, new)

    shown = refusal(text).splitlines()

    assert shown[0].startswith("tests/mine.yaml:")
    assert words in shown[0]
    line, column = (int(part) for part in shown[0].split(":")[1:3])
    assert shown[1].endswith(text.splitlines()[line - 1])
    assert shown[1][shown[2].index("^") :] == text.splitlines()[line - 1][column - 1 :]
    if marked is not None:
        assert shown[1][shown[2].index("^") :].startswith(marked)


def test_two_cases_of_one_name_and_two_proposals_of_one_id_are_refused() -> None:
    twice = CASE.replace("    expect", "      - {id: mail, actor: nurture, action: x}\n    expect")

    shown = refusal(WORLD + CASE + twice)

    assert "another case is called 'A mail' already" in shown
    assert "the proposal 'mail' is listed twice" in shown


def test_a_folder_without_tests_has_none(tmp_path: Path) -> None:
    assert read_cases(tmp_path) == {}
    assert load_cases(policies(), {}) == ()


def test_a_case_can_say_whatever_a_contact_or_a_proposal_can() -> None:
    contact = {
        "contact_id": "id",
        "consent_at": "consent_age",
        "opted_out_at": "opted_out",
        "left_at": "left",
        "type": None,
    }
    proposal = {
        "proposal_id": "id",
        "contact_id": "to",
        "evidence_at": "evidence_age",
        "earliest": "not_before",
        "expires_at": "expires_in",
        "content": None,  # no rule reads it
        "reading": None,  # `readings` say it
        "play": None,  # nor does one read this
    }

    for language, given, names in ((Contact, GivenContact, contact), (Proposal, GivenProposal, proposal)):
        wanted = {names.get(name, name) for name in language.model_fields} - {None}
        assert wanted <= given.model_fields.keys(), language
