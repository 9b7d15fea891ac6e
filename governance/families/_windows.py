"""approvals.yaml, window approvals: with a yes, the same may go out again for a time and up to a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field

from domain import ApprovalRoute, Proposal, Risk, Role, RulingRequest, Use, UseKind, Verdict, WindowGrant
from governance._builder import Builder
from governance._case import Case, one_line
from governance._fields import ConditionText, PolicyModel, RuleId
from governance.cel._conditions import Condition, EvaluationError


class SegmentEntry(PolicyModel):
    """Accounts that an approver may name together."""

    id: RuleId
    when: ConditionText


class WindowsEntry(PolicyModel):
    """How much may be approved in advance."""

    id: RuleId
    when: ConditionText | None = None
    """For which proposals. Left out: for all that are made from a template."""
    days: int = Field(ge=1, le=90)
    """How many days ahead at most."""
    at_most: int = Field(ge=1, le=10_000)
    """How many touches at most, the one approved with it included."""


class WindowsPart(PolicyModel):
    """The keys of approvals.yaml that are about approving the same in advance."""

    segments: tuple[SegmentEntry, ...] = ()
    """Accounts that an approver may name together."""
    windows: WindowsEntry | None = None
    """How much an approver may allow in advance. Left out: nothing."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The compiled part.

    Attributes:
        possible: Whether anything may be approved in advance.
        when: For which proposals; None: for all.
        length: How far ahead.
        at_most: How many touches.
        segments: Conditions by name; None stands for a mistake, which stops the whole set.
    """

    possible: bool
    when: Condition | None
    length: timedelta
    at_most: int
    segments: dict[str, Condition | None]


def build_windows(file: WindowsPart, builder: Builder) -> Windows:
    """Compile the part."""
    segments: dict[str, Condition | None] = {}
    for index, entry in enumerate(file.segments):
        loc = ("segments", index)
        builder.origin(loc, entry.id, "A segment.")
        segments[entry.id] = builder.condition((*loc, "when"), entry.when)
    said = file.windows
    if said is None:
        return Windows(possible=False, when=None, length=timedelta(0), at_most=0, segments=segments)
    builder.origin(("windows",), said.id, "How much may be approved in advance.")
    when = builder.condition(("windows", "when"), said.when)
    return Windows(
        possible=True, when=when, length=timedelta(days=said.days), at_most=said.at_most, segments=segments
    )


def narrowed(windows: Windows, grants: Iterable[WindowGrant], now: datetime) -> tuple[WindowGrant, ...]:
    """Return the window approvals that stand, within the bounds that are in force today.

    Who lowers a bound lowers it also for what was approved before.
    """
    if not windows.possible:
        return ()
    found = (
        grant.model_copy(
            update={
                "at_most": min(grant.at_most, windows.at_most),
                "ends_at": min(grant.ends_at, grant.starts_at + windows.length),
            }
        )
        for grant in grants
    )
    return tuple(grant for grant in found if grant.stands(now))


def apply_windows(
    windows: Windows, case: Case, uses: tuple[Use, ...], route: ApprovalRoute, request: RulingRequest
) -> WindowGrant | None:
    """Let a window approval answer for the person who is asked; return the one that does, None if none.

    It lifts what asks for a person and nothing else, and only as long as those who gave it would be asked
    today about this very proposal.
    """
    if not _open_to(windows, case, uses, route):
        return None
    asking = {hit.rule_id for hit in case.hits if _asks(hit.effect) and not hit.log_only}
    standing = narrowed(windows, request.windows, case.now)
    for grant in sorted(standing, key=lambda each: (each.starts_at, each.grant_id)):
        if (
            asking <= set(grant.rules)
            and _same(grant, case.candidate.proposal, uses)
            and _new_claims(case, uses) <= set(grant.claims)
            and _given_by_them(grant, route)
            and _reaches(windows, grant, case)
        ):
            _lift(case, grant)
            return grant
    return None


def bounded(windows: Windows, case: Case, uses: tuple[Use, ...], route: ApprovalRoute) -> ApprovalRoute:
    """Return a route with how much may be approved in advance on it."""
    if not _open_to(windows, case, uses, route):
        return route
    return route.model_copy(
        update={
            "window_days": windows.length.days,
            "window_touches": windows.at_most,
            "window_segments": tuple(sorted(windows.segments)),
        }
    )


def _open_to(windows: Windows, case: Case, uses: tuple[Use, ...], route: ApprovalRoute) -> bool:
    """Tell whether a proposal can be approved in advance at all.

    Never what addresses an executive sponsor, what a wrong yes would harm much, and what several groups must
    each agree to: these are read one by one.
    """
    contact = case.contact
    return (
        windows.possible
        and any(use.kind is UseKind.TEMPLATE for use in uses)
        and route.risk is not Risk.HIGH
        and not route.seats
        and (contact is None or contact.role is not Role.EXECUTIVE_SPONSOR)
        and _holds(windows.when, case)
    )


def _holds(when: Condition | None, case: Case) -> bool:
    # Without an answer no window covers it, so a person is asked.
    if when is None:
        return True
    try:
        return when.holds(case.bound)
    except EvaluationError:
        return False


def _asks(effect: Verdict) -> bool:
    return effect is Verdict.REQUIRE_APPROVAL


def _same(grant: WindowGrant, proposal: Proposal, uses: tuple[Use, ...]) -> bool:
    """Tell whether a proposal is what was approved, for no more than was approved."""
    return (
        (grant.actor, grant.action, grant.channel) == (proposal.actor, proposal.action, proposal.channel)
        and Use(kind=UseKind.TEMPLATE, name=grant.template, version=grant.version) in uses
        and proposal.value <= grant.value
        and proposal.cost <= grant.cost
        and proposal.reach <= grant.reach
    )


def _new_claims(case: Case, uses: tuple[Use, ...]) -> set[str]:
    """Return the claims that nobody has heard yet: a window for one lets no other go out unread."""
    return {use.key for use in uses if use.kind is UseKind.CLAIM} - set(case.standing.used)


def _given_by_them(grant: WindowGrant, route: ApprovalRoute) -> bool:
    """Tell whether those who gave it may answer today, and are as many as must."""
    asked = {*route.approvers, *(login for level in route.levels for login in level.approvers)}
    asked |= {delegate for delegate, principal in route.delegates.items() if principal in asked}
    if not asked.issuperset(grant.given_by) or not frozenset(route.excluded).isdisjoint(grant.given_by):
        return False
    return len({route.delegates.get(login, login) for login in grant.given_by}) >= route.quorum


def _reaches(windows: Windows, grant: WindowGrant, case: Case) -> bool:
    if grant.segment is None:
        return grant.account_id == case.account.account_id
    return grant.segment in windows.segments and _holds(windows.segments[grant.segment], case)


def _lift(case: Case, grant: WindowGrant) -> None:
    given_by = " and ".join(grant.given_by)
    left = f"{grant.left - 1} of {grant.at_most} left until {grant.ends_at:%Y-%m-%d %H:%M}Z"
    case.hits[:] = [
        hit.model_copy(
            update={
                "effect": Verdict.ALLOW,
                "message": one_line(f"Approved in advance by {given_by}, {left}: {hit.message}"),
            }
        )
        if _asks(hit.effect) and not hit.log_only
        else hit
        for hit in case.hits
    ]
