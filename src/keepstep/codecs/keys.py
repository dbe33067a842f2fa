"""Keys: those of AES-256-GCM, by their ids. New cells are made with one of them, and read with any.

Each cell has a fresh random nonce of 96 bits. NIST SP 800-38D (section 8.3) allows 2³² cells of one key so: beyond it,
two nonces of one key could be equal with a chance of more than 2⁻³², which would break both cells and the key's
authentication. Rotate a key before it has made four thousand million cells.

A file of keys has one a line, ``id base64``; the last one writes. It is read again when a cell comes whose key is not
known, so that workers which run already can read what a newer one writes with a key that was just added.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keepstep.journal import InvalidInput, Unreadable

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_CHARS_MAX = 100

REREAD_SECONDS = 1.0
"""Between two looks at a file for a key that is not in it."""


class Keys:
    """``Keys({"2026": key, "2027": key})``: each 32 bytes, or their base64 text. ``primary`` is the one that writes,
    by default the last one. Raises ``InvalidInput``; neither its text nor its errors ever show a key.
    """

    def __init__(self, keys: Mapping[str, bytes | str], *, primary: str | None = None) -> None:
        self._ciphers: dict[str, Any] = {}
        self._again: Callable[[], Mapping[str, bytes | str]] | None = None
        self._looked_at = 0.0
        self._take(keys, primary)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Keys:
        """The keys of a file. Raises ``InvalidInput`` for a line that is none, naming its number and never its text."""
        place = Path(path)
        keys = cls(_read_file(place))
        keys._again = lambda: _read_file(place)
        return keys

    def _take(self, keys: Mapping[str, bytes | str], primary: str | None) -> None:
        if not keys:
            raise InvalidInput("there are no keys; make one with: keepstep new-key ID")
        ciphers = {_checked_id(id): _cipher(id, key) for id, key in keys.items()}
        primary = list(ciphers)[-1] if primary is None else primary
        if primary not in ciphers:
            raise InvalidInput(f"the primary key {primary!r} is not among the keys {', '.join(ciphers)}")
        self._ciphers = {**self._ciphers, **ciphers}  # before it can be the primary one; others may be reading
        self.primary = primary

    def __repr__(self) -> str:
        return f"<Keys {', '.join(self._ciphers)}; {self.primary!r} writes>"

    def __reduce__(self) -> Any:
        raise TypeError("keys are not to be copied or pickled; make them again from where they are kept")

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._ciphers)

    def encrypt(self, key_id: str, data: bytes, bound_to: bytes) -> bytes:
        """Nonce, ciphertext and tag. The key is named: which one is the primary may change at any moment."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed: bytes = self._ciphers[key_id].encrypt(nonce, data, bound_to)
        return nonce + sealed

    def decrypt(self, key_id: str, data: bytes, bound_to: bytes) -> bytes | None:
        """The plain data; None where they were damaged, or made for another place. Raises ``Unreadable`` without the
        key."""
        cipher = self._ciphers.get(key_id) or self._look_again(key_id)
        if cipher is None:
            raise Unreadable(f"it is encrypted with key {key_id!r}, which is not here; add it to the keys")
        from cryptography.exceptions import InvalidTag

        try:
            plain: bytes = cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            return None
        return plain

    def _look_again(self, key_id: str) -> Any:
        now = time.monotonic()
        if self._again is None or now - self._looked_at < REREAD_SECONDS:
            return None
        self._looked_at = now
        try:
            found = self._again()
            if key_id in found:  # what has not got it may be half of a file that is being written
                self._take(found, None)
        except InvalidInput:  # somebody may be writing it just now
            return None
        return self._ciphers.get(key_id)


def new_key() -> str:
    """A new key, as base64 text."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _checked_id(id: str) -> str:
    if not isinstance(id, str) or not 0 < len(id) <= KEY_ID_CHARS_MAX or not id.isprintable() or " " in id:
        raise InvalidInput(f"the id of a key is a short name without spaces, such as '2026-11', not {id!r:.40}")
    return id


def _cipher(id: str, key: bytes | str) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise InvalidInput("encryption needs one more package: pip install 'keepstep[crypto]'") from error
    if isinstance(key, str):
        try:
            key = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInput(f"key {id!r} is not base64 text; make one with: keepstep new-key {id}") from None
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise InvalidInput(f"key {id!r} must have {KEY_BYTES} bytes; make one with: keepstep new-key {id}")
    return AESGCM(key)


def _read_file(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the keys cannot be read: {error}") from error
    keys: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[0] in keys:
            raise InvalidInput(f"{path}, line {number}: a line is ID BASE64, and each id is there once")
        keys[words[0]] = words[1]
    return keys
