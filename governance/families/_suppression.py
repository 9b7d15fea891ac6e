"""suppression.yaml: whom we leave alone for a while, by decision or because of what came back."""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from domain import Identifier, OutcomeKind, ReasonCode, RuleHit, ShortText, TouchRecord, Verdict
from governance._builder import Builder, Loc
from governance._case import Case, Origin
from governance._fields import (
    LONGEST_WINDOW,
    ConditionText,
    NotEmpty,
    PolicyModel,
    RuleEntry,
    Sentence,
    Window,
)
from governance._fields import Day as AnyDay
from governance._limits import Limit, once, touches_of
from governance.cel._conditions import Condition
from governance.families._consent import Source

_FIRST_YEAR, _LAST_YEAR = 2000, 2098
"""The end of a day of the last year still is a moment of the language."""
_ANSWERS = (OutcomeKind.REPLY, OutcomeKind.MEETING)
_AROUND_HOST = re.compile(r"^[a-z][a-z0-9+.-]*://|[/:?#].*$")


def _plausible(value: date) -> date:
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"must lie between {_FIRST_YEAR} and {_LAST_YEAR}; found {value.isoformat()}")
    return value


def _bare_domain(value: str) -> str:
    if "." not in value or any(character in value for character in "@/: *"):
        raise ValueError(
            f"{value!r} is no domain; write it like contoso.com, which covers mail.contoso.com too"
        )
    return _host(value)


@lru_cache(maxsize=4_096)
def _host(text: str) -> str:
    """Return a host name in the one form in which names are compared."""
    bare = _AROUND_HOST.sub("", text.strip().lower()).strip(".")
    try:
        return bare.encode("idna").decode()
    except UnicodeError:
        return bare


Day = Annotated[AnyDay, AfterValidator(_plausible)]
"""A day of the calendar, written `2027-12-31`; it ends at midnight UTC."""

Domain = Annotated[ShortText, StringConstraints(min_length=3), AfterValidator(_bare_domain)]
"""The domain of a company; its subdomains belong to it."""


class TemporaryEntry(RuleEntry):
    """What every suppression has, so that none lasts for ever and each has somebody to ask."""

    reason: Sentence
    source: Source
    owner: Identifier
    """Login of the person who answers for it."""
    review: Day
    """When the owner looks at it again; not after `expires`."""
    expires: Day
    """The last day on which it binds."""


class ListEntry(TemporaryEntry):
    """Whom we leave alone by decision."""

    accounts: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    domains: Annotated[tuple[Domain, ...], NotEmpty] | None = None
    when: ConditionText | None = None
    channels: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    then: Literal["suppress", "deny"]


class ContactPolicyEntry(TemporaryEntry):
    """Whom we leave alone because of what came back."""

    per: Literal["contact", "account"]
    outcomes: Annotated[tuple[OutcomeKind, ...], NotEmpty]
    times: int = Field(ge=1, le=1_000)
    within: Window
    pause: Window
    unanswered_after: Window | None = None
    """From when a touch that nothing came back on counts as no_response; never if left out."""
    channels: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    then: Literal["defer", "suppress"] = "defer"


class SuppressionFile(PolicyModel):
    """The file as people write it."""

    lists: tuple[ListEntry, ...]
    contact_policies: tuple[ContactPolicyEntry, ...]


@dataclass(frozen=True, slots=True)
class Tenure:
    """How long a suppression binds, and who answers for it.

    Attributes:
        origin: Where it stands while it binds.
        lapsed: The same once it has run out: what it says is recorded and does not bind.
        owner: Login of the person who answers for it.
        review: When that person looks at it again.
        expires: The last day on which it binds.
        ends: The end of that day.
    """

    origin: Origin
    lapsed: Origin
    owner: str
    review: date
    expires: date
    ends: datetime

    def speaker(self, now: datetime) -> Origin:
        """Return in whose name it speaks at a moment."""
        return self.origin if now < self.ends else self.lapsed


