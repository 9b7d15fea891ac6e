"""Golden cases of consent.yaml: whom the laws let us address, over which medium, and until when."""

from datetime import timedelta
from functools import cache

import pytest

from domain import Consent, ConsentBasis, Contact, Decision, Medium, ReasonCode, SubscriberKind, Verdict
from governance import PolicyError, PolicySet, compile_policy_set
from tests.governance.worlds import (
    CONTACTS,
    DEFAULT,
    NORTHWIND,
    NOW,
    email,
    only,
    person,
    personalization,
    policies,
)

DAY = timedelta(days=1)
MORE_CHANNELS = "".join(
    f"""
  - name: {medium.value}
    medium: {medium.value}
    reversibility: none
    task_queue: channel-{medium.value}
    delivery: at_most_once
    schedule_to_start: 2m
    start_to_close: 2m
    heartbeat: 30s
    retry_after: 15m
    needs: nothing
"""
    for medium in (Medium.SMS, Medium.CALL, Medium.MESSAGE, Medium.POST, Medium.ADS, Medium.TASK)
)


@cache
def with_every_medium(consent: str | None = None) -> PolicySet:
    """The default set with a channel for each medium, and perhaps another consent.yaml."""
    files = {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}
    files["channels.yaml"] += MORE_CHANNELS
    return compile_policy_set(files if consent is None else {**files, "consent.yaml": consent})


def edited_consent(*changes: tuple[str, str]) -> str:
    text = (DEFAULT / "consent.yaml").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def ask(contact: Contact, channel: str = "email", policy_set: PolicySet | None = None) -> Decision:
    """Rule on a touch that a person of ours proposes to the contact."""
    proposal = email(actor="dana.reyes", channel=channel)
    world = {**CONTACTS, "champion": contact}
    # Nothing is known of the account's country, so that the contact's alone counts.
    account = NORTHWIND.model_copy(update={"country": None})
    return only(policy_set or with_every_medium(), proposal, contacts=world, account=account)


def refusals(decision: Decision, *, log_only: bool = False) -> set[str]:
    hits = [hit for hit in decision.hits if hit.family == "consent" and hit.log_only is log_only]
    assert {(hit.effect, hit.reason) for hit in hits} <= {(Verdict.DENY, ReasonCode.CONSENT_MISSING)}
    ids = {hit.rule_id for hit in hits}
    assert len(ids) == len(hits), "nothing is told twice"
    return ids


def messages(decision: Decision) -> str:
    return "\n".join(hit.message for hit in decision.hits if hit.family == "consent")


def somebody(country: str | None, consent: str = "unknown", **changes: object) -> Contact:
    return person("champion", country=country, consent=Consent(consent), **changes)


UNKNOWN, IMPLIED, GRANTED = ({"consent": each} for each in ("unknown", "implied", "granted"))
EXISTING = {**IMPLIED, "consent_basis": ConsentBasis.EXISTING_CUSTOMER}
BOUGHT = {**IMPLIED, "consent_basis": ConsentBasis.PURCHASE, "consent_at": NOW - 700 * DAY}
INQUIRED = {**IMPLIED, "consent_basis": ConsentBasis.INQUIRY, "consent_at": NOW - 170 * DAY}
COMPANY, HUMAN = ({"subscriber": each} for each in (SubscriberKind.CORPORATE, SubscriberKind.INDIVIDUAL))


@pytest.mark.parametrize(
    ("country", "channel", "facts", "refused_by"),
    [
        ("US", "email", UNKNOWN, set()),
        ("US", "email", IMPLIED, set()),
        ("US", "sms", IMPLIED, {"us-tcpa"}),
        ("US", "call", {**GRANTED, **COMPANY}, set()),
        ("US", "call", {**UNKNOWN, **COMPANY}, {"us-tcpa"}),
        ("CA", "email", UNKNOWN, {"ca-casl"}),
        ("CA", "email", GRANTED, set()),
        ("CA", "email", BOUGHT, set()),
        ("CA", "email", INQUIRED, set()),
        ("CA", "email", {**INQUIRED, "consent_at": NOW - 200 * DAY}, {"ca-casl"}),
        ("CA", "email", EXISTING, {"ca-casl"}),
        ("DE", "email", {**UNKNOWN, **COMPANY}, {"de-uwg-messages"}),
        ("DE", "email", {**IMPLIED, **COMPANY}, {"de-uwg-messages"}),
        ("DE", "email", BOUGHT, {"de-uwg-messages"}),
        ("DE", "email", EXISTING, set()),
        ("DE", "message", UNKNOWN, {"de-uwg-messages"}),
        ("DE", "call", {**IMPLIED, **COMPANY}, set()),
        ("DE", "call", {**UNKNOWN, **COMPANY}, {"de-uwg-calls-to-companies"}),
        ("DE", "call", {**IMPLIED, **HUMAN}, {"de-uwg-calls-to-consumers"}),
        ("DE", "call", IMPLIED, {"de-uwg-calls-to-consumers"}),
        ("AT", "email", UNKNOWN, {"at-tkg"}),
        ("AT", "call", IMPLIED, {"at-tkg-calls"}),
        ("CH", "email", UNKNOWN, {"ch-uwg"}),
        ("CH", "email", EXISTING, set()),
        ("ES", "email", UNKNOWN, {"es-lssi"}),
        ("IT", "email", UNKNOWN, {"it-privacy-code"}),
        ("NL", "email", {**UNKNOWN, **COMPANY}, {"nl-telecommunications-act"}),
        ("GB", "email", {**UNKNOWN, **COMPANY}, set()),
        ("GB", "email", {**UNKNOWN, **HUMAN}, {"gb-pecr-people"}),
        ("GB", "email", {**EXISTING, **HUMAN}, set()),
        ("GB", "email", UNKNOWN, {"gb-pecr-people"}),
        ("FR", "email", {**UNKNOWN, **COMPANY}, set()),
        ("FR", "email", {**UNKNOWN, **HUMAN}, {"fr-people"}),
        ("BR", "webhook", UNKNOWN, set()),
        ("BR", "post", UNKNOWN, set()),
        ("BR", "task", UNKNOWN, set()),
        ("US", "ads", GRANTED, set()),
        ("US", "ads", UNKNOWN, {"audiences-of-people"}),
        ("BR", "ads", EXISTING, {"audiences-of-people"}),
    ],
)
def test_what_the_shipped_laws_ask_for(
    country: str, channel: str, facts: dict[str, object], refused_by: set[str]
) -> None:
    decision = ask(somebody(country, **facts), channel)  # type: ignore[arg-type]  # a table of mixed facts

    assert refusals(decision) == refused_by
    assert (decision.verdict is Verdict.DENY) is bool(refused_by)


