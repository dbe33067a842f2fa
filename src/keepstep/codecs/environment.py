"""The codec that the environment names, for commands, which are given no codec by code.

``KEEPSTEP_KEYS`` is a file of keys (``codecs.keys``), ``KEEPSTEP_COMPRESSION`` is ``zlib`` or ``zstd``, and
``KEEPSTEP_BLOBS`` is a folder or ``s3://bucket/prefix``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from .blobs import BlobStore, FileBlobs
from .codec import Codec
from .keys import Keys

KEYS, COMPRESSION, BLOBS = "KEEPSTEP_KEYS", "KEEPSTEP_COMPRESSION", "KEEPSTEP_BLOBS"


def codec_from_environment(environment: Mapping[str, str] | None = None) -> Codec:
    """One that changes nothing if nothing is named. Raises ``InvalidInput``."""
    names = os.environ if environment is None else environment
    keys = names.get(KEYS)
    return Codec(
        keys=Keys.from_file(keys) if keys else None,
        compression=names.get(COMPRESSION) or None,
        blobs=blobs_at(names[BLOBS]) if names.get(BLOBS) else None,
    )


def blobs_at(place: str) -> BlobStore:
    """A folder, or ``s3://bucket/prefix``."""
    if place.startswith("s3://"):
        from .blobs.s3 import S3Blobs

        return S3Blobs(place)
    return FileBlobs(place)