@dataclass(frozen=True, slots=True)
class ListRule(Tenure):
    """Whom we leave alone by decision; it names companies, or conditions, or both."""

    accounts: frozenset[str]
    domains: frozenset[str]
    when: Condition | None
    channels: frozenset[str] | None
    effect: Verdict

    def concerns(self, case: Case) -> bool:
        """Tell whether the proposal goes to somebody on the list."""
        return (
            (self.channels is None or case.candidate.proposal.channel in self.channels)
            and (not (self.accounts or self.domains) or self._names(case))
            and case.holds(self.when, self.speaker(case.now))
        )

    def _names(self, case: Case) -> bool:
        if case.account.account_id in self.accounts:
            return True
        hosts = [case.account.domain] if case.account.domain else []
        if case.contact is not None and case.contact.email is not None:
            hosts.append(case.contact.email.rpartition("@")[2])
        return bool(self.domains) and any(
            host == domain or host.endswith(f".{domain}")
            for host in map(_host, hosts)
            for domain in self.domains
        )


@dataclass(frozen=True, slots=True)
class ContactPolicy(Tenure):
    """Whom we leave alone because of what came back.

    A touch counts if it was made, and its outcome came in, within one window that ends with that outcome. The
    outcome that makes the number full begins the pause.
    """

    per_contact: bool
    outcomes: tuple[OutcomeKind, ...]
    times: int
    within: timedelta
    pause: timedelta
    unanswered_after: timedelta | None
    channels: frozenset[str] | None
    effect: Verdict

    @property
    def about_silence(self) -> bool:
        """Whether it counts silence alone, so that an answer ends what it has begun."""
        return set(self.outcomes) == {OutcomeKind.NO_RESPONSE}

    def holds_for(self, case: Case) -> bool:
        """Tell whether it may speak about the proposal; service messages are never paused."""
        proposal = case.candidate.proposal
        return (
            not case.operational
            and (not self.per_contact or proposal.contact_id is not None)
            and (self.channels is None or proposal.channel in self.channels)
        )

    def pauses(
        self, touches: Sequence[TouchRecord], contact_id: str | None, operational: Collection[str]
    ) -> list[tuple[datetime, datetime]]:
        """Return every pause that the touches lead to, also those that are still to begin.

        Args:
            touches: Touches that count, in any order.
            contact_id: The person, where it goes by person.
            operational: Actions that nobody is expected to answer.

        Returns:
            Begin and end (excluded) of each, apart from each other and in order of time.
        """
        theirs = touches_of(touches, contact_id) if self.per_contact else touches
        answers = self._answers(theirs)
        made: list[datetime] = []
        found: list[tuple[datetime, datetime]] = []
        for came, at in sorted(self._events(theirs, operational)):
            insort(made, at)
            answered = bisect_right(answers, came)
            since = came - self.within
            if answered:
                since = max(since, answers[answered - 1])
            if at <= since or len(made) - bisect_right(made, since) < self.times:
                continue
            ends = came + self.pause
            if answered < len(answers):
                ends = min(ends, answers[answered])
            if found and came <= found[-1][1]:
                found[-1] = (found[-1][0], ends)
            else:
                found.append((came, ends))
        return found

    def known_pauses(
        self,
        touches: Sequence[TouchRecord],
        rejected: tuple[TouchRecord, ...],
        contact_id: str | None,
        operational: Collection[str],
    ) -> list[tuple[datetime, datetime]]:
        """Return the pauses, worked out once for all candidates that address the same person."""
        about = contact_id if self.per_contact else None
        return once(
            touches,
            (self.origin.rule_id, about),
            lambda: self.pauses((*touches, *rejected) if rejected else touches, about, operational),
        )

    def _events(
        self, touches: Sequence[TouchRecord], operational: Collection[str]
    ) -> Iterator[tuple[datetime, datetime]]:
        """Yield for each touch that counts when its outcome came in, and when it was made."""
        for touch in touches:
            if self.channels is not None and touch.channel not in self.channels:
                continue
            moments = [touch.outcomes[kind] for kind in self.outcomes if kind in touch.outcomes]
            if moments:
                yield min(moments), touch.at
            elif self.unanswered_after is not None and not touch.outcomes and touch.action not in operational:
                yield touch.at + self.unanswered_after, touch.at

    def _answers(self, touches: Sequence[TouchRecord]) -> list[datetime]:
        """Return when people answered, over whatever channel, in order of time."""
        if not self.about_silence:
            return []
        return sorted(
            touch.outcomes[kind] for touch in touches for kind in _ANSWERS if kind in touch.outcomes
        )


