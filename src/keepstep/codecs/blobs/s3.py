"""Blobs in whatever speaks S3, by the client of the ``obstore`` package (``pip install 'keepstep[s3]'``).

S3 answers a PUT when the object is durable, and every read after that sees it. Credentials, region and endpoint come
from the environment as for other clients of S3 (``AWS_ACCESS_KEY_ID`` …, ``AWS_ENDPOINT_URL`` for one that is not
Amazon's), or are handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keepstep.journal import InvalidInput, StoreUnavailable

from .port import BlobFound, BlobMissing


class S3Blobs:
    """``S3Blobs("s3://bucket/prefix", endpoint="https://…", region="…")``; options are those of obstore's ``S3Store``.

    Raises ``InvalidInput`` for what is no address, and without the package.
    """

    def __init__(self, url: str, **options: Any) -> None:
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError as error:
            raise InvalidInput("blobs in S3 need one more package: pip install 'keepstep[s3]'") from error
        try:
            self._store: Any = S3Store.from_url(url, **options)
        except Exception as error:
            raise InvalidInput(f"{url!r} is not a place for blobs, such as s3://bucket/prefix: {error}") from error
        self._client: Any = obstore
        self._url = url

    def __repr__(self) -> str:
        return f"<blobs in {self._url}>"

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # whatever the client meets on its way: the place cannot be used now
            raise StoreUnavailable(f"a blob cannot be {what} {self._url}: {error}") from error

    def put(self, reference: str, data: bytes) -> None:
        with self._asking("written to"):
            self._client.put(self._store, reference, data)

    def get(self, reference: str) -> bytes:
        try:
            with self._asking("read from"):
                return bytes(self._client.get(self._store, reference).bytes())
        except FileNotFoundError:
            raise BlobMissing(f"blob {reference} is not in {self._url}") from None

    def delete(self, reference: str) -> None:
        try:
            with self._asking("removed from"):
                self._client.delete(self._store, reference)
        except FileNotFoundError:
            pass

    def list(self) -> Iterator[BlobFound]:
        with self._asking("listed in"):
            for page in self._client.list(self._store):
                for found in page:
                    yield BlobFound(found["path"], found["last_modified"].timestamp(), found["size"])
