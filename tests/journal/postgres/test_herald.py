"""Hints between processes on PostgreSQL: coalesced, off the writers' way, and missed by nobody who polls."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from keepstep.journal import HintKind, NewMessage
from keepstep.journal.postgres import PostgresJournal
from keepstep.journal.postgres import herald as herald_module
from keepstep.journal.postgres.herald import Herald
from tests.journal.postgres.conftest import Open
from tests.journal.scene import Ears, lease, new_run, wait_until

LISTENERS = """
SELECT pid FROM pg_stat_activity WHERE application_name = 'keepstep herald' AND datname = current_database()
"""


def herald_of(journal: PostgresJournal) -> Herald:
    herald = journal._peers
    assert isinstance(herald, Herald)
    return herald


async def until_heard(teller: PostgresJournal, ears: Ears) -> None:
    """Both heralds have a connection: what one tells, the other hears, precise about nothing."""
    ears.hints.clear()
    started = 0

    async def is_heard() -> bool:
        nonlocal started
        started += 1
        await teller.start(new_run(f"heard-{id(ears)}-{started}"))
        return any(hint.kind is HintKind.READY and not hint.run_ids for hint in ears.hints)

    await wait_until(is_heard)


async def test_what_one_process_does_is_hinted_to_the_others_and_not_to_itself_twice(open_journal: Open) -> None:
    one, other = await open_journal(), await open_journal()
    ears, own = Ears(other), Ears(one)
    await until_heard(one, ears)
    await until_heard(other, own)
    own.hints.clear()
    await other.open_lease(lease("B"))
    started = await other.start(new_run(lease_id="B"))
    await asyncio.sleep(0)
    ears.hints.clear()
    await one.send(NewMessage(run_id=started.run_id, kind="signal"))
    await ears.wait_for(HintKind.INBOX)
    precise = [hint for hint in own.hints if hint.kind is HintKind.INBOX]
    assert [hint.run_ids for hint in precise] == [(started.run_id,)]


async def test_many_flushes_are_told_in_few_notifications(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald_module, "TELL_SECONDS_MIN", 0.2)
    journal = await open_journal()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as listener:
        await listener.execute('LISTEN "keepstep_keepstep"')
        for n in range(50):
            await journal.start(new_run(f"w{n}"))
        payloads = [notice.payload async for notice in listener.notifies(timeout=0.5)]
    assert 1 <= len(payloads) <= 20
    assert all(len(payload) < 200 for payload in payloads)


async def test_a_herald_that_is_cut_off_comes_back(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald_module, "RETRY_SECONDS_FIRST", 0.01)
    one, other = await open_journal(), await open_journal()
    ears = Ears(other)
    await until_heard(one, ears)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        await wait_until(lambda: len(db.execute(LISTENERS).fetchall()) == 2)
        before = db.execute(LISTENERS).fetchall()
        for (pid,) in before:
            db.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        await wait_until(lambda: len(db.execute(LISTENERS).fetchall()) == 2)
        assert not set(before) & set(db.execute(LISTENERS).fetchall())
    await until_heard(one, ears)


async def test_an_answer_whose_hint_is_lost_is_found_by_looking(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker, owner = await open_journal(), await open_journal()
    await owner.open_lease(lease())
    started = await owner.start(new_run(lease_id="L"))
    for journal in (asker, owner):
        monkeypatch.setattr(herald_of(journal), "tell", lambda kinds: None)
    asking = asyncio.ensure_future(asker.ask(started.run_id, "query", "state", b"?", 20))
    asks = []

    async def is_asked() -> bool:
        asks.extend(await owner.take_asks("L", 10))
        return bool(asks)

    await wait_until(is_asked)
    await owner.answer(asks[0].ask_id, b"!")
    assert await asking == b"!"


async def test_processes_of_other_schemas_are_not_disturbed(open_journal: Open, postgres_url: str) -> None:
    one, _ = await open_journal("schema=one"), await open_journal("schema=other")
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as listener:
        await listener.execute('LISTEN "keepstep_one"')
        await listener.execute('LISTEN "keepstep_other"')
        await one.start(new_run())
        notices = [notice async for notice in listener.notifies(timeout=20, stop_after=1)]
    assert [notice.channel for notice in notices] == ["keepstep_one"]