@dataclass(frozen=True, slots=True)
class Suppression:
    """The compiled file."""

    lists: tuple[ListRule, ...]
    contact_policies: tuple[ContactPolicy, ...]


@dataclass(frozen=True, slots=True)
class PauseLimit:
    """The pauses of one contact policy for one proposal."""

    origin: Origin
    pauses: tuple[tuple[datetime, datetime], ...]
    lifts: bool = False

    @property
    def log_only(self) -> bool:
        """Whether its rule is only tried out, or has run out."""
        return self.origin.log_only

    def earliest(self, moment: datetime) -> datetime:
        """Return the end of the pause in which the moment lies; the moment itself if it lies in none."""
        return next((ends for begins, ends in self.pauses if begins <= moment < ends), moment)

    def begins(self, moment: datetime, until: datetime) -> datetime | None:
        """Return the beginning of the next pause."""
        return min((begins for begins, _ in self.pauses if moment < begins < until), default=None)

    def hit(self, until: datetime) -> RuleHit:
        """Return a deferral until the pause ends."""
        return _paused(self.origin, Verdict.DEFER, until)


def build_suppression(file: SuppressionFile, builder: Builder) -> Suppression:
    """Compile the file."""
    lists = tuple(_list_rule(("lists", index), entry, builder) for index, entry in enumerate(file.lists))
    policies = tuple(
        _contact_policy(("contact_policies", index), entry, builder)
        for index, entry in enumerate(file.contact_policies)
    )
    return Suppression(lists, policies)


def _list_rule(loc: Loc, entry: ListEntry, builder: Builder) -> ListRule:
    if entry.accounts is None and entry.domains is None and entry.when is None:
        builder.reject(loc, "a list names `accounts`, `domains` or a condition `when`", code="missing-key")
    builder.all_known((*loc, "channels"), entry.channels or (), builder.roll.channels, "channel")
    for name, values in (("accounts", entry.accounts), ("domains", entry.domains)):
        builder.all_known((*loc, name), values or (), values, name)
    tenure = _tenure(loc, entry, builder)
    return ListRule(
        *tenure,
        accounts=frozenset(entry.accounts or ()),
        domains=frozenset(entry.domains or ()),
        when=builder.condition((*loc, "when"), entry.when),
        channels=frozenset(entry.channels) if entry.channels is not None else None,
        effect=Verdict(entry.then),
    )


def _contact_policy(loc: Loc, entry: ContactPolicyEntry, builder: Builder) -> ContactPolicy:
    builder.all_known((*loc, "channels"), entry.channels or (), builder.roll.channels, "channel")
    outcomes = [outcome.value for outcome in entry.outcomes]
    builder.all_known((*loc, "outcomes"), outcomes, outcomes, "outcome")
    if entry.within + entry.pause > LONGEST_WINDOW:
        message = (
            f"within and pause must be at most {LONGEST_WINDOW.days}d together: "
            "older touches are not remembered, and the pause would end without anybody knowing"
        )
        builder.reject((*loc, "pause"), message)
    if entry.unanswered_after is not None:
        _check_silence(loc, entry, entry.unanswered_after, builder)
    tenure = _tenure(loc, entry, builder)
    return ContactPolicy(
        *tenure,
        per_contact=entry.per == "contact",
        outcomes=entry.outcomes,
        times=entry.times,
        within=entry.within,
        pause=entry.pause,
        unanswered_after=entry.unanswered_after,
        channels=frozenset(entry.channels) if entry.channels is not None else None,
        effect=Verdict(entry.then),
    )


