"""Tables: the answers of a PostgreSQL schema to what decisions ask.

Other processes write at the same time, so that nothing is trusted from one flush to the next, and every run that
decisions are told of is locked until the flush ends. Two processes with different runs do not wait for each other.

* Numbers of runs and of messages are drawn from sequences *after* the runs that they are for were locked, and what was
  drawn too much is thrown away: so a later run of a workflow id has the greater number, and the messages of one run
  have theirs in the order of commits.
* The newest run of a workflow id is looked for and then locked. Where the lock had to wait for a commit that closed it,
  a newer one may be there, so a closed one is looked for once more.
* Where there is no run that could be locked, another process can start one after that look, and close it, before ours
  is written. So behind the insertion of runs, which keeps all others from starting one of those workflow ids, it is
  looked whether there is any beside ours; then all is done again.
* What is written is only sent on its way. It is answered with the next question, or at COMMIT.
* The exception to the first rule saves a round trip: a group that is only about runs which this process owns is decided
  on how they stood when its last flush ended, *trusting*. Its first statement locks them, and says whether they still
  stand there; if not, those behind it do nothing. Then, or if anything at all must be asked, or is refused,
  everything is done again without trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from keepstep.journal.ask import Ask
from keepstep.journal.deciding.codes import RUNNING, lease_of, queue_of, to_json
from keepstep.journal.deciding.drawing import Drawing
from keepstep.journal.deciding.head import Head
from keepstep.journal.deciding.picture import Wants
from keepstep.journal.deciding.turn import Progress, Shelf, progress_of
from keepstep.journal.definition import Definition
from keepstep.journal.event import Position
from keepstep.journal.field import FieldType
from keepstep.journal.kept import KeptIn, Swap
from keepstep.journal.lease import Lease
from keepstep.journal.line import at_once
from keepstep.journal.queue import TICKET, Queue
from keepstep.journal.run import Run
from keepstep.journal.task import NewTask, Task

from . import kept, log, readings
from . import queue_statements as queue_sql
from . import statements as sql
from .drawn import Counts, send_drawing
from .rows import Row, asks_of, run_of, tasks_of
from .shard import number_in, shard_in, shard_of
from .shelf import PostgresShelf
from .statement import Statement
from .wire import Doubt, Wire

DRAWN_AT_LEAST = 16
"""Numbers drawn where more are needed than were expected."""

LOOKS_MAX = 10
"""How often a workflow id's newest run is looked for, which every time was closed while it was locked."""

Workflow = tuple[str, str]


