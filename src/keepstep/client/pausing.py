"""Pausing: asking for a run to stand still, and to go on.

A run that nobody owns is paused by a commit. One that a worker has in memory is asked by a message, so that the steps
being executed can end; the request is durable at once, and it is waited a little for the answer, so that whoever looks
next sees it. Should that worker die before it has read the message, the next one reads it first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from keepstep.journal import Commit, Condition, Conflict, InvalidInput, Journal, NewMessage, Run, RunClosed, Status
from keepstep.runtime.errors import TimedOut
from keepstep.worker.pause import PAUSE, RESUME, is_paused, of_pausing

LOOKS_MAX = 40
LOOK_PAUSE_SECONDS = 0.05
"""How long it is waited for the worker: about two seconds in all."""

LATER_LOOKS_MAX = 120
LATER_LOOK_PAUSE_SECONDS = 0.5
"""How long it is waited then until a worker that says nothing is known to be dead: a minute, which is some leases."""

ReadRun = Callable[[], Awaitable[Run]]


async def pause(journal: Journal, read: ReadRun) -> None:
    """See ``RunHandle.pause``."""
    was_said = False
    for _ in range(LOOKS_MAX):
        run = await _read_open(read)
        if run.condition is Condition.QUARANTINED:
            raise InvalidInput(f"run {run.workflow_id!r} is quarantined: nobody runs it until it is retried")
        if run.condition is Condition.PAUSED:
            return
        is_queued = run.condition is Condition.QUEUED
        if run.owner is None and not is_queued and await _is_set(journal, run, Condition.PAUSED, "pause"):
            return
        if (run.owner is not None or is_queued) and not was_said:
            await journal.send(NewMessage(run_id=run.run_id, kind=PAUSE))
            was_said = True
        if is_queued:  # whoever begins it reads the message first
            return
        await asyncio.sleep(LOOK_PAUSE_SECONDS)


async def resume(journal: Journal, read: ReadRun) -> None:
    """See ``RunHandle.resume``.

    A worker that dies before it has read the word leaves a paused run behind that nobody is offered. So whoever has
    said it looks until that worker is known to be dead, and then lets the run go on; and saying it again does the same.
    """
    run = await _read_open(read)
    unread = of_pausing(await journal.read_messages(run.run_id))
    if not is_paused(run.condition, unread):
        run = await _read_open(read)  # its worker may have read that it is to pause between the two
        if run.condition is not Condition.PAUSED:
            raise InvalidInput(f"run {run.workflow_id!r} is not paused")
    was_said = bool(unread) and unread[-1].kind == RESUME
    for look in range(LOOKS_MAX + LATER_LOOKS_MAX):
        if not was_said and (unread or run.owner is not None):
            await journal.send(NewMessage(run_id=run.run_id, kind=RESUME))
            was_said = True
        run = await read()
        if run.status is not Status.RUNNING or run.condition is not Condition.PAUSED:
            return
        if run.owner is None and await _is_set(journal, run, Condition.NONE, "resume", wake_at=0):
            return
        await asyncio.sleep(LOOK_PAUSE_SECONDS if look < LOOKS_MAX else LATER_LOOK_PAUSE_SECONDS)
    raise TimedOut(
        f"run {run.workflow_id!r} was told to go on, and its worker has not read that within a minute; "
        "ask again, or stop that worker if it hangs"
    )


async def _read_open(read: ReadRun) -> Run:
    run = await read()
    if run.status is not Status.RUNNING:
        raise RunClosed(f"run {run.workflow_id!r} is closed already ({run.status})")
    return run


async def _is_set(journal: Journal, run: Run, condition: Condition, audit: str, **changes: Any) -> bool:
    """False if somebody was quicker."""
    try:
        await journal.commit(
            Commit(run_id=run.run_id, version=run.version, condition=condition, audit=audit, **changes)
        )
    except Conflict:
        return False
    return True
