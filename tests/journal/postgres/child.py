"""What child processes do in the tests of the PostgreSQL store: ``python -m tests.journal.postgres.child NAME …``."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from keepstep.journal.postgres import open_postgres
from tests.journal.labour import commit_for_ever, labour_for_ever


async def commit_aloud(url: str, name: str) -> None:
    await commit_for_ever(await open_postgres(url), name)


async def labour(url: str, name: str) -> None:
    await labour_for_ever(await open_postgres(url), name)


def die_with_parent() -> None:
    """A test that is killed takes its children with it: its end of the pipe is closed then."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=die_with_parent, daemon=True).start()
    asyncio.run(globals()[sys.argv[1]](*sys.argv[2:]))
