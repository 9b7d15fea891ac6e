"""A stack in a process of its own, for tests that kill it: `python -m tests.local.own_stack HOME`."""

import asyncio
import json
import sys
from pathlib import Path

from tests.local.helpers import children
from tutti.local import LocalStack, Ports, serve


def announce(stack: LocalStack) -> None:
    sys.stdout.write(json.dumps(stack.pids()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(
        serve(
            LocalStack(
                Path(sys.argv[1]),
                ports=Ports.free(),
                children=children(gateway="steady", worker=sys.argv[2], sinks="stubborn"),
                preloaded=(),
            ),
            on_ready=announce,
        )
    )
