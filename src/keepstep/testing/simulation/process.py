"""Process: one simulated process with an engine in it. It can be killed, frozen, slandered, slowed and redeployed."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from keepstep.client.engine import Engine
from keepstep.journal import Claimed, Commit, Committed, Hint, HintKind, Journal, ProcessIdentity, uuid7
from keepstep.testing.virtual import EPOCH_MICROSECONDS, VirtualClock
from keepstep.worker.surroundings import Surroundings
from keepstep.worker.watchdog import Watchdog

from .courier import Courier
from .features import Feature
from .language import CONTRADICTING, RATED_QUEUE, REMOTE_QUEUE, TALK_QUEUE, VERSIONS
from .outside import Outside
from .record import Acknowledged, Handout, Record
from .scheduler import Fate, SimulationLoop, fate
from .trouble import Temper, TroubledJournal

T = TypeVar("T")

LEASE_SECONDS = 2.0
POLL_SECONDS = 1.0
IDLE_SECONDS_MAX = 1.5
FLUSH_SECONDS_MAX = 0.002

QUEUES = ("default", REMOTE_QUEUE, TALK_QUEUE)


class CrashableJournal(Journal, Protocol):
    """What a simulated store opens: a journal whose process can die."""

    def crash(self, *, noticed: bool = True) -> None:
        """Nothing more is written, and nobody is answered any more."""
        ...


class Store(Protocol):
    """Something durable on which several processes open journals."""

    has_transactions: bool
    """It has room for a table of the steps' own."""
    insert_effect: str
    """What fills it: run id, key and receipt."""

    async def open(
        self,
        *,
        clock: VirtualClock,
        process: ProcessIdentity,
        flush_delay: Callable[[], float],
        is_surely_dead: Callable[[ProcessIdentity], bool],
        ids: Callable[[], str],
        disturb: Callable[[], None],
    ) -> CrashableJournal:
        """``disturb`` is to be called when something befalls the process that others may notice."""
        ...

    def bury(self, process: ProcessIdentity) -> None:
        """The process has died before it had opened its journal."""
        ...

    def read_effects(self) -> list[tuple[str, str, str]]:
        """The rows of that table."""
        ...

    def close(self) -> None: ...


class Died(Exception):
    """The process that was asked died before it could answer."""


class Unwatched(Watchdog):
    """Under virtual time no turn is too long, and no thread looks at real time."""

    def enter(self) -> None:
        """Nobody looks."""

    def leave(self) -> bool:
        return False

    def stop(self) -> None:
        """There is no thread."""


def _tell(told: asyncio.Future[None], _: object = None) -> None:
    if not told.done():
        told.set_result(None)


