"""Stage: one test in virtual time: a store in memory, an engine that the test holds, and a worker that may crash.

The test's engine runs nothing itself. The runs are the worker's, a simulated process of its own, so that it can die
while the test goes on waiting, as a client of a real deployment would. A dead worker is replaced at once by another one
on the same store, which finds what the dead one owned.

Invariants

* Nothing of a dead worker ever runs again, not even a ``finally``: its callbacks are dropped (``SimulationLoop``).
* Time passes only while the loop runs and nobody is ready; all waiting is for hints, so that a month takes no longer
  than what happens in it. The slow looks behind the hints come once in ``POLL_SECONDS``.
* The same test makes the same commits in the same order each time: ids, chance and time are the stage's own.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from keepstep.client.engine import Engine
from keepstep.journal import Commit, InvalidInput, ProcessIdentity, Promise, uuid7
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.runtime.data import Duration, to_seconds
from keepstep.runtime.registry import steps, workflows
from keepstep.testing.simulation.process import Unwatched
from keepstep.testing.simulation.scheduler import Fate, SimulationLoop, fate
from keepstep.testing.virtual import Stuck, VirtualClock
from keepstep.worker.surroundings import Surroundings

from .burial import bury, lay_out

T = TypeVar("T")

DAY_SECONDS = 24 * 3600.0
POLL_SECONDS = DAY_SECONDS

LEASE_SECONDS = 30 * DAY_SECONDS
"""The death of a worker is seen, not guessed from its silence, so that nobody need renew a lease every few seconds."""

IDLE_SECONDS_MAX = 2 * DAY_SECONDS
"""A run that sleeps for longer is given back, and replayed when it wakes up."""

OWNED = ("url", "create", "journal", "clock", "surroundings", "workers")
"""Options of ``Engine`` that nobody else can give."""

PATIENT = {
    "lease_seconds": LEASE_SECONDS,
    "poll_seconds": POLL_SECONDS,
    "idle_seconds_max": IDLE_SECONDS_MAX,
    "callback_url": "http://test",
}

PATIENCE_DAYS = 3653
"""A test that waits for anything for ten years waits for something that will not come."""

ENDING_SECONDS_MAX = 60.0
"""So long may what is left at the end of a test take to be cancelled, in virtual time."""

EVENTS_NAMED_MAX = 3

_DOOM = re.compile(r"([1-9]\d*)-(before|after)")


class Crash(msgspec.Struct, frozen=True):
    """Where the worker dies: right before it hands its n-th commit to the store, or when that is durable."""

    commit: int
    """Counts from 1, over all workers of a test."""
    side: str
    """``before`` or ``after``."""

    @classmethod
    def parse(cls, text: str) -> Crash:
        """The reverse of ``str``. Raises ``InvalidInput``."""
        found = _DOOM.fullmatch(text)
        if found is None:
            raise InvalidInput(f"a crash is written as 7-before or 7-after, for the seventh commit, not {text!r:.60}")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.commit}-{self.side}"


class VirtualTime:
    """The time of a test. ``asyncio.sleep`` and all waits of the engine pass it, too."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def now(self) -> datetime:
        """What workflows and steps take the time to be."""
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=self._stage.clock.now())

    async def advance(self, duration: Duration) -> None:
        """Let so much time pass, with all that happens in it: ``await keepstep_time.advance("30d")``."""
        await asyncio.sleep(to_seconds(duration))


