"""Caps are exact: for a person, an account, its new contacts, and for all accounts together."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import Proposal, ReasonCode, Standing, TouchRecord, TouchStatus, Verdict
from governance import PolicyError, PolicySet, draws, load_policy_set
from governance import rule as rule_as_told
from tests.governance.worlds import (
    CONTACTS,
    DEMO,
    NOW,
    decisions,
    edited,
    email,
    nurture,
    only,
    personalization,
    policies,
    request,
    rule_ids,
    touch,
)

DAY, MINUTE, MOMENT = timedelta(days=1), timedelta(minutes=1), timedelta(microseconds=1)


@pytest.fixture
def lone_caps(tmp_path: Path) -> "Caps":
    return Caps(tmp_path)


class Caps:
    """Policy sets of the demo (no nights) whose only limits are the caps of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, caps: str, operational: str = "send_invoice", gap: str = "1s") -> PolicySet:
        folder = self.folder / str(len(list(self.folder.iterdir())))
        folder.mkdir()
        target = edited(folder, "timing.yaml", ("at_least: 12s", f"at_least: {gap}"), base=DEMO)
        edited(folder, "arbitration.yaml", ("touches: 3", "touches: 1000"))
        edited(folder, "authority.yaml", ("actions: [send_email]", "actions: [any]"))
        (target / "frequency.yaml").write_text(f"operational: [{operational}]\ncaps:\n{caps}")
        return load_policy_set(target)


NEW_CONTACTS = (
    "  - {id: newcomers, per: account, counts: new_contacts, limit: 2, window: 7d, message: Two.}\n"
)


def to(contact_id: str | None, ago: timedelta, **changes: object) -> TouchRecord:
    return touch(NOW - ago, touch_id=f"{contact_id}-{ago}", contact_id=contact_id, channel="email", **changes)


def test_a_third_new_person_of_an_account_waits_until_the_first_is_a_week_old(lone_caps: Caps) -> None:
    two = (to("practitioner", 5 * DAY), to("influencer", 2 * DAY), to("influencer", DAY))

    decision = only(lone_caps(NEW_CONTACTS), email(), touches=two)

    assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.FREQUENCY_CAP)
    assert decision.until == NOW + 2 * DAY
    assert decision.hits[0].rule_id == "newcomers"


@pytest.mark.parametrize(
    "touches",
    [
        (to("practitioner", 5 * DAY), to("influencer", 2 * DAY), to("champion", 60 * DAY)),
        (to("practitioner", 5 * DAY), to("practitioner", 2 * DAY)),
        (to("practitioner", 50 * DAY), to("practitioner", 2 * DAY), to("influencer", DAY)),
        (to(None, DAY), to(None, 2 * DAY), to("influencer", DAY)),
        (to("practitioner", 7 * DAY), to("influencer", DAY)),
        (to("practitioner", DAY), to("influencer", DAY, status=TouchStatus.RELEASED)),
        (to("practitioner", DAY), to("influencer", DAY, action="send_invoice")),
    ],
    ids=["known", "one person twice", "known to us", "nobody", "a week ago", "never sent", "an invoice"],
)
def test_what_leaves_room_for_another_new_person(lone_caps: Caps, touches: tuple[TouchRecord, ...]) -> None:
    assert only(lone_caps(NEW_CONTACTS), email(), touches=touches).verdict is Verdict.ALLOW


def test_a_touch_of_the_account_as_a_whole_meets_nobody_new(lone_caps: Caps) -> None:
    two = (to("practitioner", 5 * DAY), to("influencer", 2 * DAY))

    assert only(lone_caps(NEW_CONTACTS), personalization(), touches=two).verdict is Verdict.ALLOW


def test_the_winner_makes_the_loser_wait_if_both_are_new(lone_caps: Caps) -> None:
    one = (to("practitioner", 3 * DAY),)
    second = email(proposal_id="sdr-2", contact_id="influencer", value=10_000.0)

    made = decisions(lone_caps(NEW_CONTACTS), request(email(), second, touches=one))

    assert made["sdr-1"].verdict is Verdict.ALLOW
    assert made["sdr-2"].until == NOW + 4 * DAY


people = st.sampled_from([None, *sorted(CONTACTS)])
pasts = st.lists(
    st.tuples(people, st.integers(1, 20 * 24).map(lambda hours: timedelta(hours=hours))), max_size=9
)


