"""The log: subscribers read every event in order and never skip one."""

from __future__ import annotations

import asyncio

from keepstep.journal import Commit, Conflict, Journal, LogEntry, Position
from tests.journal.scene import Scene, advance, event, get, lease, new_run, settle, start_owned


async def read_all(journal: Journal, page: int = 1000) -> list[LogEntry]:
    entries: list[LogEntry] = []
    position = Position(0, 0)
    while found := await journal.read_log(position, page):
        assert len(found) <= page
        entries += found
        position = found[-1].position
    return entries


async def test_the_log_has_every_event_of_every_run_in_the_order_of_commits(journal: Journal) -> None:
    run = await start_owned(journal)
    other = await get(journal, (await journal.start(new_run("other", lease_id="L"))).run_id)
    await advance(journal, run, events=(event("a", b"1", "key"), event("b")))
    await advance(journal, other, events=(event("c"),))
    await advance(journal, run, status_text="no event")
    entries = await read_all(journal)
    assert [(each.run_id, each.event.seq, each.event.type) for each in entries] == [
        (run.run_id, 1, "started"),
        (other.run_id, 1, "started"),
        (run.run_id, 2, "a"),
        (run.run_id, 3, "b"),
        (other.run_id, 2, "c"),
    ]
    assert (entries[2].event.data, entries[2].event.key) == (b"1", "key")


async def test_positions_have_no_gaps_however_the_log_is_paged(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=tuple(event(str(n)) for n in range(20)))
    for page in (1, 3, 7, 1000):
        entries = await read_all(journal, page)
        assert [each.position for each in entries] == [Position(0, n) for n in range(1, 22)]


async def test_a_refused_commit_uses_up_no_position(journal: Journal) -> None:
    run = await start_owned(journal)
    await settle(
        advance(journal, run, events=(event("a"),)),
        advance(journal, run, first_seq=99, events=(event("refused"),)),
        advance(journal, run, events=(event("b"),)),
    )
    assert [(each.position.n, each.event.type) for each in await read_all(journal)] == [
        (1, "started"),
        (2, "a"),
        (3, "b"),
    ]


async def test_the_end_of_the_log_is_empty_and_so_is_another_shard(journal: Journal) -> None:
    assert await journal.read_log(Position(0, 0)) == []
    await journal.start(new_run())
    assert await journal.read_log(Position(0, 1)) == []
    assert await journal.read_log(Position(1, 0)) == []


async def test_a_reader_beside_concurrent_writers_never_misses_an_event(scene: Scene) -> None:
    writers = [await scene.open() for _ in range(3)]
    reader = await scene.open()
    rounds, seen = 40, list[LogEntry]()

    async def write(n: int, journal: Journal) -> None:
        await journal.open_lease(lease(f"L{n}"))
        run = await get(journal, (await journal.start(new_run(f"w{n}", lease_id=f"L{n}"))).run_id)
        for i in range(rounds):
            await advance(journal, run, events=(event(f"{n}/{i}"),))

    async def read() -> None:
        position = Position(0, 0)
        while len(seen) < 3 * (rounds + 1):
            for entry in await reader.read_log(position, 5):
                assert entry.position == Position(0, position.n + 1)
                position = entry.position
                seen.append(entry)
            await asyncio.sleep(0)

    await asyncio.gather(read(), *(write(n, journal) for n, journal in enumerate(writers)))
    for n in range(3):
        types = [each.event.type for each in seen if each.event.type.startswith(f"{n}/")]
        assert types == [f"{n}/{i}" for i in range(rounds)]


async def test_cursors_are_kept_for_each_subscriber(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    assert await journal.read_cursor("mirror", 0) is None
    await journal.save_cursor("mirror", Position(0, 5))
    await journal.save_cursor("search", Position(0, 2))
    await journal.save_cursor("mirror", Position(0, 7))
    assert await other.read_cursor("mirror", 0) == Position(0, 7)
    assert await other.read_cursor("search", 0) == Position(0, 2)
    assert await other.read_cursor("mirror", 1) is None


async def test_racing_writers_of_one_run_leave_one_line_of_events(scene: Scene) -> None:
    handles = [await scene.open() for _ in range(2)]
    started = await handles[0].start(new_run())

    async def append(n: int, journal: Journal) -> None:
        done = 0
        while done < 10:
            run = await get(journal, started.run_id)
            try:
                await journal.commit(Commit(run_id=run.run_id, version=run.version, events=(event(f"{n}/{done}"),)))
                done += 1
            except Conflict:
                continue

    await asyncio.gather(*(append(n, journal) for n, journal in enumerate(handles)))
    events = await handles[0].read_events(started.run_id)
    assert [each.seq for each in events] == list(range(1, 22))
    assert [each.event for each in await read_all(handles[1])] == events


async def test_whoever_begins_at_the_end_reads_what_comes_from_then_on(journal: Journal) -> None:
    for end in await journal.read_log_ends():
        assert await journal.read_log(end) == []
    run = await start_owned(journal)
    [before] = [each for each in await journal.read_log_ends() if each.shard == run.shard]
    assert before.n == 1
    await advance(journal, run, events=(event("a"), event("b")))
    [after] = [each for each in await journal.read_log_ends() if each.shard == run.shard]
    assert [each.event.type for each in await journal.read_log(before)] == ["a", "b"]
    assert (after.n, await journal.read_log(after)) == (3, [])
