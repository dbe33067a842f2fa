"""Migration: brings a schema's tables to the version that this program knows, while others use them.

Migrations are numbered files. Each runs once, in a transaction under a lock that all processes of the schema ask for,
so that of several that start at once one migrates and the others wait and find it done.

Expand first, contract later: while a new version is rolled out, older programs go on with the new tables. So a
migration may add tables, indexes, and columns that may be left out; it renames and removes nothing, and changes no
meaning, that the version before it uses. What is not used any more is removed by a later version. A program refuses
only a schema that says that it is too old for it (``oldest``): that number is raised by the migration that contracts.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import psycopg

from keepstep.journal.errors import SchemaTooNew, StoreUnavailable

from .address import Address

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('keepstep migration'), hashtext(%s))"

# Read as rows, not by to_regclass: a session that has asked for a name in vain may not hear that it exists since.
_HAS_META = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = %s AND tablename = 'meta')"

Connection = psycopg.Connection[Any]


def migrations() -> list[str]:
    """The text of each migration; its place in the list, from 1, is the schema version that it leads to."""
    folder = resources.files(__package__) / "migrations"
    return [file.read_text() for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.is_file()]


def migrate(db: Connection, address: Address, create: bool) -> int:
    """Bring the schema up to date, or make it; the number of its shards.

    Raises ``StoreUnavailable`` where it is missing and ``create`` is False, ``SchemaTooNew``.
    """
    steps = migrations()
    with db.transaction():
        version = _version(db, address)
        if version is None and not create:
            raise StoreUnavailable(
                f"{address.shown} holds no journal; name another schema, or have `keepstep worker` or `keepstep start` "
                "make it"
            )
        if version is None or version < len(steps):
            version = _migrate(db, address, steps)
        _check(db, address, version, len(steps))
        return int(_meta(db, "shards") or 0)


def shards_of(db: Connection, address: Address) -> int:
    """The number of a schema's shards, without bringing it up to date.

    Raises ``StoreUnavailable`` for a schema that is missing or older than this program, ``SchemaTooNew``.
    """
    known = len(migrations())
    with db.transaction():
        version = _version(db, address)
        if version is None:
            raise StoreUnavailable(f"{address.shown} holds no journal; name another schema")
        if version < known:
            raise StoreUnavailable(
                f"{address.shown} has schema version {version}, and this Keepstep reads version {known}; looking at "
                "it changes nothing, so bring it up to date first: keepstep doctor does"
            )
        _check(db, address, version, known)
        return int(_meta(db, "shards") or 0)


def _version(db: Connection, address: Address) -> int | None:
    row = db.execute(_HAS_META, (address.schema,)).fetchone()
    assert row is not None
    if not row[0]:
        return None
    db.execute(psycopg.sql.SQL("SET LOCAL search_path TO {}").format(psycopg.sql.Identifier(address.schema)))
    return int(_meta(db, "version") or 0)


def _meta(db: Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE name = %s", (name,)).fetchone()
    return None if row is None else str(row[0])


def _migrate(db: Connection, address: Address, steps: list[str]) -> int:
    db.execute("SET LOCAL lock_timeout TO 0")
    db.execute(_LOCK, (address.schema,))
    version = _version(db, address)  # somebody else may have been first
    if version is None:
        name = psycopg.sql.Identifier(address.schema)
        exists = db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (address.schema,)).fetchone()
        if exists is None:
            db.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(name))
        db.execute(psycopg.sql.SQL("SET LOCAL search_path TO {}").format(name))
        version = 0
    is_new = version == 0
    for number in range(version, len(steps)):
        db.execute(steps[number])
    if is_new:
        db.execute("INSERT INTO meta VALUES ('shards', %s), ('version', '0'), ('oldest', '1')", (str(address.shards),))
        db.execute("INSERT INTO shards SELECT n, 0 FROM generate_series(0, %s) AS n", (address.shards - 1,))
    version = max(version, len(steps))
    db.execute("UPDATE meta SET value = %s WHERE name = 'version'", (str(version),))
    return version


def _check(db: Connection, address: Address, version: int, known: int) -> None:
    oldest = int(_meta(db, "oldest") or 0)
    if known < oldest:
        raise SchemaTooNew(
            f"{address.shown} has schema version {version}, which programs that know versions up to {known} cannot "
            "use any more; upgrade this installation"
        )
