"""Closing: engines that are still open when the process ends are closed, so that others need not find their runs.

That must be before the interpreter shuts down its thread pools, which is before ``atexit`` is called. ``threading`` has
its own list for this, as the standard library's pools use it.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

logger = logging.getLogger("keepstep.client")

GRACE_SECONDS = 1.0
"""A program that ends is not kept for longer by a step; it is begun anew elsewhere, as after a crash."""


class Closes(Protocol):
    """What can be closed."""

    def close(self, grace_seconds: float = ...) -> None: ...


_open: WeakSet[Any] = WeakSet()
_has_registered = False


def close_at_exit(engine: Closes) -> None:
    """Close it when the process ends, unless it is gone by then. Closed twice does no harm."""
    global _has_registered
    if not _has_registered:
        _has_registered = True
        register: Callable[..., Any] = getattr(threading, "_register_atexit", atexit.register)
        register(_close_all)
    _open.add(engine)


def _close_all() -> None:
    for engine in list(_open):
        try:
            engine.close(GRACE_SECONDS)
        except Exception:  # the others are closed all the same
            logger.exception("%r could not be closed at the end of the process", engine)
