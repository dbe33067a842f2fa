"""BlockingBulk: what is said to many runs at once, in sync programs."""

from __future__ import annotations

from keepstep.client.bulk import Bulk

from .derived import Blocking, Derived
from .thread import EngineThread


class BlockingBulk(Blocking):
    """``engine.bulk`` of a ``BlockingEngine``. ``on_progress`` is called on the engine's own thread."""

    def __init__(self, thread: EngineThread, bulk: Bulk) -> None:
        self._thread = thread
        self._it: Bulk = bulk

    cancel = Derived(Bulk.cancel)
    terminate = Derived(Bulk.terminate)
    signal = Derived(Bulk.signal)
    retry = Derived(Bulk.retry)
