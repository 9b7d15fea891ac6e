"""Another process on the same ledger: says `ready`, waits for a line, works, prints what came out."""

import asyncio
import json
import os
import sys
from collections import Counter

from ledger import Ledger
from tests.ledger.facts import NOON
from tests.ledger.limits import allowing, draw, request_of

CLAIMERS = 4


async def claim(ledger: Ledger, touches: int) -> dict[str, int]:
    """Claim each touch from several tasks at once and count the answers."""
    states: Counter[str] = Counter()
    for number in range(touches):
        claims = await asyncio.gather(
            *(ledger.claim(f"northwind/p{number}/1", channel="email", at=NOON) for _ in range(CLAIMERS))
        )
        states.update(claim.state.value for claim in claims)
    return dict(states)


async def enter(ledger: Ledger, rulings: int) -> dict[str, int]:
    """Enter rulings of as many accounts at once, which all draw on one place, and count the allowed."""
    entered = await asyncio.gather(
        *(
            ledger.enter_ruling(
                asked := request_of(f"{os.getpid()}-{number}"), allowing(asked, draw(touches=1))
            )
            for number in range(rulings)
        )
    )
    return dict(Counter("entered" if each else "refused" for each in entered))


async def main(what: str, url: str, touches: int) -> None:
    ledger = await Ledger.open(url)
    if what == "claim and hang":
        await ledger.claim("northwind/p1/1", channel="email", at=NOON)
    print("ready", flush=True)  # noqa: T201 - standard output is how the two processes talk
    await asyncio.to_thread(sys.stdin.readline)
    match what:
        case "claim":
            result = await claim(ledger, touches)
        case "enter":
            result = await enter(ledger, touches)
        case _:
            result = {await ledger.migrate(): 1}
    await ledger.close()
    print(json.dumps(result), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
