"""Whether somebody may answer who was not asked by name, and why not."""

from __future__ import annotations

import pytest

from domain import Answer, Candidate, ExceptionAsk, ExceptionKind, ReasonCode, RulingRequest, Verdict
from governance import delegation_problem
from tests.governance.asking import (
    HOUR,
    NOW,
    agreed,
    asked,
    asking,
    delegation,
    large,
    request,
    route_of,
    vetted,
    yes,
)
from tests.governance.worlds import candidate, policies, rule

GROUPS = {"leads": ["ada", "ben"], "chiefs": ["cleo"], "ops": ["dan", "eve"]}
ROUTE = {"group": "leads", "escalate": [{"after": "2h", "to": "chiefs"}]}
REVIEW = {"id": "review", "group": "ops", "answer_within": "48h"}
GLASS = {"break_glass": {"group": "chiefs", "review": REVIEW}}
AWAY = {"person": "ada", "from": "2026-11-23", "until": "2026-11-24"}


def test_somebody_who_joined_the_group_since_may_answer() -> None:
    before, after = asking(GROUPS, ROUTE), asking({**GROUPS, "leads": ["ada", "finn"]}, ROUTE)
    route = route_of(before)

    found = vetted(after, "finn", route)

    assert (found.refusal, found.group, found.answers_for) == (None, "leads", None)
    assert vetted(after, "ben", route).refusal == (
        "ben is not in leads, and nobody there lets them answer in their place"
    )


def test_somebody_with_a_delegation_of_today_answers_in_the_others_place() -> None:
    policy_set = asking(GROUPS, ROUTE)
    route = route_of(policy_set)

    found = vetted(policy_set, "finn", route, delegation("ada", "finn"))

    assert (found.refusal, found.group, found.answers_for) == (None, "leads", "ada")
    assert vetted(policy_set, "finn", route, delegation("ada", "finn", ended_at=NOW)).refusal is not None
    onward = (delegation("ada", "finn"), delegation("finn", "eve"))
    assert vetted(policy_set, "eve", route, *onward).refusal is not None


def test_being_on_leave_is_no_refusal() -> None:
    policy_set = asking(GROUPS, ROUTE, leave=[{**AWAY, "delegate": "finn"}])
    route = route_of(policy_set)

    assert "ada" not in route.approvers
    assert vetted(policy_set, "ada", route).refusal is None
    assert vetted(policy_set, "finn", route).answers_for == "ada"


def test_who_is_asked_later_answers_later() -> None:
    policy_set = asking(GROUPS, ROUTE)
    route = route_of(policy_set)

    early = vetted(policy_set, "cleo", route)

    assert early.refusal == "cleo is asked only if nobody answers until 2026-11-24 12:00Z"
    assert vetted(policy_set, "cleo", route, level=1).refusal is None


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ("nobody", "nobody is not in people.yaml; only persons who are listed there may answer"),
        ("sdr-agent", "sdr-agent is no person; agents never approve"),
        ("nurture", "nurture is no person; agents never approve"),
        ("lena.fischer", "lena.fischer has a part in this"),
        ("ben", "ben has a part in this"),
        ("finn", "finn is not in leads, and nobody there lets them answer in their place"),
    ],
)
@pytest.mark.parametrize("answer", Answer)
def test_who_may_not_answer_is_told_why(login: str, words: str, answer: Answer) -> None:
    policy_set = asking(GROUPS, ROUTE, exceptions=GLASS)
    route = route_of(policy_set, large(edited_by=("ben",)))

    refusal = vetted(policy_set, login, route, delegation("ben", "finn"), answer=answer).refusal

    assert refusal is not None
    if (login, answer) != ("finn", Answer.BREAK_GLASS):
        assert refusal.startswith(words)


def test_the_owner_of_the_agent_today_may_not_answer_either() -> None:
    """Given a question asked before the agent changed hands, then its new owner is refused."""
    route = route_of(asking(GROUPS, ROUTE), large(actor="sdr-agent"))
    later = asking(GROUPS, ROUTE, actors=[{"id": "sdr-agent", "kind": "ai_agent", "owner": "ada"}])

    assert vetted(later, "ada", route, actor="sdr-agent").refusal is not None
    assert vetted(later, "ben", route, actor="sdr-agent").refusal is None


def test_a_route_that_is_gone_asks_those_groups_that_it_named() -> None:
    route = route_of(asking(GROUPS, ROUTE))
    later = asking(GROUPS, {**ROUTE, "id": "another", "group": "ops"})

    assert vetted(later, "ben", route).refusal is None
    assert vetted(later, "dan", route).refusal is not None


