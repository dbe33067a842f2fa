"""Writer: what one process's only writer does, round after round. Who drives the rounds, is ``drive``'s business.

Operations queue up while a group is being flushed and travel in the next one: one transaction, one fsync, however many
they are. Nothing waits on a timer. The answers of a group go back to the event loop in one call.

What can go wrong, and what happens then:

* An operation refuses (``JournalError``): it alone fails; it has drawn nothing.
* Something unforeseen is raised while a group is decided or written: the transaction is rolled back and the group is
  done again one operation at a time, each behind a savepoint, so that only the culprit fails.
* The disk is full, the file is locked, I/O fails: the group is kept and tried again, with back-off, until it works.
  This is reported once, and once more when it works again. The queue behind it stays bounded: ``Overloaded``.
* COMMIT fails and nobody knows whether it happened: ``flush`` finds out before it does anything again.

Leases are renewed by the rounds themselves, first in a group, so that renewal depends neither on the event loop nor on
what steps do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from keepstep.journal import limits
from keepstep.journal.clock import Clock
from keepstep.journal.deciding.operation import Answer, Operation
from keepstep.journal.errors import Overloaded, Promoted, StoreUnavailable
from keepstep.journal.hint import Hint, HintKind

from .flush import Flusher, Scattered
from .renewal import Renewals
from .stall import Stalls

log = logging.getLogger("keepstep.journal")

GROUP_OPERATIONS_MAX = 2048
"""Operations of one group: bounds how long the lock is held and how long a renewal can wait."""

RETRY_SECONDS_FIRST = 0.02
RETRY_SECONDS_MAX = 1.0
CLOSE_SECONDS_MAX = 10.0
"""How long a closing store goes on trying to write what is queued while the disk is in trouble."""

CLOCK_CHECK_SECONDS = 1.0
"""Between two looks at the clock and at the file; how long a round without operations takes."""

STALL_SECONDS = 2.0
"""A stall longer than this, or than half a lease, says nothing about the owner of that lease."""

CLOCK_JUMP_MICROSECONDS = 1_000_000


class Writer:
    """See the module. ``monotonic`` is the clock that its driver waits by."""

    def __init__(
        self,
        flusher: Flusher,
        renewals: Renewals,
        clock: Clock,
        answer: Answer,
        monotonic: Callable[[], float],
    ) -> None:
        self.renewals = renewals
        self._flusher = flusher
        self._clock = clock
        self._answer = answer
        self._monotonic = monotonic
        self._reported_jump = 0
        self._look_at = 0.0
        self._due_at = monotonic()
        """When the round begins at the latest, or has begun."""
        self._stalls = Stalls()
        self._give_up_at: float | None = None
        self._dead: StoreUnavailable | None = None
        self._put_off: list[Operation] = []

    # -- asked by others

    def admit(self, queued: int) -> None:
        """May one more operation be queued behind so many?"""
        if queued >= limits.QUEUE_OPERATIONS_MAX:
            raise Overloaded(f"{limits.QUEUE_OPERATIONS_MAX} operations wait for the store; try again later")
        if self._dead is not None:
            raise type(self._dead)(str(self._dead))

    def steady_seconds(self, lease_seconds: float) -> float:
        """For how long nothing has kept this process from writing that could keep the owner of such a lease, too."""
        now, longest = self._monotonic(), min(STALL_SECONDS, lease_seconds / 2)
        return 0.0 if now - self._due_at > longest else now - self._stalls.last_ended_at(longest)

    def hurry(self) -> None:
        """The store is about to close: do not try for ever to write to a disk in trouble."""
        self._give_up_at = self._monotonic() + CLOSE_SECONDS_MAX

    # -- driven

    def idle_seconds(self) -> float:
        """How long a driver that has no operation may rest before the next round."""
        seconds = max(min(self.renewals.seconds_left(), CLOCK_CHECK_SECONDS), 0.0)
        self._due_at = self._monotonic() + seconds
        return seconds

    def round(self, group: Sequence[Operation]) -> Iterator[float]:
        """Flush a group, or what is due without one. Yields the seconds to wait before it is to go on, if any."""
        self._due_at = min(self._due_at, self._monotonic())
        try:
            if self._dead is not None:
                self._refuse(group, f"not written: {self._dead}")
            elif group or self.renewals.is_due():
                yield from self._flush_until_done(group)
            group = ()  # answered, whatever is found now
            self._look_around()
            self._end_round()
        except Exception as error:
            self._die(group, error)

    def abandon(self) -> None:
        """Whoever used the store is gone: let other processes take over what its leases hold."""
        lease_ids = self.renewals.lease_ids()
        if lease_ids:
            log.error("the journal's event loop ended without closing it; its leases are left to run out")
        for lease_id in lease_ids:
            self.renewals.let_go(lease_id)
        self.renewals.suspend()

    def leave(self) -> None:
        """The last round is over."""
        self._flusher.sign_off()

    def _flush_until_done(self, group: Sequence[Operation]) -> Iterator[float]:
        """Write the group, however long the disk is in trouble."""
        pause, reported, one_by_one = RETRY_SECONDS_FIRST, False, False
        while True:
            try:
                self._flusher.flush(group, one_by_one=one_by_one)
                break
            except Scattered as scattered:
                for part in scattered.parts:
                    yield from self._flush_until_done(part)
                return
            except Exception as error:
                trouble = self._flusher.passing_trouble(error)
                if trouble is None:
                    if one_by_one or self._flusher.is_damage(error):
                        raise
                    one_by_one = True
                    continue
                if not reported:
                    log.error("%s (%s): %d operations wait and are tried again until it works",
                              trouble, error, len(group))  # fmt: skip
                    reported = True
                if self._give_up_at is not None and self._monotonic() > self._give_up_at:
                    written = "may or may not be written" if self._flusher.is_in_doubt else "not written"
                    self._refuse(group, f"{written}: {trouble} ({error}) and the store is closing")
                    return
            yield pause
            pause = min(pause * 2, RETRY_SECONDS_MAX)
        if reported:
            log.warning("the journal can be written again")
        put_off = self._flusher.put_off
        if put_off:
            if self._give_up_at is not None and self._monotonic() > self._give_up_at:
                self._refuse(put_off, "not written: others hold it up, and the store is closing")
            else:
                self._put_off += put_off
            waiting = set(map(id, put_off))
            group = [each for each in group if id(each) not in waiting]
        self._answer(group, self._flusher.hints(), self._flusher.kinds())

    def take_put_off(self) -> list[Operation]:
        """The operations that have been put off since this was asked last; to be queued again."""
        put_off, self._put_off = self._put_off, []
        return put_off

    def _refuse(self, group: Sequence[Operation], why: str) -> None:
        for operation in group:
            operation.error = StoreUnavailable(why)
        self._answer(group, (), ())

    def _die(self, group: Sequence[Operation], error: Exception) -> None:
        """The database is damaged, or the store itself is wrong: nothing can be written any more."""
        self.renewals.suspend()
        if isinstance(error, Promoted):
            log.error("%s", error)
            self._dead = error
        else:
            log.critical("the journal cannot be written any more: %s", error, exc_info=error)
            self._dead = StoreUnavailable(
                f"the journal cannot be written any more: {error}; see the log, then reopen it"
            )
        for operation in group:
            operation.error = self._dead
        self._answer(group, (Hint(HintKind.STORE_LOST, reason=self._dead),), ())

    def _end_round(self) -> None:
        now = self._monotonic()
        self._stalls.note(now - self._due_at, now)
        self._due_at = now

    def _look_around(self) -> None:
        """Look at the file and the clock, now and then."""
        now = self._monotonic()
        if now < self._look_at:
            return
        self._look_at = now + CLOCK_CHECK_SECONDS
        self._check_clock()
        if self._dead is None:
            self._flusher.tidy()

    def _check_clock(self) -> None:
        """Report a wall clock that was moved, once for each move. Engine time does not follow it."""
        jump = self._clock.jump()
        moved = jump - self._reported_jump
        if abs(moved) > CLOCK_JUMP_MICROSECONDS:
            self._reported_jump = jump
            log.warning("the wall clock jumped by %.1f s; engine time goes on evenly and waits keep their length",
                        moved / 1e6)  # fmt: skip
            self._answer((), (Hint(HintKind.CLOCK_JUMPED, microseconds=moved),), ())
