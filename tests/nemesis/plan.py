"""What a seed decides: the proposals, the provider's conduct, and when which worker dies."""

from __future__ import annotations

import random
import re
from enum import StrEnum

from domain import Frozen

ACCOUNTS = "ab"
CHANNEL_EMAIL = "email"
CHANNEL_WEBHOOK = "webhook"
EMAILS_PER_MINUTE = 3
"""The cap on e-mails of the nemesis' policy set (`arena.EDITS`); no run lasts longer than its window."""


class Role(StrEnum):
    """A worker process."""

    ORCHESTRATOR = "orchestrator"
    EMAIL = "email"
    WEBHOOK = "webhook"


class Gap(StrEnum):
    """A place between two steps, at which a worker can be lost."""

    BEFORE_CLAIM = "before the claim"
    CLAIMED = "after the claim, before the first check"
    CHECKED = "after the first check, before the provider is called"
    LINE = "after the last check, before the line is crossed"
    CROSSED = "behind the line, before the first byte"
    MID_MESSAGE = "in the middle of the message"
    WRITTEN = "after the last byte, before an answer"
    ANSWERED = "after the provider's answer, before the receipt"
    RECEIPT = "before the receipt is on the claim"
    SETTLED = "after the receipt is on the claim, before the activity completes"
    DOUBT_FOUND = "in the retry, with an open claim in hand"
    BEFORE_RULING = "before the ruling is entered"
    RULED = "after the ruling is entered, before the account knows"
    BEFORE_FACTS = "before facts are recorded"
    FACTS = "after facts are recorded, before the account knows"
    RESOLVING = "while a lost touch is looked up, before its claim is taken"
    RESOLVED = "after a lost touch's claim is taken, before the account knows"


class Act(StrEnum):
    """What happens to the worker there."""

    KILL = "killed"
    """SIGKILL."""
    FREEZE = "frozen"
    """SIGSTOP, and SIGCONT when everybody has given it up."""


class Memory(StrEnum):
    """Whether the channels' ledger knows who claimed a touch before."""

    KEEPS = "keeps"
    FORGETS = "forgets"
    """Only to see whether the nemesis notices."""


class Mood(StrEnum):
    """How the provider takes one request."""

    ACCEPT = "accepts"
    SLOW = "accepts and takes its time to say so"
    TOO_SLOW = "accepts and says so when nobody listens any more"
    DROP_AFTER = "accepts and drops the connection"
    DROP_BEFORE = "drops the connection and accepts nothing"
    BUSY = "asks to come again: 451 or 429"
    ERROR = "fails before it accepts: 421 or 500"
    ERROR_AFTER = "accepts, then answers 500"
    REFUSE = "refuses for good"


class Fate(Frozen):
    """How one life of a worker ends."""

    gap: Gap
    nth: int
    """At which passing of the gap in this life, from 1."""
    act: Act
    pause: float
    """Seconds until a frozen worker goes on, or until a killed one has a successor."""


class Wish(Frozen):
    """A proposal, and how the provider takes the requests for it, one mood each; later ones it accepts."""

    proposal_id: str
    account: str
    channel: str
    contact_id: str | None
    value: float
    at: float
    expires_in: float
    copies: int
    """How often it is proposed, by a sender that does not trust the network."""
    moods: tuple[Mood, ...]


class Plan(Frozen):
    """Everything that a seed decides."""

    seed: int
    accounts: tuple[str, ...]
    wishes: tuple[Wish, ...]
    fates: dict[Role, tuple[Fate, ...]]
    restarts: tuple[tuple[Role, float], ...]
    """Workers that are told to stop in an orderly way, and when."""
    publish_at: float | None
    """When another policy set comes into force."""
    observe_copies: int
    """How often the profile is reported."""
    continue_after_events: int