def test_who_breaks_the_glass_answers_alone_and_is_reviewed_by_somebody_else() -> None:
    policy_set = asking({**GROUPS, "chiefs": ["cleo", "dan"]}, ROUTE, exceptions=GLASS)
    route = route_of(policy_set)

    found = vetted(policy_set, "dan", route, answer=Answer.BREAK_GLASS)

    assert (found.refusal, found.group) == (None, "chiefs")
    assert found.review is not None
    assert found.review.route_id == "review"
    assert found.review.approvers == ("eve",)
    assert {"dan", "lena.fischer"} <= set(found.review.excluded)
    review = vetted(policy_set, "dan", found.review, kind=ExceptionKind.REVIEW)
    assert review.refusal is not None


def test_the_glass_stays_whole() -> None:
    """Given nobody who may, nobody who could review it, or a question of another kind: a refusal."""
    without, policy_set = asking(GROUPS, ROUTE), asking(GROUPS, ROUTE, exceptions=GLASS)
    lonely = asking({**GROUPS, "ops": ["cleo"]}, ROUTE, exceptions=GLASS)
    route = route_of(policy_set)

    def refusal(policy_set: object, login: str = "cleo", **more: object) -> str | None:
        return vetted(policy_set, login, route, answer=Answer.BREAK_GLASS, **more).refusal  # type: ignore[arg-type]

    assert refusal(policy_set) is None
    assert refusal(without) == "nobody may break the glass: approvals.yaml does not say who"
    assert refusal(policy_set, "ada") == "ada is not in chiefs, whose members alone may break the glass"
    assert refusal(lonely) == "nobody in ops is left who could review it afterwards"
    assert refusal(policy_set, kind=ExceptionKind.IN_DOUBT) is not None
    in_place = vetted(policy_set, "finn", route, delegation("cleo", "finn"), answer=Answer.BREAK_GLASS)
    assert in_place.refusal == "finn is not in chiefs, whose members alone may break the glass"


def broken(login: str, **changes: object) -> Candidate:
    return candidate(large(**changes), glass_broken_by=login, approved_by=login, approvers=(login,))


def test_broken_glass_counts_while_its_breaker_is_one_of_those_who_may() -> None:
    policy_set = asking(GROUPS, {"group": "leads", "quorum": 2}, exceptions=GLASS)

    decision = asked(policy_set, broken("cleo"))

    assert decision.verdict is Verdict.ALLOW
    assert any(
        hit.reason is ReasonCode.GLASS_BROKEN and hit.message.startswith("cleo broke the glass: ")
        for hit in decision.hits
    )
    for login, changes in (("ada", {}), ("cleo", {"edited_by": ("cleo",)}), ("cleo", {"actor": "cleo"})):
        assert asked(policy_set, broken(login, **changes)).verdict is Verdict.REQUIRE_APPROVAL
    without = asking(GROUPS, {"group": "leads", "quorum": 2})
    assert asked(without, broken("cleo")).verdict is Verdict.REQUIRE_APPROVAL


@pytest.mark.parametrize("given", [broken("cleo"), agreed("ada", "ben"), agreed(yes("ada"), yes("cleo"))])
def test_no_approval_lifts_anything_but_the_need_for_one(given: Candidate) -> None:
    policy_set = asking(GROUPS, ROUTE, exceptions=GLASS)

    assert asked(policy_set, given).verdict is Verdict.ALLOW
    assert asked(policy_set, given, suppressed=("champion",)).verdict is Verdict.DENY
    waiting = given.model_copy(
        update={"proposal": given.proposal.model_copy(update={"earliest": NOW + HOUR})}
    )
    assert asked(policy_set, waiting).verdict is Verdict.DEFER
    gone = given.model_copy(update={"expires_at": NOW})
    assert asked(policy_set, gone).verdict is Verdict.SUPPRESS


def about(kind: ExceptionKind, **changes: object) -> RulingRequest:
    ask = ExceptionAsk.model_validate(
        {
            "approval_id": "x-1",
            "kind": kind,
            "digest": "d",
            "reason": ReasonCode.IN_DOUBT,
            "message": "Nobody knows.",
            "raised_at": NOW,
            **changes,
        }
    )
    return request(asks=(ask,))


