"""Shelf: what is on a queue with limits in a SQLite file. See ``deciding.turn``."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from keepstep.journal.deciding.codes import from_json, json_text
from keepstep.journal.queue import ANY_TYPE

from . import statements as sql


class SqliteShelf:
    """See the module."""

    def __init__(
        self, db: Connection, queue: str, lease: int, kinds: Sequence[str], types: Sequence[str], now: int
    ) -> None:
        self._db = db
        self._queue = queue
        self._lease = lease
        self._asked: dict[str, Any] = {
            "queue": queue,
            "kinds": json_text(kinds),
            "types": json_text(types),
            "any_type": ANY_TYPE in types,
            "now": now,
        }

    def held(self) -> int:
        return int(self._db.execute(sql.SLOTS_HELD, (self._queue,)).fetchone()[0])

    def held_by_worker(self) -> int:
        asked = {"queue": self._queue, "lease": self._lease}
        return int(self._db.execute(sql.SLOTS_OF_WORKER, asked).fetchone()[0])

    def held_by_key(self) -> dict[str, int]:
        return dict(self._list(sql.SLOTS_BY_KEY, (self._queue,)))

    def priorities(self, limit: int) -> list[int]:
        return self._list(sql.WAITING_PRIORITIES, {"queue": self._queue, "limit": limit})

    def keys(self, priority: int, begin: str, limit: int) -> list[str]:
        asked = {"queue": self._queue, "priority": priority, "begin": begin, "limit": limit}
        return self._list(sql.WAITING_KEYS, asked)

    def first_of(self, priority: int, keys: Sequence[str], limit: int) -> dict[str, list[int]]:
        asked = self._asked | {"priority": priority, "keys": json_text(keys), "limit": limit}
        return dict(self._list(sql.FIRST_OF_KEYS, asked))

    def _list(self, question: str, asked: Any) -> list[Any]:
        rows: list[Any] = from_json(self._db.execute(question, asked).fetchone()[0])
        return rows
