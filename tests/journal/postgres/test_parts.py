"""Parts of the table of events: made ahead of need, begun by number and by time, dropped when their runs are gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from keepstep.journal import Position, Status
from keepstep.journal.postgres import PostgresJournal, log, open_postgres, parts
from keepstep.journal.postgres.address import parse_address
from keepstep.journal.postgres.connection import connect
from keepstep.journal.postgres.parts import Parts
from keepstep.journal.postgres.wire import Wire
from tests.journal.postgres.conftest import Open
from tests.journal.scene import START, ManualClock, advance, event, get, lease, new_run

WEEK = parts.PART_MICROSECONDS


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "RUNS_A_PART", 10)
    monkeypatch.setattr(parts, "JUMP_MARGIN", 0)


@pytest.fixture
async def journal(open_journal: Open) -> PostgresJournal:
    journal = await open_journal(clock=ManualClock())
    await journal.open_lease(lease())
    return journal


@pytest.fixture
def wire(journal: PostgresJournal, postgres_url: str) -> Iterator[Wire]:
    made = connect(parse_address(postgres_url))
    yield made
    made.close()


def there(url: str) -> list[str]:
    with psycopg.connect(url) as db:
        rows = db.execute("SELECT relname FROM pg_class WHERE relname ~ '^events_[0-9]+$' ORDER BY 1").fetchall()
        return [name for (name,) in rows]


def rows_in(url: str, part: str) -> int:
    with psycopg.connect(url) as db:
        row = db.execute(f"SELECT count(*) FROM keepstep.{part}").fetchone()
        assert row is not None
        return int(row[0])


async def start_many(journal: PostgresJournal, first: int, count: int, *, close: bool) -> None:
    """Runs of the lease ``L``, which whoever has the journal open may use."""
    for n in range(first, first + count):
        run = await get(journal, (await journal.start(new_run(f"w{n}", lease_id="L"))).run_id)
        await advance(journal, run, events=(event(),), status=Status.COMPLETED if close else None)


async def test_parts_are_made_before_they_are_needed(journal: PostgresJournal, wire: Wire, postgres_url: str) -> None:
    assert there(postgres_url) == ["events_000000", "events_000001", "events_000002"]
    keeper = Parts(lambda: START, lambda: 0.0)
    await start_many(journal, 0, 15, close=False)
    keeper.make(wire)
    assert there(postgres_url)[-1] == "events_000003"
    await start_many(journal, 15, 20, close=False)
    assert rows_in(postgres_url, "events_000003") > 0
    assert await journal.count_runs("default") == 35


async def test_a_part_whose_runs_are_gone_is_dropped_and_one_that_is_held_is_emptied(
    journal: PostgresJournal, wire: Wire, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS_DELETED_MAX", 4)
    keeper = Parts(lambda: START, lambda: 0.0)
    await start_many(journal, 0, 8, close=True)
    held = await get(journal, (await journal.start(new_run("held", lease_id="L"))).run_id)
    await start_many(journal, 10, 4, close=True)
    opened = await get(journal, (await journal.start(new_run("open", lease_id="L"))).run_id)
    await start_many(journal, 15, 10, close=True)
    assert await journal.purge("default", START + 1) == 22
    before = there(postgres_url)
    keeper.drop(wire)
    assert there(postgres_url) == before
    for _ in range(8):
        keeper.drop(wire)
    for run in (held, opened):
        assert [each.seq for each in await journal.read_events(run.run_id)] == [1]
    assert rows_in(postgres_url, "events_000000") < 3
    await advance(journal, held, events=(event("last"),), status=Status.COMPLETED)
    await advance(journal, opened, events=(event("last"),), status=Status.COMPLETED)
    assert await journal.purge("default", START + 1) == 2
    keeper.drop(wire)
    assert not {"events_000000", "events_000001"} & set(there(postgres_url))
    with psycopg.connect(postgres_url) as db:
        assert db.execute("SELECT count(*) FROM keepstep.log").fetchone() != (0,)
    assert (await journal.start(new_run("next", lease_id="L"))).created


LEFT = """
SELECT count(*), count(*) FILTER (WHERE EXISTS (
    SELECT FROM keepstep.events AS e WHERE e.shard = l.shard AND e.batch = l.batch)) FROM keepstep.log AS l
