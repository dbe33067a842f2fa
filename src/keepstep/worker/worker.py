"""Worker: claims runs, keeps them in memory while they have something to do, and gives them back.

Its loops: *claim* (what is due, and what dead workers have left), *inbox* (what was said to runs owned here), *tend*
(shows what waits, gives back what has waited long, drops what the cache cannot hold), *remote* (steps from queues) and
*asks* (queries and updates). Each wakes by a hint from the journal, with a slow poll behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import get_ident
from typing import Any

import msgspec

from keepstep.journal import (
    Committed,
    Condition,
    Fenced,
    Hint,
    HintKind,
    Journal,
    JournalError,
    Lease,
    Message,
    NewRun,
    ParentLink,
    Promise,
    Run,
    Started,
    Status,
    Unreadable,
)
from keepstep.queues.declaration import publish_queues
from keepstep.queues.starting import LANGUAGE, started_run
from keepstep.runtime.interceptor import NO_INTERCEPTORS, Interceptors
from keepstep.runtime.workflow import Workflow

from .admission import Admission
from .alarms import Alarms
from .asks import Asks
from .bell import Bell
from .guest import Guest
from .observer import Observer, Observers
from .preparing import prepare_to_run
from .probe import Probe
from .publish import code_fingerprint, definitions_of, not_superseded
from .remote import CUTTING_OFF_SECONDS_MAX, RemoteSteps
from .resident import Resident
from .served import Served
from .steps import Steps
from .surroundings import Surroundings
from .unheard import Doubt
from .unreadable import UnreadableRuns
from .waits import condition_of, detail_of
from .watching import Watching
from .words import encode_detail

logger = logging.getLogger("keepstep.worker")

CLAIMED_BY_OTHERS_SECONDS = 0.02
"""Pause after a run that was due turned out to be somebody else's by now."""


GUESTS_CLAIMED_MAX = 500
"""Runs of guests that are claimed at once while there is no room for others."""

