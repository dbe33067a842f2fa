"""Writer: the one thread of a process that writes, in groups.

Operations queue up while a group is being flushed and travel in the next one: one transaction, one fsync, however many
they are. Nothing waits on a timer. The answers of a group go back to the event loop in one call.

What can go wrong, and what happens then:

* An operation refuses (``JournalError``): it alone fails; it has drawn nothing.
* Something unforeseen is raised while a group is decided or written: the transaction is rolled back and the group is
  done again one operation at a time, each behind a savepoint, so that only the culprit fails.
* The disk is full, the file is locked, I/O fails: the group is kept and tried again, with back-off, until it works.
  This is reported once, and once more when it works again. The queue behind it stays bounded: ``Overloaded``.
* COMMIT fails and nobody knows whether it happened: every group carries its number in the process's own row, and that
  row says it.

The thread renews the leases of its process by itself, first in a group, so that renewal depends neither on the event
loop nor on what steps do.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from keepstep.journal import limits
from keepstep.journal.clock import Clock
from keepstep.journal.errors import JournalError, Overloaded, StoreUnavailable
from keepstep.journal.hint import Hint, HintKind

from . import statements as sql
from .connection import is_damage, passing_trouble
from .picture import Picture, Wants
from .rows import from_json, json_text
from .turn import Turn

log = logging.getLogger("keepstep.journal")

GROUP_OPERATIONS_MAX = 2048
"""Operations of one group: bounds how long the lock is held and how long a renewal can wait."""

RETRY_SECONDS_FIRST = 0.02
RETRY_SECONDS_MAX = 1.0
CLOSE_SECONDS_MAX = 10.0
"""How long a closing store goes on trying to write what is queued while the disk is in trouble."""

RENEWALS_PER_LEASE = 3
CLOCK_CHECK_SECONDS = 1.0
STALL_SECONDS = 2.0
"""A round of the writer takes a second when there is nothing to do. One that takes longer than this could not write."""

CLOCK_JUMP_MICROSECONDS = 1_000_000

Verb = Callable[[Picture, Any], Any]
Want = Callable[[Wants, Any], None]


class Operation(msgspec.Struct):
    """Something to be written, and the future that waits for it."""

    verb: Verb
    argument: Any
    want: Want | None
    future: asyncio.Future[Any]
    outcome: Any = None
    error: Exception | None = None


Answer = Callable[[Sequence[Operation], Sequence[Hint], Sequence[HintKind]], None]
"""Takes a flushed group back to the event loop; called on the writer's thread."""


