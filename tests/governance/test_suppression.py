"""Golden cases of suppression.yaml: whom we leave alone, why, until when, and who is to be asked."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import (
    Candidate,
    Decision,
    OutcomeKind,
    Proposal,
    ReasonCode,
    RuleHit,
    TouchRecord,
    TouchStatus,
    Verdict,
)
from governance import PolicyError, PolicySet, compile_policy_set
from governance.families._suppression import ContactPolicy, PauseLimit
from tests.governance.worlds import (
    CONTACTS,
    DEFAULT,
    NORTHWIND,
    NOW,
    candidate,
    email,
    only,
    person,
    personalization,
    policies,
    touch,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TERM = "reason: Rest, source: Board, owner: dana.reyes, review: 2027-06-30, expires: 2027-12-31"
IGNORES = f"""
  - {{id: ignores, per: contact, channels: [email], outcomes: [no_response], unanswered_after: 7d, times: 2,
     within: 30d, pause: 60d, {TERM}}}"""


@cache
def suppressing(lists: str = "", contact_policies: str = "") -> PolicySet:
    """The default set with these entries alone in suppression.yaml."""
    files = {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}
    files["suppression.yaml"] = (
        f"lists: {lists.rstrip() or '[]'}\ncontact_policies: {contact_policies.rstrip() or '[]'}\n"
    )
    return compile_policy_set(files)


def on_list(what: str, then: str = "suppress", term: str = TERM) -> PolicySet:
    return suppressing(f"\n  - {{id: listed, {what}, then: {then}, {term}}}")


def said(decision: Decision) -> list[RuleHit]:
    return [hit for hit in decision.hits if hit.family == "suppression"]


def mail(ago: timedelta, contact_id: str | None = "champion", /, **outcomes: timedelta) -> TouchRecord:
    """An e-mail made so long ago; for each outcome how long after the e-mail it came in."""
    at = NOW - ago
    came = {OutcomeKind(kind): at + after for kind, after in outcomes.items()}
    return touch(
        at, touch_id=f"mail-{at}-{contact_id}", channel="email", action="send_email", actor="sdr-agent",
        contact_id=contact_id, outcomes=came,
    )  # fmt: skip


def patient(proposal: Proposal, received_at: datetime = NOW) -> Candidate:
    """A proposal that outlives every pause."""
    return candidate(proposal, received_at=received_at, expires_at=received_at + 200 * DAY)


def rested(contact_policies: str, *touches: TouchRecord, proposal: Proposal | None = None) -> datetime | None:
    """Return until when the contact policies make a proposal wait; None if they do not."""
    decision = only(suppressing("", contact_policies), patient(proposal or email()), touches=touches)
    hits = [hit for hit in said(decision) if not hit.log_only]
    assert {(hit.effect, hit.reason) for hit in hits} <= {(Verdict.DEFER, ReasonCode.CONTACT_POLICY)}
    return max((hit.until for hit in hits if hit.until is not None), default=None)


@pytest.mark.parametrize(
    ("what", "listed"),
    [
        ("accounts: [northwind]", True),
        ("accounts: [southwind]", False),
        ("domains: [northwind.example]", True),
        ("domains: [NorthWind.Example]", True),
        ("domains: [example]", None),
        ("domains: [wind.example]", False),
        ("domains: [partner.example]", True),
        ("accounts: [southwind], domains: [northwind.example]", True),
        ("accounts: [northwind], when: account.tier == Tier.ONE", False),
        ("accounts: [northwind], when: account.tier == Tier.TWO", True),
        ("when: contact != null && contact.role == Role.CHAMPION", True),
        ("when: contact != null && contact.role == Role.INFLUENCER", False),
        ("accounts: [northwind], channels: [email]", True),
        ("accounts: [northwind], channels: [webhook]", False),
    ],
)
def test_a_list_names_companies_addresses_or_a_condition(what: str, *, listed: bool | None) -> None:
    if listed is None:
        with pytest.raises(PolicyError, match="is no domain"):
            on_list(what)
        return
    contact = person("champion", email="amira@mail.partner.example")

    decision = only(on_list(what), email(), contacts={"champion": contact})

    assert bool(said(decision)) is listed
    assert (decision.reason is ReasonCode.SUPPRESSED) is listed


@pytest.mark.parametrize(
    "domain", ["https://www.Contoso.example/about", "contoso.example.", "x.contoso.example"]
)
def test_a_domain_is_recognised_however_the_profile_writes_it(domain: str) -> None:
    account = NORTHWIND.model_copy(update={"domain": domain})

    decision = only(on_list("domains: [contoso.example]"), email(), account=account)

    assert decision.reason is ReasonCode.SUPPRESSED


def test_a_domain_with_an_umlaut_is_the_same_in_both_spellings() -> None:
    account = NORTHWIND.model_copy(update={"domain": "xn--mller-kva.example"})

    assert said(only(on_list("domains: [müller.example]"), email(), account=account))


@pytest.mark.parametrize(("then", "verdict"), [("suppress", Verdict.SUPPRESS), ("deny", Verdict.DENY)])
def test_a_refusal_tells_reason_source_owner_and_end(then: str, verdict: Verdict) -> None:
    decision = only(on_list("accounts: [northwind]", then), email())

    assert (decision.verdict, decision.reason) == (verdict, ReasonCode.SUPPRESSED)
    assert decision.hits[0].message == "Rest. (until 2027-12-31, dana.reyes; Board)"
    assert (decision.hits[0].file, decision.hits[0].line) == ("suppression.yaml", 2)


def test_a_list_binds_until_the_end_of_its_last_day_and_is_seen_afterwards() -> None:
    policy_set = on_list("accounts: [northwind]", term=TERM.replace("2027", "2026"))
    last = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

    def at(moment: datetime) -> Decision:
        return only(policy_set, patient(personalization(), moment), now=moment)

    assert policy_set.suppression.lists[0].expires == date(2026, 12, 31)
    assert at(last).reason is ReasonCode.SUPPRESSED
    ended = at(last + timedelta(microseconds=1))
    (hit,) = said(ended)
    assert (hit.log_only, ended.verdict) == (True, Verdict.ALLOW)
    assert hit.message.startswith("Ran out on 2026-12-31 and binds no more; ask dana.reyes.")


def test_a_list_that_is_tried_out_is_recorded_only() -> None:
    decision = only(on_list("mode: log_only, accounts: [northwind]"), email())

    (hit,) = said(decision)
    assert (decision.verdict, hit.log_only, hit.effect) == (Verdict.ALLOW, True, Verdict.SUPPRESS)


def test_a_condition_that_gives_no_answer_denies() -> None:
    decision = only(on_list('when: contact.title == "CEO"'), personalization())

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert decision.hits[0].rule_id == "listed"


def test_two_ignores_pause_for_sixty_days_from_the_second() -> None:
    first, second = mail(25 * DAY), mail(10 * DAY)

    assert rested(IGNORES, first, second) == NOW - 3 * DAY + 60 * DAY
    assert rested(IGNORES, second) is None


@pytest.mark.parametrize(
    ("touches", "paused"),
    [
        ((mail(25 * DAY), mail(10 * DAY, "influencer")), False),
        ((mail(25 * DAY), mail(10 * DAY, None)), False),
        ((mail(25 * DAY), mail(6 * DAY)), False),
        ((mail(25 * DAY), mail(7 * DAY)), True),
        ((mail(25 * DAY, open=HOUR), mail(10 * DAY)), False),
        ((mail(25 * DAY, no_response=5 * DAY), mail(10 * DAY)), True),
        ((mail(33 * DAY), mail(10 * DAY)), False),
        ((mail(33 * DAY - HOUR), mail(10 * DAY)), True),
        ((mail(80 * DAY), mail(67 * DAY)), False),
        ((mail(80 * DAY), mail(67 * DAY - HOUR)), True),
        ((touch(NOW - 25 * DAY, contact_id="champion"), mail(10 * DAY)), False),
    ],
    ids=[
        "other-person", "nobody", "too-early", "just-in-time", "opened", "reported", "window-over",
        "window-not-over", "pause-over", "pause-not-over", "other-channel",
    ],
)  # fmt: skip
def test_which_touches_count_as_ignored(touches: tuple[TouchRecord, ...], *, paused: bool) -> None:
    assert (rested(IGNORES, *touches) is not None) is paused


@pytest.mark.parametrize(("made", "after"), [(40, 39), (30, 30)])
def test_an_outcome_that_comes_in_after_its_window_begins_nothing(made: int, after: int) -> None:
    late = mail(made * DAY, no_response=after * DAY)

    assert rested(IGNORES, late, mail(25 * DAY), mail(10 * DAY)) == NOW - 3 * DAY + 60 * DAY


def test_of_several_outcomes_of_one_touch_the_first_begins_the_pause() -> None:
    trouble = IGNORES.replace(
        "[no_response], unanswered_after: 7d, times: 2", "[bounce, complaint], times: 1"
    )

    until = rested(trouble, mail(9 * DAY, complaint=3 * DAY, bounce=DAY))

    assert until == NOW - 8 * DAY + 60 * DAY


def test_the_pause_ends_exactly_when_it_says() -> None:
    touches = (mail(25 * DAY), mail(10 * DAY))
    until = rested(IGNORES, *touches)
    assert until is not None
    policy_set = suppressing("", IGNORES)
    (policy,) = policy_set.suppression.contact_policies
    (pause,) = policy.pauses(touches, "champion", ())
    limit = PauseLimit(policy.origin, (pause,))

    assert limit.earliest(until - timedelta(microseconds=1)) == until
    assert limit.earliest(until) == until


def test_an_ignore_that_is_still_to_come_counts_when_its_time_has_come() -> None:
    touches = (mail(20 * DAY), mail(5 * DAY))
    later = patient(email(earliest=NOW + 3 * DAY))

    decision = only(suppressing("", IGNORES), later, touches=touches)

    assert decision.until == NOW + 2 * DAY + 60 * DAY, "the pause begins before the proposal may go out"
    assert rested(IGNORES, *touches) is None, "today nothing has been ignored twice"


@pytest.mark.parametrize("kind", ["reply", "meeting"])
def test_an_answer_ends_the_pause_and_the_counting_begins_anew(kind: str) -> None:
    ignored = (mail(28 * DAY), mail(18 * DAY))
    answered = mail(9 * DAY, **{kind: DAY})

    assert rested(IGNORES, *ignored) is not None
    assert rested(IGNORES, *ignored, answered) is None
    assert rested(IGNORES, *ignored, mail(9 * DAY, open=DAY)) is not None, "opening is no answer"
    assert rested(IGNORES, ignored[1], mail(17 * DAY, **{kind: DAY}), mail(8 * DAY)) is None
    late = mail(18 * DAY, **{"no_response": 7 * DAY, kind: 9 * DAY})
    assert rested(IGNORES, ignored[0], late) is None, "it was ignored twice, and then came an answer"


def test_an_answer_does_not_mend_an_address() -> None:
    bounces = IGNORES.replace("[no_response], unanswered_after: 7d, times: 2", "[bounce], times: 1")

    until = rested(bounces, mail(9 * DAY, bounce=HOUR), mail(5 * DAY, reply=HOUR))

    assert until == NOW - 9 * DAY + HOUR + 60 * DAY


def test_what_goes_over_other_channels_or_is_a_service_message_is_not_paused() -> None:
    ignored = (mail(25 * DAY), mail(10 * DAY))
    page = personalization(contact_id="champion")
    files = {**suppressing("", IGNORES).files}
    files["frequency.yaml"] = "operational: [send_email]\n" + files["frequency.yaml"].replace(
        "operational:", "#"
    )
    service = compile_policy_set(files)

    assert rested(IGNORES, *ignored, proposal=page) is None
    assert rested(IGNORES, *ignored, proposal=email(contact_id="influencer")) is None
    reported = tuple(mail(ago * DAY, no_response=7 * DAY) for ago in (25, 10))
    nurture_mail = email(action="send_nurture_email", actor="nurture")
    assert said(only(service, email(), touches=reported)) == [], "an outage notice does not wait"
    assert said(only(service, nurture_mail, touches=reported)) != []
    assert said(only(service, nurture_mail, touches=ignored)) == [], "nobody answers an invoice"


def test_a_policy_per_account_counts_everybody() -> None:
    account_wide = IGNORES.replace("per: contact", "per: account")

    until = rested(account_wide, mail(25 * DAY), mail(10 * DAY, "influencer"))

    assert until == NOW - 3 * DAY + 60 * DAY


def test_a_policy_that_drops_names_the_end_of_the_pause() -> None:
    dropping = IGNORES.replace("pause: 60d", "pause: 60d, then: suppress")

    decision = only(suppressing("", dropping), email(), touches=(mail(25 * DAY), mail(10 * DAY)))

    assert (decision.verdict, decision.reason) == (Verdict.SUPPRESS, ReasonCode.CONTACT_POLICY)
    assert decision.hits[0].message.startswith("Paused until 2027-01-20 10:00Z. Rest.")


def test_a_policy_that_runs_out_ends_its_pauses_and_is_seen_afterwards() -> None:
    ending = IGNORES.replace(
        "review: 2027-06-30, expires: 2027-12-31", "review: 2026-12-01, expires: 2026-12-02"
    )
    touches = (mail(25 * DAY), mail(10 * DAY))
    over = datetime(2026, 12, 3, tzinfo=UTC)

    assert rested(ending, *touches) == over
    later = only(suppressing("", ending), patient(email(), over), touches=touches, now=over)
    (hit,) = said(later)
    assert (hit.log_only, hit.effect) == (True, Verdict.DEFER)
    assert "Ran out on 2026-12-02" in hit.message


def test_a_policy_that_is_tried_out_makes_nobody_wait() -> None:
    tried = IGNORES.replace("id: ignores,", "id: ignores, mode: log_only,")

    decision = only(suppressing("", tried), email(), touches=(mail(25 * DAY), mail(20 * DAY)))

    (hit,) = said(decision)
    assert (decision.verdict, hit.log_only) == (Verdict.ALLOW, True)


moments = st.integers(0, 95 * 24).map(lambda hours: NOW - hours * HOUR)
delays = st.integers(0, 40 * 24).map(lambda hours: hours * HOUR)


@st.composite
def histories(draw: st.DrawFn) -> tuple[TouchRecord, ...]:
    touches = []
    for index in range(draw(st.integers(0, 7))):
        at = draw(moments)
        kinds = draw(st.dictionaries(st.sampled_from(["no_response", "reply", "open"]), delays, max_size=2))
        outcomes = {OutcomeKind(kind): at + after for kind, after in kinds.items()}
        touches.append(
            touch(at, touch_id=str(index), channel="email", contact_id="champion", outcomes=outcomes)
        )
    return tuple(touches)


def paused_at(policy: ContactPolicy, touches: tuple[TouchRecord, ...], moment: datetime) -> bool:
    """Tell from the sentences in the file alone whether a moment lies in a pause."""
    assert policy.unanswered_after is not None
    answers = [each for t in touches for kind, each in t.outcomes.items() if kind is OutcomeKind.REPLY]
    ignored = []
    for each in touches:
        if OutcomeKind.NO_RESPONSE in each.outcomes:
            ignored.append((each.outcomes[OutcomeKind.NO_RESPONSE], each.at))
        elif not each.outcomes:
            ignored.append((each.at + policy.unanswered_after, each.at))
    for came, made in ignored:
        if not came <= moment < came + policy.pause or any(came < a <= moment for a in answers):
            continue
        counted = [
            at
            for other, at in ignored
            if other <= came and at > came - policy.within and not any(at <= a <= came for a in answers)
        ]
        # The outcome that makes the number full is one of those that count.
        fresh = made > came - policy.within and not any(made <= a <= came for a in answers)
        if fresh and len(counted) >= policy.times:
            return True
    return False


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(0, 60 * 24).map(lambda hours: NOW + hours * HOUR))
def test_pauses_are_what_the_file_says(touches: tuple[TouchRecord, ...], moment: datetime) -> None:
    (policy,) = suppressing("", IGNORES).suppression.contact_policies
    limit = PauseLimit(policy.origin, tuple(policy.pauses(touches, "champion", ())))

    assert (limit.earliest(moment) > moment) is paused_at(policy, touches, moment)
    assert limit.earliest(limit.earliest(moment)) == limit.earliest(moment)
    assert policy.pauses(touches[::-1], "champion", ()) == policy.pauses(touches, "champion", ())
    remembered = tuple(each for each in touches if each.at > moment - 90 * DAY)
    within_memory = PauseLimit(policy.origin, tuple(policy.pauses(remembered, "champion", ())))
    if not any(OutcomeKind.REPLY in each.outcomes for each in touches):
        assert within_memory.earliest(moment) == limit.earliest(moment), "older touches are not needed"


def test_the_shipped_policies_pause_ignored_bounced_and_annoyed_people() -> None:
    def reason(*touches: TouchRecord) -> tuple[Verdict, str]:
        decision = only(policies(), patient(email()), touches=touches)
        (hit,) = said(decision)
        return hit.effect, hit.rule_id

    assert reason(mail(25 * DAY), mail(10 * DAY)) == (Verdict.DEFER, "two-ignores")
    assert reason(mail(15 * DAY, bounce=HOUR)) == (Verdict.SUPPRESS, "bounced-address")
    assert reason(mail(15 * DAY, complaint=HOUR)) == (Verdict.SUPPRESS, "complained")
    assert said(only(policies(), email(), contacts=CONTACTS)) == []


def test_an_address_that_was_refused_at_once_is_left_alone_and_takes_no_place_in_caps() -> None:
    """The touch was released, but the bounce that its receipt told counts like one that came back later."""

    def ruled(status: TouchStatus) -> Decision:
        refused = mail(HOUR, bounce=timedelta(0)).model_copy(update={"status": status})
        return only(policies(), patient(email()), touches=(refused,))

    for status in (TouchStatus.RELEASED, TouchStatus.HANDED_OVER):
        (hit,) = said(ruled(status))
        assert (hit.effect, hit.rule_id) == (Verdict.SUPPRESS, "bounced-address")
    waiting = {hit.family for hit in ruled(TouchStatus.RELEASED).hits if hit.effect is Verdict.DEFER}
    assert not waiting & {"frequency", "timing"}
    assert {hit.family for hit in ruled(TouchStatus.HANDED_OVER).hits if hit.effect is Verdict.DEFER}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("domains: [contoso.example, fabrikam-group.example]", "channels: [email]", "names `accounts`, `domains` or a condition"),  # noqa: E501 - a table
        ("[contoso.example,", "['@contoso.example',", "is no domain"),
        ("[contoso.example,", "[fabrikam-group.example,", "listed twice"),
        ("owner: dana.reyes\n    review: 2027-03-31", "owner: sdr-agent\n    review: 2027-03-31", "no person 'sdr-agent'"),  # noqa: E501 - a table
        ("expires: 2027-06-30", "expires: next year", "must be a date such as 2026-01-31"),
        ("expires: 2027-06-30", "expires: 9999-12-31", "must lie between 2000 and 2098"),
        ("review: 2027-03-31", "review: 2027-07-01", "must not be after `expires`"),
        ("    owner: dana.reyes\n    review: 2027-03-31\n", "    review: 2027-03-31\n", "the key `owner` is missing"),  # noqa: E501 - a table
        ("    source: Legal, framework contract 2026\n", "", "the key `source` is missing"),
        ("channels: [email, executive]\n    then: suppress\n    reason: The contract", "channels: [emial]\n    then: suppress\n    reason: The contract", "did you mean `email`?"),  # noqa: E501 - a table
        ("then: suppress\n    reason: A comp", "then: allow\n    reason: A comp", "suppress, deny"),
        ("within: 30d\n    pause: 60d\n    reason: Two", "within: 31d\n    pause: 60d\n    reason: Two", "90d together"),  # noqa: E501 - a table
        ("unanswered_after: 7d", "unanswered_after: 30d", "must be shorter than `within`"),
        ("outcomes: [no_response]", "outcomes: [open]", "add that to `outcomes`"),
        ("channels: [email, executive]\n    outcomes: [no_response]", "outcomes: [no_response]", "it needs `channels`"),  # noqa: E501 - a table
        ("outcomes: [bounce]", "outcomes: [bounced]", "bounce"),
        ("outcomes: [bounce]", "outcomes: [bounce, bounce]", "'bounce' is listed twice"),
        ("times: 2", "times: 0", "at least 1"),
        ("id: complained", "id: competitors", "already used in suppression.yaml"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line_with_its_place(old: str, new: str, words: str) -> None:
    files = {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}
    assert old in files["suppression.yaml"]
    files["suppression.yaml"] = files["suppression.yaml"].replace(old, new, 1)

    with pytest.raises(PolicyError) as caught:
        compile_policy_set(files)

    problem = next(each for each in caught.value.problems if words in str(each))
    assert str(problem.place).startswith("suppression.yaml:")
    assert problem.place.line > 30, "it points into the rules"
