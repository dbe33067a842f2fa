"""The escape hatch: a block in which workflow code may touch the real world at its own risk.

The scan leaves out what stands inside the block; the watch looks at a context variable, so that a block that awaits
switches the guard off for its own task (and tasks started inside it), not for its neighbours.
"""

from __future__ import annotations

from contextvars import ContextVar

_unsafe: ContextVar[bool] = ContextVar("keepstep_unsafe", default=False)

is_unsafe = _unsafe.get


class unsafe:
    """Switch the guard against nondeterminism off inside a ``with`` block."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = _unsafe.get()
        _unsafe.set(True)

    def __exit__(self, *error: object) -> None:
        # Not by token: an evicted run is unwound in another context, where a token would be refused.
        _unsafe.set(self._before)
