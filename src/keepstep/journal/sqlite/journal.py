"""The SQLite journal: the journal of a database that is a file, with notes on probes in files beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

from keepstep.journal.clock import Clock
from keepstep.journal.deed import Transaction
from keepstep.journal.errors import Fenced, Unsupported
from keepstep.journal.hint import Hint, HintKind
from keepstep.journal.identifier import IdFactory
from keepstep.journal.lease import LeaseState, ProcessIdentity
from keepstep.journal.writing.bus import Bus
from keepstep.journal.writing.journal import GroupJournal
from keepstep.journal.writing.questions import Reader

from . import query
from .outbox import SqliteOutbox, check_connection
from .probes import Probes


class SqliteJournal(GroupJournal[sqlite3.Connection]):
    """A ``Journal`` on one SQLite file. Made by ``open_sqlite``; belongs to the event loop that opened it."""

    performs_deeds = True

    def __init__(
        self,
        clock: Clock,
        ids: IdFactory,
        reader: Reader[sqlite3.Connection],
        peers: Bus,
        probes: Probes,
        is_surely_dead: Callable[[ProcessIdentity], bool],
        path: Path,
    ) -> None:
        super().__init__(clock, ids, reader, query, peers, is_surely_dead)
        self._probes = probes
        self._path = path

    async def close(self) -> None:
        await super().close()
        self._probes.close()

    def transaction(self, *, is_async: bool) -> AbstractAsyncContextManager[Transaction]:
        raise Unsupported("SQLite has one writer: work of the caller's own is done as the deed of a commit")

    def within(self, connection: Any) -> SqliteOutbox:
        if self._closed:
            self._refuse()
        return SqliteOutbox(check_connection(connection, self._path), self.clock.now, self._tell)

    def _tell(self, hints: Sequence[Hint], kinds: Sequence[HintKind]) -> None:
        if not self._closed:
            self._peers.tell(kinds)
            self._resolve((), hints)

    async def probe(self, lease_id: str, run_id: str | None) -> None:
        if lease_id not in self._own_leases():
            raise Fenced(f"lease {lease_id} is over; it can probe nothing")
        self._probes.note(lease_id, run_id)

    async def list_leases(self) -> list[LeaseState]:
        leases = await super().list_leases()
        return [msgspec.structs.replace(each, probing=self._probed(each)) for each in leases]

    def _probed(self, state: LeaseState) -> str | None:
        return self._probes.read(state.lease.lease_id)

    def _forget_probe(self, lease_id: str) -> None:
        self._probes.drop(lease_id)
