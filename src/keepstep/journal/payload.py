"""Payload: the envelope around every value that users hand to Keepstep. The journal never looks into it.

Wire format, final since version 0.1:

* A payload whose first byte is 0x20 or above *is* its content: UTF-8 JSON, not encrypted, not compressed, no type name.
  JSON text written by Keepstep never begins with white space. An empty payload (no bytes) stands for JSON ``null``.
* A payload whose first byte is 0x01 is that byte and then a MessagePack array
  ``[encoding, type, type_version, key_id, blob, bytes]``:
  ``encoding`` names the chain of codecs, outermost last, joined by ``+`` (``json``, ``json+zstd+aes256gcm`` …);
  ``type`` is the name of the value's type or ``""``; ``type_version`` an integer, 0 if none; ``key_id`` names the
  encryption key or is ``""``; ``blob`` refers to bytes kept elsewhere or is ``""``; ``bytes`` is the content. What a
  message carries may have a seventh member, ``headers``: text by name, beside the content.
* 0x02 begins a *cell*: what a language wrote (the data of an event, a message, a task, a state …) sealed as a whole
  by a codec. That byte, and a MessagePack array ``[encoding, key_id, blob, content]``: ``encoding`` names what was
  done, in order, joined by ``+`` (``zlib``, ``zstd``, ``aes256gcm``); ``blob`` refers to the content where it is kept
  elsewhere, and ``content`` is then what the reference was salted with. A cell is bound to its place, and says nothing
  in another one (``keepstep.codecs``).
* First bytes 0x03 to 0x1F are reserved for later formats; a reader that meets one says so and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from .errors import InvalidInput

ENVELOPE = 0x01
_ENVELOPE_BYTE = b"\x01"
CELL_MARK = b"\x02\x94"
"""How a cell begins: its format, and an array of four. No language writes data that begin so."""

FIRST_PLAIN_BYTE = 0x20


class Payload(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An opened envelope. The field order is the wire order."""

    encoding: str = "json"
    type: str = ""
    type_version: int = 0
    key_id: str = ""
    blob: str = ""
    content: bytes = b""

    def is_plain(self) -> bool:
        """True if the content alone says everything, so that it travels without an envelope."""
        if self.encoding != "json" or self.type or self.type_version or self.key_id or self.blob:
            return False
        return not self.content or self.content[0] >= FIRST_PLAIN_BYTE  # else it would be taken for a format's number


class PayloadWithHeaders(Payload, frozen=True, array_like=True, gc=False):
    """What is written where a message carries headers, and read everywhere."""

    headers: dict[str, str] | None = None

    def is_plain(self) -> bool:
        return not self.headers and super().is_plain()


class Cell(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a codec made of a language's data. The field order is the wire order."""

    encoding: str = ""
    key_id: str = ""
    blob: str = ""
    content: bytes = b""

    def __str__(self) -> str:
        """What is known of it without opening it."""
        said = [f"encrypted with key {self.key_id!r}"] if self.key_id else []
        said += [f"kept as blob {self.blob[:12]}…"] if self.blob else []
        return " and ".join(said) or f"encoded as {self.encoding or 'it is'}"


P = TypeVar("P", bound=Payload)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Payload)
_decoder_with_headers = msgspec.msgpack.Decoder(PayloadWithHeaders)


def seal(payload: Payload) -> bytes:
    """The payload as it is stored."""
    if payload.is_plain():
        return payload.content
    return bytes((ENVELOPE,)) + _encoder.encode(payload)


def unseal(data: bytes) -> Payload:
    """Open what was stored. Raises ``InvalidInput`` for a format that this version does not know."""
    if not data or data[0] >= FIRST_PLAIN_BYTE:
        return Payload(content=data or b"null")
    if data[0] != ENVELOPE:
        raise InvalidInput(f"payload format {data[0]} is not known to this version of Keepstep; upgrade it")
    return _open(data, _decoder)


def _open(data: bytes, decoder: msgspec.msgpack.Decoder[P]) -> P:
    try:
        return decoder.decode(data[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"payload envelope is damaged: {error}") from error


def with_headers(data: bytes, headers: Mapping[str, str]) -> bytes:
    """What was sealed, with headers beside it; the same bytes if there are none."""
    if not headers:
        return data
    return seal(PayloadWithHeaders(**msgspec.structs.asdict(unseal(data)), headers=dict(headers)))


def headers_of(data: bytes) -> Mapping[str, str]:
    """Those beside what was sealed; mostly none. Raises ``InvalidInput``."""
    return _open(data, _decoder_with_headers).headers or {} if data[:1] == _ENVELOPE_BYTE else {}


_cell_decoder = msgspec.msgpack.Decoder(Cell)


def seal_cell(cell: Cell) -> bytes:
    """The cell as it is stored."""
    return CELL_MARK[:1] + _encoder.encode(cell)


def cell_of(data: bytes | None) -> Cell | None:
    """The cell that these data are; None if they are as a language wrote them."""
    if data is None or data[:2] != CELL_MARK:
        return None
    try:
        return _cell_decoder.decode(memoryview(data)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
