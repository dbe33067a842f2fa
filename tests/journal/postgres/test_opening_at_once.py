"""Several processes that open a journal which does not exist yet make it once, and all find it."""

from __future__ import annotations

import asyncio

import psycopg

from keepstep.journal.postgres import open_postgres
from keepstep.journal.postgres.address import parse_address
from keepstep.journal.postgres.migration import migrate

_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def test_one_that_waited_for_another_to_make_the_journal_finds_it_made(postgres_url: str) -> None:
    """It has looked before the other was done, so that its session remembers that there is no journal."""
    with psycopg.connect(postgres_url) as first, psycopg.connect(postgres_url, autocommit=True) as observer:
        first.execute("SELECT pg_advisory_xact_lock(hashtext('keepstep migration'), hashtext('keepstep'))")
        second = asyncio.create_task(open_postgres(postgres_url))
        while observer.execute(_WAITING).fetchone() == (0,):
            assert not second.done()
            await asyncio.sleep(0.01)
        migrate(first, parse_address(postgres_url), create=True)
        first.commit()
        journal = await second
    await journal.close()
