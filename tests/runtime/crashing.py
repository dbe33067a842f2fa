"""Runs a workflow while its process dies at a chosen commit, and lets another process finish it.

``World`` is one disk with any number of engines on it, in virtual time. ``crash_at_every_commit`` first counts the
commits of an undisturbed run, and then runs the program again once for each of them and each side of it: the process
dies right before the commit is handed to the store, or right after it is durable but before the process hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from keepstep import Engine
from keepstep.codecs import Codec
from keepstep.journal import Commit, Promise, StoreUnavailable
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.testing import VirtualClock, VirtualLoop, run
from keepstep.worker.observer import Observer

CRASHES_MAX = 200
RECOVERY_SECONDS = 5.0


class CrashingJournal(MemoryJournal):
    """A handle whose process can die at its n-th commit."""

    commits = 0
    dies_at: tuple[int, str] | None = None
    on_death: Callable[[], None]
    troubles: dict[int, str] = {}  # noqa: RUF012  shared by all handles, as the disk is
    """Commits that fail without a death: "refused" (nothing happened) or "unknown" (it happened all the same)."""

    def submit(self, commit: Commit) -> Promise:
        type(self).commits += 1
        trouble = self.troubles.pop(type(self).commits, "")
        if trouble:
            failed = Promise(loop=asyncio.get_running_loop())
            error = StoreUnavailable(f"the disk is in trouble; the commit is {trouble}")
            if trouble == "refused":
                failed.get_loop().call_soon(failed.settle, None, error)
            else:
                super().submit(commit).heard = lambda done: failed.settle(None, done.exception() or error)
            return failed
        doomed = self.dies_at is not None and self.dies_at[0] == type(self).commits
        if doomed and self.dies_at is not None and self.dies_at[1] == "before":
            self.on_death()
            return Promise(loop=asyncio.get_running_loop())
        promise = super().submit(commit)
        if doomed:
            promise.heard = lambda _: self.on_death()
            return Promise(loop=asyncio.get_running_loop())
        return promise


class World:
    """One disk, and the engines that were opened on it."""

    def __init__(self) -> None:
        CrashingJournal.commits = 0
        CrashingJournal.troubles = {}
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, VirtualLoop)
        self.disk = MemoryDisk()
        self.engines: list[Engine] = []
        self.death = asyncio.Event()

    async def open(self, dies_at: tuple[int, str] | None = None, **options: Any) -> Engine:
        """Another process on the disk."""
        assert isinstance(self.loop, VirtualLoop)
        journal = CrashingJournal(self.disk, clock=VirtualClock(self.loop))
        engine = Engine(journal=journal, callback_url="http://here", **options)
        journal.dies_at = dies_at
        journal.on_death = lambda: self.kill(engine)
        await engine.__aenter__()
        self.engines.append(engine)
        return engine

    def kill(self, engine: Engine) -> None:
        """The process dies: nothing of it runs or writes any more."""
        journal = engine._given_journal
        assert isinstance(journal, CrashingJournal)
        journal.crash()
        worker = engine.worker
        assert worker is not None
        worker.is_open = False
        for loop in (*worker._loops, *worker._tasks, *worker.remote._busy):
            loop.cancel()
        for resident in list(worker.residents.values()):
            worker.drop(resident)
        worker.alarms.stop()
        worker.watchdog.stop()
        if engine in self.engines:  # it may die while it is being opened
            self.engines.remove(engine)
        self.death.set()

    async def is_dead_before(self, work: asyncio.Future[Any], seconds: float = 600) -> bool:
        """Wait until the work is done or somebody dies; work of the dead is given up."""
        death = asyncio.ensure_future(self.death.wait())
        await asyncio.wait((work, death), return_when=asyncio.FIRST_COMPLETED, timeout=seconds)
        death.cancel()
        if self.death.is_set():
            work.cancel()
        return self.death.is_set()

    async def close(self) -> None:
        for engine in list(self.engines):
            await engine.close()


Program = Callable[[Engine], Awaitable[Any]]
"""Starts runs with fixed ids and speaks to them; must bear being called again after a crash."""


def undisturbed(program: Program) -> Any:
    """What the program returns when nothing crashes."""
    return run(lambda: _once(program, None))


def crash_at_every_commit(
    program: Program,
    check: Callable[[Any, int], None],
    *,
    poll_seconds: float = 1.0,
    make_codec: Callable[[], Codec | None] = lambda: None,
    make_observers: Callable[[], Sequence[Observer]] = tuple,
    **options: Any,
) -> int:
    """Crash at each commit of the program, on both sides; how many crashes were tried.

    ``check(result, crashes)`` judges each outcome; ``crashes`` is 0 for the undisturbed run, else 1. A program that
    waits for days is played faster with a longer ``poll_seconds``. Each process has a codec and observers of its own;
    other options of its engine are the same for all.
    """
    CrashingJournal.commits = 0
    makers = (make_codec, make_observers)
    check(run(lambda: _once(program, None, poll_seconds, *makers, **options)), 0)
    commits = CrashingJournal.commits
    assert 0 < commits <= CRASHES_MAX
    for n in range(1, commits + 1):
        for side in ("before", "after"):
            CrashingJournal.commits = 0
            check(run(lambda n=n, side=side: _once(program, (n, side), poll_seconds, *makers, **options)), 1)  # type: ignore[misc]
    return 2 * commits


async def _once(
    program: Program,
    dies_at: tuple[int, str] | None,
    poll_seconds: float = 1.0,
    make_codec: Callable[[], Codec | None] = lambda: None,
    make_observers: Callable[[], Sequence[Observer]] = tuple,
    **options: Any,
) -> Any:
    world = World()
    options |= {"lease_seconds": RECOVERY_SECONDS, "poll_seconds": poll_seconds}
    first = await world.open(dies_at, codec=make_codec(), observers=make_observers(), **options)
    attempt = asyncio.ensure_future(program(first))
    death = asyncio.ensure_future(world.death.wait())
    await asyncio.wait((attempt, death), return_when=asyncio.FIRST_COMPLETED)
    death.cancel()
    if attempt.done():
        result = attempt.result()
    else:
        attempt.cancel()
        second = await world.open(codec=make_codec(), observers=make_observers(), **options)
        result = await program(second)
    await world.close()
    return result
