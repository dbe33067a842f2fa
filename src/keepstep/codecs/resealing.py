"""Resealing: everything that an old key has sealed, or nobody, is sealed by the newest one.

Events never change: a run that reads them, before or after, gets the same bytes. What is swapped is the seal around
them, which only the codec sees. Each piece is opened, sealed anew for its own place, and swapped if it still is as it
was (``journal.kept``), so that it can be done beside running workers, by several at once, and again after it was
stopped: what is sealed by the newest key is passed over.

Give all workers the new key first. One that still writes with an old key makes more to be sealed; ``left`` counts what
a last look has found of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import msgspec

from keepstep.journal import Journal, JournalError, StoreUnavailable, cell_of
from keepstep.journal.kept import Kept, KeptIn, Spot, Swap

from .binding import of_kept
from .codec import Blobs, Codec
from .storage import Storage

PLAIN = "plain"
"""How a person names what is not encrypted."""

UNREADABLE_NAMED_MAX = 20


class Resealed(msgspec.Struct):
    """What has been done so far."""

    seen: Counter[str] = msgspec.field(default_factory=Counter)
    """Pieces that were looked at, by where they are."""
    sealed: int = 0
    by_key: Counter[str] = msgspec.field(default_factory=Counter)
    """Under which keys those were before."""
    unreadable: list[str] = []
    unreadable_count: int = 0
    left: Counter[str] = msgspec.field(default_factory=Counter)
    """Under which keys there still is something that was wanted, after all was done."""


Tell = Callable[[KeptIn, Resealed], None]


async def reseal(
    journal: Journal, codec: Codec, tell: Tell, *, only: Collection[str] = (), dry_run: bool = False
) -> Resealed:
    """Seal all that is not sealed by the primary key, or ``only`` what these keys have sealed.

    ``journal`` hands on cells as they are (``read_kept``), as stores and the seam do. With ``dry_run`` nothing is
    changed, and what would be is counted.
    """
    work = _Resealing(journal, codec, frozenset(only), dry_run)
    for where in KeptIn:
        await work.walk(where, tell)
    if not dry_run:
        for where in KeptIn:
            await work.count_left(where)
    return work.done


class _Resealing:
    def __init__(self, journal: Journal, codec: Codec, only: frozenset[str], dry_run: bool) -> None:
        self._journal = journal
        self._codec = codec
        self._storage = Storage(codec)
        self._only = only
        self._dry_run = dry_run
        self.done = Resealed()

    def _key_of(self, kept: Kept) -> str | None:
        """Under which key it is, if it is to be sealed anew; None if it is not."""
        if not kept.data:
            return None
        cell = cell_of(kept.data)
        if self._codec.is_current(cell):
            return None
        key = PLAIN if cell is None or not cell.key_id else cell.key_id
        return key if not self._only or key in self._only else None

    async def walk(self, where: KeptIn, tell: Tell) -> None:
        after: Spot | None = None
        while page := await self._journal.read_kept(where, after):
            after = page[-1].spot
            wanted = [(kept, key) for kept in page if (key := self._key_of(kept)) is not None]
            self.done.seen[where] += len(page)
            if wanted and not self._dry_run:
                await self._seal(where, [kept for kept, _ in wanted])
            else:
                self.done.sealed += len(wanted)
            self.done.by_key.update(key for _, key in wanted)
            tell(where, self.done)

    async def _seal(self, where: KeptIn, page: list[Kept]) -> None:
        opened = await self._storage.open([(kept.data, of_kept(where, kept)) for kept in page])
        swaps: list[Swap] = []
        blobs: Blobs = {}
        for kept, data in zip(page, opened, strict=True):
            if isinstance(data, StoreUnavailable):
                raise data
            if isinstance(data, JournalError):
                self._note_unreadable(where, kept, data)
                continue
            place = of_kept(where, kept)[0]
            swaps.append(Swap(kept.spot, kept.data, self._codec.seal(data, place, blobs)))
        await self._storage.keep(blobs)
        await self._journal.swap_kept(where, swaps)
        self.done.sealed += len(swaps)

    def _note_unreadable(self, where: KeptIn, kept: Kept, error: JournalError) -> None:
        self.done.unreadable_count += 1
        if len(self.done.unreadable) < UNREADABLE_NAMED_MAX:
            self.done.unreadable.append(f"{where} of run {kept.run_id} ({kept.workflow_id}): {error}")

    async def count_left(self, where: KeptIn) -> None:
        after: Spot | None = None
        while page := await self._journal.read_kept(where, after):
            after = page[-1].spot
            self.done.left.update(key for kept in page if (key := self._key_of(kept)) is not None)
