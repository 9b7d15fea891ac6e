"""Policy sets and accounts that nobody has written: the shipped files with generated entries."""

from __future__ import annotations

import copy
import io
import json
import random
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

from hypothesis import strategies as st
from ruamel.yaml import YAML

from domain import (
    ProposalStatus,
    RulingRequest,
    Scheduled,
)
from governance import PolicySet, compile_policy_set
from tests.governance.test_properties import proposals, worlds
from tests.governance.worlds import (
    DEFAULT,
    NOW,
)

CONDITIONS = (
    "proposal.value > 20000.0",
    "proposal.confidence < 0.7",
    "contact == null",
    "contact != null && contact.role == Role.CHAMPION",
    'proposal.intent == "closing"',
    "actor.kind == ActorKind.SYSTEM",
    "assessment != null && assessment.urgency > 0.5",
    # Gives no answer where nobody is addressed, and must then deny.
    'contact.role == Role.PRACTITIONER || contact.id == "influencer"',
)
INTENTS = ("closing", "nurture", "upsell")
WINDOWS = ("1d", "3d", "9d", "20d")


class Entry(NamedTuple):
    """One more rule: the file, the list in it, and what is written there."""

    file: str
    key: str
    text: str

    @property
    def content(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.text)
        return loaded


def entry(file: str, key: str, **content: object) -> Entry:
    content = {name: value for name, value in content.items() if value is not None}
    return Entry(file, key, json.dumps({**content, "message": "Because."}, sort_keys=True))


conditions = st.sampled_from(CONDITIONS)
modes = st.sampled_from(["enforce", "enforce", "log_only"])


@st.composite
def conflicts(draw: st.DrawFn) -> Entry:
    if draw(st.booleans()):
        intent = draw(st.sampled_from(INTENTS))
        when = draw(conditions)
        return entry("arbitration.yaml", "conflicts", intents=[intent], when=when, then="suppress")
    intents = sorted(draw(st.lists(st.sampled_from(INTENTS), min_size=2, max_size=3, unique=True)))
    return entry(
        "arbitration.yaml",
        "conflicts",
        intents=intents,
        when=draw(st.none() | conditions),
        apart=draw(st.none() | st.sampled_from(WINDOWS)),
        # Always the first in the alphabet, so that no two rules go round in a circle.
        keeps=draw(st.sampled_from([None, intents[0]])),
        then=draw(st.sampled_from(["suppress", "defer"])),
    )


@st.composite
def caps(draw: st.DrawFn) -> Entry:
    return entry(
        "frequency.yaml",
        "caps",
        per=draw(st.sampled_from(["contact", "account"])),
        limit=draw(st.integers(1, 3)),
        window=draw(st.sampled_from(WINDOWS)),
        channels=draw(st.sampled_from([None, ["email"], ["webhook"]])),
        when=draw(st.none() | conditions),
    )


restrictions = st.one_of(
    conflicts(),
    caps(),
    st.builds(
        lambda when, then: entry("consent.yaml", "rules", when=when, then=then, reason="SUPPRESSED"),
        conditions,
        st.sampled_from(["deny", "suppress"]),
    ),
    st.builds(
        lambda hours, channels: entry(
            "timing.yaml", "quiet_hours", **{"from": hours[0], "to": hours[1]}, channels=channels
        ),
        st.sampled_from([("12:00", "13:00"), ("15:00", "16:00")]),
        st.sampled_from([None, ["email"]]),
    ),
    st.builds(lambda when: entry("approvals.yaml", "require", when=when), conditions),
    st.builds(
        lambda when, then: entry("eligibility.yaml", "suitability", when=when, then=then),
        conditions,
        st.sampled_from(["suppress", "deny", "require_approval"]),
    ),
)
"""Rules that can only take something away."""


class Knobs(NamedTuple):
    """What a set says apart from its restrictions."""

    percent: float = 55.0
    slots: int = 3
    look_ahead: str | None = None
    quorum: int = 1
    losers_when: str = "winner.same_contact"
    losers_mode: str = "enforce"
    starving_after: int = 5


knobs = st.builds(
    Knobs,
    percent=st.sampled_from([-100.0, 0.0, 55.0, 900.0]),
    slots=st.integers(1, 3),
    look_ahead=st.none() | st.sampled_from(WINDOWS),
    quorum=st.integers(1, 2),
    losers_when=st.sampled_from(["winner.same_contact", "winner.value > 30000.0", "true"]),
    losers_mode=modes,
    starving_after=st.integers(2, 6),
)