@pytest.mark.parametrize(
    ("country", "scope"), [(None, "country is unknown"), ("BR", "No rule is written for BR")]
)
def test_without_a_rule_for_the_country_the_strictest_counts(country: str | None, scope: str) -> None:
    refused = ask(somebody(country, **EXISTING))

    assert refusals(refused) == {"ca-casl"}, "the one law that knows no existing customers"
    assert scope in messages(refused)
    everybody = refusals(ask(somebody(country)))
    assert {"de-uwg-messages", "it-privacy-code", "gb-pecr-people", "ca-casl"} <= everybody
    assert refusals(ask(somebody(country, "granted"))) == set()


def test_the_account_tells_the_country_of_a_contact_without_one() -> None:
    contact = somebody(None, subscriber=SubscriberKind.CORPORATE)

    def where(country: str) -> set[str]:
        account = NORTHWIND.model_copy(update={"country": country})
        return refusals(only(policies(), email(), contacts={"champion": contact}, account=account))

    assert where("US") == set()
    assert where("DE") == {"de-uwg-messages"}


def test_a_class_for_which_the_country_has_no_rule_falls_to_the_strictest() -> None:
    companies = "- id: gb-pecr-companies\n    countries: [{}]"
    only_people = with_every_medium(edited_consent((companies.format("GB"), companies.format("IE"))))

    corporate = ask(somebody("GB", subscriber=SubscriberKind.CORPORATE), policy_set=only_people)

    assert "de-uwg-messages" in refusals(corporate)
    individual = ask(somebody("GB", subscriber=SubscriberKind.INDIVIDUAL), policy_set=only_people)
    assert refusals(individual) == {"gb-pecr-people"}
    assert refusals(ask(somebody("GB"), policy_set=only_people)) == refusals(corporate)


@pytest.mark.parametrize(
    ("basis", "days", "ran_out"),
    [(ConsentBasis.PURCHASE, 730, "2026-11-24"), (ConsentBasis.INQUIRY, 180, "2026-11-24")],
)
def test_implied_consent_runs_out_to_the_moment_and_the_message_names_the_day(
    basis: ConsentBasis, days: int, ran_out: str
) -> None:
    last = NOW - timedelta(days=days) + timedelta(microseconds=1)
    facts = {"consent_basis": basis, "consent_at": last}
    assert refusals(ask(somebody("CA", "implied", **facts))) == set()

    over = ask(somebody("CA", "implied", **{**facts, "consent_at": NOW - timedelta(days=days)}))

    assert refusals(over) == {"ca-casl"}
    assert (over.verdict, over.reason) == (Verdict.DENY, ReasonCode.CONSENT_MISSING)
    assert f"Implied consent ({basis.value}) ran out on {ran_out}." in messages(over)


def test_a_permission_that_may_run_out_does_not_count_without_its_date() -> None:
    decision = ask(somebody("CA", "implied", consent_basis=ConsentBasis.PURCHASE))

    assert refusals(decision) == {"ca-casl"}
    assert "without a date" in messages(decision)


def test_a_permission_dated_in_the_future_has_not_been_given() -> None:
    tomorrow = ask(somebody("DE", "granted", consent_at=NOW + DAY))

    assert refusals(tomorrow) == {"de-uwg-messages"}
    assert "2026-11-25, which has not come yet" in messages(tomorrow)
    assert refusals(ask(somebody("DE", "granted", consent_at=NOW))) == set()


def test_a_refusal_names_the_law() -> None:
    assert "(§ 7(2) no. 2 and § 7(3) UWG)" in messages(ask(somebody("DE")))


