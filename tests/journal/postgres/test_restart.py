"""A server that goes away and comes back: what was acknowledged is there, and what was in flight goes on by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from keepstep.journal import Commit, Journal, NewMessage, StoreUnavailable
from keepstep.journal.postgres import PostgresJournal, open_postgres
from keepstep.journal.postgres import herald as herald_module
from keepstep.journal.writing import writer
from keepstep.testing.postgres import PostgresServer, Proxy
from tests.journal.postgres.conftest import flusher_of
from tests.journal.scene import Ears, advance, event, get, lease, new_run, start_owned, wait_until

HOW = ("fast", "immediate", "kill")


def break_down(server: PostgresServer, how: str) -> None:
    if how == "kill":
        server.kill()
        server.start()
    else:
        server.restart("fast" if how == "fast" else "immediate")


@pytest.fixture
async def broken_journal(own_server: PostgresServer) -> AsyncIterator[PostgresJournal]:
    name = f"restart_{own_server.query('SELECT count(*) FROM pg_database')}"
    own_server.create_database(name)
    journal = await open_postgres(f"{own_server.url_of(name)}?shards=1")
    yield journal
    await journal.close()


@pytest.mark.parametrize("how", HOW)
async def test_commits_go_on_through_a_restart_and_none_is_lost_or_done_twice(
    own_server: PostgresServer, broken_journal: PostgresJournal, how: str
) -> None:
    await broken_journal.open_lease(lease())
    ids = [(await broken_journal.start(new_run(f"w{n}", lease_id="L"))).run_id for n in range(4)]
    is_over, done = False, dict.fromkeys(ids, 1)

    async def step(run_id: str) -> None:
        while not is_over:
            commit = Commit(run_id=run_id, epoch=1, first_seq=done[run_id] + 1, events=(event(f"{done[run_id] + 1}"),))
            done[run_id] = (await broken_journal.commit(commit)).last_seq

    steps = [asyncio.ensure_future(step(run_id)) for run_id in ids]
    await wait_until(lambda: min(done.values()) > 3)
    await asyncio.to_thread(break_down, own_server, how)
    reached = dict(done)
    await wait_until(lambda: all(done[run_id] > reached[run_id] + 3 for run_id in ids))
    is_over = True
    await asyncio.gather(*steps)
    for run_id in ids:
        events = await broken_journal.read_events(run_id)
        assert [each.type for each in events[1:]] == [f"{seq}" for seq in range(2, done[run_id] + 1)]


async def test_a_question_asked_while_the_server_is_away_is_answered_when_it_is_back(
    own_server: PostgresServer, broken_journal: PostgresJournal, caplog: pytest.LogCaptureFixture
) -> None:
    started = await broken_journal.start(new_run())
    assert await broken_journal.read_run(started.run_id)
    await asyncio.to_thread(own_server.stop)
    with caplog.at_level(logging.WARNING, "keepstep.journal"):
        asked = asyncio.ensure_future(broken_journal.read_run(started.run_id))
        written = asyncio.ensure_future(broken_journal.send(NewMessage(run_id=started.run_id, kind="signal")))
        await wait_until(lambda: "a question is asked again until it is answered" in caplog.text)
        await wait_until(lambda: "operations wait and are tried again until it works" in caplog.text)
    assert not asked.done()
    assert not written.done()
    await asyncio.to_thread(own_server.start)
    assert (await get(broken_journal, started.run_id)).last_seq == 1
    assert await asked
    assert (await written).run_id == started.run_id


async def test_a_store_that_closes_while_the_server_is_away_says_what_was_not_written(
    own_server: PostgresServer, broken_journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CLOSE_SECONDS_MAX", 0.2)
    started = await broken_journal.start(new_run())
    await asyncio.to_thread(own_server.stop)
    try:
        sending = asyncio.ensure_future(broken_journal.send(NewMessage(run_id=started.run_id, kind="signal")))
        reading = asyncio.ensure_future(broken_journal.read_run(started.run_id))
        await asyncio.sleep(0)
        await broken_journal.close()
        for waiting in (sending, reading):
            with pytest.raises(StoreUnavailable):
                await waiting
    finally:
        await asyncio.to_thread(own_server.start)


async def test_a_store_whose_server_stays_away_pauses_longer_and_longer(
    own_server: PostgresServer, broken_journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start_owned(broken_journal)
    await asyncio.to_thread(own_server.stop)
    flusher, tries = flusher_of(broken_journal), []
    connect = flusher._connect

    def counted() -> object:
        tries.append(asyncio)
        return connect()

    monkeypatch.setattr(flusher, "_connect", counted)
    written = asyncio.ensure_future(advance(broken_journal, run, events=(event(),)))
    await asyncio.wait({written}, timeout=1.5)
    assert 2 <= len(tries) <= 10
    await asyncio.to_thread(own_server.start)
    assert (await written).last_seq == 2


async def test_hints_are_heard_again_after_the_server_was_away(
    own_server: PostgresServer, broken_journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald_module, "RETRY_SECONDS_MAX", 0.1)
    other: Journal = await open_postgres(f"{own_server.url_of('postgres')}?schema=hints&shards=1")
    hearer: Journal = await open_postgres(f"{own_server.url_of('postgres')}?schema=hints&shards=1")
    try:
        await asyncio.to_thread(own_server.restart)
        ears = Ears(hearer)

        async def is_heard() -> bool:
            await other.start(new_run(f"w{len(ears.hints)}"))
            return any(not hint.run_ids for hint in ears.hints)

        await wait_until(is_heard)
    finally:
        await other.close()
        await hearer.close()


async def test_a_network_that_is_cut_in_the_middle_of_a_commit_leaves_no_doubt(
    own_server: PostgresServer,
) -> None:
    name = "cut"
    own_server.create_database(name)
    with Proxy(own_server.port) as proxy:
        url = own_server.url_of(name).replace(f":{own_server.port}", f":{proxy.port}")
        journal = await open_postgres(f"{url}?shards=1")
        run = await start_owned(journal)
        last = 1
        for _ in range(5):
            written = asyncio.ensure_future(advance(journal, run, first_seq=last + 1, events=(event(),)))
            await asyncio.sleep(0)
            await asyncio.to_thread(proxy.cut)
            await asyncio.to_thread(proxy.heal)
            last = (await written).last_seq
        assert [each.seq for each in await journal.read_events(run.run_id)] == list(range(1, 7))
        await journal.close()
