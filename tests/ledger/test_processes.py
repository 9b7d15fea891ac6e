import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ledger import ClaimState, Ledger
from ledger._schema import REVISIONS
from tests.ledger.child import CLAIMERS
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON

TOUCHES = 25


@contextmanager
def process(what: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """Start another process on the ledger, which is gone when the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.child", what, url, str(TOUCHES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def two_processes(what: str, url: str) -> list[dict[str, int]]:
    """Let two processes do the same at the same moment and return what each of them got."""
    with ExitStack() as stack:
        children = [stack.enter_context(process(what, url)) for _ in range(2)]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        answers = [child.communicate(timeout=60)[0] for child in children]
        assert [child.returncode for child in children] == [0, 0]
    return [json.loads(answer) for answer in answers]


@pytest.fixture
def patient_url(url: str) -> str:
    return url.replace("timeout=0.2", "timeout=30")


async def test_of_eight_claimers_in_two_processes_one_gets_each_touch(
    ledger: Ledger, patient_url: str, query: Query
) -> None:
    first, second = two_processes("claim", patient_url)

    assert first.get("new", 0) + second.get("new", 0) == TOUCHES
    assert first.get("open", 0) + second.get("open", 0) == TOUCHES * (2 * CLAIMERS - 1)
    assert query("SELECT count(*) FROM claims") == [(TOUCHES,)]
    assert len(await ledger.open_claims()) == TOUCHES


async def test_two_processes_that_migrate_at_once_end_with_one_schema(patient_url: str, query: Query) -> None:
    answers = two_processes("migrate", patient_url)

    assert answers == [{REVISIONS[-1]: 1}] * 2
    assert query("SELECT version_num FROM alembic_version") == [(REVISIONS[-1],)]
    assert query("PRAGMA journal_mode") == [("wal",)]


async def test_a_claim_outlives_the_kill_of_its_process(ledger: Ledger, patient_url: str) -> None:
    with process("claim and hang", patient_url) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.kill()
        assert child.wait() == -signal.SIGKILL

    answer = await ledger.claim("northwind/p1/1", channel="email", at=NOON)

    assert answer.state is ClaimState.OPEN
