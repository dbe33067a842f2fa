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
from .interceptor import StartingChild, checked_headers, through
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
        operation = self._new_operation()
        self.execution.add(operation)
        return operation.future

    def _new_operation(self) -> ChildOperation:
        identity = self.execution.known_as
        workflow_id = self.options.get("id") or f"{identity.workflow_id}/{self.key}"
        digest = digest_of(self.workflow.name, self.arguments)
        self.operation = ChildOperation(
            self.execution, self.key, digest, self.workflow, self.arguments, workflow_id, self.options
        )
        return self.operation

    async def start(self) -> ChildHandle[Any]:
        """Its handle, when its start is recorded."""
        self.begin()
        return await self._started()

    async def _started(self) -> ChildHandle[Any]:
        operation = self.operation
        assert operation is not None
        try:
            await operation.started
        except asyncio.CancelledError:  # nobody will hold a handle to it
            operation.future.cancel()
            raise
        return ChildHandle(operation)

    def __repr__(self) -> str:
        return f"<call of workflow {self.workflow.name} as {self.key}>"


class InterceptedChild(ChildCall):
    """A call with interceptors around it, which see it when it is awaited. Its key is fixed when it is written down."""

    __slots__ = ("_args", "_kwargs")

    def __init__(
        self,
        execution: Execution,
        workflow: Workflow[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        super().__init__(execution, workflow, args, kwargs, options)
        self._args = args
        self._kwargs = kwargs

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._awaiting is not None:
            raise RuntimeError(f"{self!r} was awaited already")
        self._awaiting = awaiting = self._run().__await__()
        return awaiting

    def begin(self) -> WorkflowFuture:
        """Go through the interceptors in a task of its own, which stands for the child's future."""
        task: WorkflowFuture = self.execution.loop.create_task(self)
        return task

    async def _run(self) -> Any:
        return await (await self.start())

    async def start(self) -> ChildHandle[Any]:
        call = StartingChild(
            workflow=self.workflow,
            args=self._args,
            kwargs=self._kwargs,
            headers=dict(self.execution.headers_here()),
            key=self.key,
        )
        handle = await through(self.execution.interceptors.start_child, call, self._make)
        if not isinstance(handle, ChildHandle):
            raise InvalidInput(f"an interceptor returns the handle of the child that it lets start, not {handle!r:.60}")
        return handle

    async def _make(self, call: StartingChild) -> ChildHandle[Any]:
        """Start it, as the interceptors have left the call."""
        execution, workflow = self.execution, self.workflow
        if call.workflow is not workflow:
            raise InvalidInput(f"an interceptor may not start {call.workflow!r} in the place of {workflow!r}")
        if self.operation is not None:
            raise InvalidInput(f"an interceptor starts the child {workflow.name!r} once; start_child starts another")
        encoded = workflow.signature.encode_args(call.args, call.kwargs)
        self.arguments = within_limit(encoded, "the arguments of workflow", workflow.name, execution.value_bytes_max)
        operation = self._new_operation()
        if call.headers != operation.headers:
            operation.headers = checked_headers(call.headers)
        execution.add(operation)
        return await self._started()


def child_call(
    execution: Execution,
    workflow: Workflow[Any, Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: dict[str, Any],
) -> ChildCall:
    """A call of a workflow inside a workflow."""
    kind = InterceptedChild if execution.interceptors.start_child else ChildCall
    return kind(execution, workflow, args, kwargs, options)


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
    return await child_call(execution, definition, args, kwargs, options).start()