def test_an_opt_out_ends_a_permission_even_if_the_file_forgets_it() -> None:
    silent = with_every_medium(edited_consent().partition("\nrules:\n")[0] + "\nrules: []\n")

    for channel in ("email", "webhook"):
        withdrawn = ask(somebody("US", "withdrawn"), channel, silent)
        law = {"us-can-spam"} if channel == "email" else set()
        assert refusals(withdrawn) == {"engine.consent_withdrawn"} | law
        assert withdrawn.verdict is Verdict.DENY
    objected = ask(somebody("US", "granted", opted_out_at=NOW), "email", silent)
    assert (objected.verdict, objected.reason) == (Verdict.DENY, ReasonCode.SUPPRESSED)


def test_a_proposal_without_a_contact_addresses_nobody() -> None:
    account = NORTHWIND.model_copy(update={"country": None})

    for channel in ("webhook", "ads"):
        proposal = personalization(actor="dana.reyes", channel=channel)
        assert refusals(only(with_every_medium(), proposal, account=account)) == set()


def test_a_law_that_is_tried_out_is_recorded_and_neither_binds_nor_loosens() -> None:
    tried = with_every_medium(
        edited_consent(("- id: us-can-spam\n", "- id: us-can-spam\n    mode: log_only\n"))
    )

    decision = ask(somebody("US"), policy_set=tried)

    assert "de-uwg-messages" in refusals(decision), "without a binding rule the strictest counts"
    own = """jurisdictions:
  - {id: us-own, mode: log_only, countries: [US], media: [email], regime: opt_in,
     accepts: [{consent: granted}], source: Board, message: Ask first.}
"""
    stricter = with_every_medium(edited_consent(("jurisdictions:\n", own)))
    allowed = ask(somebody("US"), policy_set=stricter)
    assert (allowed.verdict is Verdict.DENY, refusals(allowed)) == (False, set())
    assert refusals(allowed, log_only=True) == {"us-own"}
    assert refusals(ask(somebody("CA"), policy_set=stricter)) == {"ca-casl"}


def test_any_speaks_for_every_country_that_is_known() -> None:
    world = """
jurisdictions:
  - {id: anywhere, countries: [any], media: [email], regime: opt_out, source: Board, message: Go on.}
  - {id: germany, countries: [DE], media: [email], regime: opt_in, accepts: [{consent: granted}],
     source: UWG, message: Ask first.}
rules: []
"""
    everywhere = with_every_medium(world)

    assert refusals(ask(somebody("BR"), policy_set=everywhere)) == set()
    assert refusals(ask(somebody("DE"), policy_set=everywhere)) == {"germany"}
    assert refusals(ask(somebody(None), policy_set=everywhere)) == {"germany"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("countries: [CA]", "countries: [UK]", "no country 'UK'; the codes are those of ISO 3166-1"),
        ("countries: [CA]", "countries: [UK]", "did you mean `GB`?"),
        ("countries: [CA]", "countries: [ca]", "two capital letters"),
        ("countries: [CA]", "countries: [CA, CA]", "'CA' is listed twice"),
        ("countries: [CA]", "countries: []", "needs at least 1 entry"),
        ("media: [email]\n    regime: opt_out\n    source: CAN", "media: [email, email]\n    regime: opt_out\n    source: CAN", "'email' is listed twice"),  # noqa: E501 - a table
        ("media: [call, sms]", "media: [call, text]", '"text"'),
        ("media: [call, sms]", "media: [call, web]", "no_permission_needed as well"),
        ("[web, task, post]", "[web, web]", "'web' is listed twice"),
        ("subscribers: [individual]\n    regime: opt_in\n    accepts:\n      - consent: granted\n    source", "subscribers: [unknown]\n    regime: opt_in\n    accepts:\n      - consent: granted\n    source", "corporate, individual"),  # noqa: E501 - a table
        ("regime: opt_in\n    accepts:\n      - consent: granted\n    source: TCPA", "regime: opt_in\n    source: TCPA", "which consent is enough"),  # noqa: E501 - a table
        ("regime: opt_in\n    accepts:\n      - consent: granted\n    source: TCPA", "regime: opt_out\n    accepts:\n      - consent: granted\n    source: TCPA", "leave `accepts` out"),  # noqa: E501 - a table
        ("basis: purchase", "basis: purchased", "purchase"),
        ("not_older_than: 730d", "not_older_than: 2 years", "no duration"),
        ("- consent: implied\n", "- consent: withdrawn\n", "granted, implied"),
        ("    source: Art. 21 LSSI\n", "", "the key `source` is missing"),
        ("id: es-lssi", "id: ch-uwg", "already used in consent.yaml"),
        ("regime: opt_out\n    source: CAN", "regim: opt_out\n    source: CAN", "did you mean `regime`?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line_with_its_place(old: str, new: str, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        with_every_medium(edited_consent((old, new)))

    problem = next(each for each in caught.value.problems if words in str(each))
    assert str(problem.place).startswith("consent.yaml:")
    assert problem.place.line > 30, "it points into the rules"
