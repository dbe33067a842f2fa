"""RunHandle: one run, as application code holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

from keepstep.journal import (
    Condition,
    InvalidInput,
    NewMessage,
    NotFound,
    Run,
    RunClosed,
    Status,
)
from keepstep.journal.payload import with_headers
from keepstep.queues.waiting import WaitingOptions
from keepstep.runtime import history
from keepstep.runtime.data import Duration, checked_name, encode_value, plain_text, reader, to_seconds, within_limit
from keepstep.runtime.errors import TimedOut
from keepstep.runtime.execution import closing_error
from keepstep.runtime.handler import Query, Signal, Update, handler_name
from keepstep.runtime.interceptor import Sending, checked_headers
from keepstep.runtime.registry import find_code
from keepstep.worker.last_event import last_event
from keepstep.worker.reply import QUERY, UPDATE

from .answer import resolve_step
from .closing import Closed
from .ending import terminate
from .following import follow
from .forking import Fork, fork
from .info import HistoryEvent, RunInfo, history_event, queued_info, run_info
from .moving import move_start
from .pausing import pause, resume
from .question import Patience, Question, is_superseded, query, update
from .retrying import retry
from .sending import send, value_of
from .streaming import StreamValue, read_stream

if TYPE_CHECKING:
    from .engine import Engine

R = TypeVar("R")
T = TypeVar("T")

UNSET: Any = msgspec.UNSET
HISTORY_PAGE = 500

QUERY_SECONDS = 10.0
"""How long a query is waited for by default."""


class RunHandle(Generic[R]):
    """A run. Without a run id it means the newest run of the workflow id."""

    def __init__(
        self,
        engine: Engine,
        id: str,
        run_id: str | None = None,
        *,
        is_fresh: bool = False,
        is_new: bool = False,
        is_certain: bool = True,
    ) -> None:
        self._engine = engine
        self._is_certain = is_certain
        """Whether it is known that the two ids belong together."""
        self._journal = engine.journal
        self._is_fresh = is_fresh
        self._goes_on_as = ""
        """The last run id known of the runs as which this one has continued."""
        self._forgotten_before = engine.closings.forgotten
        self.id = id
        """The workflow id."""
        self.run_id = run_id
        """The run id; None while this handle stands for the newest run of its id."""
        self.is_new = is_new
        """Whether the start that gave this handle has made the run; else it has attached to one that was there."""

    def __repr__(self) -> str:
        return f"<run {self.id} ({self.run_id or 'newest'})>"

    async def _run(self) -> Run:
        run = (
            await self._journal.find_run(self._engine.namespace, self.id)
            if self.run_id is None
            else await self._journal.read_run(self.run_id)
        )
        if run is None:
            which = repr(self.id) if self.run_id is None else f"{self.id!r}, run {self.run_id},"
            raise NotFound(f"there is no run with the id {which} in namespace {self._engine.namespace!r}")
        if not self._is_certain and run.workflow_id != self.id:
            raise NotFound(
                f"run {self.run_id} is one of {run.workflow_id!r}, not of {self.id!r}; give the two ids of one run, or "
                "leave out the run id for the newest one"
            )
        self._is_certain = True
        return run

    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for the run's result, through all that it waits or is parked for; follows continuations and restarts.

        Raises ``WorkflowFailed``, ``Cancelled``, ``TimedOut`` (the run's or, after ``timeout``, of the waiting alone).
        """
        if timeout is None:
            return await self._result()
        seconds = to_seconds(timeout)
        waiting = asyncio.ensure_future(self._result())
        try:
            done, _ = await asyncio.wait((waiting,), timeout=seconds)
        finally:
            waiting.cancel()
        if done:
            return waiting.result()
        raise TimedOut(f"run {self.id!r} had no result after {seconds:g} s; it goes on")

    async def _result(self) -> R:
        run_id = self.run_id
        code: tuple[str, str] | None = None
        if run_id is None or not self._is_certain:
            run = await self._run()
            run_id, code = run.run_id, (run.type, run.queue)
        fresh = self._is_fresh and self._forgotten_before == self._engine.closings.forgotten
        while True:
            closed = await self._engine.closings.wait(run_id, is_fresh=fresh)
            fresh = False
            following = _following(closed)
            if not following:
                break
            run_id, code = following, None  # a restart may be of another workflow
        code = code or self._engine.known_types.get(run_id)
        if code is None:
            run = await self._read(run_id)
            code = run.type, run.queue
        type_ = code[0]
        workflow = find_code(*code)
        if closed.status is Status.COMPLETED:
            payload = history.unpack(closed.type, closed.data).payload
            decode = reader() if workflow is None else workflow.signature.decode_result
            return decode(payload)  # type: ignore[no-any-return]
        ended = history.unpack(closed.type, closed.data)
        reason = getattr(ended, "reason", "")
        raise closing_error(closed.status, getattr(ended, "failure", b""), type_, run_id, reason)

    async def describe(self) -> RunInfo:
        """The run as it is now. Raises ``NotFound``."""
        run = await self._run()
        if run.status is not Status.RUNNING:
            return run_info(run, await last_event(self._journal, run))
        if run.condition is Condition.QUEUED:
            return await queued_info(self._journal, run)
        here = None if self._engine.worker is None else self._engine.worker.look(run.run_id)
        if here is not None:
            run = msgspec.structs.replace(run, condition=here[0], detail=here[1])
        return run_info(run, None)

    async def history(self) -> AsyncIterator[HistoryEvent]:
        """The run's events, from the first on."""
        run = await self._run()
        seq = 0
        while True:
            page = await self._journal.read_events(run.run_id, seq, HISTORY_PAGE)
            for event in page:
                yield history_event(event)
            if len(page) < HISTORY_PAGE:
                return
            seq = page[-1].seq

    async def follow(self, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """The run's events as they become durable, until it closes: ``async for event in run.follow(): ...``

        :param after: the seq of the last event that is known already. Each event comes once, up to the engine's
            ``poll_seconds`` late. It ends with this run, also where that continues as another one.

        Raises ``NotFound``, ``InvalidInput``.
        """
        run = await self._run()
        async for event in follow(self._journal, run.run_id, after, self._engine.closings.poll_seconds):
            yield history_event(event)

    @overload
    def stream(self, name: str, type: type[T], after: int = 0) -> AsyncIterator[StreamValue[T]]: ...
    @overload
    def stream(self, name: str, type: Any = None, after: int = 0) -> AsyncIterator[StreamValue[Any]]: ...
    async def stream(self, name: str, type: Any = None, after: int = 0) -> AsyncIterator[StreamValue[Any]]:
        """What the run writes to a stream (``keepstep.write_stream``), from its first value on, as it becomes durable.

        It ends when the stream was closed or the run has ended, also where that continues as another one.

        :param type: of the values; plain JSON data without it. :param after: the ``position`` of the last value that is
            known already. Each value behind it comes once.

        Raises ``NotFound``, ``InvalidInput`` for values that do not fit the type.
        """
        checked_name(name, "the name of a stream")
        run, decode, poll_seconds = await self._run(), reader(type), self._engine.closings.poll_seconds
        async for value in read_stream(self._journal, run.run_id, name, decode, after, poll_seconds):
            yield value

    async def signal(
        self, name: str | Signal[Any, Any], value: Any = None, *, id: str | None = None, connection: Any = None
    ) -> None:
        """Send a signal, by its name or as its handler (``Cart.note``). Raises ``NotFound``, ``RunClosed``.

        A value that does not fit a handler given raises ``InvalidInput``.

        :param id: a second one of that id is dropped, also by a run as which this one continues.
        :param connection: send it in the transaction that this connection has open on the same database; see
            ``docs/transactions.md``.
        """
        called = handler_name(name, "signal")

        async def go(call: Sending) -> None:
            payload = signal_payload(name, value_of(call), self._journal.value_bytes_max, call.headers)
            await self._send("signal", called, payload, id, connection)

        await send(self._engine.interceptors, "signal", called, self.id, (value,), {}, go)

    @overload
    async def query(self, name: Query[Any, T], *args: Any, timeout: Duration = QUERY_SECONDS, **kwargs: Any) -> T: ...
    @overload
    async def query(self, name: str, *args: Any, timeout: Duration = QUERY_SECONDS, **kwargs: Any) -> Any: ...
    async def query(
        self, name: str | Query[Any, Any], *args: Any, timeout: Duration = QUERY_SECONDS, **kwargs: Any
    ) -> Any:
        """Ask a query, by its name or as its handler (``Cart.total``), and wait for the answer. Nothing is written.

        A run that sleeps or is closed is asked as well. The answer takes in all that was said to the run before and
        acknowledged, unless it is paused. Raises ``QueryFailed`` with what the handler raised as its ``__cause__``,
        ``InvalidInput`` for a name or arguments that do not fit, ``Blocked`` where the run's code does not fit its
        history, ``NoWorker``, ``TimedOut``.
        """
        patience = Patience(to_seconds(timeout))

        async def go(call: Sending) -> Any:
            while True:
                run = await self._current()
                question = Question(self._engine, run.type, QUERY, name, call.args, call.kwargs, run.queue)
                question.headers = call.headers
                answer = await query(question, run, patience)
                if (await self._current()).run_id == run.run_id:  # else it was of a run that has just been replaced
                    return answer

        return await send(self._engine.interceptors, "query", handler_name(name, "query"), self.id, args, kwargs, go)

    @overload
    async def update(
        self,
        name: Update[Any, Coroutine[Any, Any, T]],
        *args: Any,
        id: str | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> T: ...
    @overload
    async def update(
        self,
        name: Update[Any, T],
        *args: Any,
        id: str | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> T: ...
    @overload
    async def update(
        self,
        name: str,
        *args: Any,
        id: str | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Any: ...
    async def update(
        self,
        name: str | Update[Any, Any],
        *args: Any,
        id: str | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Any:
        """Have an update done, by its name or as its handler (``Cart.add``), and wait for its result.

        It is accepted once its validator has nothing against it; from then on it will be done, whatever crashes.

        :param id: by which it is known: asked for again by the same id, also from another process or when the run has
            continued as new, it is not done again, and its outcome is returned. By default a new one.
        :param timeout: ends only the waiting. A run that is parked is waited for.

        Raises ``UpdateRejected`` and ``UpdateFailed`` with the original error as ``__cause__``, ``InvalidInput`` for a
        name or arguments that do not fit, ``RunClosed``, ``TimedOut``.
        """
        update_id = self._engine.new_id() if id is None else checked_name(id, "the id of an update")
        patience = Patience(None if timeout is None else to_seconds(timeout))

        async def go(call: Sending) -> Any:
            while True:
                run = await (self._current() if id is None else self._run())  # one that has continued may know the id
                question = Question(self._engine, run.type, UPDATE, name, call.args, call.kwargs, run.queue)
                question.headers = call.headers
                try:
                    return await update(question, run, update_id, patience)
                except RunClosed:
                    if self.run_id is not None or not await is_superseded(question, update_id):
                        raise

        return await send(self._engine.interceptors, "update", handler_name(name, "update"), self.id, args, kwargs, go)

    async def cancel(self, reason: str = "") -> None:
        """Ask the run to stop: ``CancelledError`` arrives in its code, and it compensates.

        One that waits on its queue hears of it when its turn comes; ``terminate`` takes it off the queue at once.
        """
        await self._send("cancel", "", plain_text(reason, "the reason").encode(), None)

    async def _send(self, kind: str, name: str, data: bytes, id: str | None, connection: Any = None) -> None:
        address: dict[str, Any] = {"namespace": self._engine.namespace, "workflow_id": self.id}
        if self.run_id is not None:
            if not self._is_certain:
                await self._run()
            address = {"run_id": self._goes_on_as or self.run_id}
        while True:
            try:
                message = NewMessage(kind=kind, name=name, data=data, id=id, **address)
                await (self._journal if connection is None else self._journal.within(connection)).send(message)
                return
            except RunClosed:
                if self.run_id is None:
                    raise
                run_id = (await self._current()).run_id
                if run_id == address["run_id"]:
                    raise
                address = {"run_id": run_id}

    async def _current(self) -> Run:
        """The run; where it has continued as new, the one that goes on."""
        run = await self._run()
        if self.run_id is not None and self._goes_on_as:
            run = await self._read(self._goes_on_as)
        while run.status is Status.CONTINUED:
            event = await last_event(self._journal, run)
            run = await self._read(history.unpack(event.type, event.data).run_id)
            self._goes_on_as = run.run_id
        return run

    async def _read(self, run_id: str) -> Run:
        run = await self._journal.read_run(run_id)
        if run is None:
            raise NotFound(f"there is no run {run_id} any more; its retention has ended")
        return run

    async def terminate(self, reason: str = "") -> None:
        """End the run at once, by force: its code is not asked, nothing is compensated. Raises ``RunClosed``."""
        audience = self._engine.audience
        await terminate(
            self._journal, self._current, reason, is_certain=self.run_id is not None, observers=audience
        )  # fmt: skip

    async def pause(self) -> None:
        """Let the run stand still until ``resume``: it begins no step, and what is said to it or comes due waits.

        Steps that are being executed end first, and are recorded. A run that is paused already stays so. Raises
        ``RunClosed``, and ``InvalidInput`` for a run in quarantine, which nobody runs anyway.
        """
        await pause(self._journal, self._current)

    async def resume(self) -> None:
        """Let a paused run go on.

        Where its worker has died with steps of it, this waits until others know that. Raises ``RunClosed``,
        ``InvalidInput`` for a run that is not paused, and ``TimedOut`` if its worker lives and hears nothing of it.
        """
        await resume(self._journal, self._current)

    async def move_start(self, *, delay: Duration | None = None, start_at: datetime | None = None) -> None:
        """Let a run that waits on its queue, as one that was started with a delay does, begin at another time.

        :param delay: so long from now. :param start_at: then; a time that has passed is now. Where its queue has limits
            it may have to wait longer, and stands in line from this call on.

        A run of another run id takes its place, and this handle goes on with that one; others of the same run find it
        as they find a run that has continued. Raises ``InvalidInput`` for a run that has begun and for a child,
        ``RunClosed``, ``NotFound``.
        """
        if (delay is None) == (start_at is None):
            raise InvalidInput("say when the run is to begin: delay= or start_at=")
        when = WaitingOptions(delay=delay, start_at=start_at)
        run_id = await move_start(self._engine, self._current, when)
        if self.run_id is not None:
            self.run_id, self._is_fresh = run_id, False

    async def start_now(self) -> None:
        """Let a run that waits for its time begin as soon as its queue lets it; ``move_start(delay=0)``."""
        await self.move_start(delay=0)

    async def resolve(self, key: str, value: Any = UNSET, error: BaseException | str | None = None) -> None:
        """Say what became of the *uncertain* step at ``key``: its ``value``, or the ``error`` that it ended with.

        An undo that has used up its attempts can be said to be done, by its value (None, if it returns nothing).
        Raises ``RunClosed``, and ``InvalidInput`` if no step is parked there or it cannot have returned the value.
        """
        info = await self.describe()
        await resolve_step(self._journal, self._engine.published, info, key, value=value, error=error)

    async def retry(self) -> None:
        """Let a failed run go on at its failed step, or a parked one (exhausted undo, quarantine) try again.

        Children whose failure has failed it go on at their failed steps, too, or are started anew where they cannot;
        see ``docs/retrying.md``. Raises ``InvalidInput`` where that cannot be right: the run has compensated, or is
        neither failed nor parked.
        """
        await retry(self._journal, await self._run())

    async def fork(
        self, at: int | None = None, replace: Mapping[str, Any] | None = None, *, id: str | None = None
    ) -> RunHandle[R]:
        """Start a new run whose history is this one's up to and including the event ``at``, open or closed.

        :param at: by default the last result that is replaced; if none is, the last event before the run's end.
        :param replace: other results for steps, children and callbacks, by key: ``{"charge": Payment(...)}``.
        :param id: the new run's id; by default made from this one's.

        What comes after that event is done anew, with new idempotency keys. Raises ``InvalidInput`` for an event that
        is none of its own, a result that does not fit, or a child that is still open; ``AlreadyStarted`` if an open
        run has the id.
        """
        wanted = Fork(at=at, replace=dict(replace or {}), id=id, run_id=self._engine.new_id())
        source = await self._run()
        workflow_id, run_id = await fork(self._journal, self._engine.published, source, wanted, self._engine.chance)
        return RunHandle(self._engine, workflow_id, run_id)


def signal_payload(
    signal: str | Signal[Any, Any], value: Any, bytes_max: int, headers: Mapping[str, str] | None = None
) -> bytes:
    """The sealed value of a signal, and the headers that it carries.

    Raises ``InvalidInput`` for one that does not fit the handler, if that is given.
    """
    payload = within_limit(encode_value(value), "the value of signal", handler_name(signal, "signal"), bytes_max)
    if isinstance(signal, Signal):
        if not signal.signature.slots and value is not None:
            raise InvalidInput(f"signal {signal.name!r} carries no value; its handler takes none")
        signal.arguments_of(payload)
    return with_headers(payload, checked_headers(headers)) if headers else payload


def _following(closed: Closed) -> str:
    """The run id of the run that goes on where this one ended; empty if none does."""
    if closed.status is Status.CONTINUED:
        return str(history.unpack(closed.type, closed.data).run_id)
    if closed.status is Status.TERMINATED:
        return str(history.unpack(closed.type, closed.data).restarted_as)
    return ""
