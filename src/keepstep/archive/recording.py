"""Recording: one run as JSON, to be replayed, looked at or imported long after it is gone.

It holds all of the run in plain, as its code saw it: no cell, and no reference to a blob, whose place may be swept.
Bytes are Base64, as payloads are MessagePack. Format 1 had the run and its events alone, and is still read.

Where the writer has keys, all of that but a few words of the run (``Heading``) is compressed and encrypted with the
newest of them: what was encrypted in the database does not become plain on its way out of it. The key's id stands
beside it. ``history --export`` is the exception, and says so: what it writes is for the eyes of a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from keepstep.codecs import Codec
from keepstep.journal import (
    AuditLine,
    Event,
    InvalidInput,
    Loaded,
    Message,
    Run,
    Status,
    TooLarge,
    Unreadable,
    cell_of,
)

FORMAT = 2

LINE_BYTES_MAX = 256 * 1024 * 1024
"""A recording is read whole. What would be longer is refused when it is written."""


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """What can be read of a run without its key: what a database keeps in plain, too."""

    run_id: str
    workflow_id: str
    namespace: str
    type: str
    status: Status
    started_at: int
    closed_at: int
    version: int
    last_seq: int


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What is written."""

    keepstep_recording: int
    """The format's number."""
    run: Run
    events: list[Event]
    state: list[tuple[str, str, bytes]] = []
    messages: list[Message] = []
    audit: list[AuditLine] = []


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What is written where there are keys."""

    keepstep_recording: int
    run: Heading
    key_id: str
    sealed: bytes
    """A recording, as a cell."""


class Preface(msgspec.Struct, frozen=True, kw_only=True):
    """What both have in common."""

    keepstep_recording: Any = None
    run: msgspec.Raw = msgspec.Raw(b"{}")
    key_id: str = ""
    sealed: bytes = b""


class Recorded(msgspec.Struct, frozen=True):
    """A run as it was recorded, and what operators had done to it."""

    loaded: Loaded
    audit: tuple[AuditLine, ...] = ()

    def encoded(self) -> bytes:
        """As a plain file."""
        return encode_recording(self.loaded, self.audit)


_decode = msgspec.json.Decoder(Recording).decode
_decode_preface = msgspec.json.Decoder(Preface).decode
_decode_heading = msgspec.json.Decoder(Heading).decode


def encode_recording(loaded: Loaded, audit: Sequence[AuditLine] = ()) -> bytes:
    """A run as a plain JSON file, indented so that a change of it can be read."""
    return msgspec.json.format(_encode(loaded, audit), indent=1) + b"\n"


def encode_line(loaded: Loaded, audit: Sequence[AuditLine], codec: Codec) -> bytes:
    """A run as one line, without its end; sealed if the codec has keys. Raises ``TooLarge``."""
    _check_size(loaded.run, sum([len(event.data) for event in loaded.events]) * 4 // 3)  # before it is all there twice
    plain = _encode(loaded, audit)
    _check_size(loaded.run, len(plain))
    return plain if codec.keys is None else _seal(plain, loaded.run, codec)


def _check_size(run: Run, size: int) -> None:
    if size > LINE_BYTES_MAX:
        raise TooLarge(
            f"run {run.run_id} ({run.workflow_id!r}) would be {size} bytes of JSON, more than {LINE_BYTES_MAX}"
        )


def _encode(loaded: Loaded, audit: Sequence[AuditLine]) -> bytes:
    run = msgspec.structs.replace(loaded.run, owner=None, wake_at=None)
    recording = Recording(
        keepstep_recording=FORMAT,
        run=run,
        events=loaded.events,
        state=[(kind, key, data) for (kind, key), data in loaded.state.items()],
        messages=loaded.messages,
        audit=list(audit),
    )
    return msgspec.json.encode(recording)


def _seal(plain: bytes, run: Run, codec: Codec) -> bytes:
    assert codec.keys is not None
    whole = Codec(keys=codec.keys, compression="zlib")  # no blobs: a recording stands alone
    heading = Heading(**{name: getattr(run, name) for name in Heading.__struct_fields__})
    cell = whole.seal(plain, _place_of(heading), {})
    return msgspec.json.encode(Sealed(keepstep_recording=FORMAT, run=heading, key_id=codec.keys.primary, sealed=cell))


def _place_of(heading: Heading) -> tuple[str | int, ...]:
    """What a sealed recording is bound to: its heading is authentic, too."""
    return "recording", *msgspec.structs.astuple(heading)


def read_preface(data: bytes, name: str) -> tuple[Preface, Heading]:
    """What can be told of a recording without its key. Raises ``InvalidInput``."""
    try:
        preface = _decode_preface(data)
        if preface.keepstep_recording not in (1, FORMAT):
            raise InvalidInput(
                f"{name} is no recorded history that this Keepstep knows (format {preface.keepstep_recording!r}, not "
                f"{FORMAT}); make one with: keepstep history ID --export FILE"
            )
        return preface, _decode_heading(preface.run)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name} is no recorded history: {error}; export the run again") from error


def decode_recording(data: bytes, name: str, codec: Codec | None = None) -> Recorded:
    """A run that was recorded. ``name`` is of the file, for errors.

    Raises ``InvalidInput``; ``Unreadable`` for one that is sealed with a key that the codec does not have.
    """
    preface, heading = read_preface(data, name)
    if preface.sealed:
        data = _open(preface, heading, name, codec or Codec())
    try:
        recording = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name} is no recorded history: {error}; export the run again") from error
    seqs = [each.seq for each in recording.events]
    if len(seqs) != recording.run.last_seq or seqs != list(range(1, len(seqs) + 1)):
        raise InvalidInput(f"{name} does not hold all {recording.run.last_seq} events of its run; export it again")
    state = {(kind, key): data for kind, key, data in recording.state}
    return Recorded(Loaded(recording.run, recording.events, state, recording.messages), tuple(recording.audit))


def _open(preface: Preface, heading: Heading, name: str, codec: Codec) -> bytes:
    cell = cell_of(preface.sealed)
    if cell is None:
        raise InvalidInput(f"{name} is no recorded history: what is sealed in it is no cell; export the run again")
    try:
        return codec.open(cell, _place_of(heading))
    except Unreadable as error:
        raise Unreadable(f"{name}: {error}") from error
