"""Outbox: what is started, sent and committed in somebody else's transaction, through a codec."""

from __future__ import annotations

from typing import Protocol

from keepstep.journal import Commit, Committed, NewMessage, NewRun, Outbox, Sent, Started, Transaction

from .codec import Codec
from .sealing import Sealing
from .storage import Storage


class Seam(Protocol):
    """The sealed journal that they belong to."""

    codec: Codec
    storage: Storage

    async def opened_start(self, new: NewRun, started: Started) -> Started:
        """What came of a start, in plain."""
        ...


class SealedOutbox:
    """``Outbox`` through a codec."""

    def __init__(self, seam: Seam, outbox: Outbox) -> None:
        self._seam = seam
        self._outbox = outbox

    async def start(self, new: NewRun) -> Started:
        sealing = Sealing(self._seam.codec)
        sealed = sealing.new_run(new)
        await self._seam.storage.keep(sealing.blobs)
        return await self._seam.opened_start(new, await self._outbox.start(sealed))

    async def send(self, message: NewMessage) -> Sent:
        sealing = Sealing(self._seam.codec)
        sealed = sealing.message(message)
        await self._seam.storage.keep(sealing.blobs)
        return await self._outbox.send(sealed)


class SealedTransaction:
    """``Transaction`` through a codec."""

    def __init__(self, seam: Seam, transaction: Transaction) -> None:
        self._seam = seam
        self._transaction = transaction
        self.connection = transaction.connection

    async def commit(self, commit: Commit) -> Committed:
        sealing = Sealing(self._seam.codec)
        sealed = sealing.commit(commit)
        await self._seam.storage.keep(sealing.blobs)
        return await self._transaction.commit(sealed)
