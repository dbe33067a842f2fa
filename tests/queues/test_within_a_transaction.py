"""Runs that are started in a transaction of the user's own wait on limited queues as others do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

import keepstep
from keepstep import Engine, InvalidInput, workflow
from keepstep.journal import Condition

LANE = "lane within"
QUEUES = ("default", LANE)


@workflow(queue=LANE)
async def wait_for_a_word_in_the_lane() -> str:
    return str(await keepstep.receive("word", str))


async def check(engine: Engine, start_within: str, path: str) -> None:
    await engine.queues.limit(LANE, concurrency=1)
    first = await engine.start(wait_for_a_word_in_the_lane, id="first")
    connect = sqlite3.connect if start_within == "sqlite" else psycopg.connect
    with closing(connect(path)) as db:
        second = await engine.start(wait_for_a_word_in_the_lane, id="second", connection=db)
        with pytest.raises(InvalidInput, match="cannot be part of your transaction"):
            await engine.start(wait_for_a_word_in_the_lane, id="third", connection=db, delay=timedelta(hours=1))
        db.commit()
        assert (await second.describe()).condition is Condition.QUEUED
        await second.signal("word", "said early", connection=db)
        db.commit()
    assert (await second.describe()).condition is Condition.QUEUED
    await first.signal("word", "go")
    assert await first.result(timeout=20) == "go"
    assert await second.result(timeout=20) == "said early"
    assert (await engine.queues.get(LANE)).held == 0


async def test_on_sqlite(tmp_path: Path) -> None:
    async with Engine(f"sqlite:///{tmp_path}/q.db", queues=QUEUES) as engine:
        await check(engine, "sqlite", f"{tmp_path}/q.db")


async def test_on_postgres(postgres_url: str) -> None:
    async with Engine(postgres_url, queues=QUEUES) as engine:
        await check(engine, "postgres", postgres_url)
