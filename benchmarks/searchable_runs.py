"""Fills a database with closed runs that differ in what they are searched by, by copying one real closed run in SQL.

Of a million runs a customer has a hundred and a region two hundred thousand; one in a thousand has timed out. Their
starts are spread over a month. Their events are not copied: no search reads them.
"""

from __future__ import annotations

import sqlite3

import psycopg

from .postgres_store import PostgresDatabase
from .store import Database, SqliteDatabase

CUSTOMERS_SHARE, REGIONS = 10_000, 5

_VALUES = {
    "run_id": "{id}",
    "workflow_id": "'order-' || i",
    "type": "CASE i % 3 WHEN 0 THEN 'fulfil' WHEN 1 THEN 'refund' ELSE 'ship' END",
    "status": "CASE WHEN i % 1000 = 7 THEN 5 WHEN i % 4 = 0 THEN 6 ELSE 1 END",
    "started_at": "m.started_at - ({count} - CAST(i AS bigint)) * 2600000",
    "closed_at": "m.closed_at - ({count} - CAST(i AS bigint)) * 2600000",
    "attributes": '\'{{"customer":"c\' || (i % {customers}) || \'","region":"r\' || (i % 5) || \'","amount":\' '
    "|| (CAST(i AS bigint) * 7919 % 99991) || '.5}}'",
}
"""What differs between copies; ``i`` counts them. Statuses are those of ``deciding.codes``."""

_INDEXED = {
    "customer": "'c' || (i % {customers})",
    "region": "'r' || (i % 5)",
    "amount": "(CAST(i AS bigint) * 7919 % 99991) + 0.5",
}


def fill(database: Database, count: int) -> None:
    """Add ``count`` copies of the newest closed run, which has these attributes. Nobody may have the database open."""
    if isinstance(database, SqliteDatabase):
        _fill_sqlite(database, count)
    else:
        assert isinstance(database, PostgresDatabase)
        _fill_postgres(database, count)


def _said(text: str, count: int, id: str) -> str:
    return text.format(count=count, customers=max(count // 100, 1), id=id)


def _fill_sqlite(database: SqliteDatabase, count: int) -> None:
    db = sqlite3.connect(database.path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")  # only the filling; the measured engine opens it anew with FULL
    columns = [name for (name,) in db.execute("SELECT name FROM pragma_table_info('runs')") if name != "run"]
    id = "printf('%08x-0000-7000-8000-%012x', i, i)"
    values = [_said(_VALUES[name], count, id) if name in _VALUES else f"m.{name}" for name in columns]
    [(model,)] = db.execute("SELECT max(run) FROM runs WHERE closed_at > 0").fetchall()
    numbers = f"WITH RECURSIVE number (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < {count})"
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        f"{numbers} INSERT INTO runs (run, {', '.join(columns)}) SELECT {model} + i, {', '.join(values)} "
        f"FROM number, runs AS m WHERE m.run = {model}"
    )
    for name, value in _INDEXED.items():
        db.execute(
            "INSERT INTO attribute_values (attribute, value, started_at, run) "
            f"SELECT a.attribute, {_said(value, count, id)}, r.started_at, r.run "
            f"FROM (SELECT run - {model} AS i, * FROM runs WHERE run > {model}) AS r, attributes AS a WHERE a.name = ?",
            (name,),
        )
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _fill_postgres(database: PostgresDatabase, count: int) -> None:
    with psycopg.connect(database.url, autocommit=True) as db:
        schema = db.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'attribute_values'").fetchall()
        db.execute(f'SET search_path TO "{schema[0][0]}"'.encode())
        db.execute("SET synchronous_commit TO off")
        found = db.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'runs'::regclass AND attnum > 0")
        columns = [name for (name,) in found if name not in ("shard", "run")]
        id = "lpad(to_hex(i), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(i), 12, '0')"
        values = [_said(_VALUES[name], count, id) if name in _VALUES else f"m.{name}" for name in columns]
        model = "(SELECT * FROM runs WHERE closed_at > 0 ORDER BY run DESC LIMIT 1)"
        db.execute(
            f"INSERT INTO runs (shard, run, {', '.join(columns)}) SELECT s.shard, "
            f"((m.run >> 10) + i) << 10 | s.shard, {', '.join(values)} FROM generate_series(1, {count}) AS i, "
            f"{model} AS m, LATERAL (SELECT shard_of(m.namespace, 'order-' || i) AS shard) AS s".encode()
        )
        for name, value in _INDEXED.items():
            column = "double_value" if name == "amount" else "text_value"
            db.execute(
                f"INSERT INTO attribute_values (shard, run, attribute, nth, started_at, {column}) "
                f"SELECT r.shard, r.run, a.attribute, 0, r.started_at, {_said(value, count, id)} FROM ("
                "SELECT substr(workflow_id, 7)::int AS i, * FROM runs WHERE workflow_id LIKE 'order-_%') AS r, "
                f"attributes AS a WHERE a.name = '{name}'".encode()
            )
        # The numbers that were used are not given to those who start runs afterwards.
        db.execute("SELECT setval('run_numbers', (SELECT max(run >> 10) FROM runs) + 1)")
        db.execute("VACUUM ANALYZE")
