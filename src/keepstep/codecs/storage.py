"""Storage: a codec with the blobs that it needs: kept before they are referred to, and fetched before cells are opened.

What was kept or fetched last is remembered, because who has written a large value is the first to read it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from keepstep.journal import Cell, JournalError, StoreUnavailable, Unreadable, cell_of

from .binding import Binding
from .codec import Blobs, Codec

logger = logging.getLogger("keepstep.codecs")

REMEMBERED_BYTES_MAX = 32 * 1024 * 1024
AT_ONCE_MAX = 8
"""Blobs that are moved at the same time."""

KEEP_SECONDS_MAX = 120.0
KEEP_PAUSE_SECONDS_FIRST, KEEP_PAUSE_SECONDS_MAX = 0.1, 5.0

Wanted = tuple[bytes, tuple[Binding, ...]]
"""Data that may be a cell, and the places that it may have been made for."""

Opened = bytes | JournalError
"""Plain data, or why there are none: ``Unreadable``, or ``StoreUnavailable`` where blobs cannot be reached now."""


class Storage:
    """See the module. May be used from several threads."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._remembered: OrderedDict[str, bytes] = OrderedDict()
        self._remembered_bytes = 0
        self._lock = threading.Lock()
        self.is_closing = False
        """Nothing is tried again any more."""

    # blobs

    async def keep(self, blobs: Blobs) -> None:
        """Make blobs durable. Raises ``StoreUnavailable``."""
        if not blobs:
            return
        gate = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(reference: str, data: bytes) -> None:
            async with gate:
                await asyncio.to_thread(self.keep_now, {reference: data})

        await asyncio.gather(*(one(reference, data) for reference, data in blobs.items()))

    async def keep_at_last(self, blobs: Blobs) -> None:
        """``keep``, for what would have to be done again if it were not kept: tries again for a while."""
        pause, left = KEEP_PAUSE_SECONDS_FIRST, KEEP_SECONDS_MAX
        while True:
            try:
                return await self.keep(blobs)
            except StoreUnavailable as error:
                if self.is_closing or left <= 0:
                    raise
                logger.warning("%s; trying again in %.1f s", error, pause)
            await asyncio.sleep(pause)
            left -= pause
            pause = min(pause * 2, KEEP_PAUSE_SECONDS_MAX)

    def keep_now(self, blobs: Blobs) -> None:
        """``keep``, on this thread."""
        assert self.codec.blobs is not None or not blobs
        for reference, data in blobs.items():
            assert self.codec.blobs is not None
            try:
                self.codec.blobs.put(reference, data)
            except JournalError:
                raise
            except Exception as error:
                raise StoreUnavailable(f"{self.codec.blobs!r} failed to keep a blob: {error}") from error
            self._remember(reference, data)

    def _remember(self, reference: str, data: bytes) -> None:
        with self._lock:
            if len(data) > REMEMBERED_BYTES_MAX // 4 or reference in self._remembered:
                return
            self._remembered[reference] = data
            self._remembered_bytes += len(data)
            while self._remembered_bytes > REMEMBERED_BYTES_MAX:
                _, oldest = self._remembered.popitem(last=False)
                self._remembered_bytes -= len(oldest)

    def _blob(self, reference: str) -> bytes | JournalError:
        with self._lock:
            remembered = self._remembered.get(reference)
        if remembered is not None:
            return remembered
        if self.codec.blobs is None:
            return Unreadable(f"its blob {reference} is kept elsewhere, and no place for blobs is known here")
        try:
            data = self.codec.blobs.get(reference)
        except JournalError as error:
            return error
        self._remember(reference, data)
        return data

    # cells

    async def open(self, wanted: Sequence[Wanted]) -> list[Opened]:
        """All of these, in order. Blobs are fetched beside the event loop."""
        cells = [cell_of(data) for data, _ in wanted]
        references = {cell.blob for cell in cells if cell is not None and cell.blob}
        blobs = await self._fetch(references) if references else {}
        return [self._open(data, cell, places, blobs) for (data, places), cell in zip(wanted, cells, strict=True)]

    async def _fetch(self, references: Iterable[str]) -> dict[str, bytes | JournalError]:
        gate = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(reference: str) -> tuple[str, bytes | JournalError]:
            async with gate:
                return reference, await asyncio.to_thread(self._blob, reference)

        return dict(await asyncio.gather(*map(one, references)))

    def open_now(self, wanted: Sequence[Wanted]) -> list[Opened]:
        """``open``, on this thread."""
        cells = [cell_of(data) for data, _ in wanted]
        blobs = {cell.blob: self._blob(cell.blob) for cell in cells if cell is not None and cell.blob}
        return [self._open(data, cell, places, blobs) for (data, places), cell in zip(wanted, cells, strict=True)]

    def _open(
        self, data: bytes, cell: Cell | None, places: tuple[Binding, ...], blobs: dict[str, bytes | JournalError]
    ) -> Opened:
        if cell is None:
            return data
        blob = blobs.get(cell.blob)
        if isinstance(blob, JournalError):
            return blob
        try:
            return self.codec.open(cell, *places, blob=blob)
        except Unreadable as error:
            return error