class Stage:
    """See the module's docstring. ``with Stage() as stage: stage.play(test)``

    :param crash: where the worker is to die. :param options: of the worker's ``Engine``; by default it serves all
        queues that the steps and workflows of this process name.
    """

    def __init__(self, crash: Crash | None = None, **options: Any) -> None:
        if owned := [name for name in OWNED if name in options]:
            raise InvalidInput(f"{owned[0]}= is the test's own: its store is in memory and its time is virtual")
        self.loop = SimulationLoop()
        self.clock = VirtualClock(self.loop)
        self.time = VirtualTime(self)
        self.crash = crash
        self.commits = 0
        """How many the workers have made."""
        self.doomed = ""
        """At which commit the worker died, in words."""
        self.workers: list[WorkerProcess] = []
        """All that there were; the last one lives."""
        self._disk = MemoryDisk()
        self._ids = _ids(self.clock, "client")
        self._worker_options = {"queues": _all_queues(), **options}
        shared = {name: options[name] for name in ("namespace", "codec", "callback_url") if name in options}
        self.engine = Engine(
            journal=MemoryJournal(self._disk, clock=VirtualClock(self.loop)),
            workers=False,
            poll_seconds=POLL_SECONDS,
            clock=self.clock,
            surroundings=Surroundings(self._ids, random.Random("client"), make_watchdog=Unwatched),
            **shared,
        )
        self._supervisor: asyncio.Task[None] | None = None

    def __enter__(self) -> Stage:
        try:
            self.loop.run_until_complete(self._open())
        except BaseException:
            self._strike()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.loop.run_until_complete(self._close())
        finally:
            self._strike()

    async def _open(self) -> None:
        await self.engine.__aenter__()
        await self._replace_worker()
        self._supervisor = self.loop.create_task(self._supervise(), name="keepstep-supervisor")

    async def _close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
        await self.workers[-1].close()
        await self.engine.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:  # of which those of the dead do not hear that they are cancelled
            await asyncio.wait(left, timeout=ENDING_SECONDS_MAX)

    def _strike(self) -> None:
        """Take the stage down. The tasks of the dead are thrown away where they are, without a word."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.loop.close()
        if left or len(self.workers) > 1:
            lay_out(left, self.workers)
            if self.crash is None:  # of several crashes in a row the dead are buried together
                bury()

    def play(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something to its end, in virtual time. Raises what it raises, and ``Stuck`` after ten years."""
        return self.loop.run_until_complete(self._play(act))

    async def _play(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        assert self._supervisor is not None, "a stage is used within: with Stage() as stage"
        task = self.loop.create_task(act(), name="test")
        try:
            await asyncio.wait(
                (task, self._supervisor), timeout=PATIENCE_DAYS * DAY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            if self._supervisor.done():
                self._supervisor.result()
            raise Stuck(
                f"what the test waits for has not come in {PATIENCE_DAYS} days of virtual time; these wait:\n  "
                + self.loop.describe_waiting()
            )
        finally:
            task.cancel()

    # workers

    async def crash_worker(self) -> None:
        """Kill the worker now, and wait until another one has taken its place."""
        there = len(self.workers)
        self.workers[-1].kill()
        while len(self.workers) == there or not self.workers[-1].is_open:
            await asyncio.sleep(0.001)

    async def _supervise(self) -> None:
        while True:
            await self.workers[-1].died.wait()
            await self._replace_worker()

    async def _replace_worker(self) -> None:
        """Start workers until one has come up alive."""
        while True:
            worker = WorkerProcess(self, len(self.workers) + 1, self._disk, self._worker_options)
            self.workers.append(worker)
            if await worker.open():
                return

    def judge(self, worker: WorkerProcess, commit: Commit, submit: Callable[[Commit], Promise]) -> Promise:
        """A worker hands a commit to the store: the moment at which it may have to die."""
        self.commits += 1
        self.loop.iterations = 0  # whoever commits does not go round in circles
        if self.crash is None or self.crash.commit != self.commits:
            return submit(commit)
        self.doomed = f"{self.crash.side} commit {self.commits}, {_in_words(commit)}"
        if self.crash.side == "before":
            worker.kill()
        else:
            submit(commit).heard = lambda _: worker.kill()
        return Promise(loop=self.loop)


class WorkerProcess(Fate):
    """A simulated process that runs workflows and steps."""

    def __init__(self, stage: Stage, number: int, disk: MemoryDisk, options: dict[str, Any]) -> None:
        super().__init__()
        self.is_open = False
        self.died = asyncio.Event()
        self._loop = stage.loop
        self._context = contextvars.copy_context()
        self._context.run(fate.set, self)
        clock = VirtualClock(stage.loop)
        identity = ProcessIdentity(host="test", boot_id="virtual", pid_namespace="", pid=number, started=str(number))
        name = f"worker {number}"
        self._journal = _StagedJournal(disk, clock=clock, process=identity)
        self._journal.submitted = lambda commit, submit: stage.judge(self, commit, submit)
        chance = random.Random(name)
        self._engine = Engine(
            journal=self._journal,
            surroundings=Surroundings(_ids(clock, name), chance, lambda: identity, Unwatched),
            **{**PATIENT, **options},
        )

    async def open(self) -> bool:
        """False if it died meanwhile."""
        self.is_open = await self._call(self._engine.__aenter__())
        return self.is_open

    async def close(self) -> None:
        """Give back what it owns; a step that runs is not waited for."""
        if self.is_open and not self.is_dead:
            await self._call(self._engine.close(grace_seconds=0))

    async def _call(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Do something in this process. False if it died before that was done."""
        done = self._loop.create_task(work, context=self._context)
        death = self._loop.create_task(self.died.wait())
        await asyncio.wait((done, death), return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if done.done():
            done.result()
        return done.done()

    def kill(self) -> None:
        """``kill -9``"""
        if not self.is_dead:
            self.die()
            self._journal.crash()
            self.died.set()


class _StagedJournal(MemoryJournal):
    """The store as a worker sees it, whose commits are looked at on their way."""

    submitted: Callable[[Commit, Callable[[Commit], Promise]], Promise]

    def submit(self, commit: Commit) -> Promise:
        return self.submitted(commit, super().submit)


def _ids(clock: VirtualClock, name: str) -> Callable[[], str]:
    chance = random.Random(f"ids of {name}")
    return lambda: uuid7(clock.now() // 1000, chance.randbytes(10))


def _all_queues() -> tuple[str, ...]:
    named = {each.queue for each in workflows()} | {each.run_options.queue or "default" for each in steps()}
    return tuple(sorted(named | {"default"}))


def _in_words(commit: Commit) -> str:
    """What a commit tells the store."""
    events = [f"{each.type} {each.key or ''}".strip() for each in commit.events]
    more = len(events) - EVENTS_NAMED_MAX
    told = events[:EVENTS_NAMED_MAX] + ([f"{more} more events"] if more > 0 else [])
    return f"which writes {', '.join(told)}" if told else "which writes no event"
