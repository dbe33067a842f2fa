"""Codec: makes cells of what languages write, and reads them. It does no I/O: blobs are handed out and in.

A cell is compressed, then encrypted, then kept elsewhere if it is still large. Which of these were done it says itself,
so that every codec reads what another one wrote, as long as it has the key and the place of the blobs.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from keepstep.journal import Cell, InvalidInput, Unreadable, cell_of, seal_cell
from keepstep.journal.limits import PAYLOAD_BYTES_MAX

from .binding import Binding, encode_binding, is_of_input
from .compression import UNPACKED_BYTES_MAX, check_compression, is_compression, pack, unpack
from .keys import Keys
from .witness import note_opening

if TYPE_CHECKING:
    from .blobs import BlobStore

COMPRESS_BYTES_MIN = 512
"""What is shorter is not worth the time."""

INLINE_BYTES_MAX = 64 * 1024
VALUE_BYTES_MAX = 64 * 1024 * 1024
ENCRYPTED = "aes256gcm"
SALT_BYTES = 8

Blobs = dict[str, bytes]
"""By reference."""


class Codec:
    """What an engine does to data before they are written.

    :param keys: encrypt with AES-256-GCM. :param compression: ``"zlib"``, or ``"zstd"`` from Python 3.14 on.
    :param blobs: where cells longer than ``inline_bytes_max`` are kept.
    :param value_bytes_max: with ``blobs``, what one value may have, instead of the 2 MiB that a journal takes.

    One without parameters changes nothing, and reads what was only compressed. Raises ``InvalidInput``.
    """

    def __init__(
        self,
        *,
        keys: Keys | None = None,
        compression: str | None = None,
        blobs: BlobStore | None = None,
        inline_bytes_max: int = INLINE_BYTES_MAX,
        value_bytes_max: int = VALUE_BYTES_MAX,
    ) -> None:
        if not 0 < inline_bytes_max <= PAYLOAD_BYTES_MAX:
            raise InvalidInput(f"inline_bytes_max is 1 to {PAYLOAD_BYTES_MAX}, not {inline_bytes_max!r}")
        if not PAYLOAD_BYTES_MAX <= value_bytes_max <= UNPACKED_BYTES_MAX:
            raise InvalidInput(
                f"value_bytes_max is {PAYLOAD_BYTES_MAX} to {UNPACKED_BYTES_MAX}, not {value_bytes_max!r}"
            )
        self.keys = keys
        self.compression = check_compression(compression)
        self.blobs = blobs
        self.inline_bytes_max = inline_bytes_max
        self.value_bytes_max = value_bytes_max if blobs is not None else PAYLOAD_BYTES_MAX

    def __repr__(self) -> str:
        parts = (self.keys, self.compression, self.blobs)
        return f"<Codec {', '.join(str(part) for part in parts if part) or 'of nothing'}>"

    @property
    def changes_something(self) -> bool:
        return bool(self.keys or self.compression or self.blobs)

    def seal(self, data: bytes, binding: Binding, blobs: Blobs) -> bytes:
        """Data as they are stored. What has to be kept elsewhere before is put into ``blobs``."""
        content, encoding = self._compressed(data)
        key_id = self.keys.primary if self.keys is not None else ""
        if self.keys is not None:
            encoding += "+" + ENCRYPTED if encoding else ENCRYPTED
            content = self.keys.encrypt(key_id, content, _bound(encoding, key_id, binding))
        if self.blobs is not None and len(content) > self.inline_bytes_max:
            salt = secrets.token_bytes(SALT_BYTES)
            reference = _reference(content, binding, salt)
            blobs[reference] = content
            return seal_cell(Cell(encoding, key_id, reference, salt))
        if not encoding and cell_of(data) is None:
            return data
        return seal_cell(Cell(encoding, key_id, "", content))

    def _compressed(self, data: bytes) -> tuple[bytes, str]:
        if self.compression and len(data) >= COMPRESS_BYTES_MIN:
            packed = pack(self.compression, data)
            if len(packed) < len(data):
                return packed, self.compression
        return data, ""

    def open(self, cell: Cell, *bindings: Binding, blob: bytes | None = None) -> bytes:
        """What a cell was made of, in one of the places that it may have been made for.

        Raises ``Unreadable`` that says what is missing or wrong.
        """
        content = cell.content
        if cell.blob:
            if blob is None:
                raise Unreadable(f"its blob {cell.blob} is not here; look where the blobs of this journal are kept")
            if not any(_reference(blob, each, cell.content) == cell.blob for each in bindings):
                raise Unreadable(f"its blob {cell.blob} has other bytes than were written, or belongs to another place")
            content = blob
        for name in reversed(cell.encoding.split("+") if cell.encoding else ()):
            if name == ENCRYPTED:
                content = self._decrypted(cell, content, bindings)
            elif is_compression(name):
                content = unpack(name, content)
            else:
                raise Unreadable(f"it is encoded as {name!r}, which this version does not know; upgrade Keepstep")
        return content

    def _decrypted(self, cell: Cell, content: bytes, bindings: tuple[Binding, ...]) -> bytes:
        if self.keys is None:
            raise Unreadable(f"it is encrypted with key {cell.key_id!r}, and there are no keys here; give a codec keys")
        note_opening()
        for binding in bindings:
            plain = self.keys.decrypt(cell.key_id, content, _bound(cell.encoding, cell.key_id, binding))
            if plain is not None:
                return plain
        raise Unreadable(
            f"it is not what was encrypted here with key {cell.key_id!r}: it was damaged, or comes from "
            "another place; restore it from a backup, or move it back"
        )

    def is_current(self, cell: Cell | None) -> bool:
        """True if sealing the same data again would use the same key. None: they are as a language wrote them."""
        key_id = "" if cell is None else cell.key_id
        return key_id == ("" if self.keys is None else self.keys.primary)


class BlindCodec(Codec):
    """Seals as another codec does, and opens nothing that is encrypted: for who may act, but not see what is in it.

    The digest of an input is opened: it is compared with that of an input that the caller has said, and not shown.
    """

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.__dict__.update(codec.__dict__)

    def _decrypted(self, cell: Cell, content: bytes, bindings: tuple[Binding, ...]) -> bytes:
        if all(is_of_input(each) for each in bindings):
            return super()._decrypted(cell, content, bindings)
        raise Unreadable(f"it is encrypted with key {cell.key_id!r}, and who asks here may not see what is in it")


def _bound(encoding: str, key_id: str, binding: Binding) -> bytes:
    return encode_binding((encoding, key_id, *binding))


def _reference(content: bytes, binding: Binding, salt: bytes) -> str:
    """By its content, its place, and a salt that the cell keeps: no two cells share a blob, which can go when its cell
    goes. A place that is given the same content again gets another blob, since the first one may be going just then.
    """
    return hashlib.sha256(salt + encode_binding(binding) + content).hexdigest()
