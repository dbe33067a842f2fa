"""By name: steps and workflows whose code this process does not have.

    charge = keepstep.step_by_name("charge", queue="payments", result=Payment)

What is made is called as the decorated function would be, in workflow code, and executed by whoever serves the queue
and has a step, or a workflow, of that name. Arguments are written as they are and read by the types of the code that
gets them; what comes back is read as ``result``. Nothing of it is registered: this process does not serve it.
"""

from __future__ import annotations

import inspect
from typing import Any, NoReturn, TypeVar, overload

from keepstep.journal import InvalidInput

from .data import Signature, checked_name
from .registry import ANY
from .step import Step, StepOptions, merged_options
from .workflow import Workflow

T = TypeVar("T")

DEFAULT_QUEUE = "default"


class StepByName(Step[..., T]):
    """A step that is executed where its code is."""

    def __init__(self, name: str, options: StepOptions, result: Any) -> None:
        super().__init__(_stands_for("step", name), name, options)
        self.signature = _signature(name, result)
        self.is_by_name = True

    def options(self, **options: Any) -> Step[..., T]:
        """A copy with other options. Limits of time and the retry policy count where the step is executed, in the place
        of those that are said there.
        """
        if options.get("queue", "") is None:
            raise InvalidInput(f"step {self.name!r} is known here by its name alone, so it is executed from a queue")
        return super().options(**options)


@overload
def step_by_name(name: str, *, queue: str = DEFAULT_QUEUE, result: type[T]) -> Step[..., T]: ...
@overload
def step_by_name(name: str, *, queue: str = DEFAULT_QUEUE, result: Any = Any) -> Step[..., Any]: ...
def step_by_name(name: str, *, queue: str = DEFAULT_QUEUE, result: Any = Any) -> Step[..., Any]:
    """A step that other processes have: ``payment = await keepstep.step_by_name("charge", queue="payments")(order)``.

    :param queue: who serves it executes the step, with the options that it has there; ``options(...)`` says others.
    :param result: the type of what it returns; plain JSON data without it.

    It waits for as long as nobody has a step of that name. Raises ``InvalidInput`` for what can be no name.
    """
    _check_one_name("step", name)
    return StepByName(name, merged_options(StepOptions(), name, {"queue": queue}), result)


@overload
def workflow_by_name(name: str, *, queue: str = DEFAULT_QUEUE, result: type[T]) -> Workflow[..., T]: ...
@overload
def workflow_by_name(name: str, *, queue: str = DEFAULT_QUEUE, result: Any = Any) -> Workflow[..., Any]: ...
def workflow_by_name(name: str, *, queue: str = DEFAULT_QUEUE, result: Any = Any) -> Workflow[..., Any]:
    """A workflow that other processes have, to be run as a child: by awaiting its call, or by ``start_child``.

    :param queue: who serves it runs the child, with the newest of its code. :param result: the type of what it returns;
        plain JSON data without it.

    Raises ``InvalidInput`` for what can be no name.
    """
    _check_one_name("workflow", name)
    made: Workflow[..., Any] = Workflow(
        _stands_for("workflow", name), name, checked_name(queue, f"the queue of workflow {name!r}"), None, guard=False
    )
    made.is_sync = False
    made.signature = _signature(name, result)
    return made


def _check_one_name(kind: str, name: str) -> None:
    checked_name(name, f"the name of a {kind}")
    if name == ANY:
        raise InvalidInput(f"{ANY!r} is what code is named that serves every {kind} no other code serves; say which")


def _stands_for(kind: str, name: str) -> Any:
    def by_name(*args: Any, **kwargs: Any) -> NoReturn:
        raise InvalidInput(f"{kind} {name!r} is known here by its name alone; call it in a workflow")

    return by_name


def _signature(name: str, result: Any) -> Signature:
    return Signature(name, inspect.signature(_stands_for("", name)), {"args": Any, "kwargs": Any, "return": result})
