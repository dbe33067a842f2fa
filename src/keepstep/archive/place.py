"""Place: where files of an archive are. A folder that all workers see, or a bucket that speaks S3.

``put`` returns when a file is durable, and no reader ever finds a part of one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from keepstep.codecs.blobs.files import make_folder, write_file
from keepstep.journal import InvalidInput, StoreUnavailable

from .file import SUFFIX


class Place(Protocol):
    """See the module. Names end with ``SUFFIX``. All raise ``StoreUnavailable`` if the place cannot be reached."""

    url: str

    def put(self, name: str, data: bytes) -> None:
        """Keep a file; it is durable when this returns."""
        ...

    def get(self, name: str) -> bytes:
        """A file."""
        ...

    def names(self) -> list[str]:
        """Of all files, in order."""
        ...


def place_at(url: str) -> Place:
    """A folder, or ``s3://bucket/prefix``. Raises ``InvalidInput``."""
    if not url or "\0" in url:
        raise InvalidInput("an archive is a folder, or s3://bucket/prefix")
    if url.startswith("s3://"):
        return Bucket(url)
    if "://" in url:
        raise InvalidInput(f"{url!r} is no place for an archive; name a folder, or s3://bucket/prefix")
    return Folder(url)


class Folder:
    """It is made when the first file comes."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser().absolute()
        self.url = str(self._path)

    def put(self, name: str, data: bytes) -> None:
        try:
            make_folder(self._path, self._path)
            write_file(self._path / name, data)
        except OSError as error:
            raise StoreUnavailable(f"the archive {self.url} cannot be written to: {error}") from error

    def get(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise StoreUnavailable(f"the archive {self.url} cannot be read: {error}") from error

    def names(self) -> list[str]:
        try:
            return sorted(each.name for each in self._path.iterdir() if each.name.endswith(SUFFIX))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreUnavailable(f"the archive {self.url} cannot be read: {error}") from error


class Bucket:
    """Its client, credentials and endpoint are those of blobs in S3."""

    def __init__(self, url: str) -> None:
        from keepstep.codecs.blobs.s3 import S3Blobs

        self.url = url
        self._blobs = S3Blobs(url)

    def put(self, name: str, data: bytes) -> None:
        self._blobs.put(name, data)

    def get(self, name: str) -> bytes:
        return self._blobs.get(name)

    def names(self) -> list[str]:
        return sorted(each.reference for each in self._blobs.list() if each.reference.endswith(SUFFIX))