"""


async def test_the_log_forgets_all_that_retention_has_left_nothing_of_some_at_a_time(
    journal: PostgresJournal, wire: Wire, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a part that is dropped, and in one in which a run lives on."""
    monkeypatch.setattr(log, "FORGOTTEN_AT_ONCE", 3)
    monkeypatch.setattr(log, "STATEMENTS_AT_ONCE", 2)
    keeper = Parts(lambda: START, lambda: 0.0)
    held = await get(journal, (await journal.start(new_run("held", lease_id="L"))).run_id)
    for first in range(1, 41, 10):
        keeper.make(wire)
        await start_many(journal, first, 10, close=True)
    entries = await journal.read_log(Position(0, 0), 1000)
    assert await journal.purge("default", START + 1) == 40
    with psycopg.connect(postgres_url, autocommit=True) as db:
        assert db.execute(LEFT).fetchone() == (81, 81)
        keeper.drop(wire)
        left = []
        for _ in range(20):
            keeper.look_after(wire)
            left.append(db.execute(LEFT).fetchone())
        assert left[0] != left[-1]  # not all at once
        kept = 1 + _batches_in_the_part_being_filled(db)
        assert left[-1] == (kept, kept)
        assert kept < 10
    await advance(journal, held, events=(event("on"),))
    [entry] = await journal.read_log(entries[-1].position, 10)
    assert (entry.run_id, entry.position.n) == (held.run_id, entries[-1].position.n + 1)


def _batches_in_the_part_being_filled(db: psycopg.Connection[Any]) -> int:
    """Its events lie there until it is dropped, and so do their places."""
    row = db.execute("SELECT count(DISTINCT batch) FROM keepstep.events_000004").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_part_that_somebody_has_detached_and_not_dropped_is_dropped(
    journal: PostgresJournal, wire: Wire, postgres_url: str
) -> None:
    keeper = Parts(lambda: START, lambda: 0.0)
    await start_many(journal, 0, 25, close=True)
    await journal.purge("default", START + 1)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("ALTER TABLE keepstep.events DETACH PARTITION keepstep.events_000000")
    keeper.drop(wire)
    assert "events_000000" not in there(postgres_url)
    assert "events_000001" not in there(postgres_url)


async def test_a_new_part_is_begun_after_a_week(journal: PostgresJournal, wire: Wire, postgres_url: str) -> None:
    now = START
    keeper = Parts(lambda: now, lambda: 0.0)
    await start_many(journal, 0, 3, close=False)
    keeper.begin_next(wire)
    await start_many(journal, 3, 1, close=False)
    assert rows_in(postgres_url, "events_000001") == 0
    now += WEEK + 1
    keeper.begin_next(wire)
    await start_many(journal, 4, 1, close=False)
    assert rows_in(postgres_url, "events_000001") == 2
    keeper.begin_next(wire)
    await start_many(journal, 5, 1, close=False)
    assert rows_in(postgres_url, "events_000001") == 4


async def test_a_role_without_the_right_to_make_parts_is_told_before_it_matters(
    journal: PostgresJournal, wire: Wire, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE ROLE hand LOGIN PASSWORD 'p'")
        db.execute("GRANT USAGE ON SCHEMA keepstep TO hand")
        db.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keepstep TO hand")
        db.execute("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA keepstep TO hand")
    await start_many(journal, 0, 12, close=False)
    Parts(lambda: START, lambda: 0.0).begin_next(wire)
    address = f"postgresql://hand:p@{postgres_url.rpartition('@')[2]}"
    weaker, by_hand = connect(parse_address(address)), await open_postgres(address)
    try:
        with caplog.at_level(logging.INFO, "keepstep.journal"):
            Parts(lambda: START + WEEK + 1, lambda: 100.0).look_after(weaker)
            await start_many(by_hand, 12, 3, close=True)
        assert "open the journal as the owner of its schema before 8 more runs are started" in caplog.text
        assert "parts are left to the owner of the schema" in caplog.text
    finally:
        weaker.close()
        await by_hand.close()
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute("DROP OWNED BY hand")
            db.execute("DROP ROLE hand")
