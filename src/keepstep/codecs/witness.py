"""Witness: whether encrypted values were opened on somebody's behalf, for whoever has to write that down.

It follows the task that reads, not the codec, which many tasks share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Witness:
    """How many values were opened within ``witnessing``."""

    opened = 0


_WITNESS: ContextVar[Witness | None] = ContextVar("keepstep_witness", default=None)


@contextmanager
def witnessing() -> Iterator[Witness]:
    """Count what is opened by this task, and by those that it starts, from here to the end."""
    witness = Witness()
    token = _WITNESS.set(witness)
    try:
        yield witness
    finally:
        _WITNESS.reset(token)


def note_opening() -> None:
    """One encrypted value is opened."""
    witness = _WITNESS.get()
    if witness is not None:
        witness.opened += 1
