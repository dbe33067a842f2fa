"""BlockingAttributes: what runs can be searched by, in sync programs."""

from __future__ import annotations

from keepstep.client.attributes import Attributes

from .derived import Blocking, Derived
from .thread import EngineThread


class BlockingAttributes(Blocking):
    """``engine.attributes`` of a ``BlockingEngine``."""

    def __init__(self, thread: EngineThread, attributes: Attributes) -> None:
        self._thread = thread
        self._it: Attributes = attributes

    list = Derived(Attributes.list)
    register = Derived(Attributes.register)