RECOVERY_LOOKS_MAX = 7
"""How often to look for a run whose start was cut off: over about 13 seconds."""


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker may do at once, and how patient it is."""

    queues: tuple[str, ...] = ("default",)
    namespace: str = "default"
    lease_seconds: float = 10.0
    callback_base: str = ""
    active_runs_max: int = 1000
    """Runs in memory that have something to do; no more are claimed above it."""
    idle_runs_max: int = 1000
    """Runs kept in memory although they only wait."""
    concurrent_steps_max: int = 1000
    step_threads_max: int = 32
    claim_max: int = 200
    poll_seconds: float = 1.0
    show_after_seconds: float = 0.5
    """A run that has waited so long is shown as waiting to other processes."""
    idle_seconds_max: float = 600.0
    """A run that has waited so long is given back."""
    label: str = ""


class Worker:
    """See the module's docstring."""

    def __init__(
        self,
        journal: Journal,
        options: WorkerOptions | None = None,
        *,
        surroundings: Surroundings | None = None,
        serve: Sequence[Workflow[Any, Any]] | None = None,
        guests: Sequence[Callable[[Worker], Guest]] = (),
        observers: Sequence[Observer] = (),
        interceptors: Interceptors = NO_INTERCEPTORS,
    ) -> None:
        self.journal = journal
        self.options = options or WorkerOptions()
        self._surroundings = surroundings = surroundings or Surroundings()
        self.ids = surroundings.make_id
        self.random = surroundings.random
        self.served = Served(serve)
        self.interceptors = interceptors
        self.lease_id = self.ids()
        self.watching = Watching(self, Observers(observers)) if observers else None
        """None while nobody observes."""
        self.alarms = Alarms(journal.clock)
        self.steps = Steps(self, self.options.concurrent_steps_max, self.options.step_threads_max)
        self.remote = RemoteSteps(self)
        self.asks = Asks(self)
        self.watchdog = surroundings.make_watchdog()
        self.probe = Probe(self)
        self.admission = Admission(self)
        self.unreadable = UnreadableRuns(self)
        self._guests = {guest.language: guest for guest in (make(self) for make in guests)}
        self._guest_types = [type_ for guest in self._guests.values() for type_ in guest.types]
        self._doubt = Doubt(journal.clock, self.options.lease_seconds)
        self.residents: dict[str, Resident] = {}
        self._idle: OrderedDict[str, Resident] = OrderedDict()
        self._unheard: dict[str, set[asyncio.Future[Committed]]] = {}
        """By run, commits that were on their way when it was dropped."""
        self._unshown: deque[Resident] = deque()
        self._work = Bell()
        self._mail = Bell()
        self._emptied = asyncio.Event()
        self._to_tend = Bell()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._inbox_cursor = 0
        self.is_open = self._has_lease = False
        self._is_stopping = False
        self._context = copy_context()
        """What is done in the background is done in it, not in that of a caller who happens to set it off."""
        self.loop: asyncio.AbstractEventLoop
        self.thread: int
        """On which the loop runs."""

    # life

    async def start(self) -> None:
        """Open the lease, publish what is served, and begin to work."""
        prepare_to_run(self.served.workflows())
        self.loop, self.thread = asyncio.get_running_loop(), get_ident()
        self.is_open = True
        self.journal.listen(self._hear)
        await self._open_lease()
        await self._publish()
        await publish_queues(self.journal)
        self._loops = [
            asyncio.create_task(self._keep_going(name, each), name=f"keepstep-{name}")
            for name, each in (
                ("claim", self._claim_loop),
                ("inbox", self._inbox_loop),
                ("tend", self._tend_loop),
                ("remote", self.remote.serve),
                ("asks", self.asks.serve),
            )
        ]

    async def _publish(self) -> None:
        namespace, served = self.options.namespace, self.served.newest()
        mine = definitions_of(namespace, self.journal.clock.now(), served)
        if any(each.version for each in served):
            published = await self.journal.list_definitions(namespace)
            mine = not_superseded(mine, published, await self.journal.list_leases())
        await self.journal.publish(mine)

    async def _keep_going(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Whatever one run brings into a loop, the others depend on it: it is begun again."""
        while True:
            try:
                await loop()
            except Exception:
                logger.exception("the worker's %s loop met an unexpected error; it goes on", name)
                await asyncio.sleep(1.0)

    async def _open_lease(self) -> None:
        await self.journal.open_lease(
            Lease(
                lease_id=self.lease_id,
                lease_seconds=self.options.lease_seconds,
                process=self._surroundings.identify(),
                queues=(*self.served.queues(self.options.queues), *(each.queue for each in self._guests.values())),
                languages=(LANGUAGE, *self._guests),
                code=code_fingerprint(),
                label=self.options.label,
                opened_at=self.journal.clock.now(),
            )
        )
        self._has_lease = True

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Begin nothing more, let running steps end within the limit, give everything back."""
        if not self.is_open:
            return
        self._is_stopping = True
        self.steps.stop()
        self._emptied.clear()
        self.check_emptied()
        if not await _within(grace_seconds, self._emptied):
            busy = sum(1 for each in self.residents.values() if each.running)
            logger.warning("gave back %d runs whose steps did not end within %g s", busy, grace_seconds)
        self.is_open = False
        self.journal.unlisten(self._hear)
        for loop in self._loops:
            loop.cancel()
        for resident in list(self.residents.values()):
            resident.release()
        try:
            await self.remote.cut_off()
            if self.watching is not None:
                await self._until_told(self.watching)
            for task in self._tasks:
                task.cancel()
            if ending := [*self._loops, *self._tasks]:
                await asyncio.wait(ending, timeout=CUTTING_OFF_SECONDS_MAX)
            await self.journal.close_lease(self.lease_id)
        except JournalError as error:
            logger.warning("the lease could not be closed (%s); others take over when it is over", error)
        finally:
            self.alarms.stop()
            self.steps.close()
            self.watchdog.stop()

    async def _until_told(self, watching: Watching) -> None:
        """Wait a while until what was given back is heard of, and observers have been told of what was lost by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CUTTING_OFF_SECONDS_MAX):
                while self._unheard:
                    await self.until_heard(next(iter(self._unheard)))
                await watching.until_looked()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something in the background for as long as the worker lives."""
        task = asyncio.create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and self.is_open:
            logger.error("background work failed: %r", task.exception())

    def _hear(self, hint: Hint) -> None:
        if hint.kind is HintKind.READY:
            self._work.ring()
        elif hint.kind is HintKind.CLOSED:
            for closing in hint.closings:
                self._closed_elsewhere(closing.run_id)
        elif hint.kind is HintKind.INBOX:
            self._mail.ring()
        elif hint.kind is HintKind.TASKS:
            self.remote.wake()
        elif hint.kind is HintKind.ASKS:
            self.asks.wake()
        elif hint.kind is HintKind.LEASE_LOST and hint.lease_id == self.lease_id:
            self.spawn(self._begin_anew())
        elif hint.kind is HintKind.CLOCK_JUMPED:
            logger.warning("the wall clock jumped by %.1f s; engine time did not follow", hint.microseconds / 1e6)

    def _closed_elsewhere(self, run_id: str) -> None:
        """A client of this process has closed a run (terminate): stop what is being done for it."""
        resident = self.residents.get(run_id)
        if resident is not None and not resident.is_closing:
            self.drop(resident)
            self.look_at_end(run_id, resident.epoch)

    def look_at_end(self, run_id: str, epoch: int) -> None:
        """A run was taken from this worker: have observers hear of it if it has ended by that."""
        if self.watching is not None:
            self.watching.look_at_end(run_id, epoch)

    async def _begin_anew(self) -> None:
        """The lease was taken away: forget everything and open another one.

        One that could not be opened may be open nevertheless, and its store would renew it for ever: it is closed.
        """
        self._has_lease = False
        if self.watching is not None:
            self.watching.lease_lost()
        logger.warning("the lease of this worker was taken over; beginning anew")
        for resident in list(self.residents.values()):
            self.drop(resident)
        await self.remote.cut_off()
        pause, doubtful = 0.1, list[str]()
        while self.is_open and not self._is_stopping:
            self.lease_id = self.ids()
            try:
                while doubtful:
                    await self.journal.close_lease(doubtful[-1])
                    doubtful.pop()
                await self._open_lease()
                break
            except JournalError as error:
                doubtful.append(self.lease_id)
                logger.warning("no new lease could be opened (%s); trying again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10.0)
        self._work.ring()

    # claiming

    async def _claim_loop(self) -> None:
        trouble = 0.0
        reap_at = self.journal.clock.monotonic()
        while True:
            self._work.clear()
            try:
                if self.journal.clock.monotonic() >= reap_at:
                    reap_at = self.journal.clock.monotonic() + self.options.poll_seconds
                    await self.journal.reap()
                if self._doubt.wants_a_look():
                    await self._take_up(await self.journal.list_owned_runs(self.lease_id))
                pause = await self._seconds_to_wake()
                if pause <= 0 and await self._claim():
                    continue
                trouble, pause = 0.0, max(pause, CLAIMED_BY_OTHERS_SECONDS)
            except Fenced:
                pause = self.options.poll_seconds
            except JournalError as error:
                pause = trouble = min(max(trouble * 2, 0.1), 10.0)
                logger.warning("claiming failed (%s); trying again in %.1f s", error, pause)
                self._doubt.begin()
            await self._work.wait(pause)

    async def _seconds_to_wake(self) -> float:
        """How long to wait for a hint before looking again; 0 or less if there is something to claim."""
        poll = self.options.poll_seconds
        types = self._claimable_types()
        if types == [] or self._is_stopping:
            return poll
        wake = await self.journal.next_wake(self.lease_id, types)
        return poll if wake is None else min((wake - self.journal.clock.now()) / 1e6, poll)

    async def _claim(self) -> int:
        room = self.room_for_runs()
        limit = min(room, self.options.claim_max) if room > 0 else GUESTS_CLAIMED_MAX
        runs = await self.journal.claim_runs(self.lease_id, limit, self._claimable_types())
        await self._take_up(runs)
        return len(runs)

    def _claimable_types(self) -> list[str] | None:
        """Runs of guests are soon done with, and wait for no room among those of Python. None: whatever there is."""
        if self.served.is_of_any_name and self.room_for_runs() > 0:
            return None
        return [*self.served.names(), *self._guest_types] if self.room_for_runs() > 0 else self._guest_types

    async def _take_up(self, owned: Sequence[Run]) -> None:
        for language, guest in self._guests.items():
            if theirs := [run for run in owned if run.language == language]:
                await guest.take_up(theirs)
        await self.admission.take_up([run for run in owned if run.language not in self._guests])

    def room_for_runs(self) -> int:
        """How many more may have something to do in this worker's memory."""
        return self.options.active_runs_max - (len(self.residents) - len(self._idle))

    async def park_unreadable(self, run: Run, error: Unreadable) -> None:
        """Give a guest's run back that cannot be read here: all others are offered it, and this worker looks again."""
        await self.unreadable.park(run, error)

    def look_again(self) -> None:
        """A guest has given runs back: see when the next one is due."""
        self._work.ring()

    def doubt_claims(self) -> None:
        """The answer to a claim that may have brought runs, or to giving one back, is lost."""
        self._doubt.begin()

    # starting here

    def new_run(
        self,
        workflow: Workflow[Any, Any],
        arguments: bytes,
        *,
        run_id: str,
        workflow_id: str,
        namespace: str,
        queue: str,
        parent: ParentLink | None = None,
        **options: Any,
    ) -> NewRun:
        """What starts a run of a workflow that this process knows."""
        return started_run(
            workflow.name,
            arguments,
            run_id=run_id,
            workflow_id=workflow_id,
            namespace=namespace,
            queue=workflow.offered_on(queue),
            timeout_seconds=workflow.timeout_seconds,
            version=workflow.version,
            now=self.journal.clock.now(),
            seed=self.random.randbytes(16),
            parent=parent,
            **options,
        )

    def can_adopt(self, new: NewRun) -> bool:
        """True if a run that is about to be started could be advanced by this worker at once."""
        return (
            self._has_lease
            and not self._is_stopping
            and (new.queue in self.options.queues or new.queue in self.served.queues(self.options.queues))
            and self.room_for_runs() > 0
            and self.served.find(new.type, new.queue) is not None
        )

    # letting go

    def drop(self, resident: Resident) -> None:
        """Forget a run: cut it off from the journal, then unwind it."""
        if resident.is_dropped:
            return
        resident.is_dropped = True
        for attempt in list(resident.running.values()):
            attempt.cancel()
        resident.running.clear()
        self.alarms.leave(len(resident.due))
        self._remove(resident)
        for promise in resident.leave():
            self._unheard.setdefault(resident.run_id, set()).add(promise)
            promise.add_done_callback(partial(self._heard, resident.run_id))
        resident.execution.detach()

    async def until_heard(self, run_id: str) -> None:
        """Wait for what was submitted for a run that was dropped meanwhile.

        Who reads the run before that, and goes on with it under the same epoch, has its commits mixed with those.
        """
        while run_id in self._unheard:
            await asyncio.wait(self._unheard[run_id])

    def _heard(self, run_id: str, promise: asyncio.Future[Committed]) -> None:
        self._unheard[run_id].discard(promise)
        if not self._unheard[run_id]:
            del self._unheard[run_id]

    def forget(self, resident: Resident) -> None:
        """A run was closed by this worker."""
        self.drop(resident)
        resident.take_apart()

    def _remove(self, resident: Resident) -> None:
        if self.residents.get(resident.run_id) is resident:
            del self.residents[resident.run_id]
        self._idle.pop(resident.run_id, None)
        if self.room_for_runs() == 1:
            self._work.ring()
            self.remote.wake()
        self.check_emptied()

    def reload(self, resident: Resident) -> None:
        """Something went wrong between memory and journal: begin the run again from the journal."""
        if not resident.is_dropped:
            self.drop(resident)
            self.spawn(self._reload(resident.run_id))

    def recover(self, run_id: str) -> None:
        """Nobody knows whether a run was started under this worker's lease: look for it for a while."""
        self.spawn(self._reload(run_id, looks_max=RECOVERY_LOOKS_MAX))

    async def _reload(self, run_id: str, looks_max: int = 1) -> None:
        pause = 0.1
        while self.is_open:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)
            try:
                run = await self.journal.read_run(run_id)
                looks_max -= 1
                if run is None and looks_max > 0:
                    continue
                if run is not None and run.owner == self.lease_id and run.status is Status.RUNNING:
                    await self.admission.load(run)
                return
            except JournalError as error:
                logger.warning("run %s could not be read again: %s", run_id, error)

    def adopt(self, new: NewRun, started: Started) -> None:
        """A run was started under this worker's lease, by a guest: advance it."""
        self.admission.adopt(new, started)

    def released(self, done: Promise) -> None:
        """Called with the outcome of a commit that gave a run back."""
        error = done.exception()
        if error is not None and not isinstance(error, Fenced):
            logger.warning("a run could not be given back (%s); it is taken up again if it is still owned", error)
            self._doubt.begin()
        elif error is not None and done.commit.epoch is not None:
            self.look_at_end(done.commit.run_id, done.commit.epoch)
        self._work.ring()

    # resting

    def rest(self, resident: Resident) -> None:
        """Called whenever a resident may have become idle, or busy."""
        if resident.is_dropped:
            return
        if not resident.is_shown and not resident.is_to_be_shown and not resident.is_closing:
            resident.is_to_be_shown = True
            self._unshown.append(resident)
            self._to_tend.ring()
        if resident.is_idle:
            resident.is_resting = True
            self._idle[resident.run_id] = resident
            self._idle.move_to_end(resident.run_id)
            if resident.is_suspect:
                self.survived(resident)
            if self._is_stopping:
                resident.release()
                return
            while len(self._idle) > self.options.idle_runs_max:
                _, oldest = self._idle.popitem(last=False)
                oldest.release()
        elif resident.is_resting:
            resident.is_resting = False
            self._idle.pop(resident.run_id, None)
        if self._is_stopping:
            self.check_emptied()

    def check_emptied(self) -> None:
        """Called whenever the last thing may have ended that a stop waits for."""
        if not self._is_stopping or self.remote.is_busy:
            return
        if not any(each.running or each.in_flight for each in self.residents.values()):
            self._emptied.set()

    async def _tend_loop(self) -> None:
        while True:
            await asyncio.sleep(self.options.show_after_seconds / 2)
            if not self._unshown:
                self._to_tend.clear()
                await self._to_tend.wait(self.options.idle_seconds_max / 2)
            now = self.journal.clock.now()
            show_before = now - round(self.options.show_after_seconds * 1e6)
            idle_before = now - round(self.options.idle_seconds_max * 1e6)
            for _ in range(len(self._unshown)):
                resident = self._unshown.popleft()
                if resident.is_dropped or resident.is_closing or resident.parking.is_under_way:
                    continue
                if resident.quiet_since > show_before:
                    self._unshown.append(resident)
                    continue
                resident.is_to_be_shown = False
                resident.show()
            while self._idle:
                resident = next(iter(self._idle.values()))
                if resident.quiet_since > idle_before:
                    break
                if resident.is_idle:
                    resident.release()
                else:  # something has been begun for it since it came to rest
                    resident.is_resting = False
                    del self._idle[resident.run_id]

    # what was said

    async def _inbox_loop(self) -> None:
        while True:
            await self._mail.wait(self.options.poll_seconds)
            self._mail.clear()
            try:
                await self._read_inbox()
            except JournalError as error:
                logger.warning("reading the inbox failed: %s", error)
                await asyncio.sleep(self.options.poll_seconds)

    async def _read_inbox(self) -> None:
        while self.residents:
            messages = await self.journal.read_inbox(self.lease_id, self._inbox_cursor)
            if not messages:
                return
            by_run: dict[str, list[Message]] = {}
            for message in messages:
                by_run.setdefault(message.run_id, []).append(message)
            self._inbox_cursor = messages[-1].n
            for run_id, said in by_run.items():
                resident = self.residents.get(run_id)
                if resident is not None and (resident.has_begun or resident.parking.is_under_way):
                    resident.take_messages(said)
                else:
                    self.admission.keep_early(run_id, said)
            if self.admission.forget_early_if_too_many():
                self._inbox_cursor = 0
                return  # what cannot be kept is read again, when some of the runs have begun

    def look(self, run_id: str) -> tuple[Condition, bytes] | None:
        """What a run in memory here is doing right now, fresher than the journal shows it; None if it is not here."""
        resident = self.residents.get(run_id)
        if resident is None or not resident.has_begun or resident.parking.is_under_way:
            return None
        return condition_of(resident), encode_detail(detail_of(resident))

    # suspects

    def survived(self, resident: Resident) -> None:
        """A suspect has come to rest, and the process lives."""
        if resident.is_suspect and not resident.is_dropped and not resident.is_closing:
            resident.is_suspect = resident.is_probed = False
            resident.append(clear_strikes=True)


async def _within(seconds: float, news: asyncio.Event) -> bool:
    """Wait for news, but not longer than that; True if there was some."""
    try:
        async with asyncio.timeout(seconds):
            return await news.wait()
    except TimeoutError:
        return False
