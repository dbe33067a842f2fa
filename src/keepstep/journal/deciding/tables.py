"""Tables: what decisions ask of a database and have it do. Each SQL database answers this interface.

All of it happens inside the transaction of one flush. What is asked must hold until that transaction ends: a database
that others write meanwhile locks the runs that it tells of. What is *done* need not have happened when the call
returns, as long as later questions see it; where it fails, the whole flush does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from keepstep.journal.ask import Ask
from keepstep.journal.definition import Definition
from keepstep.journal.event import Position
from keepstep.journal.field import FieldType
from keepstep.journal.kept import KeptIn, Swap
from keepstep.journal.lease import Lease
from keepstep.journal.queue import Queue
from keepstep.journal.run import Run
from keepstep.journal.task import NewTask, Task

if TYPE_CHECKING:
    from .drawing import Drawing
    from .picture import Wants
    from .turn import Progress, Shelf


class Tables(Protocol):
    """See the module."""

    last_n: int
    """What was given to the last event: its position in the log where only one flush at a time is under way, or else
    its place in this flush."""

    # -- a flush

    def begin(self) -> bool:
        """A flush begins. Whether anything may have been written by others since the last one ended."""
        ...

    def forget(self) -> None:
        """Trust nothing any more: the transaction failed."""
        ...

    def prepare(self, wants: Wants) -> None:
        """These questions will be asked. Only a matter of speed."""
        ...

    def write(self, drawing: Drawing) -> None:
        """Write what was drawn."""
        ...

    # -- runs

    def next_run(self, namespace: str, workflow_id: str) -> int:
        """A number for a new run, greater than those of all earlier runs of its workflow id."""
        ...

    def next_arrival(self) -> int:
        """An arrival number, greater than those of all messages that have reached a run whose head is known."""
        ...

    def fetch_heads(self, run_ids: Sequence[str]) -> Sequence[Sequence[Any]]:
        """The columns of ``Head``, of those of these runs that exist."""
        ...

    def fetch_newest(self, workflows: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str, str | None]]:
        """Namespace, workflow id, and the run id of its open run, or else of its newest closed one."""
        ...

    def fetch_inboxes(self, runs: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        """Run, arrival number, and whether it wakes, of the unconsumed messages of these runs."""
        ...

    def fetch_received(self, keys: Sequence[tuple[int, str]]) -> Sequence[tuple[int, str, int]]:
        """Run, message id and arrival number, of those that have ever arrived."""
        ...

    def fetch_runs(self, run_ids: Sequence[str]) -> list[Run]: ...

    def run_origin(self, run: int) -> tuple[str, bytes]:
        """Its type, and the digest of its input."""
        ...

    def run_attributes(self, run: int) -> str | None:
        """Its attributes as JSON."""
        ...

    def attribute_types(self, namespace: str, names: Iterable[str]) -> Mapping[str, FieldType]:
        """The types of a namespace's attributes: of these names at least, as far as they are registered."""
        ...

    def register_attributes(self, namespace: str, new: Mapping[str, FieldType]) -> Mapping[str, FieldType]:
        """Give names types that have none. The types of all, which others may have given meanwhile."""
        ...

    def history_bytes(self, run: int) -> int: ...

    def claimable_runs(self, lease: Lease, types: Sequence[str] | None, now: int, limit: int) -> list[str]:
        """Run ids that this lease may claim and that are due, longest due first."""
        ...

    def offer_blocked_runs(self, now: int) -> int:
        """Make blocked runs that nobody owns due; how many."""
        ...

    def offer_all_runs(self, now: int) -> int:
        """Make all open runs that nobody owns due; how many."""
        ...

    # -- leases

    def insert_lease(self, lease: Lease) -> None: ...

    def find_lease(self, lease_id: str) -> tuple[int, Lease] | None:
        """The number of an open lease, and what it is."""
        ...

    def lease_at_counter(self, lease_id: str, counter: int | None) -> int | None:
        """The number of an open lease, if its counter stands there (or anywhere), which it will until the end."""
        ...

    def open_leases(self) -> list[str]: ...

    def runs_owned(self, lease: int) -> list[str]:
        """Their run ids."""
        ...

    def delete_lease(self, lease: int) -> int:
        """Give its tasks back and remove it; how many tasks."""
        ...

    # -- tasks

    def insert_task(self, run: int, new: NewTask, owner: int | None) -> None:
        """Put a task on its queue, unless one of that (run, kind, key) exists."""
        ...

    def find_task(self, task_id: int) -> tuple[int, int | None, int, bool] | None:
        """Its run, owner and epoch, and whether somebody may wait for its slot."""
        ...

    def delete_task(self, task_id: int) -> None: ...

    def drop_task(self, run: int, kind: str, key: str) -> None: ...

    def release_task(self, task_id: int, visible_at: int, attempt: int, data: bytes | None) -> None:
        """Nobody owns it any more; its data stay where None is given."""
        ...

    def claim_tasks(self, lease: int, queues: Sequence[str], kinds: Sequence[str], now: int, limit: int) -> list[Task]:
        """Own up to ``limit`` visible tasks: by priority, then by each fairness key's turn, then by age."""
        ...

    # -- queues with limits

    def holds_runs_back(self, queue: str) -> bool:
        """Whether runs that are started on it wait for their admission; until the end no queue begins to do so."""
        ...

    def lock_queues(self, names: Sequence[str]) -> dict[str, tuple[Queue, Progress]]:
        """Those of these queues that are kept. Until the end nobody else hands out anything of them."""
        ...

    def lock_all_queues(self) -> None:
        """Until the end nobody else changes one, or asks whether one holds runs back."""
        ...

    def save_queue(self, queue: Queue) -> None: ...

    def keep_queue(self, queue: Queue) -> None:
        """Save it, unless it is there."""
        ...

    def save_progress(self, name: str, progress: bytes) -> None: ...

    def shelf(self, queue: str, lease: int, kinds: Sequence[str], types: Sequence[str], now: int) -> Shelf:
        """What is on a queue, as far as it is of these kinds, or tickets with these keys."""
        ...

    def free_tasks(self, task_ids: Sequence[int]) -> list[tuple[int, str, str]]:
        """Those that nobody is about to change, in the order given: task, kind and run id. Tickets' runs, too."""
        ...

    def own_tasks(self, task_ids: Sequence[int], lease: int) -> list[Task]: ...

    def hold_tickets(self, task_ids: Sequence[int]) -> None:
        """Their runs hold them."""
        ...

    def next_visible(self, queue: str, now: int) -> int | None:
        """When the next task after now becomes visible."""
        ...

    def is_ticket_held(self, run: int) -> bool:
        """Whether the run holds a slot."""
        ...

    def saved_ticket(self, run: int) -> tuple[str, str, str | None]:
        """Its queue and type, and its ticket as JSON."""
        ...

    def save_ticket(self, run: int, ticket: str) -> None: ...

    def runs_that_lost_tickets(self) -> list[str]:
        """Run ids of open runs that had a ticket, and have none."""
        ...

    def runs_without_ticket(self, queue: str) -> list[tuple[str, str]]:
        """Run id and type of the open runs on it that have none."""
        ...

    # -- asks

    def insert_ask(self, run: int, ask: Ask, now: int) -> None:
        """Keep an ask, and forget those that are too old."""
        ...

    def take_asks(self, lease: int, queues: Sequence[str], languages: Sequence[str], now: int, limit: int) -> list[Ask]:
        """Remove and return asks to runs that the lease owns, or that nobody owns and are in its queues."""
        ...

    def insert_answer(self, ask_id: str, data: bytes, deadline: int, now: int) -> None:
        """Keep an answer, and forget those that are too old."""
        ...

    def delete_asks(self, ask_ids: Sequence[str]) -> None:
        """And their answers."""
        ...

    # -- subscribers, definitions, housekeeping

    def save_cursor(self, subscriber: str, position: Position) -> None: ...

    def publish(self, definitions: Sequence[Definition]) -> None: ...

    def was_committed(self, commit_id: str) -> bool: ...

    def forget_commit_ids(self, before: int) -> None: ...

    def swap_kept(self, where: KeptIn, swaps: Sequence[Swap]) -> None:
        """Put other bytes in the place of those that are still as they were."""
        ...

    def purge(self, namespace: str, closed_before: int, limit: int, looked_at_max: int, events_max: int) -> int:
        """Remove up to ``limit`` closed runs, longest closed first, but none with events that a registered subscriber
        has not read; of ``looked_at_max`` that are looked at, and fewer where they have ``events_max`` events."""
        ...

    def remove_runs(self, runs: Sequence[int]) -> list[int]:
        """Remove these closed runs, but none with events that a registered subscriber has not read; those removed."""
        ...
