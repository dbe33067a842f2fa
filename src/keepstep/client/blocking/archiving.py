"""BlockingRunArchive: what retention has archived, in sync programs."""

from __future__ import annotations

from typing import Any

from keepstep.client.archiving import RunArchive

from .derived import Blocking, Derived, mirrors
from .handle import BlockingRunHandle
from .thread import EngineThread


class BlockingRunArchive(Blocking):
    """``engine.archive(place)`` of a ``BlockingEngine``."""

    def __init__(self, thread: EngineThread, archive: RunArchive) -> None:
        self._thread = thread
        self._it: RunArchive = archive

    def __repr__(self) -> str:
        return repr(self._it)

    @property
    def place(self) -> str:
        """Where it is."""
        return self._it.place

    @property
    def troubles(self) -> tuple[str, ...]:
        """What could not be read so far, in words: files that are torn or damaged."""
        return self._it.troubles

    list = Derived(RunArchive.list)
    export = Derived(RunArchive.export)

    @mirrors(RunArchive.restore)
    def restore(self, id: str, *, run_id: str | None = None, as_id: str | None = None) -> BlockingRunHandle[Any]:
        handle = self._thread.call(self._it.restore, id, run_id=run_id, as_id=as_id)
        return BlockingRunHandle(self._thread, handle)