@settings(max_examples=80, deadline=None)
@given(pasts)
def test_new_contacts_are_counted_exactly(past: list[tuple[str | None, timedelta]]) -> None:
    """At the moment it names there is room, and a moment earlier there is none."""
    touches = tuple(to(*each, proposal_id=f"p{n}") for n, each in enumerate(past))
    policy_set = policies(DEMO)
    (cap,) = policy_set.frequency.new_contacts

    def new_people(moment: datetime) -> int:
        first: dict[str, datetime] = {}
        for each in touches:
            if each.contact_id is not None:
                first[each.contact_id] = min(first.get(each.contact_id, each.at), each.at)
        return sum(moment - cap.window < at <= moment for at in first.values())

    # The demo's week has fourteen seconds: move the past there, an hour a second.
    touches = tuple(each.model_copy(update={"at": NOW - (NOW - each.at) / 3_600}) for each in touches)
    known = "champion" in {each.contact_id for each in touches}
    decision = only(policy_set, email(), touches=touches)
    hits = [hit for hit in decision.hits if hit.rule_id == cap.origin.rule_id]

    assert bool(hits) is (not known and new_people(NOW) >= cap.limit)
    for hit in hits:
        assert hit.until is not None
        assert new_people(hit.until) < cap.limit
        assert new_people(hit.until - MOMENT) >= cap.limit


@pytest.mark.parametrize(
    ("way", "invoice_waits", "mail_waits"),
    [("exempt", False, False), ("counted", False, True), ("capped", True, True)],
)
@pytest.mark.parametrize("rule", ["cap", "gap"])
def test_service_messages(
    tmp_path: Path, rule: str, way: str, *, invoice_waits: bool, mail_waits: bool
) -> None:
    caps = Caps(tmp_path)
    if rule == "cap":
        line = f"  - {{id: weekly, per: account, limit: 1, window: 7d, operational: {way}, message: One.}}\n"
        policy_set = caps(line)
    else:
        gap = f"7d\n  operational: {way}"
        policy_set = caps("  []\n", gap=gap)
    after_mail, after_invoice = to("influencer", DAY), to("influencer", DAY, action="send_invoice")
    invoice = email(action="send_invoice")

    def waits(proposal: Proposal, past: TouchRecord) -> bool:
        return only(policy_set, proposal, touches=(past,)).verdict is Verdict.DEFER

    assert waits(email(), after_mail), "outreach waits after outreach whatever is said of service messages"
    assert waits(invoice, after_mail) is invoice_waits
    assert waits(email(), after_invoice) is mail_waits


def test_the_proposer_cannot_call_its_mail_a_service_message(lone_caps: Caps) -> None:
    line = "  - {id: weekly, per: account, limit: 1, window: 7d, message: One.}\n"
    asked = email(intent="operational", evidence=("operational: true",))

    decision = only(lone_caps(line), asked, touches=(to("influencer", DAY),))

    assert decision.verdict is Verdict.DEFER


def test_a_cap_that_is_tried_out_is_recorded_and_binds_nobody(lone_caps: Caps) -> None:
    line = "  - {id: weekly, mode: log_only, per: account, limit: 1, window: 7d, message: One.}\n"

    decision = only(lone_caps(line), email(), touches=(to("influencer", DAY),))

    assert decision.verdict is Verdict.ALLOW
    (hit,) = (hit for hit in decision.hits if hit.rule_id == "weekly")
    assert (hit.log_only, hit.effect, hit.until) == (True, Verdict.DEFER, NOW + 6 * DAY)


SHARED = """\
  - {id: mails, per: channel, channels: [email, webhook], limit: 100, window: 1d, message: Hundred.}
  - {id: all-of-us, per: tenant, limit: 1000, window: 7d, operational: counted, message: Thousand.}
"""


def told(**room: datetime) -> Standing:
    return Standing(room_at={name.replace("__", "/").replace("_", "-"): at for name, at in room.items()})


def test_a_shared_cap_asks_the_ledger_for_the_proposals_own_channel(lone_caps: Caps) -> None:
    asked = request(email(), personalization(), email(proposal_id="bill", action="send_invoice"))

    found = {(name, draw.rule_id): draw for name, draw in draws(lone_caps(SHARED), asked)}

    assert set(found) == {
        ("sdr-1", "mails"),
        ("sdr-1", "all-of-us"),
        ("web-1", "mails"),
        ("web-1", "all-of-us"),
    }, "a service message is held back by neither"
    mails, everything = found["sdr-1", "mails"], found["sdr-1", "all-of-us"]
    assert (mails.touches, mails.window_seconds, mails.channels) == (100, 86_400.0, ("email",))
    assert found["web-1", "mails"].channels == ("webhook",)
    assert mails.exempt_actions == ("send_invoice",)
    assert (everything.touches, everything.channels, everything.exempt_actions) == (1_000, None, ())


