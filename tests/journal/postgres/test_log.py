"""The log on PostgreSQL: positions of transactions that commit in any order, in many shards, read by many at once."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from keepstep.journal import Journal, LogEntry, NewMessage, Position, PositionGone, Status
from keepstep.journal.postgres import inbox, log
from tests.journal.postgres.conftest import Open, Standstill
from tests.journal.scene import START, advance, event, get, lease, new_run, start_owned, wait_until


async def read_all(journal: Journal, shard: int = 0, after: int = 0) -> list[LogEntry]:
    entries: list[LogEntry] = []
    while found := await journal.read_log(Position(shard, after), 3):
        assert [each.position for each in found] == [Position(shard, after + n + 1) for n in range(len(found))]
        entries += found
        after = found[-1].position.n
    return entries


def types(entries: list[LogEntry]) -> list[str]:
    return [each.event.type for each in entries]


async def test_of_two_transactions_that_commit_in_reverse_order_neither_is_skipped(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = await open_journal(), await open_journal()
    mine = await start_owned(slow, "A")
    theirs = await start_owned(quick, "B", workflow_id="other")
    assert types(await read_all(quick)) == ["started", "started"]
    standstill = Standstill(monkeypatch)
    held = asyncio.ensure_future(advance(slow, mine, events=(event("begun first"), event("same batch"))))
    await standstill.reached()
    await advance(quick, theirs, events=(event("committed first"),))
    assert types(await read_all(quick, after=2)) == ["committed first"]
    standstill.end()
    await held
    assert types(await read_all(quick, after=3)) == ["begun first", "same batch"]
    assert len(await read_all(slow)) == 5


async def test_a_long_transaction_holds_up_no_reader(open_journal: Open, postgres_url: str) -> None:
    journal = await open_journal()
    run = await start_owned(journal)
    with psycopg.connect(postgres_url) as db:
        db.execute("CREATE TABLE business (n int)")
        for n in range(3):
            await advance(journal, run, events=(event(f"{n}"),))
            assert types(await journal.read_log(Position(0, n + 1))) == [f"{n}"]


async def test_a_log_that_nobody_has_read_for_long_is_extended_in_a_moment(
    open_journal: Open, postgres_url: str
) -> None:
    """Whoever reads it first, or removes something, waits for that: no batch may be compared with all others."""
    journal = await open_journal()
    run = await start_owned(journal)
    await journal.read_log(Position(0, 0))  # what extends the log is planned now
    await advance(journal, run, events=(event("before"),))
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(
            "INSERT INTO keepstep.batches (shard, batch, events) "
            "SELECT 0, 1000 + n, 2 FROM generate_series(1, 25000) AS n"
        )
        began = time.monotonic()
        assert types(await journal.read_log(Position(0, 1), 1)) == ["before"]
        assert time.monotonic() - began < 5  # seconds: it were a hundred
        assert db.execute("SELECT count(*), sum(events) FROM keepstep.log").fetchone() == (25002, 50002)


async def test_each_shard_has_a_log_of_its_own_without_gaps(open_journal: Open) -> None:
    journal = await open_journal("shards=4")
    await journal.open_lease(lease())
    ids = [(await journal.start(new_run(f"w{n}", lease_id="L"))).run_id for n in range(20)]
    runs = [await get(journal, run_id) for run_id in ids]
    assert {run.shard for run in runs} == {0, 1, 2, 3}
    await asyncio.gather(*(advance(journal, run, events=(event("a"), event("b"))) for run in runs))
    for shard in range(4):
        entries = await read_all(journal, shard)
        owned = [run.run_id for run in runs if run.shard == shard]
        assert len(entries) == 3 * len(owned)
        for run_id in owned:
            assert [each.event.seq for each in entries if each.run_id == run_id] == [1, 2, 3]
    assert await journal.read_log(Position(4, 0)) == []


async def test_readers_that_look_at_once_see_one_order(open_journal: Open) -> None:
    writers = [await open_journal() for _ in range(3)]
    readers = [await open_journal() for _ in range(2)]

    async def write(n: int, journal: Journal) -> None:
        await journal.open_lease(lease(f"L{n}"))
        run = await get(journal, (await journal.start(new_run(f"w{n}", lease_id=f"L{n}"))).run_id)
        for i in range(30):
            await advance(journal, run, events=(event(f"{n}/{i}"),))

    async def follow(journal: Journal) -> list[str]:
        seen: list[str] = []
        while len(seen) < 3 * 31:
            seen += types(await read_all(journal, after=len(seen)))
        return seen

    one, other, *_ = await asyncio.gather(
        follow(readers[0]), follow(readers[1]), *(write(n, journal) for n, journal in enumerate(writers))
    )
    assert one == other


async def test_more_batches_than_are_placed_at_once_are_placed_nevertheless(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "BATCHES_AT_ONCE", 2)
    journal = await open_journal()
    run = await start_owned(journal)
    for n in range(7):
        await advance(journal, run, events=(event(f"{n}"),))
    assert types(await read_all(journal)) == ["started", *map(str, range(7))]


async def test_what_lies_far_behind_the_last_place_of_purged_runs_is_found(open_journal: Open) -> None:
    """Stretches of the log without any event left are passed over."""
    journal = await open_journal()
    await journal.open_lease(lease())
    for n in range(10):
        run = await get(journal, (await journal.start(new_run(f"w{n}", lease_id="L"))).run_id)
        await advance(journal, run, events=(event(),), status=Status.COMPLETED)
        if n == 0:
            kept = await get(journal, (await journal.start(new_run("kept", lease_id="L"))).run_id)
    await advance(journal, kept, events=(event("last"),))
    assert await journal.purge("default", START + 1) == 10
    with pytest.raises(PositionGone):
        await journal.read_log(Position(0, 0))
    [last] = await journal.read_log(Position(0, 21), 1)
    assert (last.position.n, last.event.type) == (22, "last")


async def test_no_position_is_given_out_again_where_the_end_of_the_log_is_forgotten(
    open_journal: Open, postgres_url: str
) -> None:
    """The last events are those of a run that is gone, and an older run is still open."""
    journal = await open_journal()
    await journal.open_lease(lease())
    kept = await get(journal, (await journal.start(new_run("kept", lease_id="L"))).run_id)
    gone = await get(journal, (await journal.start(new_run("gone", lease_id="L"))).run_id)
    await advance(journal, gone, events=(event(),), status=Status.COMPLETED)
    assert await journal.purge("default", START + 1) == 1
    with psycopg.connect(postgres_url, autocommit=True) as db:
        forgotten = db.execute("DELETE FROM keepstep.log WHERE first_n > 1")  # as when the part of its events is gone
        assert forgotten.rowcount == 2
    await advance(journal, kept, events=(event("last"),))
    [last] = await journal.read_log(Position(0, 3))
    assert (last.position.n, last.event.type) == (4, "last")


async def test_a_message_that_becomes_visible_late_is_read(open_journal: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, slow, quick = await open_journal(), await open_journal(), await open_journal()
    await owner.open_lease(lease())
    first = await owner.start(new_run("first", lease_id="L"))
    second = await owner.start(new_run("second", lease_id="L"))
    standstill = Standstill(monkeypatch)
    held = asyncio.ensure_future(slow.send(NewMessage(run_id=first.run_id, kind="late")))
    await standstill.reached()
    sent = await quick.send(NewMessage(run_id=second.run_id, kind="early"))
    [early] = await owner.read_inbox("L", 0)
    assert (early.kind, early.n) == ("early", sent.n)
    assert await owner.read_inbox("L", early.n) == []
    standstill.end()
    assert (await held).n < sent.n
    [late] = await owner.read_inbox("L", early.n)
    assert late.kind == "late"
    for _ in range(3):
        assert [each.kind for each in await owner.read_inbox("L", late.n)] in (["early"], [])
        assert await owner.read_inbox("L", early.n) == []
    assert [each.kind for each in await owner.read_inbox("L", 0)] == ["late", "early"]


async def test_the_floor_rises_past_what_is_for_others(open_journal: Open) -> None:
    """Or every look into an empty inbox would pass over all that has come to all other runs."""
    journal = await open_journal()
    await journal.open_lease(lease())
    mine = await journal.start(new_run("mine", lease_id="L"))
    first = await journal.send(NewMessage(run_id=mine.run_id, kind="signal"))
    assert len(await journal.read_inbox("L", 0)) == 1
    others = await journal.start(new_run("others"))
    sent = [await journal.send(NewMessage(run_id=others.run_id, kind="signal")) for _ in range(5)]
    for _ in range(inbox.READS_MAX):
        assert await journal.read_inbox("L", first.n) == []

    async def has_risen() -> bool:
        assert await journal.read_inbox("L", first.n) == []
        return journal._queries._inboxes["L"]._floor >= sent[-1].n

    await wait_until(has_risen)  # the next look raises it, unless others have transactions open on this server


async def test_a_page_of_the_inbox_skips_nothing_of_the_next(open_journal: Open) -> None:
    journal = await open_journal()
    await journal.open_lease(lease())
    ids = [(await journal.start(new_run(f"w{n}", lease_id="L"))).run_id for n in range(3)]
    sent = [(await journal.send(NewMessage(run_id=ids[n % 3], kind="signal"))).n for n in range(12)]
    seen: list[int] = []
    while page := await journal.read_inbox("L", seen[-1] if seen else 0, 2):
        seen += [each.n for each in page]
        more = await journal.send(NewMessage(run_id=ids[0], kind="more")) if len(seen) < 6 else None
        sent += [more.n] if more else []
    assert seen == sent
