"""What ``docs/scaling.md`` says of shards: their keys can be spread over nodes, and a run's commit writes to one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from keepstep.journal import Commit, Condition, NewMessage, NewTask, Run, StateChange, Status, Timer
from keepstep.journal.postgres import PostgresJournal
from tests.journal.postgres.conftest import Open
from tests.journal.scene import START, event, get, lease, new_run

UNSHARDED = {"meta", "processes", "leases", "answers", "definitions", "attributes", "outbox"}
"""Tables that are the same for all shards."""

UNIQUE_INDEXES = """
SELECT t.relname, i.relname, array_agg(a.attname::text) FROM pg_index AS x
JOIN pg_class AS t ON t.oid = x.indrelid JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_attribute AS a ON a.attrelid = i.oid
WHERE x.indisunique AND t.relnamespace = 'keepstep'::regnamespace GROUP BY t.relname, i.relname
"""

TABLES = """
SELECT c.relname::text, EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'shard')
FROM pg_class AS c WHERE relnamespace = 'keepstep'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""


async def test_every_unique_key_of_a_sharded_table_has_the_shard_in_it(open_journal: Open, postgres_url: str) -> None:
    await open_journal("shards=4")
    with psycopg.connect(postgres_url) as db:
        sharded = {name for name, has_shard in db.execute(TABLES) if has_shard}
        assert {name for name, _ in db.execute(TABLES)} - sharded == UNSHARDED
        keys = db.execute(UNIQUE_INDEXES).fetchall()
        assert {table for table, _, _ in keys} >= sharded
        assert [index for table, index, columns in keys if table in sharded and "shard" not in columns] == []
        assert db.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone() == (0,)


COMMITS: dict[str, dict[str, Any]] = {
    "a step": {"events": (event(),)},
    "much else": {
        "events": (event(), event()),
        "state": (StateChange("k", "a", b"1"),),
        "timers": (Timer("t", START + 1),),
        "tasks": (NewTask(kind="step", key="a", queue="gpu"),),
        "condition": Condition.WAITING,
        "audit": "by hand",
        "id": "commit",
    },
    "release": {"events": (event(),), "release": True, "wake_at": START},
    "the end": {"events": (event(),), "status": Status.COMPLETED},
}


@pytest.mark.parametrize("what", COMMITS)
async def test_a_commit_of_one_run_writes_to_one_shard(open_journal: Open, postgres_url: str, what: str) -> None:
    journal, run = await _owned(open_journal)
    written = await _written(
        postgres_url, lambda: journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, **COMMITS[what]))
    )
    assert {shard for _, shard in written} == {run.shard}
    assert ("events", run.shard) in written


async def test_what_is_said_to_a_run_lies_in_its_shard(open_journal: Open, postgres_url: str) -> None:
    journal, run = await _owned(open_journal)
    message = NewMessage(run_id=run.run_id, kind="signal", id="once")
    written = await _written(postgres_url, lambda: journal.send(message))
    assert {table for table, _ in written} >= {"messages", "received", "runs"}
    assert {shard for _, shard in written} == {run.shard}


async def _owned(open_journal: Open) -> tuple[PostgresJournal, Run]:
    journal = await open_journal("shards=64")
    await journal.open_lease(lease())
    runs = [await journal.start(new_run(f"w{n}", lease_id="L")) for n in range(5)]
    return journal, await get(journal, runs[-1].run_id)


async def _written(url: str, act: Callable[[], Awaitable[object]]) -> set[tuple[str, int]]:
    """Table and shard of all rows that a call has written."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SET search_path TO keepstep")
        tables = [name for name, has_shard in db.execute(TABLES) if has_shard and name != "log"]
        rows = " UNION ALL ".join(f"SELECT '{name}', shard, xmin::text::bigint FROM {name}" for name in tables)
        before = set(db.execute(rows))
        await act()
        return {(table, shard) for table, shard, xmin in set(db.execute(rows)) - before}
