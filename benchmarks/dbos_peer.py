"""DBOS, on SQLite and on PostgreSQL, with its defaults but for two kindnesses.

It has room for as many threads as there are runs; and a file of SQLite is in WAL mode (a mode stays with a file),
because in SQLite's default rollback mode its own readers and writers lock each other out for thirty seconds at a time
as soon as many runs wait. ``synchronous`` is FULL, as with Keepstep.
"""

from __future__ import annotations

import sqlite3

from .peer import Peer
from .row import System
from .store import Database, SqliteDatabase


def prepare(database: Database) -> None:
    """It makes its tables by itself."""
    if isinstance(database, SqliteDatabase):
        db = sqlite3.connect(database.path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE seed (grain)")  # an empty file would forget its mode
        db.execute("DROP TABLE seed")
        db.close()


DBOS = Peer(
    System.DBOS,
    "dbos_app.py",
    prepare,
    notes={
        "w4.rss": "the process that has recovered the sleepers, each of which is a coroutine in it",
        "w5.after_kill": "a new process under the same executor id",
        "w6.replay": "replay alone",
    },
)
