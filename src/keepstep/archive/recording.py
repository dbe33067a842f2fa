"""Recording: the history of one run as a JSON file, to be replayed by tests long after the run is gone.

It holds the run and its events as the code saw them: opened, if they were sealed. Payloads are Base64, as they are
MessagePack. Whoever exports a history of customers exports their data.
"""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.journal import Event, InvalidInput, Loaded, Run

FORMAT = 1


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds."""

    keepstep_recording: int
    """The format's number."""
    run: Run
    events: list[Event]


_decoder = msgspec.json.Decoder(Recording)


def encode_recording(loaded: Loaded) -> bytes:
    """A run as a JSON file, indented so that a change of it can be read."""
    recording = Recording(keepstep_recording=FORMAT, run=loaded.run, events=loaded.events)
    return msgspec.json.format(msgspec.json.encode(recording), indent=1) + b"\n"


def decode_recording(data: bytes, name: str) -> Loaded:
    """The reverse. ``name`` is of the file, for errors. Raises ``InvalidInput``."""
    try:
        said: Any = msgspec.json.decode(data)
        found = said.get("keepstep_recording") if isinstance(said, dict) else None
        if found != FORMAT:
            raise InvalidInput(
                f"{name} is no recorded history that this Keepstep knows (format {found!r}, not {FORMAT}); "
                "make one with: keepstep history ID --export FILE"
            )
        recording = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{name} is no recorded history: {error}; export the run again") from error
    if not recording.events or recording.events[-1].seq != recording.run.last_seq:
        raise InvalidInput(f"{name} does not hold all {recording.run.last_seq} events of its run; export it again")
    return Loaded(recording.run, recording.events, {}, [])
