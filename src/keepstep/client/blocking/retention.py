"""BlockingRetention: how long closed runs are kept, in sync programs."""

from __future__ import annotations

from keepstep.client.retention import Retention

from .derived import Blocking, Derived
from .thread import EngineThread


class BlockingRetention(Blocking):
    """``engine.retention`` of a ``BlockingEngine``."""

    def __init__(self, thread: EngineThread, retention: Retention) -> None:
        self._thread = thread
        self._it: Retention = retention

    set = Derived(Retention.set)
    describe = Derived(Retention.describe)
    sweep = Derived(Retention.sweep)
