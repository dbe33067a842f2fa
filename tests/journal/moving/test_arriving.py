"""All that was in the SQLite file is in the PostgreSQL schema, under the numbers that it had."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from keepstep.client.promotion import promote
from keepstep.journal import (
    Commit,
    Conflict,
    NewMessage,
    Position,
    PositionGone,
    Status,
    SystemClock,
)
from keepstep.journal.moving import RUNS, Arrival
from keepstep.journal.postgres import PostgresJournal, open_postgres
from keepstep.journal.postgres.arriving import PostgresTarget
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.leaving import SqliteSource
from tests.journal.moving.full import CUT, fill, promote_now, read_whole_log, said_of, said_of_all
from tests.journal.scene import START, ManualClock, event, get, lease, new_run

SHARDS = 16


async def _promoted(path: Path, url: str) -> PostgresJournal:
    await asyncio.to_thread(promote_now, path, url)
    return await open_postgres(url, clock=ManualClock())


async def test_every_run_arrives_with_all_that_belongs_to_it(path: Path, postgres_url: str) -> None:
    run_ids = await fill(path, is_large=True)
    before = await said_of_all(path, run_ids)
    journal = await _promoted(path, postgres_url)
    try:
        for run_id, said in before.items():
            said["run"]["epoch"] += 1
            assert await said_of(journal, run_id) == said
        assert len(run_ids) == await journal.count_runs("default") >= 20
    finally:
        await journal.close()


async def test_what_belongs_to_no_run_arrives(path: Path, postgres_url: str) -> None:
    await fill(path)
    journal = await _promoted(path, postgres_url)
    try:
        assert {each.name for each in await journal.list_definitions("default")} == {"fulfil", "ship"}
        assert await journal.was_committed("commit-1")
        assert not await journal.was_committed("commit-2")
        assert await journal.list_leases() == []
    finally:
        await journal.close()


async def test_every_shard_gets_its_part_of_the_log_under_the_positions_that_it_had(
    path: Path, postgres_url: str
) -> None:
    await fill(path)
    source = await open_sqlite(path, clock=ManualClock())
    whole = await read_whole_log(source, 0, CUT)
    await source.close()
    journal = await _promoted(path, postgres_url)
    try:
        parts = [await read_whole_log(journal, shard, CUT) for shard in range(SHARDS)]
        assert sorted(entry for part in parts for entry in part) == whole
        assert all(part == sorted(part) for part in parts)
        assert sum(1 for part in parts if part) > 5
    finally:
        await journal.close()


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_cursor_skips_nothing_and_repeats_nothing_wherever_it_stands(
    path: Path, postgres_url: str, shards: int
) -> None:
    await fill(path)
    source = await open_sqlite(path, clock=ManualClock())
    whole = await read_whole_log(source, 0, CUT)
    await source.close()
    journal = await _promoted(path, f"{postgres_url}?shards={shards}")
    try:
        for cut in {CUT, whole[3][0], whole[-4][0], whole[-1][0]}:
            parts = [await read_whole_log(journal, shard, cut) for shard in range(shards)]
            assert sorted(entry for part in parts for entry in part) == [each for each in whole if each[0] > cut]
    finally:
        await journal.close()


async def test_a_subscriber_stands_in_every_shard_where_it_stood(path: Path, postgres_url: str) -> None:
    await fill(path)
    journal = await _promoted(path, postgres_url)
    try:
        for shard in range(SHARDS):
            assert await journal.read_cursor("reader", shard) == Position(shard, CUT)
    finally:
        await journal.close()


async def test_what_retention_had_removed_is_still_said_to_be_gone(path: Path, postgres_url: str) -> None:
    await fill(path)
    journal = await _promoted(path, postgres_url)
    try:
        for shard in range(SHARDS):
            with pytest.raises(PositionGone):
                await journal.read_log(Position(shard, 1))
    finally:
        await journal.close()


async def test_new_events_get_positions_behind_the_last_one_of_the_whole_source(path: Path, postgres_url: str) -> None:
    await fill(path)
    source = await open_sqlite(path, clock=ManualClock())
    last = (await read_whole_log(source, 0, CUT))[-1][0]
    await source.close()
    journal = await _promoted(path, postgres_url)
    try:
        started = [await journal.start(new_run(f"new {n}")) for n in range(40)]
        found = [entry for shard in range(SHARDS) for entry in await read_whole_log(journal, shard, last)]
        assert sorted(run_id for _, run_id, _ in found) == sorted(each.run_id for each in started)
    finally:
        await journal.close()


async def test_an_empty_shard_of_a_log_that_retention_removed_goes_on_behind_it(path: Path, postgres_url: str) -> None:
    source = await open_sqlite(path, clock=ManualClock())
    started = await source.start(new_run("gone", events=tuple(event() for _ in range(9))))
    run = await get(source, started.run_id)
    await source.commit(Commit(run_id=run.run_id, version=run.version, status=Status.FAILED))
    assert await source.purge("default", START + 1) == 1
    await source.close()
    journal = await _promoted(path, postgres_url)
    try:
        await journal.start(new_run("new"))
        found = [entry for shard in range(SHARDS) for entry in await read_whole_log(journal, shard, 9)]
        assert [n for n, *_ in found] == [10]
    finally:
        await journal.close()


async def test_a_message_that_had_arrived_is_a_duplicate_there_too_and_later_ones_come_behind_it(
    path: Path, postgres_url: str
) -> None:
    await fill(path)
    source = await open_sqlite(path, clock=ManualClock())
    run = await source.find_run("default", "gets mail")
    assert run is not None
    there = await source.send(NewMessage(run_id=run.run_id, kind="signal", name="n", id="m0"))
    last = max(message.n for message in await source.read_messages(run.run_id))
    await source.close()
    journal = await _promoted(path, postgres_url)
    try:
        again = await journal.send(NewMessage(run_id=run.run_id, kind="signal", name="n", id="m0"))
        assert (again.duplicate, again.n) == (True, there.n)
        fresh = await journal.send(NewMessage(run_id=run.run_id, kind="signal", name="n", id="new"))
        assert not fresh.duplicate
        assert fresh.n > last
    finally:
        await journal.close()


async def test_tasks_are_handed_out_as_they_would_have_been(path: Path, postgres_url: str) -> None:
    await fill(path)
    journal = await _promoted(path, postgres_url)
    try:
        await journal.open_lease(lease("there"))
        tasks = await journal.claim_tasks("there", ["gpu"], ["step"], 10)
        assert [task.key for task in tasks[:1]] == ["urgent"]
        assert {task.key for task in tasks} == {"plain", "urgent", "fair", "elsewhere"}
        [urgent] = [task for task in tasks if task.key == "urgent"]
        assert (urgent.attempt, urgent.data, urgent.priority) == (4, b"more", 7)
        assert urgent.token.epoch == 3  # claimed there, moved, claimed here
    finally:
        await journal.close()


async def test_a_queue_keeps_its_limits_its_slots_and_who_waits(path: Path, postgres_url: str) -> None:
    await fill(path)
    journal = await _promoted(path, postgres_url)
    try:
        await journal.open_lease(lease("there", queues=("lane",)))
        states = {
            each.queue.name: (each.queue.limits.concurrency, each.waiting, each.held)
            for each in await journal.list_queues()
        }
        assert states == {"lane": (1, 1, 1)}
        assert (await journal.claim_work("there", ["lane"], [], 10, ["fulfil"])).runs == []
        holder = await journal.find_run("default", "holds a slot")
        assert holder is not None
        await journal.commit(Commit(run_id=holder.run_id, version=holder.version, status=Status.TERMINATED))
        [admitted] = (await journal.claim_work("there", ["lane"], [], 10, ["fulfil"])).runs
        assert admitted.workflow_id == "waits for a slot"
    finally:
        await journal.close()


async def test_the_newest_run_of_a_workflow_id_is_still_the_newest(path: Path, postgres_url: str) -> None:
    await fill(path)
    journal = await _promoted(path, postgres_url)
    try:
        run = await journal.find_run("default", "goes round")
        assert run is not None
        assert run.status == "running"
        assert run.continued_from is not None
    finally:
        await journal.close()


async def test_runs_are_due_there_when_they_were_due_here_and_not_a_moment_earlier(
    path: Path, postgres_url: str
) -> None:
    source = await open_sqlite(path, clock=ManualClock())
    await source.start(new_run("soon", wake_at=START + 5_000_000))
    await source.close()
    await asyncio.to_thread(promote_now, path, postgres_url)
    clock = ManualClock()
    journal = await open_postgres(postgres_url, clock=clock)
    try:
        await journal.open_lease(lease("there"))
        clock.time = START + 4_999_999
        assert await journal.claim_runs("there", 10) == []
        assert await journal.next_wake("there") == START + 5_000_000
        clock.time = START + 5_000_000
        assert [run.workflow_id for run in await journal.claim_runs("there", 10)] == ["soon"]
    finally:
        await journal.close()


class SlowClock(SystemClock):
    """Engine time of a machine whose wall clock was put an hour ahead after the journal was made."""

    def __init__(self) -> None:
        super().__init__()
        self._offset -= 3600 * 1_000_000


async def test_engine_time_goes_on_from_where_it_was_on_the_machine_that_moved_the_journal(
    path: Path, postgres_url: str
) -> None:
    source = await open_sqlite(path, clock=SlowClock())
    await source.close()
    said: list[str] = []
    await asyncio.to_thread(
        promote, f"sqlite:///{path}", postgres_url, wait=False, tell=lambda _: None, say=said.append
    )
    assert "3600.0 s off engine time" in said[0]
    journal = await open_postgres(postgres_url)
    try:
        assert journal.clock.jump() == pytest.approx(3600 * 1_000_000, abs=100_000)
    finally:
        await journal.close()


async def test_texts_that_postgresql_cannot_keep_are_found_before_anything_moves(path: Path, postgres_url: str) -> None:
    source = await open_sqlite(path, clock=ManualClock())
    await source.start(new_run("before names were checked", events=(event("e", b"\0"),)))
    await source.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE events SET key = 'a' || char(0) || 'b'")
    db.close()
    with pytest.raises(ValueError, match="NUL character"):
        await asyncio.to_thread(promote_now, path, postgres_url)
    await (await open_sqlite(path, clock=ManualClock())).close()


async def test_of_two_that_move_the_same_journal_one_is_refused(path: Path, postgres_url: str) -> None:
    await fill(path)
    with SqliteSource(path) as source, PostgresTarget(postgres_url, create=True) as one:
        departure = source.raise_fence(one.shown, START)
        arrival = one.begin(departure, "here")
        assert arrival is not None
        rows = source.page(RUNS, None)
        now = Arrival(move=arrival.move, origin="here", moved={"runs": len(rows)}, noun="runs", after=[rows[-1][0]])
        with PostgresTarget(postgres_url, create=False) as other:
            assert other.begin(departure, "here") == arrival
            one.put(RUNS, rows, arrival, now)
            with pytest.raises(Conflict, match="another"):
                other.put(RUNS, rows, arrival, now)
        assert one.count(RUNS) == len(rows)
