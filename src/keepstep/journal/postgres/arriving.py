"""Arriving: a PostgreSQL schema as the target of a move (``journal.moving``).

Pages go in by COPY, each in one transaction with the note how far the move has come. That note also keeps everybody
else out (``gate``), so that no worker finds half a journal, and nothing has to be on disk before the end.

Numbers are those of the source, with the shard in their lowest bits. **Positions in the log stay what they were**: each
shard gets its part of the source's events under the numbers that they had, with gaps where the others' are, and goes on
behind the source's last one. So position n of the source is position n of every shard here, and a subscriber's cursor
is that of each shard.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import msgspec
import psycopg

from keepstep.journal.deciding.codes import json_text
from keepstep.journal.errors import Conflict, StoreUnavailable
from keepstep.journal.lease import ProcessIdentity
from keepstep.journal.moving import (
    COMMIT_IDS,
    CURSORS,
    EVENTS,
    QUEUES,
    RUNS,
    TASKS,
    Arrival,
    Departure,
    Facts,
    Noun,
    Row,
)
from keepstep.journal.process import is_surely_dead

from . import arrival_statements as sql
from . import gate
from .address import parse_address
from .connection import open_plainly
from .drawn import derived
from .gate import ARRIVED, ARRIVING
from .migration import migrate
from .parts import RUNS_A_PART, making
from .shard import SHARD_BITS, SHARD_MASK, number_in, shard_of

ROWS_FETCHED_AT_ONCE = 2000

SPAN_MAX = 1 << 30
"""Positions of one batch: how many it counts is a 32-bit number."""

_SETTINGS = f"""
SELECT set_config('search_path', quote_ident(%s), true), set_config('synchronous_commit', 'off', true),
    set_config('{gate.PASS}', 'yes', true), set_config('cursor_tuple_fraction', '1.0', true)
