"""What ``keepstep doctor`` says of keys and of the place for blobs that the environment names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice

from keepstep.codecs.environment import BLOBS, KEYS, codec_from_environment
from keepstep.journal import InvalidInput, StoreUnavailable

from .finding import Finding


def look_at_codec() -> Iterator[Finding]:
    """Nothing where nothing is named: values lie in the database as they are."""
    try:
        codec = codec_from_environment()
    except InvalidInput as error:
        yield Finding("problem", f"the codec of the environment cannot be made: {error}")
        return
    if codec.keys is not None:
        ids = ", ".join(map(repr, codec.keys.ids))
        yield Finding("ok", f"{KEYS}: {ids}; {codec.keys.primary!r} writes")
        yield from _look_at_file(os.environ[KEYS])
    if codec.blobs is not None:
        try:
            any_blob = any(True for _ in islice(codec.blobs.list(), 1))
        except (StoreUnavailable, OSError) as error:
            yield Finding("problem", f"{BLOBS}: {error}", "runs with large values are parked until it is back")
        else:
            yield Finding("ok", f"{BLOBS}: {codec.blobs!r}" + ("" if any_blob else ", with nothing in it yet"))


def _look_at_file(path: str) -> Iterator[Finding]:
    if os.name == "posix" and os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("warning", f"{KEYS}: {path} is not its owner's alone", f"chmod 600 {path}")