class Process(Fate):
    """See the module's docstring. ``number`` is unique in a simulation; a restarted process has another one."""

    def __init__(self, number: int, version: int, store: Store, record: Record, outside: Outside, seed: str) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        self.number = number
        self.version = version
        self.outside = outside
        self.loop = loop
        self.record = record
        record.contradicted |= version == CONTRADICTING
        self.is_slandered = False
        """Others take it for dead."""
        self.is_death_noticed = True
        self.is_open = False
        """Its engine can be asked."""
        self.died = asyncio.Event()
        self._callers: dict[asyncio.Future[None], None] = {}
        """Who waits for an answer, and is told when there is one or none will come."""
        self._death = loop.create_task(self.died.wait())
        self._death.add_done_callback(self._tell_callers)
        self.give_up: Callable[[Process], None] = Process.kill
        """What is done with it when it has found that its store cannot be written any more."""
        self.identity = ProcessIdentity(
            host="simulation", boot_id="virtual", pid_namespace="", pid=number, started=f"{number}"
        )
        self.clock = VirtualClock(loop)
        self.chance = random.Random(f"{seed}/process {number}")
        self.temper = Temper()
        self.temper.die, self.temper.disturb = self.kill, self.disturb
        self.temper.hand_out = self._note_handouts
        self.engine: Engine
        self._store = store
        self._inner: CrashableJournal | None = None
        self.context = contextvars.copy_context()
        self.context.run(fate.set, self)

    def __repr__(self) -> str:
        return f"process {self.number}"

    async def open(self, is_surely_dead: Callable[[ProcessIdentity], bool], *, has_worker: bool = True) -> None:
        """Open the journal and the engine. Raises ``Died``, or what a process that cannot start raises."""
        await self.call(self._open(is_surely_dead, has_worker))

    async def _open(self, is_surely_dead: Callable[[ProcessIdentity], bool], has_worker: bool) -> None:
        ids = self._make_id
        self._inner = await self._store.open(
            clock=self.clock,
            process=self.identity,
            flush_delay=lambda: self.chance.random() * FLUSH_SECONDS_MAX,
            is_surely_dead=is_surely_dead,
            ids=ids,
            disturb=self.disturb,
        )
        self._inner.listen(self._hear)
        features = self.record.features
        journal = TroubledJournal(self._inner, self.temper, self.chance, self.context, self._confirm)
        self.engine = Engine(
            journal=cast(Journal, journal),
            workers=has_worker,
            queues=(*QUEUES, RATED_QUEUE) if Feature.RATES in features else QUEUES,
            interceptors=[Courier()] if Feature.HEADERS in features else (),
            lease_seconds=LEASE_SECONDS,
            poll_seconds=POLL_SECONDS,
            idle_runs_max=self.chance.choice((0, 2, 5, 1000)),
            idle_seconds_max=IDLE_SECONDS_MAX,
            callback_url="http://callback",
            serve=VERSIONS[self.version],
            surroundings=Surroundings(ids, self.chance, lambda: self.identity, Unwatched),
            label=f"process {self.number}",
        )
        await self.engine.__aenter__()
        self.is_open = True

    def _hear(self, hint: Hint) -> None:
        if hint.kind is HintKind.STORE_LOST:
            self.loop.call_soon(self.give_up, self, context=contextvars.Context())

    def _make_id(self) -> str:
        return uuid7(self.clock.now() // 1000, self.chance.randbytes(10))

    def _confirm(self, commit: Commit, outcome: Committed) -> None:
        self.record.acknowledged.append(Acknowledged(commit, outcome, self.number, self.clock.now()))

    def _note_handouts(self, claimed: Claimed, asked: float) -> None:
        """The store has handed something out to it, of which it may never hear."""
        times = (EPOCH_MICROSECONDS + round(asked * 1e6), EPOCH_MICROSECONDS + self.loop.microseconds(), self.number)
        for task in claimed.tasks:
            self.record.handouts.append(Handout(task.queue, task.run_id, task.key, *times))
        for run in claimed.runs:
            self.record.handouts.append(Handout(run.queue, run.run_id, "", *times))

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in this process and wait for the answer. Raises ``Died``."""
        if self.is_dead:
            work.close()
            raise Died
        done = self.loop.create_task(work, context=self.context)
        told = self.loop.create_future()
        done.add_done_callback(partial(_tell, told))
        self._callers[told] = None
        try:
            await told
        finally:
            del self._callers[told]
        if done.done():
            return done.result()
        raise Died

    def _tell_callers(self, _: asyncio.Task[bool]) -> None:
        for told in self._callers:
            _tell(told)

    # what can happen to it

    def kill(self, *, noticed: bool = True) -> None:
        """``kill -9``; ``noticed=False``: on a machine that nobody can look into."""
        if self.is_dead:
            return
        self.disturb()
        self.die()
        self.is_death_noticed = noticed
        if self._inner is not None:
            self._inner.crash(noticed=noticed)
        else:
            self._store.bury(self.identity)
        self.died.set()

    def disturb(self) -> None:
        """Something bad happens to it now: what it was doing may have to be done again."""
        self.record.disturb(self.number, EPOCH_MICROSECONDS + self.loop.microseconds())