"""
"""Of each transaction. What is read is read to its end."""

NO_SHARD = 0xFFFF
"""Of a number that no run has."""


class PostgresTarget:
    """See the module, and ``moving.Target``. A context manager."""

    def __init__(self, url: str, *, create: bool) -> None:
        self._address = parse_address(url)
        self.shown = self._address.shown
        self._shards = array("H")
        """Of each run, by the number that it has in the source."""
        with self._explained():
            self._db = open_plainly(self._address)
        try:
            with self._explained():
                self.shards = migrate(self._db, self._address, create)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()

    # -- begin and end

    def check_free(self) -> None:
        """Raises ``StoreUnavailable`` where a journal could not move in."""
        with self._alone():
            arrival = self._arrival()
            if arrival is not None:
                raise self._taken(arrival)
            self._check_nobody_there()
            self._check_empty()

    def begin(self, departure: Departure, origin: str) -> Arrival | None:
        """Close the gate, or find it closed by this very move; how far that has come. None if it has ended.

        Raises ``StoreUnavailable`` where somebody has this journal open, or it is not empty.
        """
        with self._alone():
            arrival = self._arrival()
            if arrival is None and self._arrived() == departure.move:
                return None
            if arrival is None:
                self._close()
                self._check_nobody_there()
                self._check_empty()
                arrival = Arrival(move=departure.move, origin=origin, moved={})
                self._write(ARRIVING, json_text(arrival))
            elif arrival.move != departure.move:
                raise self._taken(arrival)
        self._learn_shards()
        return arrival

    def open_gate(self, arrival: Arrival) -> None:
        """All is there: from now on this is a journal like any other."""
        with self._alone():
            self._db.execute("SET LOCAL synchronous_commit TO on")
            self._compare_and_swap(arrival, None)
            self._write(ARRIVED, arrival.move)
            self._open()

    def close_gate(self, departure: Departure) -> Arrival | None:
        """Let nobody in any more, to see whether anybody was. None if this journal knows nothing of the move."""
        with self._alone():
            arrival = self._arrival()
            if arrival is None and self._arrived() == departure.move:
                self._close()
                self._check_nobody_there()
                arrival = Arrival(move=departure.move, origin="", moved={}, noun=COMMIT_IDS.name, after=[])
                self._write(ARRIVING, json_text(arrival))
            return arrival if arrival is not None and arrival.move == departure.move else None

    def clear(self) -> None:
        """Leave an empty journal."""
        with self._alone():
            self._db.execute("SET LOCAL synchronous_commit TO on")
            for statement in sql.CLEAR:
                self._db.execute(statement)
            self._open()

    def _close(self) -> None:
        for statement in gate.CLOSE:
            self._db.execute(statement)

    def _open(self) -> None:
        for statement in gate.OPEN:
            self._db.execute(statement)

    def _taken(self, arrival: Arrival) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self.shown} holds a part of another journal, from {arrival.origin}; let that move end, or take it back "
            "with --abort, or name another schema (?schema=…)"
        )

    def _check_nobody_there(self) -> None:
        for (body,) in self._db.execute("SELECT identity FROM processes"):
            process = msgspec.json.decode(body, type=ProcessIdentity)
            if not is_surely_dead(process):
                raise StoreUnavailable(
                    f"{self.shown} is open in process {process.pid} on {process.host}; stop it until the move has ended"
                )
        self._db.execute("DELETE FROM processes")

    def _check_empty(self) -> None:
        row = self._db.execute(sql.ANYTHING).fetchone()
        if row is not None:
            raise StoreUnavailable(
                f"{self.shown} has {row[0]} of its own, and a journal moves only into an empty one; "
                "name another schema (?schema=…)"
            )

    # -- notes

    def _arrival(self) -> Arrival | None:
        row = self._db.execute(sql.READ, (ARRIVING,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Arrival)

    def _arrived(self) -> str | None:
        row = self._db.execute(sql.READ, (ARRIVED,)).fetchone()
        return None if row is None else str(row[0])

    def _write(self, name: str, value: str) -> None:
        self._db.execute(sql.WRITE, (name, value))

    def _compare_and_swap(self, before: Arrival, now: Arrival | None) -> None:
        """Move the note from one state to another, or refuse. It stays locked until the transaction ends."""
        if now is None:
            done = self._db.execute("DELETE FROM meta WHERE name = %s AND value = %s", (ARRIVING, json_text(before)))
        else:
            done = self._db.execute(sql.SWAP, (json_text(now), ARRIVING, json_text(before)))
        if done.rowcount != 1:
            raise Conflict("another `keepstep promote` moves this journal just now; let it end")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction during which no process enters."""
        with self._transaction():
            self._db.execute("LOCK TABLE processes IN SHARE ROW EXCLUSIVE MODE")
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """With its settings in it: through a pooler no session is had for longer."""
        with self._explained(), self._db.transaction():
            self._db.execute(_SETTINGS, (self._address.schema,))
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise StoreUnavailable(
                f"{self.shown} cannot be used: {text}; a move that has begun goes on when the same command is run again"
            ) from error

    # -- taking rows

    def put(self, noun: Noun, rows: Sequence[Row], before: Arrival, now: Arrival) -> None:
        with self._transaction():
            self._compare_and_swap(before, now)
            if noun is RUNS:
                self._put_runs(rows)
            elif noun is EVENTS:
                self._put_events(rows)
            elif noun is CURSORS:
                self._copy(noun.name, ((shard, *row) for row in rows for shard in range(self.shards)))
            elif noun in (COMMIT_IDS, QUEUES):
                self._copy(noun.name, ((shard_of("", row[0], self.shards), *row) for row in rows))
            elif noun.is_of_runs:
                self._copy(noun.name, self._in_shards(noun, rows))
            else:
                self._copy(noun.name, rows)

    def _put_runs(self, rows: Sequence[Row]) -> None:
        self._make_parts({row[0] // RUNS_A_PART for row in rows})
        numbered = []
        for row in rows:
            run, shard = row[0], shard_of(row[2], row[3], self.shards)
            self._know(run, shard)
            numbered.append((shard, number_in(shard, run), *row[1:], *derived_of(row)))
        self._copy(RUNS.name, numbered)

    def _make_parts(self, wanted: set[int]) -> None:
        there = {int(name.removeprefix("events_")) for (name,) in self._db.execute(sql.PARTS)}
        for part in sorted(wanted - there):
            for statement in making(part):
                self._db.execute(statement.text)

    def _put_events(self, rows: Sequence[Row]) -> None:
        begin = 0
        while begin < len(rows):
            first_n, end = rows[begin][0], len(rows)
            if rows[-1][0] - first_n >= SPAN_MAX:
                end = next(i for i in range(begin, len(rows)) if rows[i][0] - first_n >= SPAN_MAX)
            batch = self._place(first_n, rows[end - 1][0])
            self._copy(EVENTS.name, self._in_batch(rows[begin:end], first_n, batch))
            begin = end

    def _place(self, first_n: int, last_n: int) -> int:
        """A batch that has these positions, in every shard."""
        row = self._db.execute(sql.PLACE, (first_n, last_n - first_n + 1)).fetchone()
        assert row is not None
        return int(row[0])

    def _in_batch(self, rows: Sequence[Row], first_n: int, batch: int) -> Iterator[Row]:
        for n, run, seq, kind, time, key, data in rows:
            shard = self._shard(run)
            yield shard, run << SHARD_BITS | shard, seq, batch, time, n - first_n, kind, key, data

    def _in_shards(self, noun: Noun, rows: Sequence[Row]) -> Iterator[Row]:
        """Rows of runs, with their shards in front and in their numbers."""
        place = noun.columns.index("run")
        for row in rows:
            shard = self._shard(row[place])
            numbered = list(row)
            numbered[place] = number_in(shard, row[place])
            if noun is TASKS:
                numbered[0] = number_in(shard, row[0])
            yield shard, *numbered

    def _copy(self, table: str, rows: Iterator[Row] | Sequence[Row]) -> None:
        statement, types = sql.COPY[table]
        with self._db.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _know(self, run: int, shard: int) -> None:
        missing = run + 1 - len(self._shards)
        if missing > 0:
            self._shards.extend([NO_SHARD] * missing)
        self._shards[run] = shard

    def _shard(self, run: int) -> int:
        shard = self._shards[run] if run < len(self._shards) else NO_SHARD
        if shard == NO_SHARD:
            raise StoreUnavailable(f"something in the source belongs to a run (number {run}) that is not there")
        return shard

    def _learn_shards(self) -> None:
        """Of the runs that are there."""
        with self._transaction(), self._db.cursor("runs", binary=True) as cursor:
            cursor.itersize = ROWS_FETCHED_AT_ONCE
            for (number,) in cursor.execute("SELECT run FROM runs"):
                self._know(number >> SHARD_BITS, number & SHARD_MASK)

    def settle(self, facts: Facts) -> None:
        with self._transaction():
            for sequence, last in (
                ("run_numbers", facts.last_run),
                ("arrival_numbers", facts.last_arrival),
                ("task_numbers", facts.last_task),
            ):
                self._db.execute(sql.CONTINUE, {"sequence": sequence, "last": last})
            self._db.execute(sql.CONTINUE_LINES, (facts.last_line + 1,))
            self._db.execute("UPDATE shards SET log_purged = %s", (facts.log_purged,))
            self._db.execute(sql.REACH, {"last": facts.last_n})
            self._db.execute(sql.INDEX_ATTRIBUTES)
            if facts.clock is not None:
                self._write(f"clock {facts.clock.boot_id}", json_text(facts.clock))
        with self._explained():
            self._db.execute("ANALYZE")

    # -- saying what has arrived

    def count(self, noun: Noun) -> int:
        with self._transaction():
            row = self._db.execute(sql.COUNT.get(noun.name, f"SELECT count(*) FROM {noun.name}")).fetchone()
        assert row is not None
        return int(row[0])

    def rows_of_runs(self, noun: Noun, begin: int, end: int) -> Iterator[Row]:
        rows = self._stream(sql.of_runs(noun), (begin << SHARD_BITS, end << SHARD_BITS))
        return self._in_their_shards(rows) if noun is RUNS else rows

    def _in_their_shards(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Runs; one that does not lie where it is looked for is none."""
        for *row, shard in rows:
            if shard == shard_of(row[2], row[3], self.shards):
                yield tuple(row)

    def rows(self, noun: Noun) -> Iterator[Row]:
        return self._stream(sql.whole(noun), ())

    def _stream(self, query: str, values: Sequence[int]) -> Iterator[Row]:
        with self._transaction(), self._db.cursor("rows", binary=True) as cursor:
            cursor.itersize = ROWS_FETCHED_AT_ONCE
            yield from cursor.execute(query, values)


def derived_of(row: Row) -> tuple[int | None, int | None]:
    """What a run's indexes want to know."""
    status, condition, wake_at = (row[RUNS.columns.index(column)] for column in ("status", "condition", "wake_at"))
    return derived(status, None, condition, wake_at)
