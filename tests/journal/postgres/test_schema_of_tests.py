"""What tests on PostgreSQL rely on: a schema that another test has used is as one that nobody has used."""

from __future__ import annotations

from typing import Any

import psycopg

from keepstep.testing.postgres import Access
from tests.journal.scene import PostgresScene, advance, event, new_run, start_owned

NAMES = "SELECT relname, relkind FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind::text = ANY('{r,p,S}')"


def contents(db: psycopg.Connection[Any], schema: str) -> dict[str, list[str]]:
    """All rows, and where the sequences stand."""
    found = {}
    for name, kind in db.execute(NAMES, (schema,)).fetchall():
        columns = "last_value, is_called" if kind == "S" else "*"
        found[name] = sorted(map(str, db.execute(f"SELECT {columns} FROM {schema}.{name}".encode())))
    return found


async def test_a_schema_that_was_used_is_as_new_for_the_next(postgres_server: Access) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as db:
        first = PostgresScene(postgres_server.url)
        await (await first.open()).close()
        name = first._schema.name
        seen = []
        scene = first
        for _ in range(2):
            await scene.close()
            seen.append(contents(db, name))
            scene = PostgresScene(postgres_server.url)
            assert scene._schema.name == name
            journal = await scene.open()
            run = await start_owned(journal)
            await advance(journal, run, events=(event(),))
            await journal.start(new_run("another"))
        assert contents(db, name) not in seen
        await scene.close()
        seen.append(contents(db, name))
    assert seen[0] == seen[1] == seen[2]


async def test_a_schema_in_which_more_than_rows_was_changed_is_not_taken_again(postgres_server: Access) -> None:
    scene = PostgresScene(postgres_server.url)
    await scene.open()
    name = scene._schema.name
    with psycopg.connect(postgres_server.url, autocommit=True) as db:
        db.execute(f"CREATE INDEX another ON {name}.runs (type)".encode())
        await scene.close()
        assert db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,)).fetchall() == []
    assert PostgresScene(postgres_server.url)._schema.name != name
