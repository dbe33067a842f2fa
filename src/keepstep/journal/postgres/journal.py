"""The PostgreSQL journal: the journal of any number of processes on any number of machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from keepstep.journal.clock import Clock
from keepstep.journal.deed import Transaction
from keepstep.journal.errors import Fenced
from keepstep.journal.hint import Hint
from keepstep.journal.identifier import IdFactory
from keepstep.journal.lease import LeaseState, ProcessIdentity
from keepstep.journal.outbox import Outbox
from keepstep.journal.process import surely_lives
from keepstep.journal.queue import TICKET, Claimed
from keepstep.journal.writing.bus import Bus
from keepstep.journal.writing.journal import GroupJournal
from keepstep.journal.writing.questions import Reader

from . import statements as sql
from .looks import Looks
from .outbox import PostgresOutbox, asking
from .query import Queries
from .transaction import Sessions
from .wire import Wire

RENEWED_AHEAD_SECONDS = 2.2
"""Leases that would be due before the next look at all of them are renewed by this one."""


class PostgresJournal(GroupJournal[Wire]):
    """A ``Journal`` in one PostgreSQL schema. Made by ``open_postgres``; belongs to the event loop that opened it."""

    performs_deeds = False

    def __init__(
        self,
        clock: Clock,
        ids: IdFactory,
        reader: Reader[Wire],
        queries: Queries,
        herald: Bus,
        sessions: Sessions,
        is_surely_dead: Callable[[ProcessIdentity], bool],
        schema: str,
        is_listening: Callable[[], bool] = lambda: False,
    ) -> None:
        """``is_listening`` says whether hints of other processes reach this one."""
        super().__init__(clock, ids, reader, queries, herald, is_surely_dead)
        self._queries = queries
        self._looks = Looks(is_listening, surely_lives, queries.monotonic)
        self._sessions = sessions
        self._schema = schema
        self._id: str | None = None

    async def close(self) -> None:
        await super().close()
        self._sessions.close()

    def transaction(self, *, is_async: bool) -> AbstractAsyncContextManager[Transaction]:
        if self._closed:
            self._refuse()
        return self._sessions.begin(is_async)

    def within(self, connection: Any) -> Outbox:
        if self._closed:
            self._refuse()
        return PostgresOutbox(asking(connection), self._schema, self._read_id)

    async def _read_id(self) -> str:
        """What tells this journal from others."""
        if self._id is None:
            self._id = str((await self._read(_read_meta, "journal"))[0][0])
        return self._id

    async def probe(self, lease_id: str, run_id: str | None) -> None:
        """One short statement, which need not be on disk: what the server has been told outlives our process."""
        if lease_id not in self._own_leases():
            raise Fenced(f"lease {lease_id} is over; it can probe nothing")
        await self._read(_note_probe, lease_id, run_id)

    async def claim_work(
        self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int, types: Sequence[str] = ()
    ) -> Claimed:
        """Asks first: one who polls in vain writes nothing."""
        looked_for = (*kinds, TICKET) if types else kinds
        if not await self._read(self._queries.any_tasks, lease_id, queues, looked_for, self.clock.now()):
            return Claimed()
        self._queries.finds += 1
        return await super().claim_work(lease_id, queues, kinds, limit, types)

    async def next_wake(self, lease_id: str, types: Sequence[str] | None = None) -> int | None:
        news = self._queries.news
        if self._looks.is_good(news):
            wake = self._queries.wake_of(lease_id, types)
            if wake is not None and wake.is_known(news) and not wake.is_due(self.clock.now()):
                return wake.wake_at
        wake_at = await super().next_wake(lease_id, types)
        self._queries.finds += wake_at is not None and wake_at <= self.clock.now()
        return wake_at

    async def reap(self) -> list[str]:
        if await self._read(self._can_wait):
            return []
        return await super().reap()

    def _can_wait(self, db: Wire) -> bool:
        """Whether a look at the leases can wait until the next poll. The server is not asked, but this system is."""
        return self._looks.can_wait(self._queries.news)

    def _probed(self, state: LeaseState) -> str | None:
        return state.probing

    def _forget_probe(self, lease_id: str) -> None:
        """Its note went with the lease."""
        self._queries.forget_lease(lease_id)

    def _judge_leases(self, db: Wire) -> list[tuple[LeaseState, bool]]:
        renewals = self._writer.renewals
        began = renewals.now()
        due = renewals.lease_ids() if renewals.seconds_left() < RENEWED_AHEAD_SECONDS else []
        news = self._queries.news
        pulse = self._queries.take_pulse(db, due, self.clock.now())
        self._looks.note(pulse.leases, news)
        renewals.note(pulse.renewed, began)
        for kind in pulse.found:  # whose hint was lost, or could not be given
            self._loop.call_soon_threadsafe(self._hear, Hint(kind))
        return [(state, self._is_surely_dead(state.lease.process)) for state in pulse.leases]

    def _hear(self, hint: Hint) -> None:
        self._queries.news += 1
        super()._hear(hint)


def _read_meta(db: Wire, name: str) -> list[tuple[Any, ...]]:
    return db.ask(sql.READ_META, name)


def _note_probe(db: Wire, lease_id: str, run_id: str | None) -> None:
    db.begin()
    db.queue(sql.WITHOUT_SYNC)
    db.queue(sql.SET_PROBING, lease_id, run_id)
    db.commit()
