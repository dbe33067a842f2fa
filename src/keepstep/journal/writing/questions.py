"""Questions: what can be asked of a database without changing it. Each database has a module that answers them.

A question gets a connection of the database's own kind and returns when it has the answer; a reader runs it beside the
writer, off the event loop. What each returns is said in the port (``journal.port``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from keepstep.journal.attribute import Attribute
from keepstep.journal.backlog import Backlog
from keepstep.journal.closed import ClosedRun
from keepstep.journal.definition import Definition
from keepstep.journal.event import Event, LogEntry, Position
from keepstep.journal.field import Field
from keepstep.journal.flow import Stretch, Window
from keepstep.journal.kept import Kept, KeptIn, Spot
from keepstep.journal.lease import LeaseState
from keepstep.journal.message import Message
from keepstep.journal.port import AuditLine, Loaded
from keepstep.journal.queue import Place as PlaceInQueue
from keepstep.journal.queue import QueueState
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import Group, Page, Place, Predicate, Search
from keepstep.journal.task import Task

T = TypeVar("T")
DB = TypeVar("DB", contravariant=True)
Asked = TypeVar("Asked", covariant=True)


class Reader(Protocol[Asked]):
    """Who asks."""

    async def read(self, question: Callable[[Asked], T]) -> T:
        """Ask a question of the database. Raises ``StoreUnavailable``."""
        ...

    async def close(self) -> None:
        """Wait until the questions under way are answered, and let go of the database."""
        ...


class Questions(Protocol[DB]):
    """See the module."""

    def read_run(self, db: DB, run_id: str) -> Run | None: ...

    def find_run(self, db: DB, namespace: str, workflow_id: str) -> Run | None: ...

    def list_runs(
        self,
        db: DB,
        namespace: str,
        statuses: Sequence[Status],
        conditions: Sequence[Condition],
        types: Sequence[str],
        before: tuple[int, str] | None,
        limit: int,
    ) -> list[Run]: ...

    def count_runs(
        self,
        db: DB,
        namespace: str,
        statuses: Sequence[Status],
        conditions: Sequence[Condition],
        types: Sequence[str],
    ) -> int: ...

    def search_runs(self, db: DB, namespace: str, search: Search, after: Place | None, limit: int) -> Page: ...

    def count_found(self, db: DB, namespace: str, where: Predicate) -> int: ...

    def count_groups(self, db: DB, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]: ...

    def list_attributes(self, db: DB, namespace: str) -> list[Attribute]: ...

    def load(self, db: DB, run_id: str) -> Loaded: ...

    def read_events(self, db: DB, run_id: str, after_seq: int, limit: int) -> list[Event]: ...

    def read_state(self, db: DB, run_id: str, kind: str | None) -> dict[tuple[str, str], bytes]: ...

    def list_state(
        self, db: DB, namespace: str, kind: str, after: tuple[str, str] | None, limit: int
    ) -> list[tuple[str, str, bytes]]: ...

    def read_messages(self, db: DB, run_id: str) -> list[Message]: ...

    def read_messages_of(self, db: DB, run_ids: Sequence[str]) -> list[Message]: ...

    def read_inbox(self, db: DB, lease_id: str, after: int, limit: int) -> list[Message]: ...

    def next_wake(self, db: DB, lease_id: str, types: Sequence[str] | None) -> int | None: ...

    def read_log(self, db: DB, after: Position, limit: int) -> list[LogEntry]: ...

    def list_namespaces(self, db: DB, after: str, limit: int) -> list[str]: ...

    def read_log_ends(self, db: DB) -> list[Position]: ...

    def read_audit(self, db: DB, run_id: str) -> list[AuditLine]: ...

    def list_owned_runs(self, db: DB, lease_id: str) -> list[Run]: ...

    def list_held_tasks(self, db: DB, lease_id: str) -> list[Task]: ...

    def list_queues(self, db: DB) -> list[QueueState]: ...

    def list_backlogs(self, db: DB, now: int) -> list[Backlog]: ...

    def read_flow(self, db: DB, namespace: str, window: Window) -> list[Stretch]: ...

    def find_place(self, db: DB, run_id: str, now: int) -> PlaceInQueue | None: ...

    def list_leases(self, db: DB) -> list[LeaseState]: ...

    def read_cursor(self, db: DB, subscriber: str, shard: int) -> Position | None: ...

    def list_definitions(self, db: DB, namespace: str) -> list[Definition]: ...

    def list_closed(
        self, db: DB, namespace: str, status: Status, closed_before: int, limit: int
    ) -> list[ClosedRun]: ...

    def read_kept(self, db: DB, where: KeptIn, after: Spot | None) -> list[Kept]: ...

    def any_asks(self, db: DB) -> bool: ...

    def read_answers(self, db: DB, ask_ids: list[str]) -> dict[str, bytes]: ...
