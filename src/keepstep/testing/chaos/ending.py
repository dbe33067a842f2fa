"""Ending: once nobody is killed any more, everything comes to its end, and what came of it is written down.

One client does what an operator would: it sends each mailbox its last letter, and retries runs that are quarantined (a
run that was there at five deaths in a row is suspected of having caused them; here it can be a mere victim). Then it
asks for the result of every run. What is still open when the time is up is written down as open.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from keepstep import Cancelled, Engine, InvalidInput, RunClosed, RunInfo, WorkflowFailed

from .workload import LAST_LETTER, mailbox

LOOK_SECONDS = 0.1
RESULT_SECONDS_MAX = 10.0


class Ending(msgspec.Struct, frozen=True):
    """What the engine says of one run at the end."""

    name: str
    run_id: str
    type: str
    status: str
    said: str
    """For a run that is still open, what it waits for; the error of one that failed."""
    result: Any = None
    cancels: int = 0
    """How many requests to cancel it are in its history."""


class Operator:
    """See the module."""

    def __init__(self, engine: Engine, prefix: str) -> None:
        self._engine = engine
        self._prefix = prefix
        self._told: set[str] = set()
        self.retried = 0

    async def end_all(self, seconds: float) -> list[Ending]:
        """Bring every run whose id begins with the prefix to its end; what came of each."""
        until = time.monotonic() + seconds
        while still_open := await self._open_runs():
            if time.monotonic() > until:
                break
            for info in still_open:
                await self._help(info)
            await asyncio.sleep(LOOK_SECONDS)
        return [await self._ending(info) async for info in self._engine.list() if self._is_mine(info)]

    async def _open_runs(self) -> list[RunInfo]:
        return [info async for info in self._engine.list("Status = 'running'") if self._is_mine(info)]

    def _is_mine(self, info: RunInfo) -> bool:
        return info.id.startswith(self._prefix)

    async def _help(self, info: RunInfo) -> None:
        handle = self._engine.get(info.id, info.run_id)
        if info.condition == "quarantined":
            try:
                await handle.retry()
                self.retried += 1
            except InvalidInput:
                """It has closed since."""
        if info.type == mailbox.name and info.id not in self._told:
            self._told.add(info.id)
            try:
                await handle.signal("letter", LAST_LETTER)
            except RunClosed:
                """It had its last letter."""

    async def _ending(self, info: RunInfo) -> Ending:
        said, result = str(info.error or ""), None
        handle = self._engine.get(info.id, info.run_id)
        if info.status == "running":
            said = f"{info.condition or 'running'}, waiting for {info.waiting_for}"
        else:
            try:
                result = await handle.result(timeout=RESULT_SECONDS_MAX)
            except (WorkflowFailed, Cancelled) as error:
                said = str(error)
        cancels = sum([1 async for event in handle.history() if event.type == "cancel_requested"])
        return Ending(info.id, info.run_id, info.type, str(info.status), said, result, cancels)


def write_endings(path: Path, retried: int, endings: list[Ending]) -> None:
    """Leave for the judge what ``read_endings`` reads."""
    path.write_bytes(msgspec.json.encode((retried, endings)))


def read_endings(path: Path) -> tuple[int, list[Ending]]:
    """How many runs had to be retried, and what came of all of them."""
    return msgspec.json.decode(path.read_bytes(), type=tuple[int, list[Ending]])
