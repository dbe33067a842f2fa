"""Tables: the answers of a SQLite file to what decisions ask.

Only one process at a time is in a flush (``turn``), so that whatever is read inside holds until the end, and numbers
are counted on from the last ones that were given out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from keepstep.journal.ask import Ask
from keepstep.journal.deciding.codes import from_json, json_text, lease_of, to_json
from keepstep.journal.deciding.drawing import Drawing
from keepstep.journal.deciding.picture import Wants
from keepstep.journal.deciding.turn import Progress, Shelf
from keepstep.journal.definition import Definition
from keepstep.journal.event import Position
from keepstep.journal.field import FieldType
from keepstep.journal.kept import KeptIn, Swap
from keepstep.journal.lease import Lease
from keepstep.journal.line import at_once
from keepstep.journal.queue import HELD_BY_RUN, Queue
from keepstep.journal.run import Run
from keepstep.journal.task import NewTask, Task

from . import kept
from . import statements as sql
from .drawn import write_drawing
from .page import read_named
from .query import claimable_by
from .rows import asks_of, queues_of, run_of, tasks_of
from .search import attributes_of
from .shelf import SqliteShelf


class SqliteTables:
    """See the module."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._data_version = -1
        self.last_n = self._last_run = self._last_arrival = 0
        self._holding_back: set[str] | None = None
        """Queues on which runs wait, once that was asked; true until another process has written."""
        self._attribute_types: dict[str, dict[str, FieldType]] = {}
        """By namespace, likewise."""

    # -- a flush

    def begin(self) -> bool:
        (data_version,) = self._db.execute("PRAGMA data_version").fetchone()
        if data_version == self._data_version:
            return False
        self._data_version = data_version
        self._holding_back = None
        self._attribute_types = {}
        self._last_run, self.last_n, self._last_arrival = self._db.execute(sql.COUNTERS).fetchone()
        return True

    def forget(self) -> None:
        self._data_version = -1
        self._holding_back = None
        self._attribute_types = {}

    def prepare(self, wants: Wants) -> None:
        """A question costs no way to a server here."""

    def write(self, drawing: Drawing) -> None:
        write_drawing(self._db, drawing)

    # -- runs

    def next_run(self, namespace: str, workflow_id: str) -> int:
        self._last_run += 1
        return int(self._last_run)

    def next_arrival(self) -> int:
        self._last_arrival += 1
        return int(self._last_arrival)

    def fetch_heads(self, run_ids: Sequence[str]) -> Sequence[Sequence[Any]]:
        return self._ask(sql.HEADS, run_ids)

    def fetch_newest(self, workflows: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str, str | None]]:
        return self._ask(sql.NEWEST_OF_WORKFLOWS, workflows)

    def fetch_inboxes(self, runs: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        return self._ask(sql.INBOXES, runs)

    def fetch_received(self, keys: Sequence[tuple[int, str]]) -> Sequence[tuple[int, str, int]]:
        return self._ask(sql.RECEIVED, keys)

    def _ask(self, question: str, names: Sequence[Any]) -> list[Any]:
        rows: list[Any] = from_json(self._db.execute(question, (json_text(names),)).fetchone()[0])
        return rows

    def fetch_runs(self, run_ids: Sequence[str]) -> list[Run]:
        return read_named(lambda some: [run_of(row) for row in self._ask(sql.READ_RUNS, some)], run_ids)

    def run_origin(self, run: int) -> tuple[str, bytes]:
        run_type, digest = self._db.execute(sql.RUN_ORIGIN, (run,)).fetchone()
        return run_type, digest

    def run_attributes(self, run: int) -> str | None:
        (text,) = self._db.execute(sql.RUN_ATTRIBUTES, (run,)).fetchone()
        return text  # type: ignore[no-any-return]

    def attribute_types(self, namespace: str, names: Iterable[str]) -> Mapping[str, FieldType]:
        known = self._attribute_types.get(namespace)
        if known is None:
            (rows,) = self._db.execute(sql.ATTRIBUTE_TYPES, (namespace,)).fetchone()
            known = self._attribute_types[namespace] = dict(attributes_of(rows))
        return known

    def register_attributes(self, namespace: str, new: Mapping[str, FieldType]) -> Mapping[str, FieldType]:
        self._db.execute(sql.REGISTER_ATTRIBUTES, (namespace, json_text(list(new.items()))))
        self._attribute_types.pop(namespace, None)
        return self.attribute_types(namespace, new)

    def history_bytes(self, run: int) -> int:
        return int(self._db.execute(sql.HISTORY_BYTES, (run,)).fetchone()[0])

    def claimable_runs(self, lease: Lease, types: Sequence[str] | None, now: int, limit: int) -> list[str]:
        asked, pairs = claimable_by(lease, types)
        if not pairs:
            return []
        asked |= {"now": now, "limit": limit}
        (rows,) = self._db.execute(sql.claimable_runs(pairs), asked).fetchone()
        return from_json(rows)  # type: ignore[no-any-return]

    def offer_blocked_runs(self, now: int) -> int:
        return self._db.execute(sql.OFFER_BLOCKED_RUNS, (now, at_once(now))).rowcount

    def offer_all_runs(self, now: int) -> int:
        return self._db.execute(sql.OFFER_ALL_RUNS, (now, at_once(now))).rowcount

    # -- leases

    def insert_lease(self, lease: Lease) -> None:
        self._db.execute(sql.INSERT_LEASE, (lease.lease_id, to_json(lease)))

    def find_lease(self, lease_id: str) -> tuple[int, Lease] | None:
        row = self._db.execute(sql.LEASE_BODY, (lease_id,)).fetchone()
        return None if row is None else (row[0], lease_of(row[1]))

    def lease_at_counter(self, lease_id: str, counter: int | None) -> int | None:
        row = self._db.execute(sql.LEASE_AT_COUNTER, (lease_id, counter)).fetchone()
        return None if row is None else int(row[0])

    def open_leases(self) -> list[str]:
        return from_json(self._db.execute(sql.OPEN_LEASES).fetchone()[0])  # type: ignore[no-any-return]

    def runs_owned(self, lease: int) -> list[str]:
        return from_json(self._db.execute(sql.RUN_IDS_OWNED, (lease,)).fetchone()[0])  # type: ignore[no-any-return]

    def delete_lease(self, lease: int) -> int:
        given_back = self._db.execute(sql.GIVE_BACK_TASKS, (lease,)).rowcount
        self._db.execute(sql.DELETE_LEASE, (lease,))
        return given_back

    # -- tasks

    def insert_task(self, run: int, new: NewTask, owner: int | None) -> None:
        named = (run, new.kind, new.key, new.queue, new.data)
        order = (new.priority, new.fairness_key, new.fairness_weight, new.visible_at, new.deadline)
        held = (new.attempt, new.fallback_queue, owner, 0 if owner is None else 1)
        self._db.execute(sql.INSERT_TASK, (*named, *order, *held))

    def find_task(self, task_id: int) -> tuple[int, int | None, int, bool] | None:
        row = self._db.execute(sql.TASK, (task_id,)).fetchone()
        return None if row is None else (row[0], row[1], row[2], bool(row[3]))

    def delete_task(self, task_id: int) -> None:
        self._db.execute(sql.DELETE_TASK, (task_id,))

    def drop_task(self, run: int, kind: str, key: str) -> None:
        self._db.execute(sql.DROP_TASK, (run, kind, key))

    def release_task(self, task_id: int, visible_at: int, attempt: int, data: bytes | None) -> None:
        self._db.execute(sql.RELEASE_TASK, (task_id, visible_at, attempt, data))

    def claim_tasks(self, lease: int, queues: Sequence[str], kinds: Sequence[str], now: int, limit: int) -> list[Task]:
        asked: dict[str, object] = {
            "queues": json_text(queues),
            "kinds": json_text(kinds),
            "now": now,
            "limit": max(limit, 0),
        }
        (fair,) = self._db.execute(sql.ANY_FAIR_TASKS, asked).fetchone()
        if fair:
            statement = sql.CLAIMABLE_TASKS_BY_TURN
        else:
            statement = sql.claimable_tasks(len(queues))
            asked |= {f"queue{i}": queue for i, queue in enumerate(queues)}
        (chosen,) = self._db.execute(statement, asked).fetchone()
        task_ids: list[int] = from_json(chosen)
        if not task_ids:
            return []
        return self.own_tasks(task_ids, lease)

    def own_tasks(self, task_ids: Sequence[int], lease: int) -> list[Task]:
        if not task_ids:
            return []
        self._db.execute(sql.OWN_TASKS, (json_text(task_ids), lease))

        def read(some: Sequence[int]) -> list[Task]:
            return tasks_of(self._db.execute(sql.READ_TASKS, (json_text(some),)).fetchone()[0])

        return read_named(read, task_ids)

    # -- queues with limits

    def holds_runs_back(self, queue: str) -> bool:
        if self._holding_back is None:
            self._holding_back = set(from_json(self._db.execute(sql.QUEUES_THAT_HOLD_BACK).fetchone()[0]))
        return queue in self._holding_back

    def lock_queues(self, names: Sequence[str]) -> dict[str, tuple[Queue, Progress]]:
        return {queue.name: (queue, progress) for queue, progress in queues_of(self._ask(sql.READ_QUEUES, names))}

    def lock_all_queues(self) -> None:
        """Nobody else is in a flush."""

    def save_queue(self, queue: Queue) -> None:
        self._db.execute(sql.SAVE_QUEUE, (queue.name, queue.holds_runs_back(), to_json(queue)))
        self._holding_back = None

    def keep_queue(self, queue: Queue) -> None:
        self._db.execute(sql.KEEP_QUEUE, (queue.name, queue.holds_runs_back(), to_json(queue)))

    def save_progress(self, name: str, progress: bytes) -> None:
        self._db.execute(sql.SAVE_PROGRESS, (name, progress))

    def shelf(self, queue: str, lease: int, kinds: Sequence[str], types: Sequence[str], now: int) -> Shelf:
        return SqliteShelf(self._db, queue, lease, kinds, types, now)

    def free_tasks(self, task_ids: Sequence[int]) -> list[tuple[int, str, str]]:
        return [(task, kind, run_id) for task, kind, run_id in self._ask(sql.FREE_TASKS, task_ids)]

    def hold_tickets(self, task_ids: Sequence[int]) -> None:
        self._db.execute(sql.OWN_TASKS, (json_text(task_ids), HELD_BY_RUN))

    def next_visible(self, queue: str, now: int) -> int | None:
        (time,) = self._db.execute(sql.NEXT_VISIBLE, {"queue": queue, "now": now}).fetchone()
        return None if time is None else int(time)

    def is_ticket_held(self, run: int) -> bool:
        row = self._db.execute(sql.TICKET_OF_RUN, (run,)).fetchone()
        return row is not None and row[0] == HELD_BY_RUN

    def saved_ticket(self, run: int) -> tuple[str, str, str | None]:
        queue, run_type, ticket = self._db.execute(sql.SAVED_TICKET, (run,)).fetchone()
        return queue, run_type, ticket

    def save_ticket(self, run: int, ticket: str) -> None:
        self._db.execute(sql.SAVE_TICKET, (ticket, run))

    def runs_that_lost_tickets(self) -> list[str]:
        return from_json(self._db.execute(sql.RUNS_THAT_LOST_TICKETS).fetchone()[0])  # type: ignore[no-any-return]

    def runs_without_ticket(self, queue: str) -> list[tuple[str, str]]:
        (rows,) = self._db.execute(sql.RUNS_WITHOUT_TICKET, (queue,)).fetchone()
        return [(run_id, run_type) for run_id, run_type in from_json(rows)]

    # -- asks

    def insert_ask(self, run: int, ask: Ask, now: int) -> None:
        self._db.execute(sql.FORGET_ASKS, (now,))
        self._db.execute(sql.INSERT_ASK, (ask.ask_id, run, ask.kind, ask.name, ask.data, ask.deadline))

    def take_asks(self, lease: int, queues: Sequence[str], languages: Sequence[str], now: int, limit: int) -> list[Ask]:
        asked = {"lease": lease, "languages": json_text(languages), "queues": json_text(queues)}
        (rows,) = self._db.execute(sql.OPEN_ASKS, asked | {"now": now, "limit": max(limit, 0)}).fetchone()
        asks = asks_of(rows)
        if asks:
            self._db.execute(sql.DELETE_ASKS, (json_text([ask.ask_id for ask in asks]),))
        return asks

    def insert_answer(self, ask_id: str, data: bytes, deadline: int, now: int) -> None:
        self._db.execute(sql.FORGET_ANSWERS, (now,))
        self._db.execute(sql.INSERT_ANSWER, (ask_id, data, deadline))

    def delete_asks(self, ask_ids: Sequence[str]) -> None:
        self._db.execute(sql.DELETE_ASKS, (json_text(ask_ids),))
        self._db.execute(sql.DELETE_ANSWERS, (json_text(ask_ids),))

    # -- subscribers, definitions, housekeeping

    def save_cursor(self, subscriber: str, position: Position) -> None:
        self._db.execute(sql.SAVE_CURSOR, (subscriber, position.shard, position.n))

    def publish(self, definitions: Sequence[Definition]) -> None:
        for one in definitions:
            row = (one.namespace, one.language, one.kind, one.name, to_json(one))
            self._db.execute(sql.PUBLISH, row)

    def was_committed(self, commit_id: str) -> bool:
        return bool(self._db.execute(sql.WAS_COMMITTED, (commit_id,)).fetchone()[0])

    def forget_commit_ids(self, before: int) -> None:
        self._db.execute(sql.FORGET_COMMIT_IDS, (before,))

    def swap_kept(self, where: KeptIn, swaps: Sequence[Swap]) -> None:
        kept.swap_kept(self._db, where, swaps)

    def purge(self, namespace: str, closed_before: int, limit: int, looked_at_max: int, events_max: int) -> int:
        asked = {"namespace": namespace, "closed_before": closed_before, "limit": limit}
        asked |= {"looked_at": looked_at_max, "events": events_max}
        return self._remove(*self._db.execute(sql.PURGEABLE_RUNS, asked).fetchone())

    def remove_runs(self, runs: Sequence[int]) -> list[int]:
        free, last = self._db.execute(sql.FREE_RUNS, (json_text(runs),)).fetchone()
        self._remove(free, last)
        removed: list[int] = from_json(free)
        return removed

    def _remove(self, runs: str, last: int | None) -> int:
        self._db.execute(sql.MARK_PURGED, (last or 0,))
        removed = 0
        for statement in sql.PURGE_RUNS:
            removed = self._db.execute(statement, (runs,)).rowcount
        return removed
