"""What a place for blobs offers. Everything blocks, and is called on threads, several at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from keepstep.journal import Unreadable


class BlobMissing(Unreadable):
    """There is no blob of that reference."""


class BlobFound(msgspec.Struct, frozen=True):
    """One blob that is kept."""

    reference: str
    written_at: float
    """Seconds since 1970, by the clock of the place."""
    size: int


class BlobStore(Protocol):
    """See the module. A reference is 64 hexadecimal digits, and always means the same bytes."""

    def put(self, reference: str, data: bytes) -> None:
        """Keep bytes; they are durable when it returns. May be done again. Raises ``StoreUnavailable``."""
        ...

    def get(self, reference: str) -> bytes:
        """Raises ``BlobMissing``; ``StoreUnavailable`` where the place cannot be reached."""
        ...

    def delete(self, reference: str) -> None:
        """Remove a blob; nothing happens if it is not there."""
        ...

    def list(self) -> Iterator[BlobFound]:
        """All that is there, in any order."""
        ...
