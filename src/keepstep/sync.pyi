from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from keepstep import Outcome as Outcome
from keepstep import Retry as Retry
from keepstep import all_handlers_finished as all_handlers_finished
from keepstep import close_stream as close_stream
from keepstep import continue_as_new as continue_as_new
from keepstep import converter as converter
from keepstep import deprecate_patch as deprecate_patch
from keepstep import heartbeat as heartbeat
from keepstep import info as info
from keepstep import is_replaying as is_replaying
from keepstep import logger as logger
from keepstep import note as note
from keepstep import now as now
from keepstep import patched as patched
from keepstep import query as query
from keepstep import queue as queue
from keepstep import random as random
from keepstep import set_attributes as set_attributes
from keepstep import set_status as set_status
from keepstep import signal as signal
from keepstep import step_info as step_info
from keepstep import unsafe as unsafe
from keepstep import upcast as upcast
from keepstep import update as update
from keepstep import uuid4 as uuid4
from keepstep import version as version
from keepstep import write_stream as write_stream
from keepstep.runtime import callback as _callback
from keepstep.runtime import child as _child
from keepstep.runtime import relative as _relative
from keepstep.runtime import saga as _saga
from keepstep.runtime import step as _step
from keepstep.runtime import workflow as _workflow
from keepstep.runtime.branch import Handle as Handle
from keepstep.runtime.branch import gather as gather
from keepstep.runtime.branch import start as start
from keepstep.runtime.branch import timeout as timeout
from keepstep.runtime.data import Duration
from keepstep.runtime.handler import Signal

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
C = TypeVar("C", bound=type)

class Step(_step.Step[P, R]):
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...  # type: ignore[override]
    def start(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...  # type: ignore[override]
    def options(self, **options: Any) -> Step[P, R]: ...

class _StepDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Step[P, R]: ...

class _TransactionalDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Any, P], R], /) -> Step[P, R]: ...

@overload
def step(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
@overload
def step(fn: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    transaction: Literal[True],
    name: str | None = None,
    retry: Retry = ...,
    timeout: Duration | None = None,
    total_timeout: Duration | None = None,
    priority: int = 0,
) -> _TransactionalDecorator: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry = ...,
    timeout: Duration | None = None,
    total_timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    queue: str | None = None,
    priority: int = 0,
    fairness_key: str = "",
    once: bool = False,
    resolver: Callable[..., Any] | None = None,
    on_cancel: Literal["stop", "wait"] = "stop",
) -> _StepDecorator: ...
@overload
def step_by_name(name: str, *, queue: str = "default", result: type[T]) -> Step[..., T]: ...
@overload
def step_by_name(name: str, *, queue: str = "default", result: Any = ...) -> Step[..., Any]: ...

class Workflow(_workflow.Workflow[P, R]):
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...  # type: ignore[override]

class _WorkflowDecorator(Protocol):
    @overload
    def __call__(self, fn: C, /) -> C: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Workflow[P, R]: ...

@overload
def workflow(fn: C, /) -> C: ...  # type: ignore[overload-overlap]
@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(fn: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: Duration | None = None,
    version: str = "",
    pinned: bool = False,
    continues: Sequence[str] = (),
    guard: bool = True,
) -> _WorkflowDecorator: ...
@overload
def workflow_by_name(name: str, *, queue: str = "default", result: type[T]) -> Workflow[..., T]: ...
@overload
def workflow_by_name(name: str, *, queue: str = "default", result: Any = ...) -> Workflow[..., Any]: ...

class Saga(_saga.Saga):
    def __enter__(self) -> Saga: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    @overload  # type: ignore[override]
    def run(self, do: Callable[..., Coroutine[Any, Any, R]], *args: Any, undo: Any) -> R: ...
    @overload
    def run(self, do: Callable[..., R], *args: Any, undo: Any) -> R: ...

def saga() -> Saga: ...

class Callback(_callback.Callback):
    @overload  # type: ignore[override]
    def result(self, type: type[T], timeout: Duration | None = None) -> T: ...
    @overload
    def result(self, type: Any = None, timeout: Duration | None = None) -> Any: ...

def callback() -> Callback: ...

class OtherRun(_relative.OtherRun):
    def signal(self, name: str | Signal[Any, Any], value: Any = None) -> None: ...  # type: ignore[override]
    def cancel(self, reason: str = "") -> None: ...  # type: ignore[override]

def get_run(id: str) -> OtherRun: ...

class ChildHandle(_child.ChildHandle[R]):
    def result(self, timeout: Duration | None = None) -> R: ...  # type: ignore[override]
    def signal(self, name: str | Signal[Any, Any], value: Any = None) -> None: ...  # type: ignore[override]
    def cancel(self, reason: str = "") -> None: ...  # type: ignore[override]

@overload
def start_child(
    workflow: _workflow.Workflow[Any, R] | type[_workflow.Runs[Any, R]],
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
def start_child(workflow: type[_workflow.RunsSync[Any, R]], *args: Any, **options: Any) -> ChildHandle[R]: ...
@overload
def start_child(workflow: str, *args: Any, **options: Any) -> ChildHandle[Any]: ...
def sleep(duration: Duration) -> None: ...
@overload
def receive(name: str, type: type[T], timeout: Duration | None = None) -> T: ...
@overload
def receive(name: str, type: Any = None, timeout: Duration | None = None) -> Any: ...
def wait_for(predicate: Callable[[], bool], timeout: Duration | None = None) -> None: ...
@overload
def human_task(title: str, form: type[T], assignee: str | None = None, due: Duration | datetime | None = None) -> T: ...
@overload
def human_task(
    title: str, form: Any = None, assignee: str | None = None, due: Duration | datetime | None = None
) -> Any: ...
