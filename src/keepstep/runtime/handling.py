"""Handling: the handlers of one run: which of them are at work, and what became of its updates.

Each call of a handler is a task of its own with a place of its own in keys (``signal approve()/charge``), counted apart
from the run's own function: what is called from outside shifts nothing there. Handlers begin in the order in which
what calls them stands in the history.

Invariants

* An update that history says was accepted has its handler called, and its outcome is recorded once: by its own event,
  or together with the end of the run. One that was accepted at the moment when the run continued as new goes over to
  the run that goes on.
* A run does not complete, and is not continued, while a handler is at work. A run that fails, is cancelled or times out
  cancels its handlers, and waits until they have cleaned up.
* While a query or a validator answers (``is_answering``), nothing durable can be asked for.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import Event, InvalidInput
from keepstep.journal.payload import headers_of

from . import history
from .blocked import Contradiction, Diff
from .crossing import cross
from .data import describe, encode_failure, within_limit
from .errors import Disturbed, QueryFailed, UpdateRejected
from .guard import Nondeterminism, take_violation, turn_begins, turn_ends
from .handler import Handler, Signal, Update
from .interceptor import Running, at_once, through
from .scope import Scope

if TYPE_CHECKING:
    from .execution import Execution

logger = logging.getLogger("keepstep.workflow")


HEADERS: ContextVar[Mapping[str, str] | None] = ContextVar("keepstep_headers", default=None)
"""In a handler: those of its run and of what it was called by; None where the run's alone count."""

UPDATE_ID: ContextVar[str | None] = ContextVar("keepstep_update_id", default=None)
"""In the handler of an update, and in what it sets going: the id by which that is known."""


class UpdateOutcome(msgspec.Struct, frozen=True):
    """What became of an update: its sealed result or failure."""

    ok: bool
    payload: bytes
    is_cut_off: bool = False
    """The run ended before the handler had."""


class AtWork(msgspec.Struct, frozen=True):
    """A handler that has begun and not ended."""

    kind: str
    name: str
    since: int
    """Engine time."""
    update_id: str = ""


