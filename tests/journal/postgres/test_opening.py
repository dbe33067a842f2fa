"""Opening on PostgreSQL: servers that will not do, schemas apart, and migrations that are raced."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec
import psycopg
import pytest

from keepstep.journal import Declaration, InvalidInput, Limits, SchemaTooNew, StoreUnavailable
from keepstep.journal.postgres import connection, migration, open_postgres, opening
from keepstep.journal.postgres.address import hide_password, parse_address
from keepstep.journal.postgres.connection import connect
from keepstep.journal.postgres.statement import Statement
from keepstep.testing.postgres import PostgresServer
from tests.journal.postgres.conftest import Open
from tests.journal.scene import advance, event, get, lease, new_run, start_owned, wait_until


async def refusal(url: str) -> str:
    with pytest.raises(StoreUnavailable) as refused:
        await open_postgres(url)
    return str(refused.value)


async def test_a_server_that_does_not_sync_is_refused(own_server: PostgresServer) -> None:
    own_server.set_config({"fsync": "off"})
    own_server.restart()
    try:
        assert "runs with fsync=off and would lose what it has acknowledged" in await refusal(own_server.url)
    finally:
        own_server.set_config({"fsync": "on"})
        own_server.restart()


async def test_a_server_that_takes_no_writes_is_refused(own_server: PostgresServer) -> None:
    own_server.set_config({"default_transaction_read_only": "on"})
    try:
        assert "default_transaction_read_only is on" in await refusal(own_server.url)
    finally:
        own_server.set_config({"default_transaction_read_only": "off"})


async def test_a_standby_is_refused(own_server: PostgresServer) -> None:
    own_server.stop()
    signal = own_server.data / "standby.signal"
    signal.touch()
    own_server.account.own(signal)
    own_server.start()
    try:
        assert "it is a standby or still recovering; name the primary" in await refusal(own_server.url)
    finally:
        own_server.stop()
        signal.unlink()
        own_server.start()


async def test_every_session_syncs_whatever_the_servers_default_is(own_server: PostgresServer) -> None:
    """But the stronger ``remote_apply`` is left as it is."""
    address = parse_address(own_server.url)
    for default, found in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        own_server.set_config({"synchronous_commit": default})
        wire = connect(address)
        [(setting,)] = wire.ask(Statement("SHOW synchronous_commit"))
        wire.close()
        assert setting == found
    own_server.set_config({"synchronous_commit": "on"})


async def test_a_server_that_is_too_old_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "VERSION_MIN", 990000)
    assert "and Keepstep needs 99 or later; upgrade the server" in await refusal(postgres_url)


async def test_what_cannot_be_reached_is_named_without_its_password(postgres_url: str) -> None:
    parts = postgres_url.rpartition("/")
    assert 'database "missing" does not exist' in await refusal(f"{parts[0]}/missing")
    user, _, rest = postgres_url.rpartition("@")
    wrong = f"postgresql://postgres:wrong-{'s' + 'ecret'}@{rest}"
    said = await refusal(wrong)
    assert "password authentication failed" in said
    assert "wrong-secret" not in said
    assert user.rpartition(":")[2] not in await refusal(f"{user}@127.0.0.1:1/db")


async def test_a_server_without_a_free_connection_is_waited_for(own_server: PostgresServer) -> None:
    own_server.set_config({"max_connections": "6", "superuser_reserved_connections": "0"})
    own_server.restart()
    taken: list[psycopg.Connection] = []

    def are_taken() -> bool:
        """A session that somebody else has closed may take a while to end; then its place is to be taken, too."""
        with suppress(psycopg.OperationalError):
            taken.append(psycopg.connect(own_server.url))
        return len(taken) == 6

    try:
        await wait_until(are_taken)
        opened = asyncio.ensure_future(open_postgres(own_server.url))
        await asyncio.wait({opened}, timeout=0.3)
        assert not opened.done()
        for each in taken:
            each.close()
        journal = await opened
        await journal.close()
    finally:
        for each in taken:
            each.close()
        own_server.stop()  # it may have no place yet for one who would have it read its settings
        own_server.set_config({"max_connections": "100", "superuser_reserved_connections": "3"})
        own_server.start()


async def test_waiting_for_a_connection_has_an_end(own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "OPENING_SECONDS_MAX", 0.1)
    with psycopg.connect(own_server.url, autocommit=True) as db:
        db.execute("CREATE ROLE narrow LOGIN PASSWORD 'p' CONNECTION LIMIT 0")
    host = own_server.url.rpartition("@")[2]
    assert 'too many connections for role "narrow"' in await refusal(f"postgresql://narrow:p@{host}")


async def test_schemas_of_one_database_are_journals_apart(open_journal: Open) -> None:
    one, other = await open_journal("schema=one&shards=1"), await open_journal("schema=other&shards=2")
    first = await one.start(new_run())
    second = await other.start(new_run())
    assert first.created
    assert second.created
    assert await one.read_run(second.run_id) is None
    assert [run.run_id for run in await other.list_runs("default")] == [second.run_id]


async def test_processes_that_make_a_schema_at_once_make_one(open_journal: Open) -> None:
    journals = await asyncio.gather(*(open_journal("shards=3") for _ in range(8)))
    started = await journals[0].start(new_run())
    for journal in journals:
        assert (await get(journal, started.run_id)).last_seq == 1


async def test_the_number_of_shards_is_fixed_when_a_journal_is_made(open_journal: Open) -> None:
    first, later = await open_journal("shards=3"), await open_journal("shards=16")
    started = await later.start(new_run("some"))
    found = await first.find_run("default", "some")
    assert found is not None
    assert found.run_id == started.run_id


async def test_a_schema_that_is_missing_is_refused_where_none_is_to_be_made(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="holds no journal; name another schema"):
        await open_postgres(postgres_url, create=False)


async def test_a_schema_that_newer_programs_have_closed_to_this_one_is_refused(
    open_journal: Open, postgres_url: str
) -> None:
    await open_journal()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("UPDATE keepstep.meta SET value = '99' WHERE name IN ('version', 'oldest')")
    with pytest.raises(
        SchemaTooNew, match=r"schema version 99, which programs that know versions up to \d+ cannot use"
    ):
        await open_postgres(postgres_url)


async def test_a_schema_that_newer_programs_have_only_added_to_is_used(open_journal: Open, postgres_url: str) -> None:
    journal = await open_journal()
    run = await start_owned(journal)
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("UPDATE keepstep.meta SET value = '99' WHERE name = 'version'")
        db.execute("ALTER TABLE keepstep.runs ADD COLUMN mood text")
    assert (await advance(journal, run, events=(event(),))).last_seq == 2
    later = await open_journal()
    assert (await get(later, run.run_id)).last_seq == 2


async def test_a_migration_is_run_while_an_older_program_goes_on(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_journal()
    run = await start_owned(journal)
    steps = [*migration.migrations(), "ALTER TABLE runs ADD COLUMN mood text; CREATE TABLE moods (mood text)"]
    monkeypatch.setattr(migration, "migrations", lambda: steps)
    newer = await asyncio.gather(*(open_journal() for _ in range(3)))
    assert (await advance(journal, run, events=(event(),))).last_seq == 2
    assert (await get(newer[0], run.run_id)).last_seq == 2
    with psycopg.connect(postgres_url) as db:
        assert db.execute("SELECT value FROM keepstep.meta WHERE name = 'version'").fetchone() == (str(len(steps)),)


async def test_a_schema_of_version_2_gets_queues_and_what_was_held_there_holds_slots(
    open_journal: Open, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes had no slots, but named who held a task."""
    steps = migration.migrations()
    address = parse_address(postgres_url)
    with monkeypatch.context() as older, psycopg.connect(postgres_url) as db:
        older.setattr(migration, "migrations", lambda: steps[:2])
        migration.migrate(db, address, create=True)
        db.execute("SET search_path TO keepstep")
        db.execute(
            "INSERT INTO leases (lease_id, counter, body) VALUES ('L', 0, %s)", (msgspec.json.encode(lease("L")),)
        )
        db.execute(
            "INSERT INTO runs (shard, run, started_at, epoch, owner, closed_at, bumps, last_seq, claimed_seq, "
            "inbox_size, strikes, format, status, condition, has_tasks, run_id, namespace, workflow_id, language, "
            "type, queue, input_digest, detail, status_text) "
            "VALUES (0, 1024, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 'r', 'default', 'held', "
            "'python', 'fulfil', 'q', '', '', '')"
        )
        for key, owner in (("a", 1), ("b", None)):
            db.execute(
                "INSERT INTO tasks (shard, task, run, visible_at, owner, epoch, priority, attempt, fairness_weight, "
                "fairness_key, kind, key, queue, data) VALUES "
                "(0, nextval('task_numbers') << 10, 1024, 0, %s, 1, 0, 1, 1.0, '', 'step', %s, 'gpu', '')",
                (owner, key),
            )
    journal = await open_journal()
    await journal.declare_queues([Declaration(name="gpu", limits=Limits(concurrency=1))])
    await journal.open_lease(lease("M"))
    assert await journal.claim_tasks("M", ["gpu"], ["step"], 10) == []
    await journal.close_lease("L")
    assert [task.key for task in await journal.claim_tasks("M", ["gpu"], ["step"], 10)] == ["a"]


