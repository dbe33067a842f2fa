"""Bugs that can be planted, one at a time, to see whether the check finds them.

A check that has never failed proves little. Each plant takes the client's side or the engine apart in this process
only, as a mistake in its code would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from keepstep import AlreadyStarted, Engine, RunClosed, RunHandle, RunInfo
from keepstep.client import handle as handle_module
from keepstep.client.closing import Closed
from keepstep.journal import Event, NewRun, Started
from keepstep.journal.memory import MemoryJournal
from keepstep.journal.sqlite import SqliteJournal
from keepstep.runtime import history
from keepstep.runtime.execution import _APPLY, Execution
from keepstep.runtime.handling import Handling
from keepstep.worker.asks import Asks
from keepstep.worker.resident import Resident

Replace = Callable[[Any, str, Any], None]
"""Replace an attribute for as long as the bug is planted."""


def _two_starts(replace: Replace) -> None:
    """A start that attached is told that its own run was made, so that one id has two."""
    for store in (MemoryJournal, SqliteJournal):
        replace(store, "start", _started_anyway(store.start))


def _started_anyway(start: Callable[..., Any]) -> Callable[..., Any]:
    async def forgetful(journal: Any, new: NewRun) -> Started:
        started: Started = await start(journal, new)
        return msgspec.structs.replace(started, run_id=new.run_id, leased=False)

    return forgetful


def _other_input(replace: Replace) -> None:
    """A start with another input attaches to the run that is there."""
    start = Engine.start

    async def careless(engine: Engine, *args: Any, **options: Any) -> Any:
        try:
            return await start(engine, *args, **options)
        except AlreadyStarted:
            return engine.get(options["id"], (await engine.get(options["id"]).describe()).run_id)

    replace(Engine, "start", careless)


def _stale_describe(replace: Replace) -> None:
    """``describe`` answers with what the same process was told the last time."""
    describe = RunHandle.describe
    cache: dict[tuple[int, str, str | None], RunInfo] = {}

    async def stale(handle: RunHandle[Any]) -> RunInfo:
        key = (id(handle._engine), handle.id, handle.run_id)
        now = await describe(handle)
        before, cache[key] = cache.get(key), now
        return before or now

    replace(RunHandle, "describe", stale)


def _lost_restart(replace: Replace) -> None:
    """``result`` does not follow restarts."""
    replace(handle_module, "_following", _follows_nothing)


def _follows_nothing(_: Closed) -> str:
    return ""


def _late_signal(replace: Replace) -> None:
    """A message to a closed run is accepted, and dropped."""
    send = RunHandle._send

    async def polite(handle: RunHandle[Any], *args: Any) -> None:
        try:
            await send(handle, *args)
        except RunClosed:
            pass

    replace(RunHandle, "_send", polite)


def _lost_signal(replace: Replace) -> None:
    """Every fifth message is accepted, and dropped."""
    send = RunHandle._send
    count = 0

    async def lossy(handle: RunHandle[Any], *args: Any) -> None:
        nonlocal count
        count += 1
        if count % 5:
            await send(handle, *args)
        else:
            await handle._run()

    replace(RunHandle, "_send", lossy)


def _early_signal(replace: Replace) -> None:
    """A message is accepted before the journal has it."""
    send = RunHandle._send
    sending: list[asyncio.Task[Any]] = []

    async def hasty(handle: RunHandle[Any], *args: Any) -> None:
        await handle._run()
        sending.append(asyncio.create_task(send(handle, *args)))
        sending[-1].add_done_callback(lambda done: done.cancelled() or done.exception())

    replace(RunHandle, "_send", hasty)


def _double_signal(replace: Replace) -> None:
    """A message that is sent again under its id counts twice."""
    send = RunHandle._send

    async def repeating(
        handle: RunHandle[Any], kind: str, name: str, data: bytes, id: str | None, connection: Any = None
    ) -> None:
        await send(handle, kind, name, data, None, connection)

    replace(RunHandle, "_send", repeating)


def _double_update(replace: Replace) -> None:
    """An update that is asked for again by its id is done again."""
    update = RunHandle.update

    async def repeating(handle: RunHandle[Any], *args: Any, id: str, **options: Any) -> Any:
        return await update(handle, *args, **options)

    replace(RunHandle, "update", repeating)


def _any_update(replace: Replace) -> None:
    """Validators are not asked."""
    replace(Handling, "validate", lambda *_: None)


def _stale_query(replace: Replace) -> None:
    """A query is answered before what was said to its run earlier is taken in."""

    async def hasty(asks: Asks, resident: Resident) -> bool:
        return resident.can_be_asked

    replace(Asks, "_has_heard", hasty)


def _cancel_again(replace: Replace) -> None:
    """A second cancel cuts off the tidying up of the first."""
    apply, decode = _APPLY[history.CANCEL_REQUESTED]

    def again(execution: Execution, event: Event, data: Any) -> None:
        execution.cancel_reason = None
        apply(execution, event, data)

    replace(_APPLY, history.CANCEL_REQUESTED, (again, decode))


def _terminate_twice(replace: Replace) -> None:
    """Terminating a closed run is accepted."""
    terminate = RunHandle.terminate

    async def polite(handle: RunHandle[Any], reason: str = "") -> None:
        try:
            await terminate(handle, reason)
        except RunClosed:
            pass

    replace(RunHandle, "terminate", polite)


PLANTS: dict[str, Callable[[Replace], None]] = {
    plant.__name__.strip("_").replace("_", "-"): plant
    for plant in (
        _two_starts,
        _other_input,
        _stale_describe,
        _lost_restart,
        _late_signal,
        _lost_signal,
        _early_signal,
        _double_signal,
        _double_update,
        _any_update,
        _stale_query,
        _cancel_again,
        _terminate_twice,
    )
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant a bug for a while; None plants nothing."""
    undo: list[Callable[[], None]] = []

    def replace(place: Any, what: str, new: Any) -> None:
        if isinstance(place, dict):
            old = place[what]
            undo.append(lambda: place.update({what: old}))
            place[what] = new
        else:
            old = getattr(place, what)
            undo.append(lambda: setattr(place, what, old))
            setattr(place, what, new)

    if name is not None:
        PLANTS[name](replace)
    try:
        yield
    finally:
        for back in undo:
            back()
