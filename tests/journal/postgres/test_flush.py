"""Groups on PostgreSQL: what breaks in their middle, and what other processes do to the same runs meanwhile."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors

from keepstep.journal import Commit, Conflict, InvalidInput, NewMessage, Status, StoreUnavailable
from keepstep.journal.deciding.drawing import Drawing
from keepstep.journal.postgres import PostgresJournal, connection
from keepstep.journal.postgres import statements as sql
from keepstep.journal.postgres.tables import PostgresTables
from keepstep.journal.postgres.wire import ConnectionLost, Wire
from tests.journal.postgres.conftest import Open, Standstill, flusher_of, once, terminate, writer_pid
from tests.journal.scene import advance, event, get, lease, new_run, settle, start_owned, wait_until


async def seqs(journal: PostgresJournal, run_id: str) -> list[int]:
    return [each.seq for each in await journal.read_events(run_id)]


async def test_a_backend_that_is_terminated_before_commit_has_written_nothing_and_it_is_done_again(
    journal: PostgresJournal, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start_owned(journal)

    def cut_off(commit: Callable[[Wire], Any], wire: Wire) -> Any:
        terminate(postgres_url, wire.backend_pid)
        return commit(wire)

    once(monkeypatch, Wire, "commit", cut_off)
    committed = await advance(journal, run, first_seq=2, events=(event("a"),))
    assert committed.last_seq == 2
    assert await seqs(journal, run.run_id) == [1, 2]


async def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = await start_owned(journal)

    def lose_answer(commit: Callable[[Wire], Any], wire: Wire) -> Any:
        commit(wire)
        wire.close()
        raise ConnectionLost("cable pulled")

    once(monkeypatch, Wire, "commit", lose_answer)
    with caplog.at_level(logging.WARNING, "keepstep.journal"):
        committed = await advance(journal, run, events=(event("a"),))
    assert committed.last_seq == 2
    assert await seqs(journal, run.run_id) == [1, 2]
    assert "the answer to a COMMIT was lost, which had happened nevertheless" in caplog.text
    assert (await advance(journal, run, first_seq=3, events=(event("b"),))).last_seq == 3


async def test_a_server_that_warns_at_commit_is_asked_for_its_standby_before_anybody_is_answered(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, before = await start_owned(journal), flusher_of(journal)._session

    def warn(commit: Callable[[Wire], Any], wire: Wire) -> Any:
        results = commit(wire)
        wire.warnings += 1
        return results

    once(monkeypatch, Wire, "commit", warn)
    assert (await advance(journal, run, events=(event("a"),))).last_seq == 2
    assert flusher_of(journal)._session != before
    assert await seqs(journal, run.run_id) == [1, 2]


async def test_what_an_earlier_connection_has_still_on_its_way_cannot_commit_any_more(
    journal: PostgresJournal,
) -> None:
    """Its transaction may begin after the process has found, by another connection, that it did not happen."""
    await journal.start(new_run())
    flusher = flusher_of(journal)
    old, new, session, process = flusher._connect(), flusher._connect(), flusher._session, flusher._process
    flusher._take_session(new)
    old.begin()
    old.queue(sql.MARK_FLUSH, process, session, 99, 0)
    with pytest.raises(errors.InvalidTextRepresentation, match="keepstep: another connection writes for this process"):
        old.commit()
    for wire in (old, new):
        wire.close()


async def test_a_transaction_that_is_about_to_commit_is_waited_for_before_it_is_judged(
    journal: PostgresJournal, postgres_url: str
) -> None:
    await journal.start(new_run())
    flusher = flusher_of(journal)
    old, new = flusher._connect(), flusher._connect()
    old.begin()
    old.ask(sql.MARK_FLUSH, flusher._process, flusher._session, 77, 0)
    taken = threading.Thread(target=flusher._take_session, args=(new,))
    taken.start()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND application_name LIKE 'keepstep%' AND datname = current_database()"
        )
        await wait_until(lambda: db.execute(waiting).fetchone() == (1,))
    old.commit()
    await asyncio.to_thread(taken.join)
    assert flusher._flushed == 77
    for wire in (old, new):
        wire.close()


async def test_a_process_whose_row_was_removed_enters_anew(journal: PostgresJournal, postgres_url: str) -> None:
    run = await start_owned(journal)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("DELETE FROM keepstep.processes")
        assert (await advance(journal, run, events=(event(),))).last_seq == 2
        assert db.execute("SELECT count(*) FROM keepstep.processes").fetchone() == (1,)


async def test_one_that_lost_its_row_and_its_answer_says_that_it_cannot_know(
    journal: PostgresJournal, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start_owned(journal)

    def lose_answer_and_row(commit: Callable[[Wire], Any], wire: Wire) -> Any:
        commit(wire)
        wire.close()
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute("DELETE FROM keepstep.processes")
        raise ConnectionLost("cable pulled")

    once(monkeypatch, Wire, "commit", lose_answer_and_row)
    with pytest.raises(StoreUnavailable, match="nobody knows what was written last"):
        await advance(journal, run, events=(event(),))


async def test_processes_with_different_runs_do_not_wait_for_each_other(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await open_journal(), await open_journal()
    mine = await start_owned(one, "A")
    theirs = await start_owned(other, "B", workflow_id="other")
    standstill = Standstill(monkeypatch)
    held = asyncio.ensure_future(advance(one, mine, events=(event(),)))
    await standstill.reached()
    assert (await advance(other, theirs, events=(event(),))).last_seq == 2
    assert (await other.start(new_run("third"))).created
    assert await other.send(NewMessage(run_id=theirs.run_id, kind="signal"))
    assert not held.done()
    standstill.end()
    assert (await held).last_seq == 2


async def test_a_run_that_another_process_starts_and_closes_between_look_and_insertion_is_attached_to(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await open_journal(), await open_journal()
    looked, goes_on = threading.Event(), threading.Event()

    def stand_still(write: Callable[..., None], tables: PostgresTables, drawing: Drawing) -> None:
        looked.set()
        assert goes_on.wait(20)
        write(tables, drawing)

    once(monkeypatch, PostgresTables, "write", stand_still)
    starting = asyncio.ensure_future(one.start(new_run()))
    assert await asyncio.to_thread(looked.wait, 20)
    theirs = await start_owned(other)
    await advance(other, theirs, status=Status.COMPLETED)
    goes_on.set()
    started = await starting
    assert (started.created, started.run_id, started.status) == (False, theirs.run_id, Status.COMPLETED)
    assert [run.run_id for run in await one.list_runs("default")] == [theirs.run_id]


async def test_several_runs_of_one_workflow_id_can_be_started_in_one_group(journal: PostgresJournal) -> None:
    run = await start_owned(journal, workflow_id="first")
    follower = new_run("second", lease_id="L")
    closing = Commit(run_id=follower.run_id, epoch=1, status=Status.CONTINUED, start=(new_run("second"),))
    outcomes = await asyncio.gather(
        journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, start=(follower,))), journal.commit(closing)
    )
    assert [len(each.started) for each in outcomes] == [1, 1]
    assert len(await journal.list_runs("default")) == 3


async def test_a_run_that_another_process_holds_is_waited_for_and_leases_are_renewed_meanwhile(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection._SETTINGS, "lock_timeout", "50")
    journal = await open_journal()
    await journal.open_lease(lease("L", lease_seconds=0.03))
    run = await get(journal, (await journal.start(new_run(lease_id="L"))).run_id)
    with psycopg.connect(postgres_url) as db:
        db.execute("SELECT 1 FROM keepstep.runs FOR UPDATE")
        waiting = asyncio.ensure_future(advance(journal, run, events=(event(),)))
        [before] = await journal.list_leases()

        async def is_renewed() -> bool:
            [now] = await journal.list_leases()
            return now.counter > before.counter + 3

        await wait_until(is_renewed)
        assert not waiting.done()
    assert (await waiting).last_seq == 2


async def test_two_processes_that_wait_for_each_other_both_go_on(open_journal: Open) -> None:
    """Each group is about both runs, in either order; the server resolves what our order of locking does not."""
    one, other = await open_journal(), await open_journal()
    first, second = await one.start(new_run("a")), await one.start(new_run("b"))

    async def converse(journal: PostgresJournal, order: tuple[str, str]) -> None:
        for _ in range(20):
            await asyncio.gather(*(journal.send(NewMessage(run_id=run_id, kind="signal")) for run_id in order))

    ids = (first.run_id, second.run_id)
    await asyncio.gather(converse(one, ids), converse(other, ids[::-1]))
    for run_id in ids:
        assert len(await one.read_messages(run_id)) == 40


async def test_of_processes_that_start_one_workflow_id_at_once_one_starts_it(open_journal: Open) -> None:
    handles = [await open_journal() for _ in range(4)]
    for n in range(10):
        starts = [handle.start(new_run(f"w{n}")) for handle in handles]
        started = await asyncio.gather(*starts)
        assert [each.created for each in started].count(True) == 1
        assert len({each.run_id for each in started}) == 1


async def test_a_message_to_a_workflow_id_reaches_its_continuation_while_it_continues(open_journal: Open) -> None:
    """The sender finds the run that is about to be closed, and waits for its lock until it is."""
    owner, sender = await open_journal(), await open_journal()
    run = await start_owned(owner)
    arrived = 0

    async def continue_often() -> None:
        nonlocal run
        for _ in range(30):
            following = new_run(lease_id="L", continued_from=run.run_id)
            await advance(owner, run, status=Status.CONTINUED, start=(following,))
            run = await get(owner, following.run_id)

    continuing = asyncio.ensure_future(continue_often())
    while not continuing.done():
        await sender.send(NewMessage(namespace="default", workflow_id="order-1", kind="signal"))
        arrived += 1
    await continuing
    runs = await owner.list_runs("default", limit=100)
    assert sum([len(await owner.read_messages(each.run_id)) for each in runs]) == arrived


async def test_what_is_trusted_and_was_changed_by_another_process_is_looked_at_again(open_journal: Open) -> None:
    owner, sender = await open_journal(), await open_journal()
    run = await start_owned(owner)
    await advance(owner, run, events=(event(),))
    sent = await sender.send(NewMessage(run_id=run.run_id, kind="signal"))
    refused = await settle(advance(owner, run, events=(event(),), inbox_seen=0))
    assert isinstance(refused[0], Conflict)
    assert (await advance(owner, run, events=(event(),), inbox_seen=sent.n, consume=(sent.n,))).last_seq == 3
    assert await owner.read_messages(run.run_id) == []
    assert (await get(owner, run.run_id)).last_seq == 3


async def test_steps_that_are_trusted_take_one_round_trip(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=(event(),))
    trips = []
    exchange = Wire._exchange

    def counted(wire: Wire) -> Any:
        if threading.current_thread().name == "keepstep-writer":
            trips.append(wire)
        return exchange(wire)

    monkeypatch.setattr(Wire, "_exchange", counted)
    await advance(journal, run, events=(event(),))
    assert len(trips) == 1


async def test_a_text_that_postgres_cannot_keep_is_refused_and_disturbs_nobody(journal: PostgresJournal) -> None:
    run = await start_owned(journal)
    other = await get(journal, (await journal.start(new_run("other", lease_id="L"))).run_id)
    bad, good = await settle(
        advance(journal, run, status_text="a\0b", events=(event(),)), advance(journal, other, events=(event(),))
    )
    assert isinstance(bad, InvalidInput)
    assert "cannot keep" in str(bad)
    assert good.last_seq == 2
    assert (await get(journal, run.run_id)).last_seq == 1


async def test_a_group_of_many_bytes_travels_in_parts(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.journal.postgres.drawn.PART_BYTES_MAX", 1000)
    run = await start_owned(journal)
    events = tuple(event(f"{n}", data=bytes([n]) * 400) for n in range(9))
    await advance(journal, run, events=events)
    found = await journal.read_events(run.run_id, 1)
    assert [(each.type, each.data) for each in found] == [(each.type, each.data) for each in events]


async def test_writing_and_reading_go_on_after_every_session_was_cut_off(
    journal: PostgresJournal, postgres_url: str
) -> None:
    run = await start_owned(journal)

    def cut_all_off() -> None:
        with psycopg.connect(postgres_url, autocommit=True) as db:
            db.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    for seq in range(2, 6):
        await asyncio.to_thread(cut_all_off)
        assert (await advance(journal, run, events=(event(),))).last_seq == seq
        assert (await get(journal, run.run_id)).last_seq == seq


async def test_closing_a_run_and_reopening_it_keeps_its_history_in_one_line(journal: PostgresJournal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=(event(),), status=Status.FAILED)
    closed = await get(journal, run.run_id)
    await journal.commit(
        Commit(run_id=run.run_id, version=closed.version, status=Status.RUNNING, events=(event("again"),))
    )
    assert await seqs(journal, run.run_id) == [1, 2, 3]
    assert writer_pid(journal) > 0
