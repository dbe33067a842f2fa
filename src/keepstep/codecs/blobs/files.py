"""A folder of blobs, which may be on a disk that all workers share.

A blob is written beside its place, flushed, and renamed; then its folder is flushed. So a file with a blob's name has
all of its bytes, whatever crashes. What a crash leaves of one that was being written is listed like a blob, so that a
sweep removes it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from keepstep.journal import StoreUnavailable

from .port import BlobFound, BlobMissing

FANOUT_CHARS = 2
"""A folder for each beginning of references, so that none gets too full."""


class FileBlobs:
    """``FileBlobs("/var/lib/orders/blobs")``: the folder is made when the first blob comes."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).expanduser().absolute()
        self._flushed: set[Path] = set()
        """Folders whose own names are known to be on disk."""

    def __repr__(self) -> str:
        return f"<blobs in {self._folder}>"

    def _place(self, reference: str) -> Path:
        return self._folder / reference[:FANOUT_CHARS] / reference

    def put(self, reference: str, data: bytes) -> None:
        place = self._place(reference)
        try:
            if place.parent not in self._flushed:
                make_folder(place.parent, self._folder)
                self._flushed.add(place.parent)
            write_file(place, data)
        except OSError as error:
            self._flushed.discard(place.parent)  # it may have been removed
            raise StoreUnavailable(f"a blob cannot be written to {self._folder}: {error}") from error

    def get(self, reference: str) -> bytes:
        try:
            return self._place(reference).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(f"blob {reference} is not in {self._folder}") from None
        except OSError as error:
            raise StoreUnavailable(f"a blob cannot be read from {self._folder}: {error}") from error

    def delete(self, reference: str) -> None:
        self._place(reference).unlink(missing_ok=True)

    def list(self) -> Iterator[BlobFound]:
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            if not folder.is_dir() or len(folder.name) != FANOUT_CHARS:
                continue
            for place in folder.iterdir():
                try:
                    seen = place.stat()
                except FileNotFoundError:  # somebody else sweeps, too
                    continue
                yield BlobFound(place.name, seen.st_mtime, seen.st_size)


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder in, or at, a root, durably; also one that is there: who has made it may not have flushed it yet."""
    made = [each for each in (folder, *folder.parents) if not each.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in dict.fromkeys((folder, root, *made)):
        _flush_folder(each.parent)


def write_file(place: Path, data: bytes) -> None:
    """Have a file there, whole and durable, or as it was before. Raises ``OSError``."""
    unfinished = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
    try:
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, place)
        _flush_folder(place.parent)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # no folder can be flushed there
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
