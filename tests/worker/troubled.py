"""A store whose calls fail when a test says so, and a world with one engine on it, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from keepstep import Engine
from keepstep.journal import Commit, JournalError, Promise, StoreUnavailable
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.testing import VirtualClock, VirtualLoop, run

T = TypeVar("T")

LEASE_SECONDS = 2.0

COROUTINES = """
start send open_lease close_lease reap claim_runs probe claim_tasks claim_work release_task read_run find_run load
read_events read_state list_state read_messages read_inbox next_wake publish
""".split()


class TroubledJournal(MemoryJournal):
    """``trouble`` holds, by method, the errors of the next calls; ``None`` lets a call pass."""

    def __init__(self, disk: MemoryDisk, *, clock: VirtualClock) -> None:
        super().__init__(disk, clock=clock)
        self.trouble: dict[str, list[JournalError | None]] = {}
        self.refuse: Callable[[Commit], JournalError | None] = lambda _: None
        """Asked for each commit: the error that it fails with, if it fails."""
        self.called: list[str] = []

    def submit(self, commit: Commit) -> Promise:
        error = self.refuse(commit)
        if error is None:
            return super().submit(commit)
        failed = Promise(loop=asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(failed.settle, None, error)
        return failed

    def _pass(self, method: str) -> None:
        self.called.append(method)
        coming = self.trouble.get(method)
        if coming:
            error = coming.pop(0)
            if error is not None:
                raise error


def _troubled(method: str) -> Callable[..., Awaitable[Any]]:
    original = getattr(MemoryJournal, method)

    async def call(journal: TroubledJournal, *args: Any, **kwargs: Any) -> Any:
        journal._pass(method)
        return await original(journal, *args, **kwargs)

    return call


for _method in COROUTINES:
    setattr(TroubledJournal, _method, _troubled(_method))


def broken(times: int = 1) -> list[JournalError | None]:
    """Errors for so many calls."""
    return [StoreUnavailable("the disk is in trouble") for _ in range(times)]


class World:
    """One disk; any number of engines on it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, VirtualLoop)
        self.disk = MemoryDisk()

    def journal(self) -> TroubledJournal:
        """Another process's handle."""
        assert isinstance(self.loop, VirtualLoop)
        return TroubledJournal(self.disk, clock=VirtualClock(self.loop))


def in_trouble(program: Callable[[Engine, TroubledJournal], Awaitable[T]], **options: Any) -> T:
    """Run a program on one engine whose store can be troubled."""

    async def main() -> T:
        journal = World().journal()
        async with Engine(journal=journal, lease_seconds=LEASE_SECONDS, **options) as engine:
            return await program(engine, journal)

    return run(main)
