"""Children: runs that a run starts and waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from keepstep.journal import InvalidInput
from keepstep.journal.limits import WORKFLOW_ID_CHARS_MAX

from .call import DurableCall, required
from .crossing import waits_if_sync
from .data import Duration, checked_name, plain_attributes, to_seconds, within_limit
from .execution import digest_of
from .loop import WorkflowFuture
from .operation import ChildOperation
from .registry import check_has_name, definition_of, find_workflow
from .relative import OtherRun
from .step import checked_priority
from .waiting import limited

if TYPE_CHECKING:
    from .execution import Execution
    from .workflow import Runs, RunsSync, Workflow

R = TypeVar("R")

CANCEL, TERMINATE, ABANDON = POLICIES = ("cancel", "terminate", "abandon")
"""What becomes of a child whose parent ends before it."""


class ChildCall(DurableCall[Any]):
    """One call of a workflow inside a workflow, not yet awaited."""

    __slots__ = ("arguments", "key", "operation", "options", "workflow")

    def __init__(
        self,
        execution: Execution,
        workflow: Workflow[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        super().__init__(execution)
        self.workflow = workflow
        self.options = options
        encoded = workflow.signature.encode_args(args, kwargs)
        self.arguments = within_limit(encoded, "the arguments of workflow", workflow.name, execution.value_bytes_max)
        self.key = execution.loop.current_scope().key(workflow.name)
        self.operation: ChildOperation | None = None

    def begin(self) -> WorkflowFuture:
        identity = self.execution.known_as
        workflow_id = self.options.get("id") or f"{identity.workflow_id}/{self.key}"
        digest = digest_of(self.workflow.name, self.arguments)
        self.operation = ChildOperation(
            self.execution, self.key, digest, self.workflow, self.arguments, workflow_id, self.options
        )
        self.execution.add(self.operation)
        return self.operation.future

    def __repr__(self) -> str:
        return f"<call of workflow {self.workflow.name} as {self.key}>"


class ChildHandle(OtherRun, Generic[R]):
    """A child that has been started. Await it for its result."""

    def __init__(self, operation: ChildOperation) -> None:
        super().__init__(operation.workflow_id)
        self._operation = operation

    @property
    def run_id(self) -> str:
        """The child's run id."""
        return self._operation.run_id or ""

    @waits_if_sync
    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for its result. Raises what it ended with, and ``TimedOut`` when the wait ran out, while it goes on."""
        if timeout is None:
            return await self
        awaited = asyncio.shield(self._operation.future)
        return await limited(awaited, to_seconds(timeout), f"the result of run {self.id!r}")

    def __await__(self) -> Generator[Any, Any, R]:
        return self._operation.future.__await__()


def _definition(workflow: Any) -> Workflow[Any, Any]:
    """Raises ``InvalidInput`` for what is no workflow, and for no name of one."""
    if isinstance(workflow, str):
        from .by_name import workflow_by_name  # which stands on what stands on children

        return find_workflow(workflow) or workflow_by_name(workflow)
    definition = definition_of(workflow)
    if definition is None:
        raise InvalidInput(f"start_child needs a workflow, or the name of one, not {workflow!r}")
    check_has_name(definition)
    return definition


@overload
async def start_child(
    workflow: Workflow[Any, R] | type[Runs[Any, R]],
    *args: Any,
    id: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    fairness_key: str | None = None,
    if_parent_closes: str = "cancel",
    attributes: dict[str, Any] | None = None,
    timeout: Duration | None = None,
    **kwargs: Any,
) -> ChildHandle[R]: ...
@overload
async def start_child(workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> ChildHandle[R]: ...
@overload
async def start_child(workflow: str, *args: Any, **options: Any) -> ChildHandle[Any]: ...
@waits_if_sync
async def start_child(
    workflow: Any,
    *args: Any,
    id: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    fairness_key: str | None = None,
    if_parent_closes: str = "cancel",
    attributes: dict[str, Any] | None = None,
    timeout: Duration | None = None,
    **kwargs: Any,
) -> ChildHandle[Any]:
    """Start a workflow as a child of this run and go on; await the handle for its result.

    :param workflow: or its name, where other processes have it; then ``queue`` is theirs (``docs/by-name.md``).
    :param id: the child's workflow id; by default made from this run's id and the call's place.
    :param queue: which workers run it. :param priority: on the queue; small numbers go first, and one that names none
        has 0. :param fairness_key: whose turn it is among those of the same priority.
    :param if_parent_closes: what becomes of it should this run end, or continue as new, before it does: ``"cancel"`` it
        (as is done with workflows that are simply awaited), ``"terminate"`` it, or ``"abandon"`` it to itself.
    :param attributes: by which the child is found. :param timeout: from its start to its end, instead of its
        workflow's own.

    Raises ``WorkflowFailed`` if an open run has that id already, ``InvalidInput`` for names that cannot be. Attributes
    whose types do not fit block this run, as those of ``set_attributes`` do.
    """
    execution = required("start_child")
    definition = _definition(workflow)
    if id is not None:
        checked_name(id, "the id of a child", WORKFLOW_ID_CHARS_MAX)
    if queue is not None:
        checked_name(queue, "the queue of a child")
    if priority is not None:
        checked_priority(priority, "the priority of a child")
    if fairness_key is not None:
        checked_name(fairness_key, "the fairness_key of a child")
    if if_parent_closes not in POLICIES:
        raise InvalidInput(f"if_parent_closes is one of {', '.join(POLICIES)}, not {if_parent_closes!r:.60}")
    options = {
        "id": id,
        "queue": queue,
        "priority": priority,
        "fairness_key": fairness_key,
        "if_parent_closes": if_parent_closes,
        "attributes": plain_attributes(attributes),
        "timeout_seconds": None if timeout is None else to_seconds(timeout),
    }
    call = ChildCall(execution, definition, args, kwargs, options)
    call.begin()
    operation = call.operation
    assert operation is not None
    try:
        await operation.started
    except asyncio.CancelledError:  # nobody will hold a handle to it
        operation.future.cancel()
        raise
    return ChildHandle(operation)
