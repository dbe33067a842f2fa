"""Interceptor: what stands around calls, written once for all workflows and steps of an engine.

    class Tenants(keepstep.Interceptor):
        async def send(self, call, call_next):
            call.headers["tenant"] = TENANT.get()
            return await call_next(call)

Five moments have a method each: something is *sent* by a client, a workflow's code *runs*, it *calls* a step or *starts
a child*, a step is *executed*. Each gets the call, which it may change, and who comes next. The first interceptor of an
engine is the outermost.

What stands around a run's code is part of it: ``run``, ``call`` and ``start_child`` happen again at every replay, obey
the rules of workflow code, and what they change is what is recorded. An interceptor costs nothing at moments whose
method it leaves as it is.

*Headers* are text that a start, a signal, a query or an update carries. Those of a start are its run's: they go with
it, to its steps wherever those are executed, to its children and to the runs as which it continues; they are no part of
what decides whether a start is the same as another one. Those of a message go to its handler, and with what that calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from keepstep.journal import InvalidInput, TooLarge

from .data import checked_name, plain_text

if TYPE_CHECKING:
    from .step import Step
    from .workflow import Workflow

HEADERS_BYTES_MAX = 16_384
"""Names and values of one call's headers together: they are stored with every run and every step on a queue."""

C = TypeVar("C")
CallNext = Callable[[C], Awaitable[Any]]
Around = Callable[[Any, CallNext[Any]], Coroutine[Any, Any, Any]]


class Sending(msgspec.Struct, kw_only=True):
    """What a client says: to start a run, now or by a schedule, or to one that is there."""

    kind: Literal["start", "schedule", "signal", "query", "update"]
    name: str
    """Of the workflow, or of the handler."""
    workflow_id: str | None
    """None for a start that named none. Of a schedule, its own id."""
    args: Sequence[Any]
    kwargs: dict[str, Any]
    headers: dict[str, str]
    """Of a start: what the run carries from then on. Of what is said to a run: what its handler is called with, beside
    those of the run."""


class Running(msgspec.Struct, kw_only=True):
    """A workflow's own function, or one of its handlers, about to run. ``info()`` says in which run."""

    kind: Literal["workflow", "signal", "query", "update", "validator"]
    name: str
    args: Sequence[Any]
    kwargs: dict[str, Any]
    headers: dict[str, str]
    """Of the run; of a handler, also those that it was called with, which count more. To change them here changes
    nothing."""


class Calling(msgspec.Struct, kw_only=True):
    """A step that workflow code calls."""

    step: Step[Any, Any]
    """May be replaced by a copy with other options: ``call.step = call.step.options(timeout="5s")``."""
    args: Sequence[Any]
    kwargs: dict[str, Any]
    headers: dict[str, str]
    """Those of the run; what is changed goes with this step alone."""
    key: str
    """Its place in the run's history."""


class StartingChild(msgspec.Struct, kw_only=True):
    """A child that workflow code starts, by itself or by awaiting a workflow."""

    workflow: Workflow[Any, Any]
    """Another one cannot be put in its place."""
    args: Sequence[Any]
    kwargs: dict[str, Any]
    headers: dict[str, str]
    """Those of the run; what is changed is what the child carries."""
    key: str
    """Its place in the run's history."""


class Executing(msgspec.Struct, kw_only=True):
    """One attempt of a step. ``step_info()`` says which."""

    step: Step[Any, Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]
    headers: dict[str, str]
    """Of the step. To change them here changes nothing."""


class Interceptor:
    """``Engine(url, interceptors=[Tenants()])``. Each method may be left as it is; see the module's docstring."""

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        """Around a start, schedule, signal, query or update, in the process and context of who says it.

        ``call_next`` gives what the method of ``Engine`` or ``RunHandle`` returns, and raises what it raises.
        """
        return await call_next(call)

    async def run(self, call: Running, call_next: CallNext[Running]) -> Any:
        """Around a workflow's function and its handlers. Durable calls may be made, except around queries and
        validators, which answer at once; what it does must be the same at every replay.
        """
        return await call_next(call)

    async def call(self, call: Calling, call_next: CallNext[Calling]) -> Any:
        """Around each call of a step in workflow code, under the same rules. What is recorded is what goes on.

        ``call_next`` gives the step's result when that is durable, and raises ``StepFailed`` after its last attempt.
        """
        return await call_next(call)

    async def start_child(self, call: StartingChild, call_next: CallNext[StartingChild]) -> Any:
        """Around each start of a child in workflow code, under the same rules. What is recorded is what goes on.

        ``call_next`` gives the child's handle when its start is durable; await that for its result.
        """
        return await call_next(call)

    async def execute(self, call: Executing, call_next: CallNext[Executing]) -> Any:
        """Around each attempt of a step, on the worker's event loop, within the attempt's limits of time.

        ``call_next`` calls the step's function, a sync one on a thread, in the context that it is called in.
        """
        return await call_next(call)


class Interceptors:
    """Those of one engine, by moment: only such as have something to do there."""

    def __init__(self, interceptors: Sequence[Interceptor] = ()) -> None:
        """Raises ``InvalidInput`` for what is no interceptor."""
        for each in interceptors:
            if not isinstance(each, Interceptor):
                raise InvalidInput(
                    f"interceptors= takes instances of subclasses of keepstep.Interceptor, not {each!r:.100}"
                )
        self.send = _with_own(interceptors, "send")
        self.run = _with_own(interceptors, "run")
        self.call = _with_own(interceptors, "call")
        self.start_child = _with_own(interceptors, "start_child")
        self.execute = _with_own(interceptors, "execute")


def _with_own(interceptors: Sequence[Interceptor], method: str) -> tuple[Around, ...]:
    plain = getattr(Interceptor, method)
    return tuple(getattr(each, method) for each in interceptors if getattr(type(each), method) is not plain)


NO_INTERCEPTORS = Interceptors()


def through(around: Sequence[Around], call: C, innermost: CallNext[C]) -> Coroutine[Any, Any, Any]:
    """A call on its way through everything that stands around it. ``around`` is not empty."""
    call_next: CallNext[Any] = innermost
    for each in reversed(around[1:]):
        call_next = _bound(each, call_next)
    return around[0](call, call_next)


def _bound(around: Around, call_next: CallNext[Any]) -> CallNext[Any]:
    return lambda call: around(call, call_next)


def at_once(coroutine: Coroutine[Any, Any, Any], what: str) -> Any:
    """The result of a coroutine that must not wait. Raises ``InvalidInput`` where it does."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    coroutine.close()
    raise InvalidInput(f"an interceptor waits around {what}, which is answered at once")


def checked_headers(headers: Any) -> dict[str, str]:
    """A copy of headers that may travel. Raises ``InvalidInput`` for what is no text, ``TooLarge``."""
    if not isinstance(headers, Mapping):
        raise InvalidInput(f"headers are a mapping of text to text, not {headers!r:.100}")
    size = 0
    for name, value in headers.items():
        size += len(checked_name(name, "the name of a header").encode())
        size += len(plain_text(value, f"header {name!r:.60}").encode())
    if size > HEADERS_BYTES_MAX:
        raise TooLarge(f"the headers have {size:,} bytes, more than the {HEADERS_BYTES_MAX:,} that a call may carry")
    return dict(headers)
