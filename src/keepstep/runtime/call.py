"""Durable call: what calling a step or a child workflow inside a workflow returns.

It behaves like the coroutine that calling an async function returns (await it, hand it to ``gather``, ``create_task``,
``wait_for``), with two differences that determinism wants: its key and arguments are fixed when the call is written
down, not when it is first awaited, and it needs no task scope of its own.
"""

from __future__ import annotations

from asyncio.events import _get_running_loop
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .loop import WorkflowFuture, WorkflowLoop

if TYPE_CHECKING:
    from .execution import Execution

R = TypeVar("R")


def current() -> Execution | None:
    """The execution whose workflow code is running on this thread, if any."""
    loop = _get_running_loop()
    return loop.execution if type(loop) is WorkflowLoop else None


def required(what: str, *, only_looks: bool = False) -> Execution:
    """The current execution, or an error that says that ``what`` belongs into workflow code.

    ``only_looks``: it is allowed in queries too. Raises ``InvalidInput`` in a query for what is not.
    """
    execution = current()
    if execution is None:
        raise RuntimeError(f"{what} can only be used inside a workflow")
    if not only_looks:
        execution.refuse_while_answering(what)
    return execution


def made(call: DurableCall[R]) -> Any:
    """A call that workflow code has written down: async code gets it to await, sync code waits for its value."""
    crossing = call.execution.loop.crossing
    return call if crossing is None else crossing.wait(call)


class DurableCall(Generic[R]):
    """Base of step and child calls. Subclasses say how to ``begin``."""

    __slots__ = ("_awaiting", "execution", "number")

    is_durable_call = True

    def __init__(self, execution: Execution) -> None:
        if execution._detached:
            execution.tell_evicted()
        execution.refuse_while_answering("a step or a child workflow")
        self.execution = execution
        self.number = execution.loop.next_number()
        self._awaiting: Any = None

    def __hash__(self) -> int:
        return self.number

    def begin(self) -> WorkflowFuture:
        """Register the operation; its future."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, R]:
        if self._awaiting is not None:
            raise RuntimeError(f"{self!r} was awaited already")
        self._awaiting = awaiting = self.begin().__await__()
        return awaiting

    def send(self, value: Any) -> Any:
        if self._awaiting is None:
            self.__await__()
        return self._awaiting.send(value)

    def throw(self, *error: Any) -> Any:
        if self._awaiting is None:
            self._awaiting = iter(())
            raise error[0]
        return self._awaiting.throw(*error)

    def close(self) -> None:
        if self._awaiting is None:
            self._awaiting = iter(())
        elif hasattr(self._awaiting, "close"):
            self._awaiting.close()


Coroutine.register(DurableCall)
