"""Following: the events of one run as they become durable, for whoever shows a run while it goes on.

Whether the run is closed is read before its events are, so that its last one is never missed. While nothing happens,
the looks become rarer, up to the engine's ``poll_seconds``, but for one after each hint that the run has said something
or ended (a server hints at every event); whoever stops following leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from keepstep.journal import Event, InvalidInput, Journal, NotFound, Status

from .ear import Ear

PAGE = 500
PAUSE_SECONDS_MIN = 0.05


async def follow(journal: Journal, run_id: str, after: int, poll_seconds: float) -> AsyncIterator[Event]:
    """See ``RunHandle.follow``."""
    if type(after) is not int or after < 0:
        raise InvalidInput(f"after is the seq of an event, or 0 for all of them, not {after!r:.60}")
    pause, ear = PAUSE_SECONDS_MIN, Ear(journal, run_id)
    try:
        while True:
            ear.forget()
            run = await journal.read_run(run_id)
            if run is None:
                raise NotFound(f"there is no run {run_id} any more; its retention has ended")
            page = await journal.read_events(run_id, after, PAGE)
            for event in page:
                yield event
            if page:
                after, pause = page[-1].seq, PAUSE_SECONDS_MIN
            elif run.status is not Status.RUNNING:
                return
            else:
                await ear.listen(pause)
                pause = min(pause * 2, max(poll_seconds, PAUSE_SECONDS_MIN))
    finally:
        ear.close()
