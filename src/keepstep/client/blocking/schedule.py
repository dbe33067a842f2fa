"""BlockingScheduleHandle: one schedule, as sync application code holds it."""

from __future__ import annotations

from keepstep.client.schedule import ScheduleHandle

from .derived import Blocking, Derived, DerivedIterator
from .thread import EngineThread


class BlockingScheduleHandle(Blocking):
    """A schedule. All its methods raise ``NotFound`` if there is none of that id."""

    def __init__(self, thread: EngineThread, handle: ScheduleHandle) -> None:
        self._thread = thread
        self._it: ScheduleHandle = handle

    def __repr__(self) -> str:
        return repr(self._it)

    @property
    def id(self) -> str:
        """The schedule's id."""
        return self._it.id

    describe = Derived(ScheduleHandle.describe)
    history = DerivedIterator(ScheduleHandle.history)
    pause = Derived(ScheduleHandle.pause)
    resume = Derived(ScheduleHandle.resume)
    trigger = Derived(ScheduleHandle.trigger)
    backfill = Derived(ScheduleHandle.backfill)
    update = Derived(ScheduleHandle.update)
    delete = Derived(ScheduleHandle.delete)
