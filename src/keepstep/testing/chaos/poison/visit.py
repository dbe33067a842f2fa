"""Visit: what the client of a round does and measures; what it has seen is written into a file.

Three visits, each in a process of its own: one that brings runs to sleep, one that wakes them in blocks beside errands,
and one that starts poisonous code beside errands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from keepstep import Engine, Error, RunHandle, Workflow

from .workflows import WAKE, errand, kill_in_step, kill_in_workflow, sleeper, spin

LANES = 4
ERRAND_SECONDS_MAX = 30.0
PARKING_SECONDS_MAX = 30.0
BETWEEN_ERRANDS_SECONDS = 0.002
WARM_UP_SECONDS = 1.0
LOOK_SECONDS = 0.05
ERRANDS_IN_BLOCK = 40
"""A percentile needs a number of them, however slow the machine is."""

KILLERS = (kill_in_workflow, kill_in_step)


class Parked(msgspec.Struct, frozen=True):
    """Where a poisoned run was found at the end."""

    name: str
    status: str
    condition: str
    said: str


class Visited(msgspec.Struct):
    """What a visit has seen."""

    seconds: dict[str, list[float]] = {}
    """How long each errand took, by the kind of the block in which it began."""
    failed: list[str] = []
    """Errands and healthy sleepers that did not end as they should."""
    parked: list[Parked] = []
    longest_gap_seconds: float = 0.0
    """Between two errands that ended."""


class Errands:
    """Runs errands in a few lanes, without end, and measures them."""

    def __init__(self, engine: Engine, seen: Visited) -> None:
        self._engine = engine
        self._seen = seen
        self.block = ""
        """Into which block an errand that begins now is counted; "" for none."""
        self._ended_at = time.monotonic()
        self._number = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the block lasts, errands are run; those that have begun are waited for at its end."""
        stop = asyncio.Event()
        self._ended_at = time.monotonic()
        lanes = [asyncio.create_task(self._run_lane(stop)) for _ in range(LANES)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*lanes)

    async def more(self, count: int) -> None:
        """Wait until so many more errands have begun."""
        until = self._number + count
        while self._number < until:
            await asyncio.sleep(BETWEEN_ERRANDS_SECONDS)

    async def _run_lane(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._number += 1
            await self._run(self._number, self.block)
            await asyncio.sleep(BETWEEN_ERRANDS_SECONDS)

    async def _run(self, number: int, block: str) -> None:
        began = time.monotonic()
        try:
            handle = await self._engine.start(errand, number)
            said = await handle.result(timeout=ERRAND_SECONDS_MAX)
            if said != f"{number}{number + 1}":
                self._seen.failed.append(f"errand {number} came back with {said!r}")
        except Error as error:
            self._seen.failed.append(f"errand {number}: {error!r}")
        now = time.monotonic()
        self._seen.longest_gap_seconds = max(self._seen.longest_gap_seconds, now - self._ended_at)
        self._ended_at = now
        if block:
            self._seen.seconds.setdefault(block, []).append(now - began)


async def bring_to_sleep(url: str, names: Sequence[str]) -> None:
    """Start sleepers and wait until each of them sleeps, with a step that backs off."""
    async with Engine(url, show_after_seconds=0.05) as engine:
        for n, name in enumerate(names):
            await engine.start(sleeper, n, id=name)
        for name in names:
            await _until_asleep(engine.get(name))


async def _until_asleep(handle: RunHandle[Any]) -> None:
    while True:
        info = await handle.describe()
        if {wait.kind for wait in info.waiting_for} >= {"signal", "step"} and info.condition == "waiting":
            return
        await asyncio.sleep(0.01)


class Block(msgspec.Struct, frozen=True):
    """A stretch of time, and whom to wake in it."""

    kind: str
    names: list[str]


async def wake_in_blocks(url: str, blocks: Sequence[Block], file: Path) -> None:
    """Run errands; in each block, wake its sleepers, one after the other. A block is so many errands long."""
    seen = Visited()
    async with Engine(url, workers=False) as engine:
        errands = Errands(engine, seen)
        async with errands.running():
            await asyncio.sleep(WARM_UP_SECONDS)
            for block in blocks:
                errands.block = block.kind
                for name in block.names:
                    await engine.signal(name, WAKE, "good morning")
                    await errands.more(ERRANDS_IN_BLOCK // len(block.names))
            errands.block = ""
        for block in blocks:
            for name in block.names:
                await _look_after(engine.get(name), block.kind, seen)
    file.write_bytes(msgspec.json.encode(seen))  # noqa: ASYNC240 - nothing else runs here any more


async def _look_after(handle: RunHandle[Any], kind: str, seen: Visited) -> None:
    """A healthy sleeper ends; a poisoned one is parked."""
    if kind == "healthy":
        try:
            await handle.result(timeout=PARKING_SECONDS_MAX)
        except Error as error:
            seen.failed.append(f"the healthy sleeper {handle.id}: {error!r}")
    else:
        seen.parked.append(await _parked(handle, "blocked"))


async def _parked(handle: RunHandle[Any], condition: str) -> Parked:
    until = time.monotonic() + PARKING_SECONDS_MAX
    while True:
        info = await handle.describe()
        if info.condition == condition or info.status != "running" or time.monotonic() > until:
            return Parked(handle.id, str(info.status), str(info.condition), info.error or "")
        await asyncio.sleep(LOOK_SECONDS)


async def start_poisonous_code(url: str, file: Path) -> None:
    """Start the killers and the endless one beside errands, and wait until they are parked."""
    seen = Visited()
    async with Engine(url, workers=False) as engine:
        errands = Errands(engine, seen)
        errands.block = "beside poisonous code"
        async with errands.running():
            poisonous: list[tuple[Workflow[Any, Any], str]] = [(each, "quarantined") for each in KILLERS]
            poisonous.append((spin, "blocked"))
            handles = [(await engine.start(flow, id=flow.name), condition) for flow, condition in poisonous]
            for handle, condition in handles:
                seen.parked.append(await _parked(handle, condition))
    file.write_bytes(msgspec.json.encode(seen))  # noqa: ASYNC240


def read_visit(file: Path) -> Visited:
    """What a visit has seen."""
    return msgspec.json.decode(file.read_bytes(), type=Visited)