class Writer:
    """See the module."""

    def __init__(self, connection: sqlite3.Connection, turn: Turn, clock: Clock, process: int, answer: Answer) -> None:
        self._db = connection
        self._turn = turn
        self._clock = clock
        self._process = process
        self._answer = answer
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._picture = Picture(connection)
        self._flush = 0
        self._renewed: dict[str, float] = {}
        """Own open leases: seconds between renewals."""
        self._renew_at = float("inf")
        self._lost: list[str] = []
        self._reported_jump = 0
        self._clock_check_at = 0.0
        self._round_at = time.monotonic()
        """When the last round ended."""
        self._stalled_until = float("-inf")
        self._give_up_at: float | None = None
        self._dead: StoreUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="keepstep-writer", daemon=True)
        self._thread.start()

    # -- on the event loop

    def put(self, operation: Operation) -> None:
        """Queue an operation for the next group."""
        if self._queue.qsize() >= limits.QUEUE_OPERATIONS_MAX:
            raise Overloaded(f"{limits.QUEUE_OPERATIONS_MAX} operations wait for the store; try again later")
        if self._dead is not None:
            raise StoreUnavailable(str(self._dead))
        self._queue.put(operation)

    def keep_alive(self, lease_id: str, lease_seconds: float) -> None:
        """Renew a lease from now on."""
        self._renewed[lease_id] = lease_seconds / RENEWALS_PER_LEASE
        self._renew_at = min(self._renew_at, time.monotonic() + lease_seconds / RENEWALS_PER_LEASE)

    def let_go(self, lease_id: str) -> None:
        self._renewed.pop(lease_id, None)

    def leases(self) -> list[str]:
        return list(self._renewed)

    def look_at_leases(self) -> None:
        """The next group begins with renewing all leases, whether it is time or not."""
        self._renew_at = 0.0 if self._renewed else self._renew_at

    def steady_seconds(self) -> float:
        """For how long this process has been able to write whenever it wanted; 0 while it is not.

        A process that waits for a frozen one, for a full disk, or was frozen itself, must not conclude from a counter
        that has not moved that its owner is gone: that one may only have been unable to write, too.
        """
        now = time.monotonic()
        return 0.0 if now - self._round_at > STALL_SECONDS else now - self._stalled_until

    def hurry(self) -> None:
        """The store is about to close: do not try for ever to write to a disk in trouble."""
        self._give_up_at = time.monotonic() + CLOSE_SECONDS_MAX

    def stop(self) -> None:
        """Flush what is queued, then end. Blocks."""
        self._queue.put(None)
        self._thread.join()

    # -- on the writer's thread

    def abandon(self) -> None:
        """Whoever used the store is gone: end, and let other processes take over what its leases hold."""
        if self._renewed:
            log.error("the journal's event loop ended without closing it; its leases are left to run out")
        self._renewed.clear()
        self._renew_at = float("inf")
        self._queue.put(None)

    def _run(self) -> None:
        going = True
        while going:
            group, going = self._gather()
            try:
                if self._dead is not None:
                    self._refuse(group, str(self._dead))
                elif group or time.monotonic() >= self._renew_at:
                    self._flush_until_done(group)
                self._check_clock()
                self._end_round()
            except Exception as error:
                self._die(group, error)
        self._leave()

    def _leave(self) -> None:
        """Take this process's row away and let go of the file; SQLite folds its log in if nobody else has it open."""
        try:
            with self._turn:
                self._db.execute(sql.DELETE_PROCESS, (self._process,))
        except sqlite3.Error as error:
            log.warning("the journal was closed without signing off: %s", error)
        self._db.close()
        self._turn.close()

    def _gather(self) -> tuple[list[Operation], bool]:
        """The operations that wait; if none does, the first that comes, or none when a renewal is due."""
        group: list[Operation] = []
        take = self._queue.get_nowait
        try:
            wait = min(self._renew_at - time.monotonic(), CLOCK_CHECK_SECONDS)
            operation = self._queue.get(timeout=max(wait, 0.0))
            while operation is not None:
                group.append(operation)
                if len(group) >= GROUP_OPERATIONS_MAX:
                    return group, True
                operation = take()
            return group, False
        except queue.Empty:
            return group, True

    def _die(self, group: Sequence[Operation], error: Exception) -> None:
        """The database is damaged, or the store itself is wrong: nothing can be written any more."""
        self._renew_at = float("inf")
        log.critical("the journal cannot be written any more: %s", error, exc_info=error)
        self._dead = StoreUnavailable(f"the journal cannot be written any more: {error}; see the log, then reopen it")
        for operation in group:
            operation.error = self._dead
        self._answer(group, (), ())

    def _flush_until_done(self, group: list[Operation]) -> None:
        """Write the group, however long the disk is in trouble."""
        pause, reported, one_by_one = RETRY_SECONDS_FIRST, False, False
        while True:
            try:
                self._flush_group(group, one_by_one)
                break
            except Exception as error:
                self._picture.forget()
                trouble = passing_trouble(error)
                if trouble is None:
                    if one_by_one or is_damage(error):
                        raise
                    one_by_one = True
                    continue
                if not reported:
                    log.error("%s (%s): %d operations wait and are tried again until it works",
                              trouble, error, len(group))  # fmt: skip
                    reported = True
                if self._give_up_at is not None and time.monotonic() > self._give_up_at:
                    self._refuse(group, f"{trouble} ({error}) and the store is closing")
                    return
                time.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS_MAX)
        if reported:
            log.warning("the journal can be written again")
        picture = self._picture
        lost, self._lost = self._lost, []
        hints = [Hint(HintKind.LEASE_LOST, lease_id=lease_id) for lease_id in lost]
        self._answer(group, hints + picture.news.hints(), picture.news.kinds())

    def _refuse(self, group: Sequence[Operation], why: str) -> None:
        for operation in group:
            operation.error = StoreUnavailable(f"not written: {why}")
        self._answer(group, (), ())

    def _flush_group(self, group: list[Operation], one_by_one: bool) -> None:
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                picture = self._picture
                picture.begin(self._clock.now())
                if time.monotonic() >= self._renew_at:
                    self._renew()
                if one_by_one:
                    self._decide_one_by_one(group)
                else:
                    self._decide(group)
                self._flush += 1
                self._db.execute(sql.MARK_FLUSH, (self._process, self._flush))
            except BaseException:
                self._roll_back()
                raise
            self._commit()
            picture.end()

    def _decide(self, group: Sequence[Operation]) -> None:
        picture = self._picture
        wants = Wants()
        for operation in group:
            operation.error = None
            if operation.want is not None:
                operation.want(wants, operation.argument)
        picture.prefetch(wants)
        for operation in group:
            try:
                operation.outcome = operation.verb(picture, operation.argument)
            except JournalError as refused:
                operation.error = refused
        picture.write()

    def _decide_one_by_one(self, group: Sequence[Operation]) -> None:
        picture = self._picture
        for operation in group:
            operation.error = None
            self._db.execute("SAVEPOINT operation")
            try:
                operation.outcome = operation.verb(picture, operation.argument)
                picture.write()
            except JournalError as refused:
                operation.error = refused
            except Exception as error:
                if passing_trouble(error) is not None or is_damage(error):
                    raise
                log.error("an operation of the journal failed unexpectedly: %s", error, exc_info=error)
                operation.error = error
                self._db.execute("ROLLBACK TO operation")
                news = picture.news
                picture.forget()
                picture.begin(picture.now)
                picture.news = news
            self._db.execute("RELEASE operation")

    def _commit(self) -> None:
        """COMMIT; where it fails, find out whether it happened."""
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            (flush,) = self._db.execute(sql.LAST_FLUSH, (self._process,)).fetchone()
            if flush != self._flush:
                raise
            log.warning("a COMMIT failed that had happened nevertheless")

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _renew(self) -> None:
        """Move the counters of all own leases, and notice those that were taken away."""
        names = json_text(list(self._renewed))
        renewed = self._db.execute(sql.RENEW_LEASES, (names,))
        if renewed.rowcount < len(self._renewed):
            (known,) = self._db.execute(sql.KNOWN_LEASES, (names,)).fetchone()
            for lease_id in set(self._renewed).difference(from_json(known)):
                self.let_go(lease_id)
                self._lost.append(lease_id)
                log.error("lease %s was taken away: this process did not renew it in time", lease_id)
        pause = min(list(self._renewed.values()), default=float("inf"))
        self._renew_at = time.monotonic() + pause

    def _end_round(self) -> None:
        now = time.monotonic()
        if now - self._round_at > STALL_SECONDS:
            self._stalled_until = now
        self._round_at = now

    def _check_clock(self) -> None:
        """Report a wall clock that was moved, once for each move. Engine time does not follow it."""
        now = time.monotonic()
        if now < self._clock_check_at:
            return
        self._clock_check_at = now + CLOCK_CHECK_SECONDS
        jump = self._clock.jump()
        moved = jump - self._reported_jump
        if abs(moved) > CLOCK_JUMP_MICROSECONDS:
            self._reported_jump = jump
            log.warning("the wall clock jumped by %.1f s; engine time goes on evenly and waits keep their length",
                        moved / 1e6)  # fmt: skip
            self._answer((), (Hint(HintKind.CLOCK_JUMPED, microseconds=moved),), ())
