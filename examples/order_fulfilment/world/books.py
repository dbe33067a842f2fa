"""The books of the outside world, in a SQLite file of its own.

Three of them matter. ``requests`` holds every request that came in, repeats and failures included. ``ledger`` holds
every effect: money taken, goods moved, mail sent; rows are added and never changed. ``deliveries`` holds every attempt
to call somebody back. The audit reads these and nothing else.

Nobody kills this process, so the file does not wait for the disk.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    endpoint TEXT NOT NULL,
    order_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    fault TEXT NOT NULL,
    status INTEGER NOT NULL,
    had_effect INTEGER NOT NULL,
    repeated INTEGER NOT NULL
) STRICT;
CREATE INDEX requests_by_key ON requests (idempotency_key, endpoint);
CREATE INDEX requests_by_order ON requests (order_id, endpoint);

CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    order_id TEXT NOT NULL,
    what TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_by_order ON ledger (order_id, what);

CREATE TABLE answers (
    idempotency_key TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (idempotency_key, endpoint)
) STRICT;

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    order_id TEXT NOT NULL,
    what TEXT NOT NULL,
    url TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL
) STRICT;

CREATE TABLE stock (opening INTEGER NOT NULL, on_shelf INTEGER NOT NULL) STRICT;
CREATE TABLE kills (at REAL NOT NULL, worker TEXT NOT NULL, requests_open INTEGER NOT NULL) STRICT;
"""

ADD_REQUEST = """
INSERT INTO requests
    (at, endpoint, order_id, idempotency_key, attempt, worker, fault, status, had_effect, repeated)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?,
    EXISTS (SELECT 1 FROM requests WHERE idempotency_key = ?4 AND endpoint = ?2))
"""
ADD_ENTRY = "INSERT INTO ledger (at, order_id, what, quantity, note) VALUES (?, ?, ?, ?, ?)"
ADD_DELIVERY = "INSERT INTO deliveries (at, order_id, what, url, attempt, outcome) VALUES (?, ?, ?, ?, ?, ?)"


class Books:
    """One open set of books; used from a single thread."""

    def __init__(self, path: str | Path, opening_stock: int) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + SCHEMA)
        self._db.execute("INSERT INTO stock VALUES (?1, ?1)", (opening_stock,))
        self._requests_seen: Counter[tuple[str, str]] = Counter()
        self.totals: Counter[str] = Counter()
        """How many entries of each sort the ledger has."""

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written within is written together or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def count_request(self, endpoint: str, order: str) -> int:
        """Counts a request that has just come in: which one is it, about this order at this endpoint, from 1?"""
        self._requests_seen[endpoint, order] += 1
        return self._requests_seen[endpoint, order]

    def add_request(
        self, endpoint: str, order: str, key: str, attempt: int, worker: str, fault: str, status: int, had_effect: bool
    ) -> None:
        """Notes a request and what became of it; whether it repeats an earlier one is told by its key."""
        self._db.execute(
            ADD_REQUEST, (time.time(), endpoint, order, key, attempt, worker, fault, status, int(had_effect))
        )

    def enter(self, order: str, what: str, quantity: int = 1, note: str = "") -> None:
        """Adds an effect to the ledger."""
        self._db.execute(ADD_ENTRY, (time.time(), order, what, quantity, note))
        self.totals[what] += 1

    def entries(self, order: str, what: str) -> int:
        """How often the ledger says that this happened to this order."""
        found = self._db.execute("SELECT count(*) FROM ledger WHERE order_id = ? AND what = ?", (order, what))
        return int(found.fetchone()[0])

    def quantity(self, order: str, what: str) -> int:
        """The sum of quantities that the ledger has for this order."""
        found = self._db.execute(
            "SELECT coalesce(sum(quantity), 0) FROM ledger WHERE order_id = ? AND what = ?", (order, what)
        )
        return int(found.fetchone()[0])

    def remember(self, key: str, endpoint: str, status: int, body: bytes) -> None:
        """Keeps an answer, so that a repeated request gets the same one and has no second effect."""
        self._db.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (key, endpoint, status, body))

    def recall(self, key: str, endpoint: str) -> tuple[int, bytes] | None:
        """The answer that was given under this key before, if any."""
        found = self._db.execute(
            "SELECT status, body FROM answers WHERE idempotency_key = ? AND endpoint = ?", (key, endpoint)
        ).fetchone()
        return None if found is None else (found[0], found[1])

    def take_from_shelf(self, quantity: int) -> bool:
        """Takes goods from the shelf; False if there are not enough."""
        taken = self._db.execute("UPDATE stock SET on_shelf = on_shelf - ?1 WHERE on_shelf >= ?1", (quantity,))
        return taken.rowcount == 1

    def put_on_shelf(self, quantity: int) -> None:
        """Puts goods back."""
        self._db.execute("UPDATE stock SET on_shelf = on_shelf + ?", (quantity,))

    def add_delivery(self, order: str, what: str, url: str, attempt: int, outcome: str) -> None:
        """Notes an attempt to call somebody back."""
        self._db.execute(ADD_DELIVERY, (time.time(), order, what, url, attempt, outcome))

    def add_kill(self, worker: str, requests_open: int) -> None:
        """Notes that a worker was killed while the world was busy with this many requests of its."""
        self._db.execute("INSERT INTO kills VALUES (?, ?, ?)", (time.time(), worker, requests_open))
