"""Several processes that open a journal which does not exist yet make it once, and all find it."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from keepstep.journal.postgres import migration
from keepstep.journal.postgres.address import parse_address

SMALL = "CREATE TABLE meta (name text, value text); CREATE TABLE shards (shard int, log_purged bigint)"

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def test_one_that_waited_for_another_to_make_the_journal_finds_it_made(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session remembers that there was none, and hears of a change as small as this one only when it must."""
    monkeypatch.setattr(migration, "migrations", lambda: [SMALL])
    address = parse_address(postgres_url)
    with (
        psycopg.connect(postgres_url) as first,
        psycopg.connect(postgres_url, autocommit=True) as second,
        psycopg.connect(postgres_url, autocommit=True) as observer,
    ):
        first.execute(migration._LOCK, (address.schema,))
        waiting = asyncio.create_task(asyncio.to_thread(migration.migrate, second, address, True))
        while observer.execute(WAITING).fetchone() == (0,):
            assert not waiting.done()
            await asyncio.sleep(0.01)
        migration.migrate(first, address, create=True)
        first.commit()
        assert await waiting == address.shards