_EMAIL = (
    Gap.BEFORE_CLAIM,
    Gap.CLAIMED,
    Gap.CHECKED,
    Gap.LINE,
    Gap.CROSSED,
    Gap.MID_MESSAGE,
    Gap.WRITTEN,
    Gap.ANSWERED,
    Gap.RECEIPT,
    Gap.SETTLED,
)
_OPEN_CLAIM = _EMAIL[1:9]
"""A worker lost here leaves an open claim."""
_WEBHOOK = (Gap.CHECKED, Gap.CROSSED, Gap.ANSWERED)
_ORCHESTRATOR = (Gap.BEFORE_RULING, Gap.RULED, Gap.BEFORE_FACTS, Gap.FACTS)
_LOOK_UP = (Gap.RESOLVING, Gap.RESOLVED)
_EMAIL_MOODS = (
    *(Mood.ACCEPT,) * 6,
    Mood.SLOW,
    Mood.TOO_SLOW,
    Mood.DROP_AFTER,
    Mood.DROP_BEFORE,
    Mood.BUSY,
    Mood.ERROR,
    Mood.REFUSE,
)
_WEBHOOK_MOODS = (
    *(Mood.ACCEPT,) * 3,
    Mood.SLOW,
    Mood.TOO_SLOW,
    Mood.DROP_AFTER,
    Mood.DROP_BEFORE,
    Mood.BUSY,
    Mood.ERROR,
    Mood.ERROR_AFTER,
    Mood.REFUSE,
)
_NO_SUCCESSOR = 5.0
"""Seconds after which the channel counts as down and the orchestrator looks the touch up itself."""


def plan_of(seed: int) -> Plan:
    """Return what a seed decides; the same for the same seed, in every process."""
    dice = random.Random(seed)
    accounts = tuple(ACCOUNTS[: dice.choice((1, 1, 2))])
    wishes = [wish for account in accounts for wish in _wishes(dice, account)]
    return Plan(
        seed=seed,
        accounts=accounts,
        wishes=tuple(wishes),
        fates=_fates(dice, seed),
        restarts=tuple((role, round(dice.uniform(1.0, 3.5), 2)) for role in Role if dice.random() < 0.08),
        publish_at=round(dice.uniform(0.8, 3.0), 2) if dice.random() < 0.2 else None,
        observe_copies=dice.choice((1, 1, 2, 3)),
        continue_after_events=dice.choice((400, 400, 60)),
    )


def lost_answer() -> Plan:
    """Return a plan for one thing only: the provider has a mail that its killed worker could not tell of."""
    plan = plan_of(3487)  # here the provider accepts both at the first request
    return plan.model_copy(
        update={
            "wishes": tuple(w for w in plan.wishes if w.proposal_id in {"mail-1", "site-1"}),
            "fates": dict.fromkeys(Role, ()) | {Role.EMAIL: (_kill(Gap.ANSWERED),)},
            "restarts": (),
        }
    )


def _wishes(dice: random.Random, account: str) -> list[Wish]:
    """Up to four e-mails to as many people, one more than the cap has room for, and perhaps a web touch."""
    made = []
    for number in range(dice.choice((2, 3, 4))):
        surplus = number == EMAILS_PER_MINUTE
        made.append(
            Wish(
                proposal_id=f"mail-{number + 1}",
                account=account,
                channel=CHANNEL_EMAIL,
                contact_id=f"c{number + 1}",
                value=10_000.0 if surplus else 40_000.0 - 1_000 * number,
                at=0.0 if number == 0 else round(dice.uniform(0.0, 1.5), 2),
                expires_in=8.0 if surplus else 25.0,
                copies=dice.choice((1, 1, 1, 2)),
                moods=_moods(dice, _EMAIL_MOODS, first_accepts=number == 0),
            )
        )
    if dice.random() < 0.6:
        made.append(
            Wish(
                proposal_id="site-1",
                account=account,
                channel=CHANNEL_WEBHOOK,
                contact_id=None,
                value=30_000.0,
                at=round(dice.uniform(0.0, 1.5), 2),
                expires_in=120.0,
                copies=1,
                moods=_moods(dice, _WEBHOOK_MOODS, first_accepts=False),
            )
        )
    return made


