"""Workflow: a function that Keepstep runs to its end, whatever crashes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

from keepstep.journal import InvalidInput

from .call import current
from .child import ChildCall
from .data import Duration, Signature, to_seconds
from .guard import scan
from .registry import names_around, register

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Generic[P, R]):
    """A workflow definition. Awaited in another workflow it runs as a child; elsewhere it is the plain function."""

    __keepstep__ = "workflow"

    def __init__(
        self, fn: Callable[P, Any], name: str, queue: str, timeout_seconds: float | None, version: str, guard: bool
    ) -> None:
        self.fn = fn
        self.name = name
        self.queue = queue
        self.timeout_seconds = timeout_seconds
        self.version = version
        self.is_guarded = guard
        self.signature = Signature.of(fn, names=names_around(fn))
        self.__name__ = name
        self.__qualname__ = getattr(fn, "__qualname__", name)
        self.__module__ = fn.__module__
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        execution = current()
        if execution is None:
            return self.fn(*args, **kwargs)  # type: ignore[no-any-return]
        return ChildCall(execution, self, args, kwargs, {})

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: Duration | None = None,
    version: str = "",
    guard: bool = True,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Workflow[P, R]]: ...
def workflow(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: Duration | None = None,
    version: str = "",
    guard: bool = True,
) -> Any:
    """Make an async function a workflow.

    :param name: defaults to the function's name; unique among the workflows of a process.
    :param queue: which workers run it, unless the start says otherwise.
    :param timeout: from start to end; a run that reaches it is cancelled, compensates, and ends as ``timed_out``.
    :param version: free text, kept with published definitions.
    :param guard: False switches off the search for nondeterministic calls in its code.

    Raises ``InvalidInput`` for a second workflow of that name, ``Nondeterminism`` for code that cannot be replayed.
    """

    def decorate(function: Callable[..., Any]) -> Workflow[Any, Any]:
        if not inspect.iscoroutinefunction(function):
            raise InvalidInput(f"@workflow goes on an async function; {function!r} is none")
        if guard:
            scan(function)
        seconds = None if timeout is None else to_seconds(timeout)
        made: Workflow[Any, Any] = Workflow(function, name or function.__name__, queue, seconds, version, guard)
        register(made)
        return made

    return decorate if fn is None else decorate(fn)