def _check_silence(loc: Loc, entry: ContactPolicyEntry, after: timedelta, builder: Builder) -> None:
    place = (*loc, "unanswered_after")
    if OutcomeKind.NO_RESPONSE not in entry.outcomes:
        builder.reject(place, "it makes touches count as no_response; add that to `outcomes`")
    if entry.channels is None:
        builder.reject(
            place, "it needs `channels`: nobody can answer a page or an advertisement", code="missing-key"
        )
    if after >= entry.within:
        builder.reject(place, "must be shorter than `within`, or no touch ever counts in time")


def _tenure(
    loc: Loc, entry: TemporaryEntry, builder: Builder
) -> tuple[Origin, Origin, str, date, date, datetime]:
    builder.known((*loc, "owner"), entry.owner, builder.roll.persons, "person")
    if entry.review > entry.expires:
        builder.reject(
            (*loc, "review"), "must not be after `expires`: by then there is nothing left to review"
        )
    reason = entry.reason if entry.reason.endswith((".", "!", "?")) else f"{entry.reason}."
    told = f"{reason} (until {entry.expires.isoformat()}, {entry.owner}; {entry.source})"
    origin = builder.origin(loc, entry.id, told, entry.mode)
    over = f"Ran out on {entry.expires.isoformat()} and binds no more; ask {entry.owner}. It said: {reason}"
    lapsed = replace(origin, message=over, log_only=True)
    ends = datetime.combine(entry.expires, time(), UTC) + timedelta(days=1)
    return origin, lapsed, entry.owner, entry.review, entry.expires, ends


def apply_suppression(suppression: Suppression, case: Case, operational: Collection[str]) -> None:
    """Collect every list that names the proposal, and every contact policy that drops it.

    What has run out is still recorded, so that no suppression ends unseen, but does not bind.

    Args:
        suppression: The compiled file.
        case: The proposal.
        operational: Actions that nobody is expected to answer.
    """
    for rule in suppression.lists:
        if rule.concerns(case):
            case.hits.append(rule.speaker(case.now).hit(rule.effect, ReasonCode.SUPPRESSED))
    for limit in _pause_limits(suppression, case, case.touches, operational, Verdict.SUPPRESS):
        if (until := limit.earliest(case.now)) > case.now:
            case.hits.append(_paused(limit.origin, Verdict.SUPPRESS, until))


def suppression_limits(
    suppression: Suppression, case: Case, touches: Sequence[TouchRecord], operational: Collection[str]
) -> Iterator[Limit]:
    """Yield the pauses for which the proposal waits.

    Args:
        suppression: The compiled file.
        case: The proposal.
        touches: Touches that count; they may be more than the case's own.
        operational: Actions that nobody is expected to answer.
    """
    yield from _pause_limits(suppression, case, touches, operational, Verdict.DEFER)


def _pause_limits(
    suppression: Suppression,
    case: Case,
    touches: Sequence[TouchRecord],
    operational: Collection[str],
    effect: Verdict,
) -> Iterator[PauseLimit]:
    contact_id = case.candidate.proposal.contact_id
    for policy in suppression.contact_policies:
        if policy.effect is not effect or not policy.holds_for(case):
            continue
        pauses = policy.known_pauses(touches, case.rejected, contact_id, operational)
        if case.now < policy.ends:
            # The policy itself may run out in the middle of a pause.
            pauses = [(begins, min(ends, policy.ends)) for begins, ends in pauses if begins < policy.ends]
        if pauses:
            yield PauseLimit(policy.speaker(case.now), tuple(pauses))


def _paused(origin: Origin, effect: Verdict, until: datetime) -> RuleHit:
    message = f"Paused until {until:%Y-%m-%d %H:%M}Z. {origin.message}"
    return origin.hit(
        effect, ReasonCode.CONTACT_POLICY, message=message, until=until if effect is Verdict.DEFER else None
    )
