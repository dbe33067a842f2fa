"""Life: one forked process, from its first breath to its exit, unless it is killed before.

It tells the nursery through a pipe how far it has come, one letter each: that its engine is open, that it has done
something, that it begins to close. SIGTERM asks it to close.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import msgspec

from keepstep import Engine, StoreUnavailable

from .campaign import Campaign
from .client import Client, Frontier
from .ending import Operator, write_endings
from .home import url_beside
from .ledger import Ledger
from .workload import OTHER_QUEUE, chain, settle

OPENED, WORKED, CLOSING = b"o", b"w", b"c"

GRACE_SECONDS = 2.0
POLL_SECONDS = 0.1
PR_SET_PDEATHSIG = 1

REFUSED = "is not this worker's any more"
"""In the log of a worker whose write was refused, because it does not own the run now."""

EXPECTED_ERRORS = (
    "was taken away",  # a lease, from a process that was frozen or starved
    "could not be written for",  # the right to write is with a frozen process
    "operations wait and are tried again",
)
"""Errors in the log that this torture brings about itself."""


class Scene(msgspec.Struct, frozen=True):
    """What all lives of a round share."""

    url: str
    folder: Path
    campaign: Campaign
    frontier: Frontier
    is_troubled: bool = False
    """The database may be away when an engine wants to open it."""

    @property
    def ledger_path(self) -> Path:
        return self.folder / "ledger"

    @property
    def endings_path(self) -> Path:
        return self.folder / "endings"


class Birth(msgspec.Struct, frozen=True):
    """What one life is to be."""

    life: int
    role: str
    """``worker``, ``client``, ``both``, ``opener``, ``starter``, ``postman``, or ``operator``."""
    seed: str


def _die_with_parent() -> None:
    """A nursery that is killed itself leaves nobody behind, where the kernel can see to that (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _ToLedger(logging.Handler):
    """Puts what the engine logs into the ledger: lost leases explain, unexpected errors accuse."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(logging.INFO)
        self._ledger = ledger

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if REFUSED in text:
            self._ledger.write("refused", text)
        if record.levelno < logging.WARNING:
            return
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info))
        surprising = record.levelno >= logging.ERROR and not any(each in text for each in EXPECTED_ERRORS)
        self._ledger.write("surprise" if surprising else "log", text[:2000])


class Life:
    """See the module."""

    def __init__(self, scene: Scene, birth: Birth, pipe: int) -> None:
        self._scene = scene
        self._birth = birth
        self._pipe = pipe
        self._told: set[bytes] = set()
        self._ledger = Ledger(scene.ledger_path, birth.life)

    def live(self) -> None:
        """Never returns."""
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # until there is something to close
            _die_with_parent()
            logger = logging.getLogger("keepstep")
            logger.handlers, logger.propagate = [_ToLedger(self._ledger)], False
            logger.setLevel(logging.INFO)
            settle(self._ledger, self._scene.folder / "books", self._has_worked)
            deeds = {
                "opener": self._open_something,
                "operator": self._operate,
                "postman": self._dismiss_mailboxes,
                "starter": self._start_all,
            }
            asyncio.run(deeds.get(self._birth.role, self._work)())
            code = 0
        except BaseException:
            with suppress(OSError):
                self._ledger.write("surprise", traceback.format_exc()[-2000:])
        finally:
            os._exit(code)

    def _tell(self, stage: bytes) -> None:
        if stage not in self._told:
            self._told.add(stage)
            os.write(self._pipe, stage)

    def _has_worked(self) -> None:
        self._tell(WORKED)

    async def _work(self) -> None:
        """As worker, client or both, until SIGTERM."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        has_worker = self._birth.role in ("worker", "both")
        engine = Engine(
            self._scene.url,
            workers=has_worker,
            queues=("default", OTHER_QUEUE),
            lease_seconds=self._scene.campaign.lease_seconds,
            show_after_seconds=0.1,
            poll_seconds=POLL_SECONDS,
        )
        await self._open(engine)
        self._tell(OPENED)
        client: asyncio.Task[None] | None = None
        if self._birth.role in ("client", "both"):
            dice = Random(self._birth.seed)
            work = Client(engine, self._ledger, self._scene.frontier, dice, self._has_worked).work()
            client = asyncio.create_task(work)
        await stop.wait()
        self._ledger.write("closing")
        self._tell(CLOSING)
        if client is not None:
            client.cancel()
            await asyncio.wait((client,))
        await engine.close(GRACE_SECONDS)

    async def _open(self, engine: Engine) -> Engine:
        """Where the database is in trouble, application code waits until it is there."""
        while True:
            try:
                return await engine.__aenter__()
            except StoreUnavailable:
                if not self._scene.is_troubled:
                    raise
                await asyncio.sleep(POLL_SECONDS)

    async def _start_all(self) -> None:
        """Start every run of the round."""
        async with self._client() as client:
            await client.start_all()

    async def _dismiss_mailboxes(self) -> None:
        """Until it is killed."""
        async with self._client() as client:
            await client.dismiss_mailboxes()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        engine = await self._open(Engine(self._scene.url, workers=False))
        try:
            self._tell(OPENED)
            dice = Random(self._birth.seed)
            yield Client(engine, self._ledger, self._scene.frontier, dice, self._has_worked)
        finally:
            await engine.close()

    async def _open_something(self) -> None:
        """Make a database of its own and start a run in it."""
        name = f"new-{self._birth.life}"
        engine = await self._open(Engine(url_beside(self._scene.url, self._scene.folder, name), workers=False))
        try:
            self._tell(OPENED)
            handle = await engine.start(chain, name, [], id=name)
            self._ledger.write("started anew", name, handle.run_id)
            self._tell(WORKED)
            self._tell(CLOSING)
        finally:
            await engine.close()

    async def _operate(self) -> None:
        engine = await self._open(Engine(self._scene.url, workers=False, create=False))
        try:
            prefix = f"{self._scene.frontier.seed}:"
            operator = Operator(engine, prefix)
            endings = await operator.end_all(self._scene.campaign.ending_seconds)
        finally:
            await engine.close()
        write_endings(self._scene.endings_path, operator.retried, endings)
