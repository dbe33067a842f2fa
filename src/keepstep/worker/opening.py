"""Opening: how each kind of operation begins, and what is recorded of that: for one turn's operations in one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import IfClosed, JournalError, NewEvent, NewRun, NewTask, ParentLink, StateChange, Status
from keepstep.queues.waiting import WaitingOptions
from keepstep.runtime import history
from keepstep.runtime.child import CANCEL
from keepstep.runtime.history import pack
from keepstep.runtime.operation import (
    CallbackOperation,
    ChildOperation,
    MessageOperation,
    Operation,
    StepOperation,
    TimerOperation,
)
from keepstep.runtime.step import published_options

from .kinship import send_message
from .remote_work import RemoteWork, RemoteWorkWithHeaders

if TYPE_CHECKING:
    from .resident import Resident

HUMAN_TASK = "human_task"
"""State kind: the description of a task for a person, by the key of its callback."""


STARTS_MAX, STARTED_BYTES_MAX = 500, 4 * 1024 * 1024
"""So many children are started by one commit, or children with so much to begin with."""


class Opening:
    """See the module's docstring."""

    def __init__(self, resident: Resident) -> None:
        self.resident = resident
        self._worker = resident.worker
        self.events: list[NewEvent] = []
        self.state: list[StateChange] = []
        self.tasks: list[NewTask] = []
        self.starts: list[NewRun] = []
        self._started_bytes = 0

    def begin(self, operation: Operation) -> None:
        """Begin an operation that the code has asked for, or go on with one that has been begun before."""
        if isinstance(operation, StepOperation):
            self._begin_step(operation)
        elif isinstance(operation, TimerOperation):
            self.begin_timer(operation)
        elif isinstance(operation, CallbackOperation):
            self._begin_callback(operation)
        elif isinstance(operation, ChildOperation) and operation.run_id is None:
            if operation.options.get("id"):
                self._worker.spawn(_begin_named_child(self.resident, operation))
            else:
                self.begin_child(operation)
        elif isinstance(operation, MessageOperation):
            self._worker.spawn(send_message(self.resident, operation))

    def _commit_starts_if_many(self) -> None:
        """A fan-out of thousands begins in several commits: one of them all could become too large."""
        if len(self.starts) >= STARTS_MAX or self._started_bytes >= STARTED_BYTES_MAX:
            self.resident.append(*self.events, state=self.state, start=self.starts)
            self.events, self.state, self.starts, self._started_bytes = [], [], [], 0

    def commit(self) -> None:
        """Record what there is to record."""
        if self.events or self.state or self.tasks or self.starts:
            self.resident.append(*self.events, state=self.state, tasks=self.tasks, start=self.starts)

    def _record(self, type_: str, key: str, data: bytes) -> None:
        self.events.append(self.resident.event(type_, key, data))

    def _begin_step(self, operation: StepOperation) -> None:
        options = operation.step.run_options
        if options.queue is None:
            self._worker.steps.begin(self.resident, operation)
            return
        workflow_id = self.resident.execution.identity.workflow_id
        work = RemoteWork(
            operation.step.name,
            operation.arguments,
            workflow_id,
            published_options(operation.step),
            offered_at=self._worker.journal.clock.now(),
        )
        if operation.headers:
            work = RemoteWorkWithHeaders(**msgspec.structs.asdict(work), headers=dict(operation.headers))
        task = NewTask(
            kind="step",
            key=operation.key,
            queue=options.queue,
            data=msgspec.msgpack.encode(work),
            priority=-options.priority,
            fairness_key=options.fairness_key,
        )
        self.tasks.append(task)

    def begin_timer(self, operation: TimerOperation) -> None:
        """Record when a wait ends, and wait for that."""
        if operation.fire_at is None:
            operation.fire_at = self._worker.journal.clock.now() + operation.delay
            started = history.TimerStarted(operation.delay, operation.fire_at)
            self._record(history.TIMER_STARTED, operation.key, pack(started))
        self.resident.wake_at(operation.key, operation.fire_at)

    def _begin_callback(self, operation: CallbackOperation) -> None:
        if not operation.is_recorded:
            created = history.CallbackCreated(operation.url, operation.name)
            self._record(history.CALLBACK_CREATED, operation.key, pack(created))
        if operation.person is not None and (HUMAN_TASK, operation.key) not in self.resident.state_keys:
            person = msgspec.json.decode(operation.person)
            person |= {"token": operation.token, "url": operation.url}
            self.state.append(StateChange(HUMAN_TASK, operation.key, msgspec.json.encode(person)))
            self.resident.state_keys.add((HUMAN_TASK, operation.key))

    def begin_child(self, operation: ChildOperation) -> None:
        """Start a child; its start is recorded in the commit that starts it."""
        operation.run_id = self._worker.ids()
        options = operation.options
        policy = options.get("if_parent_closes", CANCEL)
        started = history.ChildStarted(operation.digest, operation.run_id, operation.workflow_id, policy)
        self._record(history.CHILD_STARTED, operation.key, pack(started))
        self.starts.append(
            self._worker.new_run(
                operation.workflow,
                operation.arguments,
                run_id=operation.run_id,
                workflow_id=operation.workflow_id,
                namespace=self.resident.execution.identity.namespace,
                queue=options.get("queue") or operation.workflow.queue,
                parent=ParentLink(self.resident.run_id, operation.key),
                waiting=WaitingOptions(priority=options.get("priority"), fairness_key=options.get("fairness_key")),
                attributes=options.get("attributes", {}),
                own_timeout_seconds=options.get("timeout_seconds"),
                headers=operation.headers,
                if_closed=IfClosed.RESTART,  # of an earlier run of its parent's id, or of whoever had its name
            )
        )
        self._started_bytes += len(operation.arguments)
        self._commit_starts_if_many()


async def start_child(resident: Resident, operation: ChildOperation) -> None:
    """Start a child, perhaps once more, by itself."""
    if operation.options.get("id"):
        await _begin_named_child(resident, operation)
        return
    opening = Opening(resident)
    opening.begin_child(operation)
    opening.commit()


async def _begin_named_child(resident: Resident, operation: ChildOperation) -> None:
    """Start a child with an id that the user chose, unless an open run has it: then nothing is started.

    Should somebody take the id between this look and the commit, the store refuses the start and says so by a message,
    and it is the child's result that fails.
    """
    namespace = resident.execution.identity.namespace
    try:
        taken = await resident.worker.journal.find_run(namespace, operation.workflow_id)
    except JournalError as error:
        resident.refused(error)
        return
    if operation.abandoned or resident.is_dropped or resident.is_closing:
        return
    if taken is not None and taken.status is Status.RUNNING:
        resident.answer(operation, history.CHILD_REFUSED, pack(history.ChildRefused(operation.workflow_id)))
        return
    opening = Opening(resident)
    opening.begin_child(operation)
    opening.commit()
