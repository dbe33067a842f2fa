"""Track: what stands in for a thread where one loop drives many processes.

A track runs plain blocking code. Where that code would wait, the track stands still in the middle of it, however deep
in calls it is, and the loop goes on with others; a callback of the loop, in the context of the track's process, lets it
go on. So it is the seeded loop that decides which thread runs when, a process that is frozen has frozen threads, and
whatever a thread had in its hands when it stopped (a transaction, a lock) it still has.

It is a greenlet. Only the loop switches to one, and it always comes back to the loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import Context
from typing import TypeVar, cast

from greenlet import getcurrent, greenlet

from keepstep.journal.postgres.pace import NUMBER_BITS, Pace

T = TypeVar("T")


class Killed(BaseException):
    """The process is dead; raised where its track stands, so that nothing of it is left."""


class Track(greenlet):
    """See the module. It begins with the loop's next iteration."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], None], context: Context) -> None:
        super().__init__(parent=_the_loops_own())
        self._loop = loop
        self._work = work
        self._context = context
        self._is_killed = False
        self.gr_context = context.copy()
        self._next: asyncio.Handle = loop.call_soon(self._go_on, context=context)

    def run(self) -> None:
        try:
            self._work()
        except Killed:
            """Nobody is left who could be told."""

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long, or until ``wake``."""
        self._check()
        self._next = self._loop.call_later(seconds, self._go_on, context=self._context)
        self._stand_still()

    def rest(self) -> None:
        """Let others go on until ``wake``."""
        self._check()
        self._stand_still()

    def wake(self) -> None:
        """Called by others, while it sleeps or rests."""
        if self._loop.is_closed():
            return
        self._next.cancel()
        self._next = self._loop.call_soon(self._go_on, context=self._context)

    def kill(self) -> None:
        """It does nothing any more, but what code does that is left by an error. Called from the loop."""
        self._is_killed = True
        self._next.cancel()
        if self:  # it has begun, and not ended
            self.switch()
            assert self.dead, "a dead process's thread waits for something"

    def _go_on(self) -> None:
        self.switch()

    def _stand_still(self) -> None:
        assert self.parent is not None
        self.parent.switch()
        self._check()

    def _check(self) -> None:
        if self._is_killed:
            raise Killed


def _the_loops_own() -> greenlet:
    """Where the loop runs: what has made the track may be another track."""
    current = getcurrent()
    while current.parent is not None:
        current = current.parent
    return current


def this_track() -> Track:
    """The running one."""
    return cast(Track, getcurrent())


def is_on_track() -> bool:
    return isinstance(getcurrent(), Track)


class TrackEvent:
    """A ``threading.Event`` between tracks."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: dict[Track, None] = {}

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiting, self._waiting = self._waiting, {}
        for track in waiting:
            track.wake()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it was set within so many seconds."""
        if not self._is_set:
            track = this_track()
            self._waiting[track] = None
            try:
                if timeout is None:
                    track.rest()
                else:
                    track.sleep(timeout)
            finally:
                self._waiting.pop(track, None)
        return self._is_set


class TrackLock:
    """A ``threading.Lock`` between tracks. Where it is free, the loop itself may take it, too."""

    def __init__(self) -> None:
        self._is_held = False
        self._freed = TrackEvent()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Whether it was free within so many seconds; negative: however long it takes."""
        while self._is_held:
            self._freed.clear()
            if not blocking or not (self._freed.wait(None if timeout < 0 else timeout)):
                return False
        self._is_held = True
        return True

    def release(self) -> None:
        self._is_held = False
        self._freed.set()

    def locked(self) -> bool:
        return self._is_held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Tracks:
    """The tracks of one process, in whose context they run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self._loop = loop
        self._context = context
        self._tracks: dict[Track, None] = {}

    def begin(self, work: Callable[[], None]) -> None:
        """Do something beside all else."""

        def work_and_leave() -> None:
            try:
                work()
            finally:
                self._tracks.pop(this_track(), None)

        self._tracks[Track(self._loop, work_and_leave, self._context)] = None

    async def call(self, work: Callable[[], T]) -> T:
        """Do something on a track, and wait for what comes of it."""
        done: asyncio.Future[T] = self._loop.create_future()

        def work_and_tell() -> None:
            try:
                outcome = work()
            except Killed:
                raise
            except BaseException as error:  # as a thread does, whose SystemExit is not the process's
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(outcome)

        self.begin(work_and_tell)
        return await done

    def kill(self) -> None:
        """All of them, wherever they stand."""
        for track in list(self._tracks):
            track.kill()
        self._tracks.clear()


class TrackPace(Pace):
    """The clock of the loop, the chance of a seed, and waits in which others go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chance: random.Random) -> None:
        super().__init__()
        self._loop = loop
        self._chance = chance

    def monotonic(self) -> float:
        return self._loop.time()

    def sleep(self, seconds: float) -> None:
        this_track().sleep(seconds)

    def draw_number(self) -> int:
        return self._chance.getrandbits(NUMBER_BITS)