@pytest.mark.parametrize("kind", [ExceptionKind.IN_DOUBT, ExceptionKind.CONFLICT, ExceptionKind.AMBIGUITY])
def test_other_exceptions_have_routes_of_their_own(kind: ExceptionKind) -> None:
    """Given a question that is about no proposal, then it is routed in a ruling without candidates."""
    entry = {"id": "others", "group": "ops", "answer_within": "4h", "due_in": "2h", "remind": ["1h"]}
    policy_set = asking(GROUPS, ROUTE, exceptions={kind.value: entry})

    ruling = rule(policy_set, about(kind))

    route = ruling.routes["x-1"]
    assert (ruling.decisions, ruling.unroutable, ruling.asks_about) == ((), {}, (kind,))
    assert (route.route_id, route.approvers) == ("others", ("dan", "eve"))
    assert (route.due_at, route.expires_at) == (NOW + 2 * HOUR, NOW + 4 * HOUR)
    assert route.on_expiry is Verdict.SUPPRESS


def test_a_review_that_nobody_gave_goes_to_the_reviewers_of_today_without_the_breaker() -> None:
    policy_set = asking(GROUPS, ROUTE, exceptions=GLASS)
    reviewers = rule(policy_set, about(ExceptionKind.REVIEW)).routes["x-1"].approvers
    breaker, *others = reviewers

    again = rule(policy_set, about(ExceptionKind.REVIEW, approved_by=(breaker,))).routes["x-1"]

    assert again.route_id == REVIEW["id"]
    assert again.approvers == tuple(others)


def test_nobody_decides_about_what_they_had_a_part_in() -> None:
    entry = {"id": "others", "group": "ops", "answer_within": "4h"}
    policy_set = asking(
        GROUPS,
        ROUTE,
        exceptions={"conflict": entry},
        actors=[{"id": "sdr-agent", "kind": "ai_agent", "owner": "dan"}],
    )

    def routed(**changes: object) -> tuple[str, ...] | str:
        ruling = rule(policy_set, about(ExceptionKind.CONFLICT, **changes))
        return ruling.routes["x-1"].approvers if ruling.routes else ruling.unroutable["x-1"]

    assert routed(actor="sdr-agent") == ("eve",)
    assert routed(actor="an-agent-of-old", edited_by=("eve",)) == ("dan",)
    assert routed(approved_by=("dan", "ada")) == ("eve",)
    assert routed(approved_by=("dan",), edited_by=("eve",)) == (
        "nobody in ops is left who may decide about a conflict"
    )


def test_what_the_file_does_not_route_is_put_to_nobody() -> None:
    ruling = rule(asking(GROUPS, ROUTE), about(ExceptionKind.IN_DOUBT))

    assert (ruling.asks_about, ruling.routes) == ((), {})
    assert ruling.unroutable == {"x-1": "approvals.yaml does not say whom to ask about a touch in doubt"}


def test_the_shipped_set_asks_about_everything() -> None:
    everything = set(ExceptionKind) - {ExceptionKind.ACTION}

    assert set(rule(policies(), request()).asks_about) == everything


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"delegate": "sdr-agent"}, "sdr-agent is no person; agents never approve"),
        ({"delegate": "nobody"}, "nobody is not in people.yaml"),
        ({"principal": "nobody"}, "nobody is not in people.yaml"),
        ({"made_by": "nobody"}, "nobody is not in people.yaml"),
        ({"made_by": "eve"}, "eve cannot take the place of ada; they or a colleague must give it"),
        ({"made_by": "dan"}, None),
        ({"delegate": "ada"}, "ada cannot answer in their own place"),
        ({"principal": "finn"}, "finn is in no group of people.yaml, so there is nothing to delegate"),
        ({"ends_at": NOW - HOUR}, "it ends before it begins"),
    ],
)
def test_a_delegation_that_could_never_be_used_is_told_so(
    changes: dict[str, object], words: str | None
) -> None:
    given = delegation("ada", "eve").model_copy(update=changes)

    problem = delegation_problem(asking(GROUPS, ROUTE), given)

    if words is None:
        assert problem is None
    else:
        assert problem is not None
        assert problem.startswith(words)


def test_whoever_stands_in_for_somebody_cannot_pass_it_on() -> None:
    onward = delegation("ada", "dan").model_copy(update={"made_by": "eve"})

    problem = delegation_problem(asking(GROUPS, ROUTE), onward, [delegation("ada", "eve")])

    assert problem == "eve stands in for ada and cannot pass it on"
    assert delegation_problem(asking(GROUPS, ROUTE), onward, [delegation("dan", "eve")]) is None