async def test_a_migration_that_fails_leaves_everything_as_it_was(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migration.migrations()
    monkeypatch.setattr(migration, "migrations", lambda: [*steps, "SELECT 1 / 0"])
    await refusal(postgres_url)
    with psycopg.connect(postgres_url) as db:
        assert db.execute("SELECT to_regnamespace('keepstep')").fetchone() == (None,)


async def test_a_role_that_owns_its_schema_and_nothing_else_is_enough(postgres_url: str, tmp_path: Path) -> None:
    name = f"tenant_{tmp_path.name[-8:].replace('-', '_')}"
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
        db.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
    host = postgres_url.rpartition("@")[2]
    journal = await open_postgres(f"postgresql://{name}:p@{host}?schema={name}")
    run = await start_owned(journal)
    assert (await advance(journal, run, events=(event(),))).last_seq == 2
    await journal.close()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(f"DROP SCHEMA {name} CASCADE")
        db.execute(f"DROP ROLE {name}")


async def test_a_session_of_a_pooler_needs_nothing_that_outlives_a_transaction(
    open_journal: Open, postgres_url: str
) -> None:
    """Each transaction of a pooled connection may find a session without our settings and prepared statements."""
    one, other = await open_journal("pooled=true&shards=1"), await open_journal("pooled=true&shards=1")
    run = await start_owned(one)
    for seq in range(2, 5):
        assert (await advance(one, run, events=(event(),))).last_seq == seq
        assert (await get(other, run.run_id)).last_seq == seq
    with psycopg.connect(postgres_url) as db:
        listeners = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        assert db.execute(listeners).fetchone() == (0,)
    wire = connect(parse_address(f"{postgres_url}?pooled=true"))
    assert wire.ask(Statement("SELECT count(*) FROM pg_prepared_statements")) == [(0,)]
    assert wire.ask(Statement("SHOW search_path")) == [("keepstep",)]
    wire.close()


async def test_a_dead_process_of_this_machine_is_struck_off_by_the_next(open_journal: Open, postgres_url: str) -> None:
    await open_journal()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(
            "INSERT INTO keepstep.processes SELECT 7, jsonb_set(identity::jsonb, '{started}', '\"1\"')::text, 1, 1, "
            "seen_at FROM keepstep.processes"
        )
        await open_journal()
        assert db.execute("SELECT count(*) FROM keepstep.processes WHERE process = 7").fetchone() == (0,)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://h/db?schema=Robert", "schema 'Robert' is no name for a schema"),
        ("postgresql://h/db?schema=pg_own", "schema 'pg_own' is no name for a schema"),
        ("postgresql://h/db?shards=0", "shards=0 is not a number from 1 to 1024"),
        ("postgresql://h/db?pooled=maybe", "pooled=maybe is neither true nor false"),
        ("postgresql://u:hush@h:x/db", "'postgresql://u:***@h:x/db' is not a PostgreSQL URL"),
        ("postgresql://h/db?colour=red", "an option that is not known: 'colour'"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_address(url)
    assert said in str(refused.value)


def test_a_url_is_shown_without_its_passwords() -> None:
    assert hide_password("postgresql://u:a@b:c@h/db?password=x&sslpassword=y&z=1") == (
        "postgresql://u:***@h/db?password=***&sslpassword=***&z=1"
    )
    address = parse_address("postgresql://u:hush@one:5432,two:5433/db?schema=s&password=x&sslmode=require")
    assert address.shown == "postgresql://u@one:5432,two:5433/db?schema=s"
    assert "schema" not in address.conninfo


async def test_a_closed_journal_leaves_no_session_behind(postgres_url: str) -> None:
    journal = await open_postgres(postgres_url)
    await start_owned(journal)
    await journal.close()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name LIKE 'keepstep%' AND datname = current_database()"
        )
        await wait_until(lambda: db.execute(query).fetchone() == (0,))
        assert db.execute("SELECT count(*) FROM keepstep.processes").fetchone() == (0,)
