"""BlockingQueues: what an operator sees and says of queues, in sync programs."""

from __future__ import annotations

from keepstep.client.queues import Queues

from .derived import Blocking, Derived
from .thread import EngineThread


class BlockingQueues(Blocking):
    """``engine.queues`` of a ``BlockingEngine``."""

    def __init__(self, thread: EngineThread, queues: Queues) -> None:
        self._thread = thread
        self._it: Queues = queues

    list = Derived(Queues.list)
    get = Derived(Queues.get)
    pause = Derived(Queues.pause)
    resume = Derived(Queues.resume)
    limit = Derived(Queues.limit)
    reset = Derived(Queues.reset)