class PostgresTables:
    """See the module. ``wire`` is set, and set anew, by whoever connects."""

    wire: Wire

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.last_n = 0
        self.is_trusting = False
        """Whether decisions are made on what the last flush has left, to be verified when they are written."""
        self._attribute_types: dict[str, dict[str, FieldType]] = {}
        """By namespace. A type that was committed stays for ever."""
        self._forget()

    # -- a flush

    def begin(self) -> bool:
        self._forget()
        return not self.is_trusting

    def forget(self) -> None:
        self._attribute_types = {}
        self._forget()

    def verify(self, heads: Sequence[Head]) -> None:
        """Lock these runs; the flush is to do nothing where one of them is not any more as it was written last."""
        known = sorted((shard_in(head.run), head.run, *(head.known or ())) for head in heads)
        self.wire.queue(sql.VERIFY_HEADS, *list(zip(*known, strict=True))[1:])

    def _forget(self) -> None:
        self.last_n = 0
        self._counts = Counts()
        self._has_batch = False
        self._drawn_runs: list[int] = []
        self._drawn_arrivals: list[int] = []
        self._heads: dict[str, Row | None] = {}
        """What was asked ahead, and has not been asked for yet; None for what is not there."""
        self._newest: dict[Workflow, str | None] = {}
        self._absent: set[Workflow] = set()
        """Workflow ids that were looked for and had no run."""
        self._tasks: dict[int, Row | None] = {}
        self._holding_back: dict[str, bool] = {}
        """Whether runs wait on a queue, once that was asked. Nobody changes it before the transaction ends."""
        self._features: Row | None = None

    def prepare(self, wants: Wants) -> None:
        """Ask for all heads that will be wanted, in the round trip that begins the transaction."""
        if self.is_trusting or not (wants.workflows or wants.run_ids - self._heads.keys()):
            return
        self._queue_heads(wants.run_ids, wants.workflows)
        if wants.tasks:
            self.wire.queue(sql.LOCK_TASKS, wants.tasks)
        if wants.starts:
            self.wire.queue(sql.DRAW_RUNS, wants.starts)
        if wants.arrivals:
            self.wire.queue(sql.DRAW_ARRIVALS, wants.arrivals)
        if wants.queues:
            self.wire.queue(queue_sql.QUEUES_THAT_HOLD_BACK, list(wants.queues))
        results = self.wire.exchange()
        if wants.queues:
            self._note_holding_back(wants.queues, self.wire.rows(results.pop()))
        if wants.arrivals:
            self._drawn_arrivals = _backwards(self.wire.rows(results.pop()))
        if wants.starts:
            self._drawn_runs = _backwards(self.wire.rows(results.pop()))
        if wants.tasks:
            self._tasks = dict.fromkeys(wants.tasks) | {row[0]: row for row in self.wire.rows(results.pop())}
        self._heads = dict.fromkeys(wants.run_ids)
        self._take_heads(self.wire.rows(results.pop()), wants.workflows)
        if self._is_doubtful(wants.workflows):
            self._look_again(wants.workflows)

    def write(self, drawing: Drawing) -> None:
        self._heads, self._newest = {}, {}
        if drawing.events and not self._has_batch:
            self.wire.queue(sql.DRAW_BATCH)
            self._has_batch = True
        started = Counter(
            name for head in drawing.created if (name := (head.namespace, head.workflow_id)) in self._absent
        )
        send_drawing(self.wire, drawing, self._counts)
        if started:
            shards = [shard_of(*name, self.shards) for name in started]
            self.wire.queue(sql.VERIFY_ALONE, shards, *zip(*started, strict=True), list(started.values()))
            self._absent -= started.keys()

    def finish(self) -> None:
        """All events of a batch are written: the log's readers are to find it."""
        shards = self._counts.events
        if shards:
            self.wire.queue(sql.INSERT_BATCHES, list(shards), list(shards.values()))
            self._counts, self._has_batch = Counts(), False

    # -- runs

    def next_run(self, namespace: str, workflow_id: str) -> int:
        if not self._drawn_runs:
            self._drawn_runs = _backwards(self._ask(sql.DRAW_RUNS, DRAWN_AT_LEAST))
        return number_in(shard_of(namespace, workflow_id, self.shards), self._drawn_runs.pop())

    def next_arrival(self) -> int:
        if not self._drawn_arrivals:
            self._drawn_arrivals = _backwards(self._ask(sql.DRAW_ARRIVALS, DRAWN_AT_LEAST))
        return self._drawn_arrivals.pop()

    def fetch_heads(self, run_ids: Sequence[str]) -> Sequence[Sequence[Any]]:
        ahead = [self._heads.pop(run_id) for run_id in run_ids if run_id in self._heads]
        found = [row for row in ahead if row is not None]
        if len(ahead) < len(run_ids):
            known = {row[1] for row in found}
            self._drawn_runs, self._drawn_arrivals = [], []  # they may be older than what is locked now
            found += self._ask(sql.LOCK_HEADS, [run_id for run_id in run_ids if run_id not in known])
        return found

    def fetch_newest(self, workflows: Sequence[Workflow]) -> Sequence[tuple[str, str, str | None]]:
        missing = [name for name in workflows if name not in self._newest]
        if missing:
            self._drawn_runs, self._drawn_arrivals = [], []
            self._look_again(missing)
        return [(*name, self._newest.pop(name)) for name in workflows]

    def _ask(self, statement: Statement, *values: Any) -> list[Row]:
        if self.is_trusting:
            raise Doubt
        return self.wire.ask(statement, *values)

    def _queue_heads(self, run_ids: set[str], workflows: Sequence[Workflow] | set[Workflow]) -> None:
        if workflows:
            names = sorted(workflows)
            shards = [shard_of(*name, self.shards) for name in names]
            self.wire.queue(sql.LOCK_HEADS_AND_NEWEST, list(run_ids), shards, *map(list, zip(*names, strict=True)))
        else:
            self.wire.queue(sql.LOCK_HEADS, list(run_ids))

    def _take_heads(self, rows: list[Row], workflows: Sequence[Workflow] | set[Workflow]) -> None:
        """Keep what was asked ahead. Among the runs of a workflow id that came, its newest one is."""
        newest: dict[Workflow, Row | None] = dict.fromkeys(workflows)
        for row in rows:
            self._heads[row[1]] = row
            name = (row[2], row[3])
            if name in newest:
                other = newest[name]
                if other is None or _age(row) > _age(other):
                    newest[name] = row
        for name, found in newest.items():
            self._newest[name] = None if found is None else found[1]
            if found is None:
                self._absent.add(name)

    def _is_doubtful(self, workflows: Sequence[Workflow] | set[Workflow]) -> bool:
        """Whether one of them may have got a newer run while we waited for the lock of an older one."""
        for name in workflows:
            run_id = self._newest[name]
            row = None if run_id is None else self._heads.get(run_id)
            if row is not None and row[4] != RUNNING:
                return True
        return False

    def _look_again(self, workflows: Sequence[Workflow] | set[Workflow]) -> None:
        """Look for the newest runs until none of them was overtaken."""
        for _ in range(LOOKS_MAX):
            before = [self._newest.get(name, "") for name in workflows]
            self._queue_heads(set(), workflows)
            self._take_heads(self.wire.rows(self.wire.exchange()[-1]), workflows)
            if before == [self._newest[name] for name in workflows] or not self._is_doubtful(workflows):
                break

    def fetch_inboxes(self, runs: Sequence[int]) -> Sequence[Row]:
        return self._ask(sql.INBOXES, runs)

    def fetch_received(self, keys: Sequence[tuple[int, str]]) -> Sequence[Row]:
        return self._ask(sql.RECEIVED, *zip(*keys, strict=True))

    def fetch_runs(self, run_ids: Sequence[str]) -> list[Run]:
        runs = {row[0]: run_of(row) for row in self._ask(readings.READ_RUNS, run_ids)}
        return [runs[run_id] for run_id in run_ids if run_id in runs]

    def run_origin(self, run: int) -> tuple[str, bytes]:
        [(run_type, digest)] = self._ask(sql.RUN_ORIGIN, run)
        return run_type, digest

    def run_attributes(self, run: int) -> str | None:
        [(text,)] = self._ask(sql.RUN_ATTRIBUTES, run)
        return text  # type: ignore[no-any-return]

    def attribute_types(self, namespace: str, names: Iterable[str]) -> Mapping[str, FieldType]:
        known = self._attribute_types.get(namespace, {})
        if not known.keys() >= set(names):
            known = self._attribute_types[namespace] = {
                name: FieldType(type_) for name, type_ in self._ask(sql.ATTRIBUTE_TYPES, namespace)
            }
        return known

    def register_attributes(self, namespace: str, new: Mapping[str, FieldType]) -> Mapping[str, FieldType]:
        """It waits for another process that is about to register one of them."""
        self.wire.queue(sql.REGISTER_ATTRIBUTES, namespace, list(new), list(new.values()))
        self._attribute_types.pop(namespace, None)
        return self.attribute_types(namespace, new)

    def history_bytes(self, run: int) -> int:
        return self._count(sql.HISTORY_BYTES, run)

    def claimable_runs(self, lease: Lease, types: Sequence[str] | None, now: int, limit: int) -> list[str]:
        pairs = sorted(set(product(lease.queues, lease.languages)))
        if not pairs:
            return []
        queues, languages = zip(*pairs, strict=True)
        rows = self._ask(sql.CLAIMABLE_RUNS, queues, languages, lease.lease_id, types, now, limit)
        self._heads = {row[1]: row[:-1] for row in rows}
        return [row[1] for row in rows]

    def offer_blocked_runs(self, now: int) -> int:
        return self._count(sql.OFFER_BLOCKED_RUNS, now, at_once(now))

    def offer_all_runs(self, now: int) -> int:
        return self._count(sql.OFFER_ALL_RUNS, now, at_once(now))

    def _count(self, statement: Statement, *values: Any) -> int:
        [(count,)] = self._ask(statement, *values)
        return int(count)

    # -- leases

    def insert_lease(self, lease: Lease) -> None:
        self.wire.queue(sql.INSERT_LEASE, lease.lease_id, to_json(lease))

    def find_lease(self, lease_id: str) -> tuple[int, Lease] | None:
        rows = self._ask(sql.KEEP_LEASE, lease_id)
        return (rows[0][0], lease_of(rows[0][1])) if rows else None

    def lease_at_counter(self, lease_id: str, counter: int | None) -> int | None:
        rows = self._ask(sql.LOCK_LEASE, lease_id, counter)
        return int(rows[0][0]) if rows else None

    def open_leases(self) -> list[str]:
        return [lease_id for (lease_id,) in self._ask(sql.OPEN_LEASES)]

    def runs_owned(self, lease: int) -> list[str]:
        return [run_id for (run_id,) in self._ask(sql.RUN_IDS_OWNED, lease)]

    def delete_lease(self, lease: int) -> int:
        given_back = self._count(sql.GIVE_BACK_TASKS, lease)
        self.wire.queue(sql.DELETE_LEASE, lease)
        return given_back

    # -- tasks

    def insert_task(self, run: int, new: NewTask, owner: int | None) -> None:
        named = (run, new.kind, new.key, new.queue, new.data)
        order = (new.priority, new.fairness_key, new.fairness_weight, new.visible_at, new.deadline)
        held = (new.attempt, new.fallback_queue, owner, 0 if owner is None else 1)
        self.wire.queue(sql.INSERT_TASK, *named, *order, *held)

    def find_task(self, task_id: int) -> tuple[int, int | None, int, bool] | None:
        if task_id in self._tasks:
            row = self._tasks.pop(task_id)  # the commit that asks may end it, and the next one is to see that
        else:
            row = next(iter(self._ask(sql.LOCK_TASKS, [task_id])), None)
        return None if row is None else (row[1], row[2], row[3], row[4])

    def delete_task(self, task_id: int) -> None:
        self.wire.queue(sql.DELETE_TASK, task_id)

    def drop_task(self, run: int, kind: str, key: str) -> None:
        self.wire.queue(sql.DROP_TASK, run, kind, key)

    def release_task(self, task_id: int, visible_at: int, attempt: int, data: bytes | None) -> None:
        self.wire.queue(sql.RELEASE_TASK, task_id, visible_at, attempt, data)

    def claim_tasks(self, lease: int, queues: Sequence[str], kinds: Sequence[str], now: int, limit: int) -> list[Task]:
        fair, fallback = self._features or self._ask(sql.TASK_FEATURES, queues)[0]
        statement = sql.CLAIMABLE_TASKS_BY_TURN if fair or fallback else sql.CLAIMABLE_TASKS
        chosen = [task for (task,) in self._ask(statement, queues, kinds, now, limit)]
        return self.own_tasks(chosen, lease)

    def own_tasks(self, task_ids: Sequence[int], lease: int) -> list[Task]:
        if not task_ids:
            return []
        tasks = {task.token.task_id: task for task in tasks_of(self._ask(sql.OWN_TASKS, task_ids, lease))}
        return [tasks[task] for task in task_ids]

    # -- queues with limits

    def holds_runs_back(self, queue: str) -> bool:
        if queue not in self._holding_back:
            self._note_holding_back({queue}, self._ask(queue_sql.QUEUES_THAT_HOLD_BACK, [queue]))
        return self._holding_back[queue]

    def _note_holding_back(self, asked: set[str], found: list[Row]) -> None:
        self._holding_back |= dict.fromkeys(asked, False) | {name: True for (name,) in found}

    def lock_queues(self, names: Sequence[str]) -> dict[str, tuple[Queue, Progress]]:
        """With the question that a claim of plain queues asks next."""
        if self.is_trusting:
            raise Doubt
        self.wire.queue(queue_sql.LOCK_QUEUES, names)
        self.wire.queue(sql.TASK_FEATURES, names)
        results = self.wire.exchange()
        self._features = self.wire.rows(results.pop())[0]
        kept = [(queue_of(body), progress_of(progress)) for body, progress in self.wire.rows(results.pop())]
        return {queue.name: (queue, progress) for queue, progress in kept}

    def lock_all_queues(self) -> None:
        self.wire.queue(queue_sql.LOCK_ALL_QUEUES)

    def save_queue(self, queue: Queue) -> None:
        shard = shard_of("", queue.name, self.shards)
        self.wire.queue(queue_sql.SAVE_QUEUE, shard, queue.name, int(queue.holds_runs_back()), to_json(queue))
        self._holding_back.clear()

    def keep_queue(self, queue: Queue) -> None:
        shard = shard_of("", queue.name, self.shards)
        self.wire.queue(queue_sql.KEEP_QUEUE, shard, queue.name, int(queue.holds_runs_back()), to_json(queue))

    def save_progress(self, name: str, progress: bytes) -> None:
        self.wire.queue(queue_sql.SAVE_PROGRESS, shard_of("", name, self.shards), name, progress)

    def shelf(self, queue: str, lease: int, kinds: Sequence[str], types: Sequence[str], now: int) -> Shelf:
        return PostgresShelf(self.wire, queue, lease, kinds, types, now)

    def free_tasks(self, task_ids: Sequence[int]) -> list[tuple[int, str, str]]:
        """What others have locked is passed over, instead of waiting for them in a circle."""
        found = {task: (kind, run) for task, kind, run in self._ask(queue_sql.FREE_TASKS, task_ids)}
        tickets = [run for kind, run in found.values() if kind == TICKET]
        others = [run for kind, run in found.values() if kind != TICKET]
        run_ids: dict[int, str] = dict(self._ask(queue_sql.FREE_RUNS, tickets)) if tickets else {}
        run_ids |= dict(self._ask(queue_sql.RUN_IDS, others)) if others else {}
        return [
            (task, found[task][0], run_ids[found[task][1]])
            for task in task_ids
            if task in found and found[task][1] in run_ids
        ]

    def hold_tickets(self, task_ids: Sequence[int]) -> None:
        self.wire.queue(queue_sql.HOLD_TICKETS, task_ids)

    def next_visible(self, queue: str, now: int) -> int | None:
        [(time,)] = self._ask(queue_sql.NEXT_VISIBLE, queue, now)
        return None if time is None else int(time)

    def is_ticket_held(self, run: int) -> bool:
        return bool(self._count(queue_sql.IS_TICKET_HELD, run))

    def saved_ticket(self, run: int) -> tuple[str, str, str | None]:
        [(queue, run_type, ticket)] = self._ask(queue_sql.SAVED_TICKET, run)
        return queue, run_type, ticket

    def save_ticket(self, run: int, ticket: str) -> None:
        self.wire.queue(queue_sql.SAVE_TICKET, run, ticket)

    def runs_that_lost_tickets(self) -> list[str]:
        return [run_id for (run_id,) in self._ask(queue_sql.RUNS_THAT_LOST_TICKETS)]

    def runs_without_ticket(self, queue: str) -> list[tuple[str, str]]:
        return [(run_id, run_type) for run_id, run_type in self._ask(queue_sql.RUNS_WITHOUT_TICKET, queue)]

    # -- asks

    def insert_ask(self, run: int, ask: Ask, now: int) -> None:
        self.wire.queue(sql.FORGET_ASKS, now)
        self.wire.queue(sql.INSERT_ASK, ask.ask_id, run, ask.kind, ask.name, ask.data, ask.deadline)

    def take_asks(self, lease: int, queues: Sequence[str], languages: Sequence[str], now: int, limit: int) -> list[Ask]:
        return asks_of(self._ask(sql.TAKE_ASKS, lease, queues, languages, now, limit))

    def insert_answer(self, ask_id: str, data: bytes, deadline: int, now: int) -> None:
        self.wire.queue(sql.FORGET_ANSWERS, now)
        self.wire.queue(sql.INSERT_ANSWER, ask_id, data, deadline)

    def delete_asks(self, ask_ids: Sequence[str]) -> None:
        self.wire.queue(sql.DELETE_ASKS, ask_ids)
        self.wire.queue(sql.DELETE_ANSWERS, ask_ids)

    # -- subscribers, definitions, housekeeping

    def save_cursor(self, subscriber: str, position: Position) -> None:
        self.wire.queue(sql.SAVE_CURSOR, position.shard, subscriber, position.n)

    def publish(self, definitions: Sequence[Definition]) -> None:
        for one in definitions:
            self.wire.queue(sql.PUBLISH, one.namespace, one.language, one.kind, one.name, to_json(one))

    def was_committed(self, commit_id: str) -> bool:
        return bool(self._count(sql.WAS_COMMITTED, commit_id))

    def forget_commit_ids(self, before: int) -> None:
        self.wire.queue(sql.FORGET_COMMIT_IDS, before)

    def swap_kept(self, where: KeptIn, swaps: Sequence[Swap]) -> None:
        kept.swap_kept(self.wire, where, swaps)

    def purge(self, namespace: str, closed_before: int, limit: int, looked_at_max: int, events_max: int) -> int:
        log.extend_all(self.wire)
        rows = self._ask(sql.PURGEABLE_RUNS, namespace, closed_before, limit, looked_at_max, events_max)
        locked = self._ask(sql.LOCK_CLOSED_RUNS, [run for _, run, _ in rows], closed_before)
        runs = {run for (run,) in locked}
        return len(self._remove([row for row in rows if row[1] in runs]))

    def remove_runs(self, runs: Sequence[int]) -> list[int]:
        """They are locked: their heads were fetched in this transaction."""
        log.extend_all(self.wire)
        return self._remove(self._ask(sql.FREE_RUNS, list(runs)))

    def _remove(self, gone: Sequence[Row]) -> list[int]:
        """Runs, by shard, number, and position of their last event."""
        if not gone:
            return []
        numbers = [run for _, run, _ in gone]
        for statement in sql.PURGE_RUNS:
            self.wire.queue(statement, numbers)
        purged: dict[int, int] = {}
        for shard, _, last in gone:
            purged[shard] = max(purged.get(shard, 0), last)
        self.wire.queue(sql.MARK_PURGED, list(purged), list(purged.values()))
        return numbers


def _backwards(rows: list[Row]) -> list[int]:
    """Numbers that were drawn, so that the smallest is taken first: the server promises no order of its rows."""
    return sorted((n for (n,) in rows), reverse=True)


def _age(row: Row) -> tuple[bool, int]:
    """An open run is newer than all others of its workflow id, or else the one with the greatest number is."""
    return row[4] == RUNNING, row[0]
