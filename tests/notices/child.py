"""A process that tells one person, until it is killed: `python -m tests.notices.child DATABASE PORT`."""

import asyncio
import sys

from ledger import Ledger
from tests.notices.support import a_notice, mail_to, notifying, tell


async def main(database: str, port: int) -> None:
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{database}")
    await tell(notifying(ledger, mail=mail_to(port, timeout=10)), a_notice())
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
