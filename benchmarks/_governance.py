"""The price of a ruling and of compiling policy sets, small and large, beside Cedar and plain Python."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks._engines import compare
from benchmarks._figures import Figure, Target, at_least, at_most
from benchmarks._rulebook import READINGS, TOUCHES, count_rules, grown, request
from benchmarks._stage import POLICIES, MeasurementError
from domain import Ruling, RulingRequest
from governance import PolicySet, compile_policy_set, load_policy_set, rule

NAME = "governance"
COMPILATIONS = 7
RULINGS = 400
MANY, HUGE = 200, 10_000
FEW_RULINGS = 12
"""For the set of ten thousand rules."""


class Spread(NamedTuple):
    """CPU times in milliseconds."""

    median: float
    most: float
    """95 % took no longer."""


async def measure() -> list[Figure]:
    """Compile and rule under three policy sets, and let other engines judge the same rules."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    return [
        *_shipped(),
        *_generated(MANY, RULINGS, COMPILATIONS),
        *_generated(HUGE, FEW_RULINGS, 1),
        *_compared(),
    ]


def _shipped() -> list[Figure]:
    policies, compiling = _compiling(lambda: load_policy_set(POLICIES), COMPILATIONS)
    asked = request(policies)
    ruling, spread = _ruling(policies, asked, RULINGS)
    hits = sum(len(decision.hits) for decision in ruling.decisions)
    number = count_rules(policies.files)
    return [
        _figure(
            f"one ruling on {len(asked.candidates)} proposals, policies/",
            spread.median,
            "ms",
            f"median of {RULINGS}, 95 % within {spread.most:.2f} ms; {number} rules, {hits} rule hits, "
            f"{TOUCHES} touches, {READINGS} readings",
            at_most(1.0),
        ),
        _figure("rulings per second, policies/", 1_000 / spread.median, "", "on one core"),
        _per_rule("policies/", spread, number, len(asked.candidates)),
        _figure(
            "compiling policies/",
            compiling.median,
            "ms",
            f"median of {COMPILATIONS}; {len(policies.files)} files, conditions type-checked",
            at_most(300.0),
        ),
    ]


def _generated(number: int, rulings: int, compilations: int) -> list[Figure]:
    name = f"{number:,} rules"
    files = grown(POLICIES, number)
    policies, compiling = _compiling(lambda: compile_policy_set(files, name), compilations)
    asked = request(policies)
    _, spread = _ruling(policies, asked, rulings)
    return [
        _figure(
            f"one ruling on {len(asked.candidates)} proposals, {name}",
            spread.median,
            "ms",
            f"median of {rulings}, 95 % within {spread.most:.2f} ms",
        ),
        _per_rule(name, spread, number, len(asked.candidates)),
        _figure(f"compiling {name}", compiling.median, "ms", f"median of {compilations}"),
    ]


def _compared() -> list[Figure]:
    found = compare()
    first, added = found.first, found.added
    how = f"{found.rules} rules, {found.cases} proposals, {found.matches} matches, the same in all engines"
    return [
        _figure("a rule alone", first["tutti"], "us", f"per proposal, values bound; {how}"),
        _figure(
            "cedarpy / Tutti, a rule alone",
            first["cedar"] / first["tutti"],
            "",
            f"cedarpy {first['cedar']:.2f} us: everything parsed before, in batches",
            at_least(10.0),
        ),
        _figure(
            "cedarpy / Tutti, policies as text",
            first["cedar from text"] / first["tutti"],
            "",
            f"cedarpy {first['cedar from text']:.2f} us: policies and entities parsed for each batch",
        ),
        _figure(
            "cedarpy / Tutti, one rule more",
            added["cedar"] / added["tutti"],
            "",
            f"cedarpy {added['cedar']:.2f} us, Tutti {added['tutti']:.2f} us, {found.more} rules added",
        ),
        _figure(
            "Tutti / a Python function, a rule alone",
            first["tutti"] / first["python"],
            "",
            f"written by hand {first['python']:.2f} us",
        ),
    ]


def _compiling(compile_set: Callable[[], PolicySet], times: int) -> tuple[PolicySet, Spread]:
    policies = load_policy_set(POLICIES)  # What is loaded once in a process is loaded now.
    spent: list[float] = []
    for _ in range(times):
        began = time.process_time()
        policies = compile_set()
        spent.append(time.process_time() - began)
    return policies, _spread(spent)


def _ruling(policies: PolicySet, asked: RulingRequest, times: int) -> tuple[Ruling, Spread]:
    first = rule(policies, asked)
    spent: list[float] = []
    for _ in range(times):
        began = time.process_time()
        again = rule(policies, asked)
        spent.append(time.process_time() - began)
        if again != first:
            raise MeasurementError("the same request got another ruling")
    return first, _spread(spent)


def _spread(seconds: list[float]) -> Spread:
    ordered = sorted(seconds)
    return Spread(statistics.median(ordered) * 1_000, ordered[int(len(ordered) * 0.95)] * 1_000)


def _per_rule(name: str, spread: Spread, rules: int, candidates: int) -> Figure:
    value = spread.median * 1_000 / rules / candidates
    return _figure(f"a rule within a ruling, {name}", value, "us", "time of a ruling / (rules x proposals)")


def _figure(what: str, value: float, unit: str, note: str, target: Target | None = None) -> Figure:
    return Figure(benchmark=NAME, what=what, value=value, unit=unit, target=target, note=note)
