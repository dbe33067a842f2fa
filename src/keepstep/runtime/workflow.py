"""Workflow: a function, or a class with a ``run`` method, that Keepstep runs to its end, whatever crashes.

What ``@workflow`` makes of a function is its definition, which stands for it. A class stays the class that it is, so
that it can be instantiated and tested; its definition is found by ``registry.definition_of``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from keepstep.journal import InvalidInput

from .call import current
from .child import ChildCall
from .data import Duration, Signature, to_seconds
from .guard import scan
from .handler import Handlers
from .registry import DEFINITION, names_around, register

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Runs(Protocol[P, R_co]):
    """An instance of a workflow class."""

    def run(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...


class Workflow(Generic[P, R]):
    """A workflow definition. Awaited in another workflow it runs as a child; elsewhere it is the plain function."""

    __keepstep__ = "workflow"

    def __init__(
        self,
        decorated: Callable[P, Any],
        name: str,
        queue: str,
        timeout_seconds: float | None,
        version: str,
        guard: bool,
    ) -> None:
        cls = decorated if isinstance(decorated, type) else None
        names = names_around(decorated)
        self.cls: type | None = cls
        self.fn: Callable[..., Any] = decorated if cls is None else _run_of(cls)
        self.name = name
        self.queue = queue
        self.timeout_seconds = timeout_seconds
        self.version = version
        self.is_guarded = guard
        self.signature = Signature.of(self.fn, skip_first=cls is not None, names=names)
        self.handlers = Handlers(cls, names)
        self._takes_arguments = cls is not None and _takes_arguments(cls, self.signature)
        self.__name__ = name
        self.__qualname__ = getattr(decorated, "__qualname__", name)
        self.__module__ = decorated.__module__
        self.__doc__ = decorated.__doc__
        self.__wrapped__ = decorated

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        execution = current()
        if execution is None:
            return self.fn(*args, **kwargs)  # type: ignore[no-any-return]
        return ChildCall(execution, self, args, kwargs, {})

    def new_instance(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> object | None:
        """What one run's handlers are called on; None for a function. Raises what the class's own code raises."""
        if self.cls is None:
            return None
        instance: object = self.cls(*args, **kwargs) if self._takes_arguments else self.cls()
        return instance

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


def _run_of(cls: type) -> Callable[..., Any]:
    run: Callable[..., Any] | None = inspect.getattr_static(cls, "run", None)
    if run is None or not inspect.iscoroutinefunction(run):
        raise InvalidInput(f"workflow class {cls.__qualname__} needs a method: async def run(self, ...)")
    return run


def _takes_arguments(cls: type, signature: Signature) -> bool:
    """Whether instances are made with the arguments of ``run``, or with none."""
    init = inspect.getattr_static(cls, "__init__", object.__init__)
    if not inspect.isfunction(init):
        return False
    parameters = list(inspect.signature(init).parameters.values())[1:]
    if not any(each.default is each.empty for each in parameters):
        return False
    if [each.name for each in parameters] != list(signature.signature.parameters):
        raise InvalidInput(
            f"{cls.__qualname__}.__init__ must take what run takes, which is {signature}, or nothing; "
            "it is called when the run begins"
        )
    return True


C = TypeVar("C", bound=type)


class _Decorator(Protocol):
    """What ``@workflow(...)`` with options returns."""

    @overload
    def __call__(self, fn: C, /) -> C: ...
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


@overload
def workflow(fn: C, /) -> C: ...
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
) -> _Decorator: ...
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
    """Make an async function a workflow, or a class with ``async def run(self, ...)``.

    A class may have methods that are called from outside: see ``keepstep.signal``, ``query`` and ``update``.

    :param name: defaults to the function's name; unique among the workflows of a process.
    :param queue: which workers run it, unless the start says otherwise.
    :param timeout: from start to end; a run that reaches it is cancelled, compensates, and ends as ``timed_out``.
    :param version: free text, kept with published definitions.
    :param guard: False switches off the search for nondeterministic calls in its code.

    Raises ``InvalidInput`` for a second workflow of that name, ``Nondeterminism`` for code that cannot be replayed.
    """

    def decorate(decorated: Callable[..., Any]) -> Any:
        is_class = isinstance(decorated, type)
        if not is_class and not inspect.iscoroutinefunction(decorated):
            raise InvalidInput(
                f"@workflow goes on an async function or a class with an async run, not on {decorated!r}"
            )
        if guard:
            scan(decorated)
        seconds = None if timeout is None else to_seconds(timeout)
        made: Workflow[Any, Any] = Workflow(decorated, name or decorated.__name__, queue, seconds, version, guard)
        register(made)
        if is_class:
            setattr(decorated, DEFINITION, made)
            return decorated
        return made

    return decorate if fn is None else decorate(fn)
