"""What stands around a transactional step on PostgreSQL: it may change the call, and what it raises undoes the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

import keepstep
from keepstep import Engine, Executing, Interceptor, Retry, StepFailed, step, workflow
from keepstep.runtime.interceptor import CallNext

QUICK = Retry(max_attempts=3, initial=0.01)
NOTE = "INSERT INTO effects (what, attempt) VALUES (%s, %s)"


@step(transaction=True, retry=QUICK)
async def note_surrounded(db: psycopg.AsyncConnection[Any], what: str) -> str:
    await db.execute(NOTE, (what, keepstep.step_info().attempt))
    return what


@step(transaction=True, retry=QUICK)
def note_plainly_surrounded(db: psycopg.Connection[Any], what: str) -> str:
    db.execute(NOTE, (what, keepstep.step_info().attempt))
    return what


@workflow
async def note_both_surrounded(what: str) -> list[str]:
    said = []
    for call in (note_surrounded, note_plainly_surrounded):
        try:
            said.append(await call(what))
        except StepFailed as error:
            said.append(f"{error.attempts} {error.__cause__}")
    return said


class Around(Interceptor):
    """Does what the test says."""

    def __init__(self) -> None:
        self.does = ""
        self.seen: list[str] = []

    async def execute(self, call: Executing, call_next: CallNext[Executing]) -> Any:
        number = keepstep.step_info().attempt
        self.seen.append(f"{call.step.name} {number} for {call.headers.get('user', 'nobody')}")
        if self.does == "change":
            call.args = [f"{each}+" for each in call.args]
            return f"{await call_next(call)}?"
        if self.does == "raise before":
            raise PermissionError("not you")
        result = await call_next(call)
        if self.does == "raise after" or (self.does == "raise after the first" and number == 1):
            raise ConnectionError("too late?")
        return result

    async def send(self, call: Any, call_next: Any) -> Any:
        call.headers["user"] = "ann"
        return await call_next(call)


@pytest.fixture
def db(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE TABLE effects (n serial PRIMARY KEY, what text NOT NULL, attempt int NOT NULL)")
        yield db


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
async def engine(postgres_url: str, db: Any, around: Around) -> AsyncIterator[Engine]:
    async with Engine(postgres_url, interceptors=[around]) as engine, asyncio.timeout(60):
        yield engine


def effects(db: psycopg.Connection[Any]) -> list[tuple[str, int]]:
    return db.execute("SELECT what, attempt FROM effects ORDER BY n").fetchall()


async def test_its_call_and_its_result_are_changed_and_headers_reach_it(
    engine: Engine, db: psycopg.Connection[Any], around: Around
) -> None:
    around.does = "change"
    assert await engine.run(note_both_surrounded, "a") == ["a+?", "a+?"]
    assert effects(db) == [("a+", 1), ("a+", 1)]
    assert around.seen == ["note_surrounded 1 for ann", "note_plainly_surrounded 1 for ann"]


async def test_what_it_raises_before_the_step_leaves_no_effect(
    engine: Engine, db: psycopg.Connection[Any], around: Around
) -> None:
    around.does = "raise before"
    assert await engine.run(note_both_surrounded, "a") == ["3 not you", "3 not you"]
    assert effects(db) == []


async def test_what_it_raises_after_the_step_undoes_the_attempt(
    engine: Engine, db: psycopg.Connection[Any], around: Around
) -> None:
    around.does = "raise after"
    assert await engine.run(note_both_surrounded, "a") == ["3 too late?", "3 too late?"]
    assert effects(db) == []
    around.does = "raise after the first"
    assert await engine.run(note_both_surrounded, "b") == ["b", "b"]
    assert effects(db) == [("b", 2), ("b", 2)]