class Draft(NamedTuple):
    """A policy set before it is written down."""

    knobs: Knobs = Knobs()
    entries: tuple[Entry, ...] = ()

    def and_(self, *more: Entry) -> Draft:
        return self._replace(entries=(*self.entries, *more))


drafts = st.builds(Draft, knobs, st.lists(restrictions, max_size=4).map(tuple))


@cache
def shipped() -> dict[str, str]:
    return {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}


@cache
def content_of(file: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(shipped()[file])
    return loaded


def written(content: object) -> str:
    target = io.StringIO()
    yaml = YAML(typ="safe")
    yaml.dump(content, target)
    return target.getvalue()


def as_content(draft: Draft) -> dict[str, Any]:
    """Return the files that differ from the shipped ones, as data."""
    names = {"arbitration.yaml", "approvals.yaml", *(each.file for each in draft.entries)}
    found = {name: copy.deepcopy(content_of(name)) for name in sorted(names)}
    arbitration, turned = found["arbitration.yaml"], draft.knobs
    arbitration["levers"][0]["percent"] = turned.percent
    arbitration["slots"]["touches"] = turned.slots
    arbitration["losers"][0] |= {"when": turned.losers_when, "mode": turned.losers_mode}
    arbitration["starvation"]["after"] = turned.starving_after
    arbitration["look_ahead"] |= {"within": turned.look_ahead or "1d"}
    arbitration["look_ahead"]["mode"] = "enforce" if turned.look_ahead else "log_only"
    found["approvals.yaml"]["default_route"]["quorum"] = turned.quorum
    for index, each in enumerate(draft.entries):
        found[each.file].setdefault(each.key, []).append({"id": f"generated-{index}", **each.content})
    return found


@lru_cache(maxsize=64)
def policy_set(draft: Draft) -> PolicySet:
    changed = {name: written(content) for name, content in as_content(draft).items()}
    return compile_policy_set({**shipped(), **changed})


def reordered(draft: Draft, seed: int) -> PolicySet:
    """The same rules in another order; routes stay, because of those the first that matches is taken."""
    chance = random.Random(seed)
    content = {name: copy.deepcopy(content_of(name)) for name in shipped()} | as_content(draft)
    for file in content.values():
        for key, value in file.items():
            if key != "routes" and isinstance(value, list):
                chance.shuffle(value)
            elif key == "intents":
                file[key] = dict(chance.sample(list(value.items()), len(value)))
    return compile_policy_set({name: written(each) for name, each in content.items()})


@st.composite
def scheduled(draw: st.DrawFn, index: int) -> Scheduled:
    proposal = draw(proposals())
    pending = draw(st.booleans())
    later = NOW + timedelta(hours=draw(st.integers(-1, 24 * 12)))
    return Scheduled(
        proposal_id=f"s{index}",
        actor=proposal.actor,
        action=proposal.action,
        channel=proposal.channel,
        contact_id=proposal.contact_id,
        intent=draw(st.none() | st.sampled_from(INTENTS)),
        value=proposal.value,
        status=ProposalStatus.PENDING_APPROVAL if pending else ProposalStatus.DEFERRED,
        due_at=None if pending else later,
        answer_by=later if pending else None,
        received_at=NOW - timedelta(hours=1),
        score=draw(st.sampled_from([0.0, 4_000.0, 30_000.0])),
    )


@st.composite
def crowds(draw: st.DrawFn, most: int = 4) -> RulingRequest:
    """Accounts on which much goes on: intents, scheduled proposals, approvals, touches after something."""
    world = draw(worlds(most=most))
    candidates = tuple(
        each.model_copy(
            update={
                "proposal": each.proposal.model_copy(
                    update={"intent": draw(st.none() | st.sampled_from(INTENTS))}
                ),
                "approvers": draw(st.sampled_from([(), ("dana.reyes", "tom.okafor")])),
                "deferrals": draw(st.integers(0, 6)),
            }
        )
        for each in world.candidates
    )
    touches = tuple(
        each.model_copy(update={"intent": draw(st.none() | st.sampled_from(INTENTS))})
        for each in world.touches
    )
    count = draw(st.integers(0, 2))
    waiting = tuple(draw(scheduled(index)) for index in range(count))
    return world.model_copy(update={"candidates": candidates, "touches": touches, "scheduled": waiting})
