"""Nothing that makes rulings fast changes one: not Python instead of CEL, nor work that candidates share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import Ruling, RulingRequest
from governance import PolicySet, rule
from governance._hearing import World
from governance.cel._conditions import Bound, Condition, Recall, Vocabulary
from tests.governance.generated import Draft, crowds, drafts, policy_set
from tests.governance.test_properties import worlds
from tests.governance.worlds import DEFAULT, DEMO, policies

some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

BIND, FACTS_OF = Vocabulary.bind, World.facts_of


@contextmanager
def the_long_way() -> Iterator[None]:
    """Ask CEL for every condition, convert every value anew, and go through the touches for every rule."""

    def bind(self: Vocabulary, values: dict[str, object], _: Recall | None = None) -> Bound:
        return BIND(self, values)

    def in_vain(world: World, contact_id: str | None) -> object:
        world.people.clear()
        return FACTS_OF(world, contact_id)

    with (
        patch.object(Condition, "holds", Condition.asked),
        patch.object(Vocabulary, "bind", bind),
        patch.object(World, "facts_of", in_vain),
        patch("governance._engine.Timeline", tuple),
        patch("governance._contest.Timeline", tuple),
    ):
        yield


def both_ways(policies: PolicySet, asked: RulingRequest) -> tuple[str, str]:
    short = rule(policies, asked)
    with the_long_way():
        long = rule(policies, asked)
    return short.model_dump_json(), long.model_dump_json()


@some
@given(worlds(), st.sampled_from([DEFAULT, DEMO]))
def test_shipped_policies_rule_the_same_the_long_way(world: RulingRequest, directory: Path) -> None:
    short, long = both_ways(policies(directory), world)

    assert short == long


@some
@given(drafts, crowds())
def test_any_policies_rule_the_same_the_long_way(draft: Draft, world: RulingRequest) -> None:
    short, long = both_ways(policy_set(draft), world)

    assert short == long


@some
@given(drafts, crowds())
def test_a_ruling_is_what_its_model_says(draft: Draft, world: RulingRequest) -> None:
    ruling = rule(policy_set(draft), world)

    assert Ruling.model_validate_json(ruling.model_dump_json()) == ruling
    assert Ruling.model_validate(ruling.model_dump()) == ruling
