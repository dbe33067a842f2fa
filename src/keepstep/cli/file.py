"""Files that commands read and write whole."""

from __future__ import annotations

import sys
from pathlib import Path

from keepstep.journal import InvalidInput

READ_BYTES_MAX = 1024 * 1024 * 1024


def write_whole(file: Path | None, data: bytes) -> None:
    """To a file, or to standard output. Raises ``InvalidInput``."""
    if file is None:
        sys.stdout.buffer.write(data)
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}") from error


def read_whole(file: Path) -> bytes:
    """Of a file, or of standard input if it is ``-``. Raises ``InvalidInput``."""
    try:
        data = sys.stdin.buffer.read(READ_BYTES_MAX + 1) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > READ_BYTES_MAX:
        raise InvalidInput(f"{file} has more than {READ_BYTES_MAX} bytes, which is no exported run")
    return data
