"""Inbox: reading what has come to the runs of a lease, without skipping what becomes visible late.

Arrival numbers are drawn before COMMIT. Those of one run come in order, but a message to one run may become visible
after a message with a greater number to another one. So a lease's inbox is read from its *floor*: a number below which
nothing can appear any more. It is found in two looks. The first notes the last number drawn, and then a transaction id:
whoever drew a number up to the noted one has an older id, because a flush writes before it draws. Once a later look
finds all older transactions ended, everything up to the noted number is there. What lies between the floor and its
reader's place, and was given out already, is left out.

Transaction ids are compared while the process lives, and stored nowhere; a transaction that takes long only keeps the
floor low.
"""

from __future__ import annotations

from keepstep.journal.message import Message

from . import readings
from . import statements as sql
from .rows import messages_of
from .wire import Wire

READS_MAX = 32
"""Of an inbox in which nothing is found, until its floor is raised all the same: above it are the messages of all
workers' runs, which are passed over one by one."""


class Inbox:
    """What is known of the inbox of one lease. Used by one thread at a time."""

    def __init__(self) -> None:
        self._floor = 0
        self._noted: tuple[int, int] | None = None
        """The last number drawn at a look, and a transaction id to which all that had drawn one are older."""
        self._given: set[int] = set()
        """Numbers above the floor that were given out."""
        self._reads = 0
        """Since a number was noted last."""

    def read(self, wire: Wire, lease_id: str, after: int, limit: int) -> list[Message]:
        """Messages above ``after``, and late ones below it that were not given out before, in order."""
        if after < self._floor or after == 0:
            self._given.clear()  # its reader begins anew
        wire.queue(readings.OLDEST_TRANSACTION)
        if after == 0:
            wire.queue(readings.READ_WHOLE_INBOX, lease_id, limit)
        else:
            wire.queue(readings.READ_INBOX, lease_id, min(after, self._floor), limit, after, list(self._given))
        [(oldest,)], rows = map(wire.rows, wire.exchange())
        found = messages_of(rows)
        self._given.update(message.n for message in found)
        if self._noted is not None and oldest >= self._noted[1]:
            self._raise_floor(self._noted[0] if len(found) < limit else min(self._noted[0], found[-1].n))
        self._reads += 1
        if self._noted is None and (self._given or self._reads >= READS_MAX):
            self._reads = 0
            wire.queue(readings.LAST_ARRIVAL)
            wire.queue(sql.OWN_TRANSACTION)
            [(last_drawn,)], [(own,)] = map(wire.rows, wire.exchange())
            self._noted = (last_drawn, own)
        return found

    def _raise_floor(self, floor: int) -> None:
        self._noted = None
        self._floor = max(self._floor, floor)
        self._given = {n for n in self._given if n > self._floor}
