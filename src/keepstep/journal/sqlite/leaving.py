"""Leaving: a SQLite file as the source of a move (``journal.moving``).

Rows are read by a connection of its own, page after page without a transaction around them: behind the fence nothing
changes. Nobody owns anything, because the fence goes up only where no lease is open.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from keepstep.journal.clock import ClockAnchor
from keepstep.journal.deciding.codes import lease_of
from keepstep.journal.errors import InvalidInput, StoreUnavailable
from keepstep.journal.lease import Lease
from keepstep.journal.moving import NOUNS, Departure, Facts, Noun, Row, Stage

from . import fence
from . import statements as sql
from .connection import connect_writer, set_up_reader
from .filesystem import check_place
from .opening import prepare
from .turn import Turn

PAGE_ROWS = 20_000
PAGE_BYTES_MAX = 8 * 1024 * 1024
FETCHED_AT_ONCE = 1000


class LeasesOpen(StoreUnavailable):
    """Workers have the journal. ``leases`` says who."""

    def __init__(self, leases: Sequence[Lease]) -> None:
        super().__init__(f"{len(leases)} workers have this journal")
        self.leases = leases


class SqliteSource:
    """See the module, and ``moving.Source``. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        check_place(self.path, create=False)
        self._turn = Turn(self.path)
        self._db = connect_writer(self.path, "FULL")
        try:
            with self._turn:
                prepare(self._db, self.path)
            self._reading = sqlite3.connect(self.path, isolation_level=None)
            set_up_reader(self._reading)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._turn.close()
        for name in ("_reading", "_db"):
            if name in self.__dict__:
                self.__dict__[name].close()

    # -- the fence

    def departure(self) -> Departure | None:
        """Where the journal goes already, or went."""
        return fence.read_departure(self._db)

    def raise_fence(self, to: str, now: int) -> Departure:
        """From now on nobody can write to the journal. Raises ``LeasesOpen`` where somebody is at work on it."""
        departure = Departure(move=secrets.token_hex(8), to=to, stage=Stage.MOVING, begun_at=now)
        with _Transaction(self._db, self._turn):
            leases = [lease_of(body) for (body,) in self._db.execute(sql.LEASE_BODIES)]
            if leases:
                raise LeasesOpen(leases)
            fence.raise_fence(self._db, departure)
        return departure

    def note(self, departure: Departure, stage: Stage) -> Departure:
        """Note how far the move has come."""
        departure = msgspec.structs.replace(departure, stage=stage)
        with _Transaction(self._db, self._turn):
            fence.write_departure(self._db, departure)
        return departure

    def lower_fence(self) -> None:
        """The journal is here again."""
        with _Transaction(self._db, self._turn):
            fence.lower_fence(self._db)

    def check_texts(self) -> None:
        """Raises ``InvalidInput`` where a text has a NUL character, which PostgreSQL cannot keep in one."""
        for noun in NOUNS:
            is_bad = " OR ".join(f"instr({column}, char(0))" for column in noun.texts)
            row = self._reading.execute(f"SELECT * FROM {noun.name} WHERE {is_bad} LIMIT 1").fetchone()
            if row is not None:
                raise InvalidInput(
                    f"{noun.name}: a name or text in {row!r:.300} has a NUL character, which PostgreSQL cannot keep; "
                    "let the run end, and purge it, before the journal is promoted"
                )

    def other_tables(self) -> list[str]:
        """Tables of the file that are not the journal's."""
        names = [name for (name,) in self._reading.execute(sql.LIST_TABLES)]
        return sorted(set(names) - set(fence.TABLES) - {"meta", "processes"})

    # -- what leaves

    def count(self, noun: Noun) -> int:
        return int(self._reading.execute(f"SELECT count(*) FROM {_table(noun)}").fetchone()[0])

    def facts(self) -> Facts:
        last_run, last_n, last_arrival = self._reading.execute(sql.COUNTERS).fetchone()
        last_task, last_line, log_purged, clock = self._reading.execute(sql.FACTS).fetchone()
        return Facts(
            last_run=last_run,
            last_n=last_n,
            last_arrival=last_arrival,
            last_task=last_task,
            last_line=last_line,
            log_purged=log_purged,
            clock=None if clock is None else msgspec.json.decode(clock, type=ClockAnchor),
        )

    def page(self, noun: Noun, after: Sequence[Any] | None) -> list[Row]:
        key = ", ".join(noun.key)
        behind = "" if after is None else f"WHERE ({key}) > ({', '.join('?' * len(noun.key))})"
        text = f"SELECT {_columns(noun)} FROM {_table(noun)} AS t {behind} ORDER BY {key} LIMIT {PAGE_ROWS}"
        return _until_heavy(noun, self._reading.execute(text, after or ()))

    def run_numbers(self, after: int, limit: int) -> list[int]:
        return [run for (run,) in self._reading.execute(sql.RUN_NUMBERS, (after, limit))]

    def rows_of_runs(self, noun: Noun, begin: int, end: int) -> Iterator[Row]:
        text = f"SELECT {_columns(noun)} FROM {_table(noun)} AS t WHERE run >= ? AND run < ?"
        yield from self._reading.execute(text, (begin, end))

    def rows(self, noun: Noun) -> Iterator[Row]:
        yield from self._reading.execute(f"SELECT {_columns(noun)} FROM {_table(noun)} AS t")


_COUNTED = {
    "last_seq": "(SELECT coalesce(max(seq), 0) FROM events WHERE events.run = t.run)",
    "timer_at": "(SELECT min(fire_at) FROM timers WHERE timers.run = t.run)",
    "inbox_size": "(SELECT count(*) FROM messages WHERE messages.run = t.run)",
    "has_tasks": "EXISTS (SELECT 1 FROM tasks WHERE tasks.run = t.run)",
    "epoch": "epoch + 1",
}
"""What a column of a noun is here, where it is no column of the table."""


_HEAVY = ("data", "detail", "attributes", "body")
"""Columns that may hold much."""

_TABLES = {"cursors": "(SELECT subscriber, n FROM cursors WHERE shard = 0)"}
"""Of nouns that are not the whole of the table of their name."""


def _table(noun: Noun) -> str:
    return _TABLES.get(noun.name, noun.name)


def _columns(noun: Noun) -> str:
    return ", ".join(_COUNTED.get(column, column) for column in noun.columns)


def _until_heavy(noun: Noun, cursor: sqlite3.Cursor) -> list[Row]:
    """Rows up to a page's weight, and at least one."""
    heavy = [place for place, column in enumerate(noun.columns) if column in _HEAVY]
    rows: list[Row] = []
    weight = 0
    while weight < PAGE_BYTES_MAX and (some := cursor.fetchmany(FETCHED_AT_ONCE)):
        for row in some:
            rows.append(row)
            weight += sum(len(row[place] or b"") for place in heavy)
            if weight >= PAGE_BYTES_MAX:
                break
    cursor.close()
    return rows


class _Transaction:
    """One transaction, in turn."""

    def __init__(self, db: sqlite3.Connection, turn: Turn) -> None:
        self._db = db
        self._turn = turn

    def __enter__(self) -> None:
        self._turn.__enter__()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._turn.__exit__()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            self._turn.__exit__()
