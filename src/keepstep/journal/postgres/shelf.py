"""Shelf: what is on a queue with limits in a PostgreSQL schema, whose row is locked. See ``deciding.turn``."""

from __future__ import annotations

from collections.abc import Sequence

from . import queue_statements as queue_sql
from .wire import Wire


class PostgresShelf:
    """See the module."""

    def __init__(
        self, wire: Wire, queue: str, lease: int, kinds: Sequence[str], types: Sequence[str], now: int
    ) -> None:
        self._wire = wire
        self._queue = queue
        self._lease = lease
        self._kinds = kinds
        self._types = types
        self._now = now

    def held(self) -> int:
        return int(self._wire.ask(queue_sql.SLOTS_HELD, self._queue)[0][0])

    def held_by_worker(self) -> int:
        return int(self._wire.ask(queue_sql.SLOTS_OF_WORKER, self._queue, self._lease)[0][0])

    def held_by_key(self) -> dict[str, int]:
        return dict(self._wire.ask(queue_sql.SLOTS_BY_KEY, self._queue))

    def priorities(self, limit: int) -> list[int]:
        return [priority for (priority,) in self._wire.ask(queue_sql.WAITING_PRIORITIES, self._queue, limit)]

    def keys(self, priority: int, begin: str, limit: int) -> list[str]:
        return [key for (key,) in self._wire.ask(queue_sql.WAITING_KEYS, self._queue, priority, begin, limit)]

    def first_of(self, priority: int, keys: Sequence[str], limit: int) -> dict[str, list[int]]:
        asked = (self._queue, priority, keys, self._kinds, self._types, self._now, limit)
        found: dict[str, list[int]] = {}
        for key, task in self._wire.ask(queue_sql.FIRST_OF_KEYS, *asked):
            found.setdefault(key, []).append(task)
        return found
