"""Workflow: a function, or a class with a ``run`` method, that Keepstep runs to its end, whatever crashes.

What ``@workflow`` makes of a function is its definition, which stands for it. A class stays the class that it is, so
that it can be instantiated and tested; its definition is found by ``registry.definition_of``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from keepstep.journal import InvalidInput

from .call import current, made
from .child import child_call
from .code_version import VERSION_CHARS_MAX, pinned_queue
from .crossing import check_can_cross
from .data import Duration, Signature, checked_name, to_seconds
from .guard import scan
from .handler import Handlers
from .registry import (
    ANY,
    DEFINITION,
    check_has_name,
    check_no_method,
    check_takes_name,
    names_around,
    register,
)

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Runs(Protocol[P, R_co]):
    """An instance of a workflow class."""

    def run(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...


class RunsSync(Protocol[P, R_co]):
    """An instance of a workflow class whose ``run`` is sync."""

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class Workflow(Generic[P, R]):
    """A workflow definition. Awaited in another workflow it runs as a child; elsewhere it is the plain function."""

    __keepstep__ = "workflow"

    def __init__(
        self,
        decorated: Callable[P, Any],
        name: str,
        queue: str,
        timeout_seconds: float | None,
        guard: bool,
        version: str = "",
        versions_pinned: tuple[str, ...] = (),
    ) -> None:
        cls = decorated if isinstance(decorated, type) else None
        names = names_around(decorated)
        self.cls: type | None = cls
        self.fn: Callable[..., Any] = decorated if cls is None else _run_of(cls)
        self.is_sync = not inspect.iscoroutinefunction(self.fn)
        """Its durable calls return values; others return awaitables."""
        self.name = name
        self.queue = queue
        self.timeout_seconds = timeout_seconds
        self.version = version
        self.versions_pinned = versions_pinned
        """The versions whose runs stay with this code; empty where runs have whatever is the newest."""
        self.is_guarded = guard
        self.is_of_any_name = name == ANY
        """Its function gets the run's type before the arguments."""
        if self.is_of_any_name:
            _check_of_any_name(self)
        self.signature = Signature.of(self.fn, skip_first=(cls is not None) + self.is_of_any_name, names=names)
        self.handlers = Handlers(cls, names)
        self._takes_arguments = cls is not None and _takes_arguments(cls, self.signature)
        self.__name__ = name
        self.__qualname__ = getattr(decorated, "__qualname__", name)
        self.__module__ = decorated.__module__
        self.__doc__ = decorated.__doc__
        self.__wrapped__ = decorated

    @property
    def is_pinned(self) -> bool:
        """Whether new runs stay with this version."""
        return bool(self.versions_pinned)

    def runs_version(self, version: str | None) -> bool:
        """Whether runs that stay with that version, or that stay with none, go on with this code."""
        return version is None or version in self.versions_pinned

    def offered_on(self, queue: str) -> str:
        """Where a run that is started on that queue is offered to workers."""
        return pinned_queue(queue, self.name, self.version) if self.is_pinned else queue

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        execution = current()
        if execution is None:
            return self.fn(*args, **kwargs)  # type: ignore[no-any-return]
        check_has_name(self)
        return made(child_call(execution, self, args, kwargs, {}))  # type: ignore[no-any-return]

    def named(self, name: str) -> Workflow[P, R]:
        """Of a workflow of any name: the workflow of that one."""
        copy: Workflow[P, R] = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.name = copy.__name__ = name
        return copy

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
    if not inspect.isfunction(run):
        raise InvalidInput(
            f"workflow class {cls.__qualname__} needs a method: async def run(self, ...), or def run(self, ...)"
        )
    return run


def _check_of_any_name(workflow: Workflow[Any, Any]) -> None:
    check_takes_name(workflow, workflow.fn, skip_first=workflow.cls is not None)
    if workflow.version:
        raise InvalidInput(f"workflow {workflow.fn.__qualname__} serves every name, and can have no version of its own")


def _check_colour(fn: Callable[..., Any]) -> None:
    """Raises ``InvalidInput`` for a function that is neither async nor sync, or sync where that cannot be run."""
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidInput(f"workflow {fn.__qualname__} yields; a workflow is a function that returns its result once")
    if not inspect.iscoroutinefunction(fn):
        check_can_cross(f"workflow {fn.__qualname__}")


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
) -> _Decorator: ...
def workflow(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: Duration | None = None,
    version: str = "",
    pinned: bool = False,
    continues: Sequence[str] = (),
    guard: bool = True,
) -> Any:
    """Make a function a workflow, or a class with a method ``run``, async or sync (see ``docs/sync.md``).

    A class may have methods that are called from outside: see ``keepstep.signal``, ``query`` and ``update``.

    :param name: defaults to the function's name; unique among the workflows of a process. ``"*"`` is for runs of all
        types on its queues that this process has no other code for; it gets the type first (``docs/by-name.md``).
    :param queue: which workers run it, unless the start says otherwise.
    :param timeout: from start to end; a run that reaches it is cancelled, compensates, and ends as ``timed_out``.
    :param version: of its code, such as ``"2"`` or ``"2026-03-01"``. A process may have several versions of a workflow,
        of which new runs get the newest; numbers in them count as numbers.
    :param pinned: runs stay with the version that they began with, and wait while no worker has it. Otherwise they go
        on with the newest that a worker has. See ``docs/changing-code.md``.
    :param continues: older versions whose pinned runs this code goes on with as well.
    :param guard: False switches off the search for nondeterministic calls in its code.

    Raises ``InvalidInput`` for a second workflow of that name, ``Nondeterminism`` for code that cannot be replayed.
    """

    def decorate(decorated: Callable[..., Any]) -> Any:
        is_class = isinstance(decorated, type)
        if not is_class and not inspect.isfunction(decorated):
            raise InvalidInput(f"@workflow goes on a function or a class with a method run, not on {decorated!r}")
        if not is_class:
            check_no_method(decorated, "workflow", "decorate its class, and name the method run")
        _check_colour(_run_of(decorated) if isinstance(decorated, type) else decorated)
        if guard:
            scan(decorated)
        seconds = None if timeout is None else to_seconds(timeout)
        called = name or decorated.__name__
        versions = _versions_pinned(called, version, pinned, continues)
        made: Workflow[Any, Any] = Workflow(decorated, called, queue, seconds, guard, version, versions)
        register(made)
        if is_class:
            setattr(decorated, DEFINITION, made)
            return decorated
        return made

    return decorate if fn is None else decorate(fn)


def _versions_pinned(name: str, version: str, pinned: bool, continues: Sequence[str]) -> tuple[str, ...]:
    """The versions whose runs stay with this code. Raises ``InvalidInput`` for what does not go together."""
    if version:
        checked_name(version, f"the version of workflow {name!r}", VERSION_CHARS_MAX)
    if isinstance(continues, str) or not all(isinstance(each, str) and each for each in continues):
        raise InvalidInput(f'workflow {name!r}: continues is a list of versions, such as ["1"], not {continues!r}')
    if (pinned or continues) and not version:
        raise InvalidInput(f'workflow {name!r}: pinned= and continues= need a version, such as version="2"')
    if continues and not pinned:
        raise InvalidInput(f"workflow {name!r}: continues= is about runs that stay with a version; say pinned=True too")
    return (version, *dict.fromkeys(continues)) if pinned else ()
