"""A move that is killed at any point goes on when it is run again, and nothing is there twice."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keepstep.client.promotion import Differs
from keepstep.journal import Promoted
from keepstep.journal.moving import Arrival, Facts, Noun, Row, Stage, proof
from keepstep.journal.postgres import open_postgres
from keepstep.journal.postgres.arriving import PostgresTarget
from keepstep.journal.sqlite import leaving, open_sqlite
from keepstep.journal.sqlite.leaving import SqliteSource
from tests.journal.moving.full import fill, promote_now, said_of, said_of_all, take_back_now
from tests.journal.scene import ManualClock


class Killed(BaseException):
    """The process ends here."""


class Deaths:
    """Kills at the n-th point at which a move changes anything in a store, before it has happened or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points = 0
        self.kill_at: int | None = None
        for owner, names in (
            (PostgresTarget, ("begin", "put", "settle", "open_gate", "close_gate", "clear")),
            (SqliteSource, ("raise_fence", "note", "lower_fence")),
        ):
            for name in names:
                monkeypatch.setattr(owner, name, self._deadly(getattr(owner, name)))

    def _deadly(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._pass()
            outcome = original(*args, **kwargs)
            self._pass()
            return outcome

        return call

    def _pass(self) -> None:
        self.points += 1
        if self.points == self.kill_at:
            raise Killed

    def begin(self, kill_at: int | None) -> None:
        self.points, self.kill_at = 0, kill_at


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Deaths:
    monkeypatch.setattr(leaving, "PAGE_ROWS", 12)
    return Deaths(monkeypatch)


async def _expect(path: Path) -> dict[str, dict[str, Any]]:
    said = await said_of_all(path, await fill(path))
    for each in said.values():
        each["run"]["epoch"] += 1
    return said


async def _found(url: str, run_ids: list[str]) -> dict[str, dict[str, Any]]:
    journal = await open_postgres(url, clock=ManualClock())
    try:
        return {run_id: await said_of(journal, run_id) for run_id in run_ids}
    finally:
        await journal.close()


def _copy(path: Path, number: int) -> Path:
    copy = path.with_name(f"copy-{number}.db")
    shutil.copy(path, copy)
    return copy


def _runs_to_its_end(deaths: Deaths, kill_at: int | None, work: Callable[..., Any], *args: Any) -> bool:
    deaths.begin(kill_at)
    try:
        work(*args)
    except Killed:
        return False
    return True


async def test_killed_behind_every_page_it_comes_to_its_end(path: Path, postgres_url: str, deaths: Deaths) -> None:
    """Each time it is killed as soon as it has changed something."""
    expected = await _expect(path)
    noted, times, kill_at = "", 0, 1
    while not await asyncio.to_thread(_runs_to_its_end, deaths, kill_at, promote_now, path, postgres_url):
        now = _notes(path, postgres_url)
        kill_at = 1 if now != noted else kill_at + 1
        noted, times = now, times + 1
    assert times > 30
    assert await _found(postgres_url, list(expected)) == expected


def _notes(path: Path, url: str) -> str:
    """All that the two stores know of the move."""
    with SqliteSource(path) as source, psycopg.connect(url) as db:
        there = db.execute("SELECT to_regclass('keepstep.meta') IS NOT NULL").fetchone() == (True,)
        arrival = db.execute("SELECT name, value FROM keepstep.meta ORDER BY name").fetchall() if there else []
        return f"{source.departure()} {arrival}"


async def test_taking_back_can_be_killed_at_every_point_too(path: Path, postgres_url: str, deaths: Deaths) -> None:
    run_ids = await fill(path)
    before = await said_of_all(path, run_ids)
    for number in range(1, 100):
        copy, url = _copy(path, number), f"{postgres_url}?schema=back_{number}&shards=2"
        await asyncio.to_thread(_runs_to_its_end, deaths, None, promote_now, copy, url)
        if await asyncio.to_thread(_runs_to_its_end, deaths, number, take_back_now, copy, url):
            break
        with SqliteSource(copy) as source:
            is_lifted = source.departure() is None
        if not is_lifted:
            assert await asyncio.to_thread(_runs_to_its_end, deaths, None, take_back_now, copy, url)
        assert await said_of_all(copy, run_ids) == before
        await _is_empty(url)
    assert number == 7  # three changes, before and behind each


async def _is_empty(url: str) -> None:
    journal = await open_postgres(url, clock=ManualClock())
    try:
        assert await journal.count_runs("default") == 0
    finally:
        await journal.close()


async def test_an_aborted_move_can_be_begun_again(path: Path, postgres_url: str, deaths: Deaths) -> None:
    expected = await _expect(path)
    assert not await asyncio.to_thread(_runs_to_its_end, deaths, 20, promote_now, path, postgres_url)
    assert await asyncio.to_thread(_runs_to_its_end, deaths, None, take_back_now, path, postgres_url)
    assert await asyncio.to_thread(_runs_to_its_end, deaths, None, promote_now, path, postgres_url)
    assert await _found(postgres_url, list(expected)) == expected


async def test_a_move_that_is_over_is_not_done_again(path: Path, postgres_url: str, deaths: Deaths) -> None:
    await fill(path)
    await asyncio.to_thread(promote_now, path, postgres_url)
    deaths.begin(None)
    assert await asyncio.to_thread(promote_now, path, postgres_url) == {}
    assert deaths.points == 0
    with SqliteSource(path) as source:
        departure = source.departure()
    assert departure is not None
    assert departure.stage is Stage.PROMOTED


async def test_a_page_and_the_note_about_it_are_there_together_or_not_at_all(
    path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await _expect(path)
    original = PostgresTarget._copy

    def torn(self: PostgresTarget, table: str, rows: Any) -> None:
        original(self, table, rows)
        if table == "tasks":
            raise Killed

    monkeypatch.setattr(PostgresTarget, "_copy", torn)
    with pytest.raises(Killed):
        await asyncio.to_thread(promote_now, path, postgres_url)
    monkeypatch.setattr(PostgresTarget, "_copy", original)
    await asyncio.to_thread(promote_now, path, postgres_url)
    assert await _found(postgres_url, list(expected)) == expected


async def test_what_was_lost_on_the_way_is_found_and_named(
    path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(path)
    original = PostgresTarget.put

    def lossy(self: PostgresTarget, noun: Noun, rows: list[Row], before: Arrival, now: Arrival) -> None:
        kept = rows[1:] if noun.name == "state" else rows
        original(self, noun, kept, before, now)

    monkeypatch.setattr(PostgresTarget, "put", lossy)
    with pytest.raises(Differs, match=r"run run-\d+ \('is advancing'\): state differ"):
        await asyncio.to_thread(promote_now, path, postgres_url)


DAMAGES = {
    "UPDATE runs SET wake_at = 1 WHERE workflow_id = 'parent'": "'parent'): runs differ",
    "UPDATE events SET data = 'x' WHERE key = 'charge#0' AND shard = 1": "events differ",
    "DELETE FROM messages": "messages: ",
    "UPDATE received SET n = n + 1": "'gets mail'): received differ",
    "UPDATE timers SET fire_at = fire_at - 1 WHERE key = 'late' AND shard = 1": "timers differ",
    "UPDATE tasks SET attempt = 9": "'has tasks'): tasks differ",
    "UPDATE audit SET text = 'x' WHERE text LIKE 'made plain'": "'is advancing'): audit differ",
    "UPDATE definitions SET body = '{}'": "definitions: they are not the same",
    "UPDATE queues SET body = '{}'": "queues: they are not the same",
    "UPDATE cursors SET n = n + 1 WHERE shard = 1": "cursors: they are not the same",
    "UPDATE commit_ids SET time = 0": "commit_ids: they are not the same",
    "INSERT INTO state VALUES (1, 999 << 10 | 1, 'k', 'k', 'd')": "run number 999: state differ",
}
"""What is done to the target before it is compared, and what must be said then."""


async def test_every_difference_is_found_and_then_nothing_is_handed_over(
    path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{postgres_url}?shards=2"
    await fill(path)
    original = PostgresTarget.settle

    def damaging(self: PostgresTarget, facts: Facts) -> None:
        original(self, facts)
        with self._alone():
            for damage in DAMAGES:
                assert self._db.execute(damage).rowcount > 0

    monkeypatch.setattr(PostgresTarget, "settle", damaging)
    monkeypatch.setattr(proof, "DIFFERENCES_MAX", 1000)
    with pytest.raises(Differs) as caught:
        await asyncio.to_thread(promote_now, path, url)
    for said in DAMAGES.values():
        assert said in str(caught.value)
    with pytest.raises(Promoted, match="not whole yet"):
        await open_postgres(url)
    await asyncio.to_thread(take_back_now, path, url)
    await (await open_sqlite(path)).close()


@pytest.mark.parametrize("damage", ["UPDATE log SET first_n = first_n + 1", "UPDATE events SET nth = nth + 1"])
async def test_a_position_that_has_moved_is_found(
    path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    await fill(path)
    original = PostgresTarget.settle

    def damaging(self: PostgresTarget, facts: Facts) -> None:
        original(self, facts)
        with self._alone():
            self._db.execute(damage)

    monkeypatch.setattr(PostgresTarget, "settle", damaging)
    with pytest.raises(Differs, match="events differ"):
        await asyncio.to_thread(promote_now, path, f"{postgres_url}?shards=1")
