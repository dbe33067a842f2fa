"""Sweeping: blobs that no cell of the journal refers to are removed.

They are left by commits that did not happen, by cells that were sealed anew, and by runs whose retention has ended. A
blob is written before the cell that refers to it, so one that is young is left alone, whatever the journal says. A
reference is never made twice, nor moved from one cell to another, so that one look at all cells is enough.

A place for blobs belongs to one database: another one's blobs would be taken for garbage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from keepstep.journal import InvalidInput, Journal, cell_of
from keepstep.journal.kept import KeptIn, Spot

from .blobs import BlobStore

GRACE_SECONDS = 24 * 3600.0
"""How old a blob must be. No commit waits so long for its turn."""

GRACE_SECONDS_MIN = 600.0


class Swept(msgspec.Struct):
    """What has been found, and removed unless it was a dry run."""

    blobs: int = 0
    blob_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    missing: int = 0
    """Blobs that cells refer to and that are not there."""


async def sweep(
    journal: Journal,
    blobs: BlobStore,
    *,
    now: Callable[[], float],
    grace_seconds: float = GRACE_SECONDS,
    dry_run: bool = False,
) -> Swept:
    """Remove what nothing refers to. ``now``: seconds since 1970, by the clock of the place of the blobs."""
    if grace_seconds < GRACE_SECONDS_MIN:
        raise InvalidInput(f"blobs younger than {GRACE_SECONDS_MIN:g} s may belong to a commit that is on its way")
    old_before = now() - grace_seconds
    swept, sizes, young = Swept(), dict[str, int](), set[str]()
    for found in await asyncio.to_thread(lambda: list(blobs.list())):
        swept.blobs += 1
        swept.blob_bytes += found.size
        if found.written_at < old_before:
            sizes[found.reference] = found.size
        else:
            young.add(found.reference)
    for where in KeptIn:
        after: Spot | None = None
        while page := await journal.read_kept(where, after):
            after = page[-1].spot
            for kept in page:
                cell = cell_of(kept.data)
                if cell is not None and cell.blob and sizes.pop(cell.blob, None) is None:
                    swept.missing += cell.blob not in young
    for reference, size in sizes.items():
        swept.removed += 1
        swept.removed_bytes += size
        if not dry_run:
            await asyncio.to_thread(blobs.delete, reference)
    return swept
