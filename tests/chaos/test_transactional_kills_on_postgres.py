"""Transactional steps on PostgreSQL while workers are killed and the server crashes: every effect exactly once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
import pytest

from keepstep import Engine, StoreUnavailable
from keepstep.testing.postgres import PostgresServer
from tests.chaos.test_transactional_kills import kill, python
from tests.chaos.transactional_on_postgres import TABLES, transfer_step_by_step_on_postgres

RUNS, STEPS, WORKERS = 20, 6, 2
TROUBLE = ("worker", "worker", "server", "worker", "sessions", "worker", "server", "worker")

CUT_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keepstep step'"

WORKER = """
import asyncio, sys
import tests.chaos.transactional_on_postgres
from keepstep import Engine

async def main():
    async with Engine(sys.argv[1]):
        await asyncio.Event().wait()

asyncio.run(main())
"""

T = TypeVar("T")


class Books:
    """What the tables say, asked again until the server answers."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def ask(self, question: str) -> list[Any]:
        return await asyncio.to_thread(self._ask, lambda db: db.execute(question.encode()).fetchall())

    async def change(self, script: str) -> None:
        await asyncio.to_thread(self._ask, lambda db: db.execute(script.encode()))

    def _ask(self, ask: Callable[[psycopg.Connection[Any]], T]) -> T:
        while True:
            try:
                with psycopg.connect(self._url, autocommit=True) as db:
                    return ask(db)
            except psycopg.OperationalError:
                continue

    async def transfers_grow(self, by: int) -> None:
        count = "SELECT count(*) FROM transfers"
        [(before,)] = await self.ask(count)
        while (await self.ask(count))[0][0] < min(before + by, RUNS * STEPS):
            await asyncio.sleep(0.005)


async def start_all(engine: Engine, url: str) -> None:
    """Each in a transaction that notes that it is wanted; some are rolled back before, and done again."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        for run in range(RUNS):
            for is_committed in (False, True):
                try:
                    async with db.transaction():
                        await db.execute("INSERT INTO wanted VALUES (%s)", (run,))
                        start = engine.start(
                            transfer_step_by_step_on_postgres, run, STEPS, id=f"run-{run}", connection=db
                        )
                        await start
                        if not is_committed:
                            raise LookupError
                except LookupError:
                    continue


@pytest.mark.timeout(240)
async def test_trouble_leaves_every_effect_exactly_once() -> None:
    chance = random.Random(11)
    with PostgresServer() as server:
        url = server.create_database("bank")
        books = Books(url)
        await books.change(TABLES)
        async with Engine(url, workers=False) as engine:
            await start_all(engine, url)
            assert await engine.count() == RUNS
            workers = [python(WORKER, url) for _ in range(WORKERS)]
            try:
                for trouble in TROUBLE:
                    await books.transfers_grow(chance.randrange(3, 12))
                    if trouble == "worker":
                        victim = chance.randrange(WORKERS)
                        kill(workers[victim])
                        workers[victim] = python(WORKER, url)
                    elif trouble == "server":
                        await asyncio.to_thread(server.kill)
                        await asyncio.to_thread(server.start)
                    else:
                        await books.ask(CUT_SESSIONS)
                results = [await result_of(engine, run) for run in range(RUNS)]
            finally:
                for worker in workers:
                    kill(worker)
        assert results == [list(range(1, STEPS + 1))] * RUNS
        everything = [(run, n) for run in range(RUNS) for n in range(STEPS)]
        assert await books.ask("SELECT run, n FROM transfers ORDER BY run, n") == everything
        assert await books.ask(f"SELECT count(*) FROM accounts WHERE balance = {-STEPS}") == [(RUNS,)]
        attempts = dict(await books.ask("SELECT attempt, count(*) FROM transfers GROUP BY attempt"))
        assert attempts == {1: RUNS * STEPS * 4 // 5, 2: RUNS * STEPS // 5}


async def result_of(engine: Engine, run: int) -> Any:
    while True:
        try:
            return await engine.get(f"run-{run}").result()
        except StoreUnavailable:
            await asyncio.sleep(0.1)
