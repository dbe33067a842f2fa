"""Operation: something durable that workflow code has asked for and that history answers.

An operation lives in memory only. It is *new* until a worker has begun it, *answered* when the event with its result
was delivered, *abandoned* when the code stopped wanting it (it was cancelled). An abandoned operation may still be
answered by an event that was already on its way; that event is then ignored, live and in replay alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .loop import DurableTimer, WorkflowFuture, task_of

if TYPE_CHECKING:
    from .execution import Execution
    from .step import Step
    from .workflow import Workflow


class Operation:
    """What all kinds have in common."""

    __slots__ = ("abandoned", "asked_at", "asked_seq", "digest", "future", "key", "task")

    kind = "operation"
    asked_at: int
    """Engine time at which the code asked; set by ``Execution.add``."""

    def __init__(self, execution: Execution, key: str, digest: bytes = b"") -> None:
        self.key = key
        self.digest = digest
        self.abandoned = False
        self.asked_seq = 0
        """Seq of the event during whose delivery the code asked."""
        self.task: asyncio.Task[Any] | None = task_of(execution.loop)
        """The task that asked; tells where in the code that was."""
        self.future: WorkflowFuture = execution.loop.future(self)

    @property
    def name(self) -> str:
        """What the code asked for, in words."""
        return self.kind

    def settle(self) -> None:
        """It is answered or abandoned. What points at it lets go, so that no cycle is left for the collector."""
        self.future.operation = None


class StepOperation(Operation):
    """A call of a step."""

    __slots__ = ("arguments", "headers", "is_undo", "late", "step")

    late: tuple[str, Any]
    """Of one that the code had cancelled when it ended: what became of it, as an ``Outcome`` says, and what came."""

    kind = "step"

    def __init__(
        self, execution: Execution, key: str, digest: bytes, step: Step[Any, Any], arguments: bytes, is_undo: bool
    ) -> None:
        self.key = key
        self.digest = digest
        self.abandoned = False
        self.asked_seq = 0
        self.task = task_of(execution.loop)
        self.future = execution.loop.future(self)
        self.step = step
        self.arguments = arguments
        self.is_undo = is_undo
        """An undo that uses up its attempts parks the run instead of failing."""
        self.headers: Mapping[str, str] = execution.headers_here() if execution.is_addressed else execution.headers

    @property
    def name(self) -> str:
        return f"step {self.step.name}"


class TimerOperation(Operation):
    """A durable wait. It has no future; its handle's callback becomes ready when it fires."""

    __slots__ = ("delay", "fire_at", "handle")

    kind = "timer"

    def __init__(self, execution: Execution, key: str, delay: int, handle: DurableTimer) -> None:
        self.key = key
        self.digest = b""
        self.abandoned = False
        self.asked_seq = 0
        self.task = task_of(execution.loop)
        self.delay = delay
        """Microseconds, as asked for."""
        self.fire_at: int | None = None
        """Engine time, once ``timer_started`` is recorded."""
        self.handle = handle

    def settle(self) -> None:
        self.handle.operation = None

    @property
    def name(self) -> str:
        return f"timer of {self.delay / 1e6:g} s"


class CallbackOperation(Operation):
    """Waits for somebody outside to complete a token: a callback, or a task for a person."""

    __slots__ = ("is_recorded", "person", "token", "told", "url")

    kind = "callback"

    def __init__(self, execution: Execution, key: str, token: str, url: str, person: bytes | None = None) -> None:
        super().__init__(execution, key)
        self.token = token
        self.url = url
        self.person = person
        """For a human task: its sealed description (title, form, assignee, due)."""
        self.is_recorded = False
        self.told = token, url
        """What the code is told. Code that was copied from another run hears of that run's; the token is this run's."""

    @property
    def name(self) -> str:
        return "human task" if self.person else "callback"


class ChildOperation(Operation):
    """A child run. ``future`` resolves when it closes, ``started`` when its start is recorded."""

    __slots__ = ("arguments", "headers", "options", "run_id", "started", "workflow", "workflow_id")

    kind = "child"

    def __init__(
        self,
        execution: Execution,
        key: str,
        digest: bytes,
        workflow: Workflow[Any, Any],
        arguments: bytes,
        workflow_id: str,
        options: dict[str, Any],
    ) -> None:
        super().__init__(execution, key, digest)
        self.workflow = workflow
        self.arguments = arguments
        self.workflow_id = workflow_id
        self.options = options
        self.run_id: str | None = None
        self.started = execution.loop.future()
        self.headers: Mapping[str, str] = execution.headers_here() if execution.is_addressed else execution.headers

    @property
    def name(self) -> str:
        return f"child workflow {self.workflow.name}"


class MessageOperation(Operation):
    """Something said to another run. ``future`` resolves when it is on its way."""

    __slots__ = ("data", "message_kind", "message_name", "workflow_id")

    kind = "message"

    def __init__(
        self, execution: Execution, key: str, digest: bytes, workflow_id: str, kind: str, name: str, data: bytes
    ) -> None:
        super().__init__(execution, key, digest)
        self.workflow_id = workflow_id
        self.message_kind = kind
        self.message_name = name
        self.data = data

    @property
    def name(self) -> str:
        return f"{self.message_kind} to run {self.workflow_id!r}"
