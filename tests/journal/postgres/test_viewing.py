"""A journal that is only looked at: what is seen is what is there, and nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from keepstep.journal import InvalidInput, NotFound, SchemaTooNew, Status, StoreUnavailable
from keepstep.journal.postgres import PostgresJournal, open_postgres
from keepstep.journal.postgres.viewing import view_postgres
from keepstep.journal.writing import view as view_module
from keepstep.testing.postgres import Access
from keepstep.testing.postgres.server import wait_until as wait_for
from tests.journal.postgres.conftest import Open, terminate
from tests.journal.scene import advance, event, lease, new_run, start_owned

OPEN = (Status.RUNNING,)

ROWS = """
SELECT (SELECT string_agg(p::text, '') FROM keepstep.processes AS p), (SELECT count(*) FROM keepstep.leases),
    (SELECT string_agg(m::text, '' ORDER BY name) FROM keepstep.meta AS m)
"""

SESSIONS = """
SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'keepstep view'
"""


def _wait_until_gone(db: psycopg.Connection[Any]) -> None:
    wait_for(lambda: db.execute(SESSIONS).fetchone() == (0, 0), 20, "a session is left")


async def test_runs_their_histories_and_their_owners_are_seen_as_they_are(
    journal: PostgresJournal, postgres_url: str
) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=(event("a"),))
    await journal.start(new_run("other", type="ship"))
    view = view_postgres(postgres_url)
    assert {each.workflow_id for each in view.runs("default", OPEN)} == {"order-1", "other"}
    assert [each.workflow_id for each in view.runs("default", OPEN, ["ship"])] == ["other"]
    assert (view.count("default", OPEN), view.count("default", (Status.FAILED,)), view.count("else", OPEN)) == (2, 0, 0)
    loaded = view.load(run.run_id)
    assert [each.type for each in loaded.events] == ["started", "a"]
    assert loaded == await journal.load(run.run_id)
    assert [state.lease.lease_id for state in view.leases()] == ["L"]
    with pytest.raises(NotFound):
        view.load("missing")
    assert view.count("default", OPEN) == 2  # what was not found is in nobody's way
    view.close()


async def test_a_list_goes_on_over_several_pages_and_stops_where_enough_was_seen(
    journal: PostgresJournal, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "PAGE", 3)
    await asyncio.gather(*(journal.start(new_run(f"w{n}")) for n in range(8)))
    view = view_postgres(postgres_url)
    seen = [each.run_id for each in view.runs("default", OPEN)]
    assert len(seen) == len(set(seen)) == 8
    assert [each.run_id for each in view.runs("default", OPEN, limit=5)] == seen[:5]
    view.close()


async def test_who_looks_enters_nowhere_and_changes_nothing(journal: PostgresJournal, postgres_url: str) -> None:
    await journal.open_lease(lease("L"))
    await journal.start(new_run())
    with psycopg.connect(postgres_url, autocommit=True) as db:
        before = db.execute(ROWS).fetchone()
        view = view_postgres(postgres_url)
        assert view.count("default", OPEN) == 1
        assert db.execute(SESSIONS).fetchone() == (1, 0)
        view.close()
        assert db.execute(ROWS).fetchone() == before
        await asyncio.to_thread(_wait_until_gone, db)


async def test_who_may_only_read_can_look(journal: PostgresJournal, postgres_server: Access, postgres_url: str) -> None:
    run = await start_owned(journal)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS looker")
        db.execute("CREATE ROLE looker LOGIN PASSWORD 'eyes'")
        db.execute("GRANT USAGE ON SCHEMA keepstep TO looker")
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA keepstep TO looker")
        url = postgres_url.replace(f"postgres:{postgres_server.password}@", "looker:eyes@")
        view = view_postgres(url)
        assert view.load(run.run_id).run.workflow_id == "order-1"
        assert [state.lease.lease_id for state in view.leases()] == ["L"]
        view.close()
        db.execute("DROP OWNED BY looker")
        db.execute("DROP ROLE looker")


async def test_what_is_no_journal_of_this_version_is_refused_and_not_made_one(
    open_journal: Open, postgres_url: str
) -> None:
    with pytest.raises(StoreUnavailable, match="holds no journal; name another schema"):
        view_postgres(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        assert db.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'keepstep'").fetchone() == (0,)
        await open_journal()
        db.execute("UPDATE keepstep.meta SET value = '1' WHERE name = 'version'")
        with pytest.raises(StoreUnavailable, match="has schema version 1, and this Keepstep reads version"):
            view_postgres(postgres_url)
        db.execute("UPDATE keepstep.meta SET value = '999' WHERE name IN ('version', 'oldest')")
        with pytest.raises(SchemaTooNew, match="upgrade this installation"):
            view_postgres(postgres_url)
        db.execute("UPDATE keepstep.meta SET value = '1' WHERE name = 'oldest'")
        view_postgres(postgres_url).close()  # a later version that this program can still read


async def test_a_url_or_a_server_that_will_not_do_is_explained_without_its_password(postgres_url: str) -> None:
    with pytest.raises(InvalidInput, match="is neither true nor false"):
        view_postgres("postgresql://u:secret@h/db?pooled=maybe")
    with pytest.raises(StoreUnavailable, match="cannot be read") as caught:
        view_postgres("postgresql://u:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)


async def test_a_connection_that_breaks_while_one_looks_is_said_in_a_line(
    journal: PostgresJournal, postgres_url: str
) -> None:
    await journal.start(new_run())
    view = view_postgres(postgres_url)
    terminate(postgres_url, view._db.backend_pid)
    with pytest.raises(StoreUnavailable, match=r"keepstep cannot be read: [^\n]+$"):
        view.count("default", OPEN)
    view.close()


async def test_one_can_look_through_a_pooler(pooler: Access, journal: PostgresJournal, postgres_url: str) -> None:
    run = await start_owned(journal)
    through = f"{pooler.url_of(postgres_url.rpartition('/')[2])}?pooled=true"
    view = view_postgres(through)
    assert [each.run_id for each in view.runs("default", OPEN)] == [run.run_id]
    assert view.load(run.run_id).run.last_seq == 1
    view.close()
    await (await open_postgres(through)).close()
