"""The price of a ruling, and of compiling a policy set."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta

from benchmarks._cast import RIVALS, account, contacts, proposal, signals
from benchmarks._figures import Figure
from benchmarks._stage import POLICIES, MeasurementError
from domain import Candidate, RulingRequest, TouchRecord, TouchStatus
from governance import PolicySet, load_policy_set, rule

NAME = "governance"
COMPILATIONS = 7
RULINGS = 300
TOUCHES = 20
READINGS = 4


async def measure() -> list[Figure]:
    """Compile the shipped policy set a few times and rule on five proposals a few hundred times."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    compiling: list[float] = []
    policies = load_policy_set(POLICIES)
    for _ in range(COMPILATIONS):
        began = time.perf_counter()
        policies = load_policy_set(POLICIES)
        compiling.append((time.perf_counter() - began) * 1_000)
    request = _request(policies)
    first = rule(policies, request)
    ruling: list[float] = []
    for _ in range(RULINGS):
        began = time.perf_counter()
        again = rule(policies, request)
        ruling.append((time.perf_counter() - began) * 1_000)
        if again != first:
            raise MeasurementError("the same request got another ruling")
    hits = sum(len(decision.hits) for decision in first.decisions)
    ordered = sorted(ruling)
    return [
        Figure(
            benchmark=NAME,
            what=f"one ruling on {len(request.candidates)} proposals",
            value=statistics.median(ruling),
            unit="ms",
            note=f"median of {RULINGS}, 95 % within {ordered[int(RULINGS * 0.95)]:.2f} ms; "
            f"{hits} rule hits, {TOUCHES} touches, {len(request.readings)} readings",
        ),
        Figure(
            benchmark=NAME,
            what="compiling policies/",
            value=statistics.median(compiling),
            unit="ms",
            note=f"median of {COMPILATIONS}; {len(policies.files)} files, conditions type-checked",
        ),
    ]


def _request(policies: PolicySet) -> RulingRequest:
    """Five proposals for an account with a history; the moment is a working day's noon."""
    now = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
    wanted = [proposal(name) for name in RIVALS]
    wanted.append(proposal("sdr-1", proposal_id="sdr-2", contact_id="jonas"))
    read = [signal.reading for signal in signals(policies, "seen", READINGS)]
    return RulingRequest(
        account_id="northwind",
        account=account("northwind"),
        contacts={person.contact_id: person for person in contacts()},
        readings=tuple(
            reading.model_copy(update={"system": f"system-{number}", "observed_at": now})
            for number, reading in enumerate(read)
            if reading is not None
        ),
        holds=(),
        touches=tuple(
            TouchRecord(
                touch_id=f"t-{number}",
                channel="email",
                action="send_email",
                actor="sdr-agent",
                contact_id=contacts()[number % len(contacts())].contact_id,
                proposal_id=None,
                at=now - timedelta(days=40 + number),
                status=TouchStatus.HANDED_OVER,
            )
            for number in reversed(range(TOUCHES))
        ),
        candidates=tuple(
            Candidate(proposal=each, received_at=now, expires_at=now + timedelta(days=30)) for each in wanted
        ),
        revision=1,
        now=now,
    )
