"""A journal that is still arriving cannot be opened, and moves only to where nobody is and nothing lies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from keepstep.client.promotion import promote
from keepstep.journal import InvalidInput, Promoted, StoreUnavailable
from keepstep.journal.postgres import open_postgres
from keepstep.journal.postgres.arriving import PostgresTarget
from keepstep.journal.postgres.viewing import view_postgres
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.leaving import SqliteSource
from keepstep.testing.postgres import Access
from tests.journal.moving.full import fill, promote_now
from tests.journal.scene import ManualClock, new_run


def _begin(path: Path, url: str) -> None:
    with SqliteSource(path) as source, PostgresTarget(url, create=True) as target:
        target.begin(source.departure() or source.raise_fence(target.shown, 0), "here")


async def test_half_a_journal_cannot_be_opened(path: Path, postgres_url: str) -> None:
    await fill(path)
    _begin(path, postgres_url)
    with pytest.raises(Promoted, match="a journal is being moved here, and is not whole yet"):
        await open_postgres(postgres_url)
    with pytest.raises(Promoted, match="not whole yet"):
        view_postgres(postgres_url)
    with psycopg.connect(postgres_url) as db:
        assert db.execute("SELECT count(*) FROM keepstep.processes").fetchone() == (0,)
    await asyncio.to_thread(promote_now, path, postgres_url)
    await (await open_postgres(postgres_url)).close()


async def test_programs_that_call_the_journals_functions_are_kept_out_as_well(path: Path, postgres_url: str) -> None:
    await fill(path)
    _begin(path, postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="not whole yet"):
            db.execute("SELECT keepstep.start_workflow('fulfil', '[]', id => 'by SQL')")
        await asyncio.to_thread(promote_now, path, postgres_url)
        db.execute("SELECT keepstep.start_workflow('fulfil', '[]', id => 'by SQL')")
        assert db.execute("SELECT keepstep.send_signal('gets mail', 'hello')").fetchone() == (True,)


async def test_who_has_it_open_is_named_before_anything_moves(path: Path, postgres_url: str) -> None:
    await fill(path)
    there = await open_postgres(postgres_url)
    with pytest.raises(StoreUnavailable, match=r"is open in process \d+ on"):
        await asyncio.to_thread(promote_now, path, postgres_url)
    await (await open_sqlite(path, clock=ManualClock())).close()  # it has not begun to leave
    await there.close()
    await asyncio.to_thread(promote_now, path, postgres_url)


async def test_a_journal_that_has_runs_of_its_own_takes_no_other(path: Path, postgres_url: str) -> None:
    await fill(path)
    there = await open_postgres(postgres_url)
    await there.start(new_run("mine"))
    await there.close()
    with pytest.raises(StoreUnavailable, match="has runs of its own"):
        await asyncio.to_thread(promote_now, path, postgres_url)
    await (await open_sqlite(path, clock=ManualClock())).close()


async def test_half_of_one_journal_takes_no_other(path: Path, postgres_url: str, tmp_path: Path) -> None:
    await fill(path)
    _begin(path, postgres_url)
    other = tmp_path / "other.db"
    await (await open_sqlite(other)).close()
    with pytest.raises(StoreUnavailable, match="holds a part of another journal, from here"):
        await asyncio.to_thread(promote_now, other, postgres_url)
    await (await open_sqlite(other)).close()


async def test_a_move_that_has_begun_goes_nowhere_else(path: Path, postgres_url: str) -> None:
    await fill(path)
    _begin(path, postgres_url)
    with pytest.raises(StoreUnavailable, match="on its way to"):
        await asyncio.to_thread(promote_now, path, f"{postgres_url}?schema=elsewhere")


async def test_a_schema_that_was_emptied_is_as_good_as_a_new_one(path: Path, postgres_url: str) -> None:
    """Its numbers have been used, and go on behind whatever is greater."""
    there = await open_postgres(postgres_url)
    for n in range(5):
        await there.start(new_run(f"gone {n}"))
    await there.close()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("SET search_path TO keepstep")
        db.execute("TRUNCATE runs, events, log, batches, received")
    await fill(path)
    await asyncio.to_thread(promote_now, path, postgres_url)
    there = await open_postgres(postgres_url, clock=ManualClock())
    for n in range(50):
        assert (await there.start(new_run(f"new {n}"))).created
    await there.close()


async def test_a_journal_moves_through_a_pooler(path: Path, postgres_url: str, pooler: Access) -> None:
    run_ids = await fill(path)
    through = pooler.url_of(postgres_url.rpartition("/")[2])
    await asyncio.to_thread(promote_now, path, f"{through}?pooled=true")
    there = await open_postgres(f"{through}?pooled=true", clock=ManualClock())
    assert {run.run_id for run in await there.list_runs("default", limit=1000)} == set(run_ids)
    await there.close()


@pytest.mark.parametrize(
    ("from_url", "to_url", "said"),
    [
        ("postgresql://u:secret@h/d", "postgresql://u:secret@h/d", "pg_dump"),
        ("sqlite:///there.db", "sqlite:///here.db", "--to names a PostgreSQL database"),
        ("sqlite:///missing.db", "postgresql://u:secret@h/d", "does not exist"),
    ],
)
def test_other_stores_are_refused_in_words_that_show_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_url: str, to_url: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(_make(tmp_path / "there.db"))
    with pytest.raises((InvalidInput, StoreUnavailable), match=said) as caught:
        promote(from_url, to_url, wait=False, tell=lambda _: None, say=lambda _: None)
    assert "secret" not in str(caught.value)


async def _make(path: Path) -> None:
    await (await open_sqlite(path)).close()
