"""Log: positions for what was committed, without gaps though transactions commit in any order.

A number that is drawn before COMMIT says nothing about the order in which others see it: a reader that has seen 6 may
find 5 only later, and would have skipped it. So a flush draws a batch number, by which its events belong together, and
no position. Each shard's committed batches lie in ``batches`` until somebody wants to read the log of that shard: then
they get the positions behind all earlier ones, and move to ``log``. That happens under a lock that lasts until its
transaction has ended, so that whoever comes next goes on where that one stopped. A batch that commits late gets a late
position; a transaction that takes long holds nobody up; nothing depends on transaction ids, which a dump would lose.
"""

from __future__ import annotations

from keepstep.journal.errors import PositionGone
from keepstep.journal.event import LogEntry, Position

from . import readings
from .rows import log_of
from .wire import Wire

BATCHES_AT_ONCE = 10_000

FORGOTTEN_AT_ONCE = 2_000
STATEMENTS_AT_ONCE = 8


def extend(wire: Wire, shard: int) -> None:
    """Inside a transaction: give positions to all batches of the shard that are committed by now."""
    wire.ask(readings.LOCK_LOG, shard)
    while wire.ask(readings.ANY_BATCHES, shard)[0][0]:
        wire.ask(readings.EXTEND_LOG, shard, BATCHES_AT_ONCE)


def read_log(wire: Wire, after: Position, limit: int) -> list[LogEntry]:
    """Events of a shard after a position."""
    shard, place = after.shard, after.n
    reach = _reach(wire, shard)
    if reach is None:
        return []
    if place < reach:
        raise PositionGone(f"position {place} lies behind what retention has kept; go on after {reach} at the earliest")
    entries: list[LogEntry] = []
    while len(entries) < limit:
        wanted = limit - len(entries)
        stretch = wire.ask(readings.LOG_STRETCH, shard, place, wanted)
        if not stretch:
            break
        first_ns, events, batches = zip(*stretch, strict=True)
        entries += log_of(shard, wire.ask(readings.EVENTS_OF_BATCHES, shard, first_ns, batches, place, wanted))
        place = first_ns[-1] + events[-1] - 1
    return entries


def _reach(wire: Wire, shard: int) -> int | None:
    """How far retention has removed the log of a shard, which is extended first; None if there is no such shard."""
    wire.queue(readings.LOG_PURGED, shard)
    wire.queue(readings.ANY_BATCHES, shard)
    purged, [(is_behind,)] = map(wire.rows, wire.exchange())
    if not purged:
        return None
    if is_behind:
        with wire.transaction():
            extend(wire, shard)
        purged = wire.ask(readings.LOG_PURGED, shard)
    return int(purged[0][0])


def read_ends(wire: Wire) -> list[Position]:
    """The last position of every shard."""
    if wire.ask(readings.SHARDS_BEHIND):
        with wire.transaction():
            extend_all(wire)
    return [Position(shard, n) for shard, n in wire.ask(readings.LOG_ENDS)]


def extend_all(wire: Wire) -> None:
    """Inside a transaction: give positions to everything that is committed by now."""
    for (shard,) in wire.ask(readings.SHARDS_BEHIND):
        extend(wire, shard)


class Forgetting:
    """Forgets the places of batches of which retention has left nothing: some at a time, because a week may have left
    many millions of them, and whoever writes waits meanwhile."""

    def __init__(self) -> None:
        self._left: list[tuple[int, int]] = []
        """Shards, and up to where each was looked through."""

    def begin(self, wire: Wire) -> None:
        """Look through all of it, from the beginning."""
        self._left = [(shard, -1) for (shard,) in wire.ask(readings.LIST_SHARDS)]

    def go_on(self, wire: Wire) -> None:
        for _ in range(STATEMENTS_AT_ONCE):
            if not self._left:
                return
            shard, after = self._left[-1]
            [(looked_at, last)] = wire.ask(readings.FORGET_LOG, shard, after, FORGOTTEN_AT_ONCE)
            self._left.pop()
            if looked_at == FORGOTTEN_AT_ONCE:
                self._left.append((shard, last))
