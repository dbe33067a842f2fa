"""Engine: what application code holds. A client, and by default a worker, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from keepstep.codecs import Codec
from keepstep.codecs.journal import sealed_journal
from keepstep.journal import (
    AlreadyStarted,
    Clock,
    Conflict,
    IfRunning,
    InvalidInput,
    Journal,
    NewMessage,
    NewRun,
    Started,
    StoreUnavailable,
    narrowed_journal,
)
from keepstep.queues.starting import started_run
from keepstep.queues.waiting import WaitingOptions, deduplicated_id
from keepstep.retention.guest import Retention as RetentionGuest
from keepstep.runtime.data import Duration, checked_name, encode_value, plain_attributes, to_seconds, within_limit
from keepstep.runtime.handler import Signal, Update, handler_name
from keepstep.runtime.human_task import HumanTask
from keepstep.runtime.interceptor import Interceptor, Interceptors, Sending, checked_headers
from keepstep.runtime.registry import definition_of
from keepstep.runtime.workflow import Runs, RunsSync, Workflow
from keepstep.schedules.guest import Schedules
from keepstep.worker.observer import Observer, Observers
from keepstep.worker.reply import UPDATE
from keepstep.worker.surroundings import Surroundings
from keepstep.worker.worker import Worker, WorkerOptions

from .address import is_server, open_journal
from .answer import CALLBACK, CALLBACK_FAILED, answer_callback, list_human_tasks, sealed_error
from .attributes import Attributes
from .bulk import Bulk
from .closing import Closings
from .debouncing import debounce
from .ending import restart
from .handle import RunHandle, signal_payload
from .info import RunInfo
from .namespace import checked_namespace, rooms_of
from .paging import RunPage, read_page
from .published import Published
from .question import Question
from .queues import Queues
from .retention import Retention
from .searching import count_found, count_groups, list_found
from .sending import name_of, send, value_of
from .server_access import ServerAccess
from .start import StartRequest, asks_for_the_same, policy, start_request, start_within
from .tasks import read_task_filter
from .with_start import start_with, update_with_start

if TYPE_CHECKING:
    from keepstep.schedules import Calendar, ScheduleInfo

    from .archiving import RunArchive
    from .schedule import ScheduleHandle

R = TypeVar("R")

UNSET: Any = msgspec.UNSET

WHILE_OPEN = ("journal", "closings", "published", "queues", "attributes", "bulk", "retention")
"""Attributes that an engine has while it is open."""


class Engine:
    """``async with Engine("sqlite:///orders.db") as engine: run = await engine.start(fulfil_order, order)``

    :param url: ``sqlite:///file``, ``postgresql://…`` or ``memory:``; or the address of a server, ``http://host:8710``,
        of which the engine is a client, see ``docs/remote.md``. :param workers: False for a client that runs nothing
        itself; by default True on a database, and False at a server, which has workers of its own.
    :param queues: which queues the worker serves. :param namespace: in which everything lives that this engine can
        reach; see ``docs/namespaces.md``. :param lease_seconds: after so long without a sign of life of this
        process, others take over what it owned.
    :param callback_url: base of the URLs that ``callback()`` hands out, such as ``https://example.org``.
    :param serve: the workflows that this worker runs; by default all that were decorated in this process.
    :param create: make a missing database.
    :param key: what a server asks for (``keepstep keys create``); by default that in ``KEEPSTEP_KEY``.
    :param codec: compress, encrypt, or keep large values elsewhere, see ``docs/data.md``.
    :param clock: and ``surroundings``: where time, chance and identity come from; for tests and simulations.
    :param observers: who hears what this engine's worker does: metrics, traces; see ``docs/observability.md``.
    :param interceptors: what stands around calls, the first outermost; see ``docs/interceptors.md``.
    :param options: limits of the worker, see ``WorkerOptions``.
    """

    def __init__(
        self,
        url: str = "sqlite:///keepstep.db",
        *,
        workers: bool | None = None,
        queues: tuple[str, ...] = ("default",),
        namespace: str = "default",
        lease_seconds: float = 10.0,
        callback_url: str | None = None,
        serve: Sequence[Workflow[Any, Any] | type[RunsSync[Any, Any]]] | None = None,
        create: bool = True,
        key: str | None = None,
        codec: Codec | None = None,
        clock: Clock | None = None,
        surroundings: Surroundings | None = None,
        journal: Journal | None = None,
        observers: Sequence[Observer] = (),
        interceptors: Sequence[Interceptor] = (),
        **options: Any,
    ) -> None:
        self.interceptors = Interceptors(interceptors)
        self.observers = tuple(observers)
        self.audience = Observers(observers) if observers else None
        """All observers, to be told something; None if there are none."""
        self.url = url
        self.namespace = checked_namespace(namespace)
        self._clock = clock
        self._surroundings = surroundings or Surroundings()
        self._serve = None if serve is None else [_definition(each) for each in serve]
        self._create = create
        self._codec = codec
        self._given_journal = journal
        self.is_remote = journal is None and is_server(url)
        """Whether it is the client of a server."""
        self._access = ServerAccess.of(url, key, workers, options) if self.is_remote else None
        self._has_worker = not self.is_remote if workers is None else workers
        self._options = WorkerOptions(
            queues=_queues(queues),
            namespace=namespace,
            lease_seconds=_lease_seconds(lease_seconds),
            callback_base=_callback_base(callback_url),
            **options,
        )
        self.journal: Journal
        self.closings: Closings
        self.published: Published
        self.queues: Queues
        self.attributes: Attributes
        self.bulk: Bulk
        self.retention: Retention
        self.worker: Worker | None = None
        self.known_types: dict[str, tuple[str, str]] = {}
        """Of runs that were started here: their workflow, and where they are offered."""
        self._is_open = False

    async def __aenter__(self) -> Engine:
        if self._is_open:
            raise InvalidInput("this engine is open already; make another one, or close it before")
        self.journal = await self._open()
        poll_seconds = self._options.poll_seconds if self._access is None else self._access.poll_seconds
        self.closings = Closings(self.journal, poll_seconds, listens_at_once=not self.is_remote)
        self.published = Published(self.journal, self.namespace)
        self.queues = Queues(self.journal)
        self.attributes = Attributes(self.journal, self.namespace)
        self.bulk = Bulk(self.journal, self.namespace, self.new_id, self.audience)
        self.retention = Retention(self.journal, self.namespace, self.new_id)
        self._is_open = True
        if self._has_worker:
            self.worker = Worker(
                self.journal,
                self._options,
                surroundings=self._surroundings,
                serve=self._serve,
                guests=(Schedules, RetentionGuest),
                observers=self.observers,
                interceptors=self.interceptors,
            )
            try:
                await self.worker.start()
            except BaseException:
                await self.close(grace_seconds=0)
                raise
        return self

    async def _open(self) -> Journal:
        """What it stands on, as this namespace sees it and with plain data."""
        codec = self._codec or Codec()
        if self._access is not None:
            return sealed_journal(await self._access.open(self.namespace, codec, self.new_id), codec)
        store = self._given_journal or await open_journal(self.url, create=self._create, clock=self._clock)
        journal = narrowed_journal(store, self.namespace, *rooms_of(self.namespace))
        is_sealed = self._given_journal is None or self._codec is not None
        return sealed_journal(journal, codec) if is_sealed else journal

    def __getattr__(self, name: str) -> Any:
        if name in WHILE_OPEN:
            raise StoreUnavailable("this engine is not open; use it within: async with Engine(...) as engine")
        raise AttributeError(f"an Engine has no {name!r}")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Give back what the worker owns and close the store.

        Running steps are waited for at most so long. Cancelled, it waits no longer, and closes all the same.
        """
        try:
            if self.worker is not None:
                await _stop(self.worker, grace_seconds)
        finally:
            self._is_open = False
            self.closings.close()
            if self._given_journal is None:
                await self.journal.close()

    # starting

    @overload
    async def start(
        self,
        workflow: Workflow[Any, R] | type[Runs[Any, R]] | str,
        *args: Any,
        id: str | None = None,
        if_running: str = "attach",
        if_closed: str = "attach",
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        delay: Duration | None = None,
        start_at: datetime | None = None,
        dedup: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        connection: Any = None,
        **kwargs: Any,
    ) -> RunHandle[R]: ...
    @overload
    async def start(self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> RunHandle[R]: ...
    async def start(
        self,
        workflow: Any,
        *args: Any,
        id: str | None = None,
        if_running: str = "attach",
        if_closed: str = "attach",
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        delay: Duration | None = None,
        start_at: datetime | None = None,
        dedup: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        connection: Any = None,
        **kwargs: Any,
    ) -> RunHandle[Any]:
        """Start a run, or attach to the one of that id if type and input are the same.

        :param if_running: what to do if a run of that id is open: attach, reject, or restart (ending it by force).
        :param if_closed: likewise for the newest closed run.
        :param queue: where it is offered to workers. :param priority: on the queue; small numbers go first, and a run
            that names none has 0. :param fairness_key: whose turn it is among those of the same priority.
        :param delay: begin it so much later, or (``start_at``) not before that moment.
        :param dedup: instead of an id: while a run of that key is open on the queue, attach to it, whatever its input
            (or, with ``if_running="reject"``, raise ``AlreadyStarted``). See ``docs/queues.md``.
        :param timeout: instead of the workflow's own; each run as which it continues has so long, too.
        :param connection: start it in the transaction that this connection has open on the same database: the run is
            there once that is committed. See ``docs/transactions.md``.

        Raises ``AlreadyStarted`` for another input, or when asked; ``InvalidInput`` for arguments that do not fit.
        """

        async def go(call: Sending) -> RunHandle[Any]:
            request = await start_request(workflow, call.args, call.kwargs, self.published)
            known_as, closed = id, if_closed
            if dedup is not None:
                on = request.queue if queue is None else queue
                known_as, closed = _deduplicated(on, dedup, id, if_running, if_closed)
            waiting = WaitingOptions(priority=priority, fairness_key=fairness_key, delay=delay, start_at=start_at)
            new = self._new_run(
                request, known_as, queue, attributes=plain_attributes(attributes), if_running=policy(if_running),
                if_closed=policy(closed), waiting=waiting, timeout=timeout, headers=call.headers,
            )  # fmt: skip
            if connection is not None:
                started = await start_within(self.journal, connection, new)
            else:
                started = await self.begin(new)
            if not started.created and dedup is None and not await asks_for_the_same(self.journal, new, started):
                raise AlreadyStarted(
                    f"a run with the id {new.workflow_id!r} exists already with another type or input; "
                    'choose another id, or start with if_running="restart" or if_closed="restart"'
                )
            return RunHandle(self, new.workflow_id, started.run_id, is_fresh=started.leased, is_new=started.created)

        return await send(self.interceptors, "start", name_of(workflow), id, args, kwargs, go)  # type: ignore[no-any-return]

    @overload
    async def debounce(
        self,
        workflow: Workflow[Any, R] | type[Runs[Any, R]] | str,
        *args: Any,
        key: str,
        delay: Duration,
        at_most: Duration | None = None,
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> RunHandle[R]: ...
    @overload
    async def debounce(self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> RunHandle[R]: ...
    async def debounce(
        self,
        workflow: Any,
        *args: Any,
        key: str,
        delay: Duration,
        at_most: Duration | None = None,
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
    ) -> RunHandle[Any]:
        """Start one run for many calls in a row of the same ``key``: a while after the last, with its arguments.

        :param delay: it begins so long after the last call, and :param at_most: no later than so long after the first.

        A call after it has begun is the first of another run. Handles of all calls lead to the run that is executed.
        Raises ``InvalidInput``; ``Conflict`` where the run that waits is due and no worker takes it.
        """

        async def go(call: Sending) -> RunHandle[Any]:
            request = await start_request(workflow, call.args, call.kwargs, self.published)
            id = f"debounced/{request.name}/{checked_name(key, 'the key of a debounced start')}"
            wait = round(to_seconds(delay) * 1e6)
            longest = None if at_most is None else round(to_seconds(at_most) * 1e6)

            def make(delay: int, not_after: int) -> NewRun:
                waiting = WaitingOptions(priority=priority, fairness_key=fairness_key, delay=delay / 1e6)
                return self._new_run(
                    request, id, queue, attributes=plain_attributes(attributes), timeout=timeout, waiting=waiting,
                    begins_as=f"{id}/{self.new_id()}", not_after=not_after, headers=call.headers,
                )  # fmt: skip

            return RunHandle(self, id, await debounce(self, id, wait, longest, make))

        return await send(self.interceptors, "start", name_of(workflow), None, args, {}, go)  # type: ignore[no-any-return]

    async def begin(self, new: NewRun) -> Started:
        """Start a run, in the memory of this engine's worker where it can be."""
        if self.worker is not None and self.worker.can_adopt(new):
            new = msgspec.structs.replace(new, lease_id=self.worker.lease_id)
        try:
            started = await self.journal.start(new)
        except Conflict:
            if new.if_running is not IfRunning.RESTART:
                raise
            started = await restart(self.journal, msgspec.structs.replace(new, lease_id=None), self.audience)
        except (asyncio.CancelledError, StoreUnavailable):
            if self.worker is not None and new.lease_id is not None:
                self.worker.recover(new.run_id)  # it may have been started under the worker's lease all the same
            raise
        if self.audience is not None and started.created:
            self.audience.tell(lambda each: each.run_started(started.run_id, new.workflow_id, new.type))
        if started.leased and self.worker is not None:
            self.worker.admission.adopt(new, started)
        return started

    @overload
    async def signal_with_start(
        self,
        workflow: Workflow[Any, R] | type[Runs[Any, R]] | str,
        *args: Any,
        id: str,
        signal: str | Signal[Any, Any],
        value: Any = None,
        signal_id: str | None = None,
        if_closed: str = "attach",
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> RunHandle[R]: ...
    @overload
    async def signal_with_start(self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> RunHandle[R]: ...
    async def signal_with_start(
        self,
        workflow: Any,
        *args: Any,
        id: str,
        signal: str | Signal[Any, Any],
        value: Any = None,
        signal_id: str | None = None,
        if_closed: str = "attach",
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> RunHandle[Any]:
        """Send a signal to the run of that id, and start it before if there is none: both, or neither.

        A run that is open gets the signal, whatever it was started with. :param signal_id: a second one of that id is
        dropped. :param if_closed: ``"restart"`` starts a new run where the newest one of that id is closed.
        ``queue``, ``priority``, ``fairness_key``, ``attributes`` and ``timeout`` are those of a run that is started, as
        in ``start``.

        Raises ``RunClosed`` where it is, ``AlreadyStarted`` if it is of another type, ``InvalidInput``.
        """
        name, made = handler_name(signal, "signal"), list[RunHandle[Any]]()

        async def go(call: Sending) -> RunHandle[Any]:
            waiting = WaitingOptions(priority=priority, fairness_key=fairness_key)
            new = await self._run_to_speak_to(workflow, call, id, queue, if_closed, attributes, timeout, waiting)

            async def say(said: Sending) -> None:
                payload = signal_payload(signal, value_of(said), self.journal.value_bytes_max, said.headers)
                message = NewMessage(kind="signal", name=name, data=payload, id=signal_id)
                started = await start_with(self, new, message)
                handle = RunHandle[Any](
                    self, new.workflow_id, started.run_id, is_fresh=started.leased, is_new=started.created
                )
                made.append(handle)

            await send(self.interceptors, "signal", name, id, (value,), {}, say)
            return made[-1]

        return await send(self.interceptors, "start", name_of(workflow), id, args, kwargs, go)  # type: ignore[no-any-return]

    async def update_with_start(
        self,
        /,
        workflow: Workflow[Any, Any] | type[RunsSync[Any, Any]] | str,
        *args: Any,
        id: str,
        update: str | Update[Any, Any],
        update_args: Sequence[Any] = (),
        update_id: str | None = None,
        timeout: Duration | None = None,
        if_closed: str = "attach",
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        attributes: dict[str, Any] | None = None,
        run_timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Any:
        """Have an update of the run of that id done, and start it before if there is none; the update's result.

        Run and request are there both or neither. A run that is open gets it, whatever it was started with. Asked for
        again by the same ``update_id``, it is not done again, and its outcome is returned. For the other parameters
        see ``signal_with_start`` and ``RunHandle.update``, and for what is raised.

        :param timeout: of the waiting. :param run_timeout: of a run that is started.
        """
        known_by = self.new_id() if update_id is None else checked_name(update_id, "the id of an update")
        seconds = None if timeout is None else to_seconds(timeout)
        answers: list[Any] = []

        async def go(call: Sending) -> RunHandle[Any]:
            waiting = WaitingOptions(priority=priority, fairness_key=fairness_key)
            new = await self._run_to_speak_to(workflow, call, id, queue, if_closed, attributes, run_timeout, waiting)

            async def ask(said: Sending) -> Any:
                question = Question(self, new.type, UPDATE, update, said.args, said.kwargs)
                question.headers = said.headers
                return await update_with_start(self, new, question, known_by, seconds)

            name = handler_name(update, "update")
            answers.append(await send(self.interceptors, "update", name, id, update_args, {}, ask))
            return self.get(id)

        await send(self.interceptors, "start", name_of(workflow), id, args, kwargs, go)
        return answers[-1]

    async def _run_to_speak_to(
        self, workflow: Any, call: Sending, id: str, queue: str | None, if_closed: str,
        attributes: dict[str, Any] | None, timeout: Duration | None, waiting: WaitingOptions,
    ) -> NewRun:  # fmt: skip
        """What is started where there is no run of that id."""
        request = await start_request(workflow, call.args, call.kwargs, self.published)
        return self._new_run(
            request, id, queue, timeout, attributes=plain_attributes(attributes), if_closed=policy(if_closed),
            waiting=waiting, headers=call.headers,
        )  # fmt: skip

    @overload
    async def run(self, workflow: Workflow[Any, R] | type[Runs[Any, R]] | str, *args: Any, **options: Any) -> R: ...
    @overload
    async def run(self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> R: ...
    async def run(self, workflow: Any, *args: Any, **options: Any) -> Any:
        """``start`` and ``result`` in one."""
        handle: RunHandle[Any] = await self.start(workflow, *args, **options)
        return await handle.result()

    def _new_run(
        self, request: StartRequest, id: str | None, queue: str | None, timeout: Duration | None = None, **options: Any
    ) -> NewRun:
        run_id = self.new_id()
        if options.get("headers"):
            options["headers"] = checked_headers(options["headers"])
        offered_on = request.offered_on(queue)
        self._remember_type(run_id, request.name, offered_on)
        return started_run(
            request.name,
            request.arguments,
            run_id=run_id,
            workflow_id=run_id if id is None else id,
            namespace=self.namespace,
            queue=offered_on,
            timeout_seconds=request.timeout_seconds,
            own_timeout_seconds=None if timeout is None else to_seconds(timeout),
            version=request.version,
            now=self.journal.clock.now(),
            seed=self._surroundings.random.randbytes(16),
            **options,
        )

    @property
    def chance(self) -> Random:
        """Where the seeds of runs come from."""
        return self._surroundings.random

    def new_id(self) -> str:
        """An id for a new run, or for something that is said to one."""
        return self._surroundings.make_id()

    def _remember_type(self, run_id: str, name: str, queue: str) -> None:
        if len(self.known_types) > 100_000:
            self.known_types.clear()
        self.known_types[run_id] = name, queue

    # finding

    def get(self, id: str, run_id: str | None = None) -> RunHandle[Any]:
        """The newest run of a workflow id, or a certain run of it.

        Nothing is looked up: that there is none, or that the run id is another workflow id's, the first use of the
        handle says by ``NotFound``.
        """
        return RunHandle(self, id, run_id, is_certain=run_id is None)

    def list(self, filter: str | None = None, limit: int | None = None) -> AsyncIterator[RunInfo]:
        """Runs that fit a filter, the newest first unless it says otherwise:
        ``"WorkflowType = 'fulfil_order' AND Status = 'running' AND customer = 'c7' ORDER BY StartTime DESC"``.

        It sees everything that was acknowledged before it is asked. For the language, and what can be searched by, see
        ``docs/searching.md``. Raises ``FilterError``, which names the place in the filter and what was expected there.
        """
        return list_found(self.journal, self.namespace, filter, limit)

    async def page(self, filter: str | None = None, cursor: str | None = None, limit: int = 100) -> RunPage:
        """One page of what ``list`` gives, and the cursor of the next: ``runs, cursor = await engine.page(filter)``.

        :param cursor: that of the page before, with the same filter; a text that fits into an address. None: the first
            page, and as what is returned: there is no next one. :param limit: runs of a page, up to 1,000. One may have
            fewer, and even none, where a rare kind is looked for, and not be the last.

        Runs that begin, end or go meanwhile move nothing: a run that changes is in one of the pages, in none or in
        two, as it moves in the order; all others are in exactly one. Raises ``FilterError``, and ``InvalidInput`` for a
        cursor that is none or is of another filter.
        """
        return await read_page(self.journal, self.namespace, filter, cursor, limit)

    async def count(self, filter: str | None = None) -> int:
        """How many runs fit a filter. Raises what ``list`` does."""
        return await count_found(self.journal, self.namespace, filter)

    async def count_by(self, field: str, filter: str | None = None) -> dict[str | int | bool | None, int]:
        """How many runs that fit a filter have each value of a field, most first; under None those that have none.

        :param field: such as ``"Status"``, ``"WorkflowType"``, ``"Queue"``, or an attribute that is text, a list of
            texts, a whole number or a truth value. A run counts under each text of a list.

        Raises ``FilterError`` as ``list`` does, and ``InvalidInput`` for more than 1,000 values.
        """
        return await count_groups(self.journal, self.namespace, field, filter)

    # leaving and coming back

    async def export(self, id: str, *, run_id: str | None = None, plain: bool = False) -> bytes:
        """A closed run as a file: the newest one of that id, or a certain one, with all that belongs to it.

        It can be imported elsewhere, and replayed by tests. Where the engine has keys it is sealed with the newest of
        them; :param plain: is for when it must not be. Raises ``InvalidInput`` for an open run, which would go on in
        both places; ``NotFound``, ``Unreadable``.
        """
        from .archiving import export_run

        return await export_run(self, id, run_id, plain=plain)

    async def import_(self, data: bytes, *, as_id: str | None = None) -> RunHandle[Any]:
        """Take in what was exported, into this engine's namespace: a closed run as it was, with its run id and times.

        :param as_id: another workflow id for it. Retention counts from the run's close, here as there.

        Raises ``AlreadyStarted`` if that run is here, or one of its workflow id that is open or was started after it;
        ``InvalidInput`` for what is no exported run, ``Unreadable`` without its key, ``TooLarge``.
        """
        from .archiving import import_run

        return await import_run(self, data, as_id)

    def archive(self, place: str) -> RunArchive:
        """The archive in a folder, or at ``s3://bucket/prefix``: what retention has written there."""
        from .archiving import RunArchive

        return RunArchive(self, place)

    # schedules

    async def schedule(
        self,
        id: str,
        workflow: Workflow[Any, Any] | type[RunsSync[Any, Any]] | str,
        *args: Any,
        cron: str | Sequence[str] = (),
        every: Duration | Sequence[Duration] = (),
        calendar: Calendar | Sequence[Calendar] = (),
        offset: Duration = 0,
        exclude: date | Calendar | Sequence[date | Calendar] = (),
        tz: str = "UTC",
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        jitter: Duration = 0,
        limit: int | None = None,
        overlap: str = "skip",
        catchup: Duration = "1d",
        paused: bool = False,
        note: str = "",
        if_exists: str = "attach",
        queue: str | None = None,
        priority: int | None = None,
        fairness_key: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> ScheduleHandle:
        """Start a workflow by the calendar: ``cron="0 9 * * MON-FRI", tz="Europe/Berlin"``, or ``every="15m"``.

        Said again with the same words it changes nothing, so that it may stand in a program's start.

        :param cron: one expression or several. :param every: an interval, counted from 1970 in UTC, later by
            ``offset``. :param calendar: local times field by field. They may be combined.
        :param exclude: dates and calendars on which it does not fire. :param tz: of all local times.
        :param jitter: a firing is later by up to so much, by a length that is its own.
        :param limit: how many runs are started. :param overlap: what a firing does while the run before goes on: skip,
            buffer_one, buffer_all, cancel, terminate, allow.
        :param catchup: a firing that is later than that, because nothing ran, is left out.
        :param if_exists: ``"update"`` changes a schedule of that id that has another plan.
        :param queue: of the runs, as their ``priority``, ``fairness_key``, ``attributes`` and ``timeout``.

        Raises ``AlreadyStarted`` if it is there with another plan, ``InvalidInput`` that names what does not fit. See
        ``docs/schedules.md``.
        """
        from keepstep.schedules.spec import read_spec

        from .schedule import ScheduleHandle
        from .scheduling import make_plan, schedule

        spec = read_spec(
            cron=cron, every=every, calendar=calendar, offset=offset, exclude=exclude, tz=tz, start_at=start_at,
            end_at=end_at, jitter=jitter,
        )  # fmt: skip

        async def go(call: Sending) -> ScheduleHandle:
            plan = await make_plan(
                self, workflow, call.args, call.kwargs, spec=spec, overlap=overlap, catchup=catchup, limit=limit,
                headers=call.headers, queue=queue, priority=priority, fairness_key=fairness_key,
                attributes=attributes, timeout=timeout,
            )  # fmt: skip
            await schedule(self, id, plan, paused=paused, note=note, if_exists=if_exists)
            return ScheduleHandle(self, id)

        made: ScheduleHandle = await send(self.interceptors, "schedule", name_of(workflow), id, args, kwargs, go)
        return made

    def get_schedule(self, id: str) -> ScheduleHandle:
        """The schedule of that id."""
        from .schedule import ScheduleHandle

        return ScheduleHandle(self, id)

    def list_schedules(self) -> AsyncIterator[ScheduleInfo]:
        """All schedules, the newest first."""
        from .schedule import list_schedules

        return list_schedules(self)

    # speaking to runs

    async def signal(self, id: str, name: str | Signal[Any, Any], value: Any = None, *, connection: Any = None) -> None:
        """Send a signal to the newest run of that id; ``connection`` as for ``start``."""
        await self.get(id).signal(name, value, connection=connection)

    async def complete_callback(self, token: str, value: Any = None, *, by: str = "") -> None:
        """Complete a callback or a human task. A second completion is accepted and has no effect.

        :param by: who has answered, as the run's history is to tell it.

        Raises ``NotFound`` for a token that no run made, ``RunClosed`` if the run ended before it came, and
        ``InvalidInput`` for an answer that does not fit a human task's form.
        """
        payload = within_limit(encode_value(value), "the value of the callback", "", self.journal.value_bytes_max)
        await answer_callback(self.journal, CALLBACK, token, payload, by)

    async def fail_callback(self, token: str, error: BaseException | str, *, by: str = "") -> None:
        """Let the wait for a callback raise an error. Raises what ``complete_callback`` does."""
        await answer_callback(self.journal, CALLBACK_FAILED, token, sealed_error(error), by)

    async def resolve(self, id: str, key: str, value: Any = UNSET, error: BaseException | str | None = None) -> None:
        """Say what happened to an *uncertain* step: its ``value``, or the ``error`` that it ended with.

        Raises what ``RunHandle.resolve`` does.
        """
        await self.get(id).resolve(key, value, error)

    def human_tasks(self, filter: str | None = None, limit: int = 1000) -> AsyncIterator[HumanTask]:
        """Open tasks for people, oldest first. Complete one with ``complete_callback(task.token, answer)``.

        They have the fields ``Assignee``, ``Title`` and ``Due``; for the language see ``docs/searching.md``. Raises
        ``FilterError``.
        """
        wanted = read_task_filter(filter, self.journal.clock.now())
        return list_human_tasks(self.journal, self.namespace, wanted, limit)


def _definition(workflow: Any) -> Workflow[Any, Any]:
    definition = definition_of(workflow)
    if definition is None:
        raise InvalidInput(f"serve takes functions or classes decorated with @workflow, not {workflow!r}")
    return definition


async def _stop(worker: Worker, grace_seconds: float) -> None:
    try:
        await worker.stop(grace_seconds)
    except asyncio.CancelledError:
        await worker.stop(0)
        raise


def _deduplicated(queue: str, dedup: str, id: str | None, if_running: str, if_closed: str) -> tuple[str, str]:
    """The id of a run that is known by its key while it is open, and what becomes of a closed one: nothing."""
    if id is not None:
        raise InvalidInput("an id deduplicates by itself, for good; give id= or dedup=")
    if if_closed != "attach" or if_running == "restart":
        raise InvalidInput('with dedup=, if_running is "attach" or "reject", and if_closed is left out')
    return deduplicated_id(queue, dedup), "restart"


def _queues(names: Sequence[str]) -> tuple[str, ...]:
    queues = () if isinstance(names, str) else tuple(names)
    if not queues or not all(isinstance(name, str) and name for name in queues):
        raise InvalidInput(f'queues is a tuple of names, such as ("default", "gpu"), not {names!r}')
    return queues


def _callback_base(url: str | None) -> str:
    if url and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
        raise InvalidInput(f"callback_url must begin with http:// or https://, not be {url!r:.100}")
    return (url or "").rstrip("/")


def _lease_seconds(seconds: float) -> float:
    if not seconds > 0:
        raise InvalidInput(f"lease_seconds must be more than 0, not {seconds!r}")
    return seconds
