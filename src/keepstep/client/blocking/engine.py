"""BlockingEngine: an engine for sync programs: the methods, names and options of ``Engine``, without ``await``.

The engine runs in a thread of its own (``thread``), and any number of threads may use it. Closing it twice does no
harm; one that is left open is closed when the process ends. Like all engines it does not outlive a fork: a forked
process opens its own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from keepstep.client.engine import Engine
from keepstep.client.handle import RunHandle
from keepstep.codecs import Codec
from keepstep.journal import Clock, InvalidInput, Journal, StoreUnavailable
from keepstep.runtime.data import Duration
from keepstep.runtime.handler import Signal
from keepstep.runtime.interceptor import Interceptor
from keepstep.runtime.workflow import Runs, RunsSync, Workflow
from keepstep.worker.observer import Observer
from keepstep.worker.surroundings import Surroundings

from .attributes import BlockingAttributes
from .bulk import BlockingBulk
from .closing import close_at_exit
from .derived import Blocking, Derived, DerivedIterator, mirrors
from .handle import BlockingRunHandle
from .queues import BlockingQueues
from .retention import BlockingRetention
from .thread import EngineThread

if TYPE_CHECKING:
    from keepstep.schedules import Calendar

    from .archiving import BlockingRunArchive
    from .schedule import BlockingScheduleHandle

R = TypeVar("R")

NOT_OPEN = "this engine is not open; use it within: with BlockingEngine(...) as engine, or call its open()"


class BlockingEngine(Blocking):
    """``with BlockingEngine("sqlite:///orders.db") as engine: receipt = engine.run(fulfil_order, order)``

    Programs without a place for a ``with`` call ``open()``, and ``close()`` at their end. All parameters are those of
    ``Engine``. See ``docs/sync.md`` for web servers.
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
        self._make_engine = partial(
            Engine,
            url,
            workers=workers,
            queues=queues,
            namespace=namespace,
            lease_seconds=lease_seconds,
            callback_url=callback_url,
            serve=serve,
            create=create,
            key=key,
            codec=codec,
            clock=clock,
            surroundings=surroundings,
            journal=journal,
            observers=observers,
            interceptors=interceptors,
            **options,
        )
        self._it: Engine = self._make_engine()  # so that options that do not fit are refused here
        self._running: EngineThread | None = None
        self._opening = threading.Lock()

    @property
    def _thread(self) -> EngineThread:  # type: ignore[override]
        if self._running is None:
            raise StoreUnavailable(NOT_OPEN)
        return self._running

    @property
    def url(self) -> str:
        """Of its store."""
        return self._it.url

    @property
    def namespace(self) -> str:
        """Where its runs are."""
        return self._it.namespace

    @property
    def queues(self) -> BlockingQueues:
        """What an operator sees and says of queues."""
        thread = self._thread
        return BlockingQueues(thread, self._it.queues)

    @property
    def attributes(self) -> BlockingAttributes:
        """What runs can be searched by."""
        thread = self._thread
        return BlockingAttributes(thread, self._it.attributes)

    @property
    def bulk(self) -> BlockingBulk:
        """What is said to many runs at once. ``on_progress`` is called on the engine's own thread."""
        thread = self._thread
        return BlockingBulk(thread, self._it.bulk)

    @property
    def retention(self) -> BlockingRetention:
        """How long closed runs are kept."""
        thread = self._thread
        return BlockingRetention(thread, self._it.retention)

    def open(self) -> BlockingEngine:
        """Open it: its store, and its worker. Returns the engine itself. Raises what ``Engine`` raises."""
        with self._opening:
            if self._running is not None and self._running.is_here:
                raise InvalidInput("this engine is open already; make another one, or close it before")
            self._it = self._make_engine()
            thread = EngineThread()
            try:
                thread.call(self._it.__aenter__)
            except BaseException:
                thread.end()
                raise
            self._running = thread
            close_at_exit(self)
        return self

    def close(self, grace_seconds: float = 10.0) -> None:
        """Give back what the worker owns and close the store.

        Running steps are waited for at most so long. In a process that was forked off there is nothing to close.
        """
        with self._opening:
            thread, self._running = self._running, None
        if thread is None or not thread.is_here:
            return
        try:
            thread.call(self._it.close, grace_seconds)
        finally:
            thread.end()

    def __enter__(self) -> BlockingEngine:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _handle(self, handle: RunHandle[Any]) -> BlockingRunHandle[Any]:
        return BlockingRunHandle(self._thread, handle)

    # starting

    @overload
    def start(
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
    ) -> BlockingRunHandle[R]: ...
    @overload
    def start(self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> BlockingRunHandle[R]: ...
    @mirrors(Engine.start)
    def start(self, workflow: Any, *args: Any, **options: Any) -> BlockingRunHandle[Any]:
        return self._handle(self._thread.call(self._it.start, workflow, *args, **options))

    @overload
    def debounce(
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
    ) -> BlockingRunHandle[R]: ...
    @overload
    def debounce(self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> BlockingRunHandle[R]: ...
    @mirrors(Engine.debounce)
    def debounce(self, workflow: Any, *args: Any, **options: Any) -> BlockingRunHandle[Any]:
        return self._handle(self._thread.call(self._it.debounce, workflow, *args, **options))

    @overload
    def signal_with_start(
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
    ) -> BlockingRunHandle[R]: ...
    @overload
    def signal_with_start(
        self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any
    ) -> BlockingRunHandle[R]: ...
    @mirrors(Engine.signal_with_start)
    def signal_with_start(self, workflow: Any, *args: Any, **options: Any) -> BlockingRunHandle[Any]:
        return self._handle(self._thread.call(self._it.signal_with_start, workflow, *args, **options))

    update_with_start = Derived(Engine.update_with_start)

    @overload
    def run(self, workflow: Workflow[Any, R] | type[Runs[Any, R]] | str, *args: Any, **options: Any) -> R: ...
    @overload
    def run(self, workflow: type[RunsSync[Any, R]], *args: Any, **options: Any) -> R: ...
    @mirrors(Engine.run)
    def run(self, workflow: Any, *args: Any, **options: Any) -> Any:
        return self._thread.call(self._it.run, workflow, *args, **options)

    # finding

    @mirrors(Engine.get)
    def get(self, id: str, run_id: str | None = None) -> BlockingRunHandle[Any]:
        thread = self._thread
        return BlockingRunHandle(thread, self._it.get(id, run_id))

    list = DerivedIterator(Engine.list)
    page = Derived(Engine.page)
    count = Derived(Engine.count)
    count_by = Derived(Engine.count_by)

    # leaving and coming back

    export = Derived(Engine.export)

    @mirrors(Engine.import_)
    def import_(self, data: bytes, *, as_id: str | None = None) -> BlockingRunHandle[Any]:
        return self._handle(self._thread.call(self._it.import_, data, as_id=as_id))

    @mirrors(Engine.archive)
    def archive(self, place: str) -> BlockingRunArchive:
        from .archiving import BlockingRunArchive

        thread = self._thread
        return BlockingRunArchive(thread, self._it.archive(place))

    # schedules

    @mirrors(Engine.schedule)
    def schedule(
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
    ) -> BlockingScheduleHandle:
        from .schedule import BlockingScheduleHandle

        handle = self._thread.call(
            self._it.schedule, id, workflow, *args, cron=cron, every=every, calendar=calendar, offset=offset,
            exclude=exclude, tz=tz, start_at=start_at, end_at=end_at, jitter=jitter, limit=limit, overlap=overlap,
            catchup=catchup, paused=paused, note=note, if_exists=if_exists, queue=queue, priority=priority,
            fairness_key=fairness_key, attributes=attributes, timeout=timeout, **kwargs,
        )  # fmt: skip
        return BlockingScheduleHandle(self._thread, handle)

    @mirrors(Engine.get_schedule)
    def get_schedule(self, id: str) -> BlockingScheduleHandle:
        from .schedule import BlockingScheduleHandle

        thread = self._thread
        return BlockingScheduleHandle(thread, self._it.get_schedule(id))

    list_schedules = DerivedIterator(Engine.list_schedules)

    # speaking to runs

    signal = Derived(Engine.signal)
    complete_callback = Derived(Engine.complete_callback)
    fail_callback = Derived(Engine.fail_callback)
    resolve = Derived(Engine.resolve)
    human_tasks = DerivedIterator(Engine.human_tasks)