def test_a_full_shared_cap_defers_until_the_ledger_says_there_is_room(lone_caps: Caps) -> None:
    room = {"mails/sdr-1": NOW + 3 * MINUTE, "all-of-us/sdr-1": NOW - DAY}

    decision = only(lone_caps(SHARED), email(), standing=Standing(room_at=room))

    assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.FREQUENCY_CAP)
    assert (decision.until, decision.draws) == (NOW + 3 * MINUTE, ())
    later = only(lone_caps(SHARED), email(), standing=Standing(room_at=room), now=NOW + 3 * MINUTE)
    assert later.verdict is Verdict.ALLOW


def test_an_allowed_touch_names_the_places_it_takes_and_a_loser_none(lone_caps: Caps) -> None:
    made = decisions(lone_caps(SHARED), request(email(cost=2.5), nurture()))

    assert [(draw.rule_id, draw.cost) for draw in made["sdr-1"].draws] == [("all-of-us", 2.5), ("mails", 2.5)]
    assert made["nurture-1"].draws == ()


@pytest.mark.parametrize("room", [{}, {"mails/sdr-1": NOW}, {"mails/other": NOW, "all-of-us/other": NOW}])
def test_without_word_from_the_ledger_a_shared_cap_denies(
    lone_caps: Caps, room: Mapping[str, datetime]
) -> None:
    asked = request(email(), standing=Standing(room_at=dict(room)))

    (decision,) = rule_as_told(lone_caps(SHARED), asked).decisions

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert "all-of-us" in rule_ids(decision)
    assert decision.draws == ()


def test_a_shared_cap_that_is_tried_out_takes_no_place(lone_caps: Caps) -> None:
    policy_set = lone_caps(SHARED.replace("{id: mails,", "{id: mails, mode: log_only,"))
    full = Standing(room_at={"mails/sdr-1": NOW + DAY})

    decision = only(policy_set, email(), standing=full)

    assert decision.verdict is Verdict.ALLOW
    assert [draw.rule_id for draw in decision.draws] == ["all-of-us"]
    assert [hit.until for hit in decision.hits if hit.rule_id == "mails"] == [NOW + DAY]
    unknown = rule_as_told(policy_set, request(email(), standing=Standing(room_at={"all-of-us/sdr-1": NOW})))
    assert unknown.decisions[0].verdict is Verdict.ALLOW


def test_a_shared_cap_with_a_condition_holds_only_then(lone_caps: Caps) -> None:
    policy_set = lone_caps(SHARED.replace("limit: 100,", "limit: 100, when: proposal.value > 50000.0,"))
    full = Standing(room_at={"mails/sdr-1": NOW + DAY})

    assert only(policy_set, email(value=60_000.0), standing=full).verdict is not Verdict.ALLOW
    cheap = only(policy_set, email(), standing=full)
    assert cheap.verdict is Verdict.ALLOW
    assert [draw.rule_id for draw in cheap.draws] == ["all-of-us"]


def test_a_set_without_shared_limits_asks_nothing(lone_caps: Caps) -> None:
    policy_set = lone_caps(NEW_CONTACTS)

    assert not policy_set.shares
    assert draws(policy_set, request(email(), personalization())) == ()
    assert policies().shares


def test_nobody_asks_for_a_proposal_that_is_denied_anyway() -> None:
    strangers = request(email(actor="stranger"), email(proposal_id="x", channel="pigeon"))

    assert draws(policies(), strangers) == ()


def test_the_order_of_proposals_does_not_matter_to_what_is_asked(lone_caps: Caps) -> None:
    one, other = email(), personalization()
    policy_set = lone_caps(SHARED)

    assert draws(policy_set, request(one, other)) == draws(policy_set, request(other, one))


def test_a_cap_of_zero_says_what_to_do_instead(lone_caps: Caps) -> None:
    with pytest.raises(PolicyError, match=r"cap of zero.*suppression\.yaml"):
        lone_caps("  - {id: none, per: account, limit: 0, window: 7d, message: None.}\n")