def _moods(dice: random.Random, choice: tuple[Mood, ...], *, first_accepts: bool) -> tuple[Mood, ...]:
    first = Mood.ACCEPT if first_accepts and dice.random() < 0.7 else dice.choice(choice)
    return (first, *(dice.choice(choice) for _ in range(dice.choice((0, 1, 2)))))


def _fates(dice: random.Random, seed: int) -> dict[Role, tuple[Fate, ...]]:
    """Let every gap have its turn as the first to kill at; what follows is chance."""
    fates: dict[Role, list[Fate]] = {role: [] for role in Role}
    turn = seed % 20
    if turn < len(_EMAIL):
        fates[Role.EMAIL].append(_fate(dice, _EMAIL[turn], nth=dice.choice((1, 1, 1, 2))))
    elif turn < 13:
        fates[Role.EMAIL] += [_kill(dice.choice(_OPEN_CLAIM)), _kill(Gap.DOUBT_FOUND)]
    elif turn < 15:
        fates[Role.EMAIL].append(_kill(dice.choice(_OPEN_CLAIM), pause=_NO_SUCCESSOR))
        fates[Role.ORCHESTRATOR].append(_kill(_LOOK_UP[turn % 2]))
    elif turn < 17:
        gap = dice.choice(_OPEN_CLAIM)
        fates[Role.EMAIL].append(Fate(gap=gap, nth=1, act=Act.FREEZE, pause=round(dice.uniform(2.2, 3.5), 2)))
    else:
        fates[Role.ORCHESTRATOR].append(_kill(_ORCHESTRATOR[dice.randrange(4)], nth=dice.choice((1, 2))))
    for gaps, role, chance in (
        (_EMAIL, Role.EMAIL, 0.5),
        (_EMAIL, Role.EMAIL, 0.25),
        (_WEBHOOK, Role.WEBHOOK, 0.5),
        (_ORCHESTRATOR, Role.ORCHESTRATOR, 0.12),
    ):
        if dice.random() < chance:
            fates[role].append(
                _fate(dice, dice.choice(gaps), nth=1, may_freeze=role is not Role.ORCHESTRATOR)
            )
    return {role: tuple(many) for role, many in fates.items()}


def _fate(dice: random.Random, gap: Gap, *, nth: int, may_freeze: bool = True) -> Fate:
    if may_freeze and dice.random() < 0.2:
        return Fate(gap=gap, nth=nth, act=Act.FREEZE, pause=round(dice.uniform(2.2, 3.5), 2))
    return _kill(gap, nth=nth, pause=dice.choice((0.0, 0.0, 0.3)))


def _kill(gap: Gap, *, nth: int = 1, pause: float = 0.0) -> Fate:
    return Fate(gap=gap, nth=nth, act=Act.KILL, pause=pause)


def account_id_of(seed: int, account: str) -> str:
    """Return the id of an account of a run."""
    return f"nemesis-{seed}-{account}"


def address_of(seed: int, account: str, contact_id: str) -> str:
    """Return the address of a person; it tells the provider of whom it is."""
    return f"{contact_id}@{account_id_of(seed, account)}.example.com"


_ADDRESS = re.compile(r"(c\d+)@(nemesis-\d+-[ab])\.example\.com")
_ACCOUNT = re.compile(r"nemesis-(\d+)-([ab])")


def wish_for(address: str) -> tuple[str, str]:
    """Return account id and proposal that an address belongs to; every proposal has a person of its own."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"{address!r} is nobody of a run")
    contact_id, account_id = found.groups()
    return account_id, f"mail-{contact_id[1:]}"


def moods_of(account_id: str, proposal_id: str) -> tuple[Mood, ...]:
    """Return how the provider takes the requests for a proposal."""
    found = _ACCOUNT.fullmatch(account_id)
    if found is None:
        raise ValueError(f"{account_id!r} is no account of a run")
    seed, account = int(found[1]), found[2]
    for wish in plan_of(seed).wishes:
        if wish.account == account and wish.proposal_id == proposal_id:
            return wish.moods
    raise ValueError(f"seed {seed} proposes no {proposal_id!r} for {account!r}")
