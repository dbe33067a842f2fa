"""Message: something said to a run by anyone, without owning it."""

from __future__ import annotations

import msgspec


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message on its way to a run.

    Address it by ``run_id``, or by ``namespace`` and ``workflow_id`` for that id's newest run. A run id together with a
    namespace reaches nothing where the run is of another one.
    """

    run_id: str | None = None
    namespace: str | None = None
    workflow_id: str | None = None
    kind: str
    """signal, cancel, callback, child_closed, step_result … as the run's language understands it."""
    name: str = ""
    """Signal name, callback token, or the key of the operation that it answers."""
    data: bytes = b""
    id: str | None = None
    """If given, a second message of this id to the same run is dropped as a duplicate."""
    wakes: bool = True
    """False leaves a sleeping run asleep; the message waits for the next wake."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that waits in a run's inbox until one commit consumes it."""

    run_id: str
    n: int
    """Arrival number: grows within the run, never reused; not contiguous."""
    kind: str
    name: str
    data: bytes
    time: int
    id: str | None


class Sent(msgspec.Struct, frozen=True, gc=False):
    """What became of a message: its run, its arrival number, and whether it was a duplicate."""

    run_id: str
    n: int
    duplicate: bool