class Handling:
    """See the module's docstring."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.handlers = execution.workflow.handlers
        self.instance: object | None = None
        self.is_answering = False
        self.at_work: dict[asyncio.Task[Any], AtWork] = {}
        self._told_to_end: set[asyncio.Task[Any]] = set()
        self.updates: dict[str, UpdateOutcome | None] = {}
        """Every update that was accepted, by id, with its outcome if that is in the history."""
        self.unrecorded: dict[str, UpdateOutcome] = {}
        """Outcomes that the history does not have yet, in the order in which they came."""
        self.going_over: list[history.UpdateAccepted] = []
        """Updates that were accepted when the run was continuing as new; they are for the run that goes on."""
        self._taken: set[str] = set()
        """Those of them that are on their way into the history."""
        self._cut_off: set[str] = set()
        """Updates whose caller was told that the run has ended, before it was reopened."""
        self._scope = Scope("")
        self.on_outcome: Callable[[str, UpdateOutcome], None] | None = None
        """Called with each outcome when the history has it."""

    # from history

    def takes_signal(self, name: str) -> bool:
        """True if signals of that name are handled, and so never received."""
        return self.handlers.find("signal", name) is not None

    def handle_signal(self, data: history.SignalReceived) -> None:
        """Call the handler of a signal. A value that does not fit is told in the log, and stays in the history."""
        signal = self.handlers.find("signal", data.name)
        assert isinstance(signal, Signal)
        try:
            arguments = signal.arguments_of(data.payload)
        except InvalidInput as error:
            run = self.execution.identity
            logger.warning("workflow %s, run %s: nobody handles what does not fit: %s", run.type, run.run_id, error)
            return
        self._begin(signal, data.name, arguments, {}, data.payload, self._signal_ended)

    def accept(self, event: Event, data: history.UpdateAccepted) -> None:
        """Call the handler of an update."""
        update = self.handlers.find("update", data.name)
        self.updates[data.id] = None
        if update is None:
            summary = f"history has an update {data.name!r}, and the code has no such update any more"
            raise Contradiction(Diff(summary, event.seq, f"{event.type} {event.key}"))
        if self.execution.is_failing:  # it was accepted at the same moment
            self._cut(data.id, data.name)
            return
        if self.execution.is_continuing:
            self.going_over.append(data)
            return
        args, kwargs = update.signature.decode_args(data.payload)
        self._begin(update, data.name, args, kwargs, data.payload, self._update_ended, data.id)

    def record_outcome(self, event: Event, id: str, outcome: UpdateOutcome) -> None:
        """History has an update's outcome. Raises ``Contradiction`` where the code has not come to it."""
        self.updates[id] = outcome
        self._taken.discard(id)
        if self.on_outcome is not None:
            self.on_outcome(id, outcome)
        if self.unrecorded.pop(id, None) is not None:
            return
        if not outcome.is_cut_off:
            summary = "history has the outcome of an update at this point, and the code's handler has not ended"
            raise Contradiction(Diff(summary, event.seq, f"{event.type} {event.key}"))
        self._cut_off.add(id)

    def _begin(
        self,
        handler: Handler[Any, Any],
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        payload: bytes,
        ended: Callable[[asyncio.Task[Any]], None],
        update_id: str = "",
    ) -> None:
        execution = self.execution
        called = f"{handler.kind} {name}"
        context = Context()
        headers = self._headers_with(payload)
        if headers is not None:
            execution.is_addressed = True
            context.run(HEADERS.set, headers)
        if update_id:
            context.run(UPDATE_ID.set, update_id)
        scope = self._scope.child(called)
        with execution.loop._entered():
            call = cross if execution.workflow.is_sync and not inspect.iscoroutinefunction(handler.fn) else _call
            coroutine = self._begun(call, handler, name, args, kwargs, headers)
            task = execution.loop.task(coroutine, scope, called, context)
        self.at_work[task] = AtWork(handler.kind, name, execution.now, update_id)
        task.add_done_callback(ended)

    def _begun(
        self,
        call: Callable[..., Begun],
        handler: Handler[Any, Any],
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        headers: Mapping[str, str] | None,
    ) -> Begun:
        around = self.execution.interceptors.run
        if not around:
            return call(handler.fn, self.instance, *handler.called_as(name, args), **kwargs)
        running = self._running(handler.kind, name, args, kwargs, headers)
        return through(
            around, running, lambda it: call(handler.fn, self.instance, *handler.called_as(name, it.args), **it.kwargs)
        )

    def _running(
        self, kind: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any], headers: Mapping[str, str] | None
    ) -> Running:
        own = self.execution.headers if headers is None else headers
        return Running(kind=kind, name=name, args=args, kwargs=kwargs, headers=dict(own))

    def _headers_with(self, payload: bytes) -> Mapping[str, str] | None:
        """The run's headers and those that a message carries; None where it carries none."""
        said = headers_of(payload)
        return {**self.execution.headers, **said} if said else None

    def _signal_ended(self, task: asyncio.Task[Any]) -> None:
        del self.at_work[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.execution.fail(error)

    def _update_ended(self, task: asyncio.Task[Any]) -> None:
        work = self.at_work.pop(task)
        if work.update_id in self._cut_off:
            return
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Contradiction | Nondeterminism):
            self.execution.fail(error)
            return
        if task.cancelled():
            self._cut(work.update_id, work.name)
        elif error is not None:
            self.unrecorded[work.update_id] = UpdateOutcome(False, encode_failure(describe(error)))
        else:
            self.unrecorded[work.update_id] = self._outcome_of(work.name, task.result())

    def _outcome_of(self, name: str, value: Any) -> UpdateOutcome:
        update = self.handlers.find("update", name)
        assert update is not None
        try:
            payload = update.signature.encode_result(value)
            within_limit(payload, "the result of update", name, self.execution.value_bytes_max)
            return UpdateOutcome(True, payload)
        except InvalidInput as error:
            return UpdateOutcome(False, encode_failure(describe(error)))

    def _cut(self, id: str, name: str) -> None:
        failure = encode_failure(describe(RuntimeError(f"the run ended before update {name!r} was through")))
        self.unrecorded[id] = UpdateOutcome(False, failure, is_cut_off=True)

    @property
    def has_unrecorded(self) -> bool:
        """There are outcomes that nobody has taken to be recorded."""
        return len(self.unrecorded) > len(self._taken)

    def take_unrecorded(self) -> dict[str, UpdateOutcome]:
        """Outcomes that are to be recorded now."""
        fresh = {id: outcome for id, outcome in self.unrecorded.items() if id not in self._taken}
        self._taken.update(fresh)
        return fresh

    def give_back(self, ids: Iterable[str]) -> None:
        """They were taken, and could not be recorded."""
        self._taken.difference_update(ids)

    # ending

    def cut_off(self) -> bool:
        """Cancel the handlers that are at work, each once; True if any was."""
        left = [task for task in self.at_work if task not in self._told_to_end]
        self._told_to_end.update(left)
        with self.execution.loop._entered():
            for task in left:
                task.cancel()
        return bool(left)

    # from outside

    def query(self, name: str, payload: bytes) -> bytes:
        """The sealed answer to a query.

        Raises ``InvalidInput`` for one that is none, ``QueryFailed`` where its handler raises, ``Disturbed``.
        """
        query = self.handlers.find("query", name)
        if query is None:
            raise InvalidInput(self._unknown("query", name, self.handlers.queries))
        args, kwargs = query.signature.decode_args(payload)
        try:
            answer = query.signature.encode_result(self._ask("query", query.fn, query, name, args, kwargs, payload))
        except Disturbed:
            raise
        except Exception as error:
            raise QueryFailed(f"query {name!r} failed: {describe(error).summary()}") from error
        return within_limit(answer, "the answer of query", name, self.execution.value_bytes_max)

    def validate(self, name: str, payload: bytes) -> None:
        """Say whether an update would be accepted.

        Raises ``InvalidInput`` for one that is none, ``UpdateRejected`` where its validator raises, ``Disturbed``.
        """
        update = self.handlers.find("update", name)
        if not isinstance(update, Update):
            raise InvalidInput(self._unknown("update", name, self.handlers.updates))
        args, kwargs = update.signature.decode_args(payload)
        if update.validate is None:
            return
        try:
            self._ask("validator", update.validate, update, name, args, kwargs, payload)
        except Disturbed:
            raise
        except Exception as error:
            raise UpdateRejected(f"update {name!r} was rejected: {describe(error).summary()}") from error

    def _unknown(self, kind: str, name: str, known: dict[str, Any]) -> str:
        there = f"it has: {', '.join(sorted(known))}" if known else "it has none"
        return f"workflow {self.execution.workflow.name!r} has no {kind} {name!r}; {there}"

    def _ask(
        self,
        kind: str,
        fn: Callable[..., Any],
        handler: Handler[Any, Any],
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        payload: bytes,
    ) -> Any:
        """Call what must change nothing. Raises ``Disturbed`` if it has."""
        around, headers = self.execution.interceptors.run, self._headers_with(payload)

        async def answer(call: Running) -> Any:
            return fn(self.instance, *handler.called_as(name, call.args), **call.kwargs)

        def ask() -> Any:
            if not around:
                return fn(self.instance, *handler.called_as(name, args), **kwargs)
            return at_once(
                through(around, self._running(kind, name, args, kwargs, headers), answer), f"{kind} {name!r}"
            )

        context = Context()
        context.run(HEADERS.set, headers)
        with self._answering(fn.__qualname__):
            return context.run(ask)

    @contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        """In it only looking is allowed."""
        execution = self.execution
        self.is_answering = True
        turn_begins()
        try:
            with execution.loop._entered():
                yield
        finally:
            turn_ends()
            self.is_answering = False
            violation = take_violation()
            if execution.loop.is_disturbed():
                raise Disturbed(what)
            if violation is not None:
                raise violation


async def _call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = fn(*args, **kwargs)
    return await result if inspect.iscoroutine(result) else result


Begun = Coroutine[Any, Any, Any]


def begin(execution: Execution, args: Sequence[Any], kwargs: dict[str, Any]) -> Begun:
    """The run's own function, about to be called; for a class, on the instance that its handlers are called on."""
    workflow = execution.workflow
    call: Callable[..., Begun] = functools.partial(cross, workflow.fn) if workflow.is_sync else workflow.fn
    if workflow.cls is not None:
        try:
            execution.handling.instance = instance = workflow.new_instance(args, kwargs)
        except Exception as error:
            return _fail(error)
        call = functools.partial(call, instance)
    if workflow.is_of_any_name:
        call = functools.partial(call, workflow.name)
    around = execution.interceptors.run
    if not around:
        return call(*args, **kwargs)
    running = Running(kind="workflow", name=workflow.name, args=args, kwargs=kwargs, headers=dict(execution.headers))
    return through(around, running, lambda it: call(*it.args, **it.kwargs))


async def _fail(error: Exception) -> None:
    """The class could not be instantiated: the run fails by that."""
    raise error
