"""Size: payloads and names are bounded where they are made, so that the error stands where the value came from."""

from __future__ import annotations

from keepstep.journal import InvalidInput, TooLarge
from keepstep.journal.limits import NAME_CHARS_MAX, PAYLOAD_BYTES_MAX


def within_limit(payload: bytes, what: str, name: str = "", bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
    """The payload, if it is not over the limit. Raises ``TooLarge``, naming ``what`` it is."""
    if len(payload) <= bytes_max:
        return payload
    named = f"{what} {name!r}" if name else what
    raise TooLarge(
        f"{named}: {len(payload):,} bytes are more than the {bytes_max:,} that one value may have; "
        "keep large data elsewhere and pass a reference to it, or give the engine a place for blobs"
    )


def checked_name(name: object, what: str, chars_max: int = NAME_CHARS_MAX) -> str:
    """The name, if a journal can hold it. Raises ``InvalidInput`` for what is no text, empty or too long."""
    if not isinstance(name, str):
        raise InvalidInput(f"{what} must be text, not {name!r:.60}")
    if not 0 < len(name) <= chars_max:
        raise InvalidInput(f"{what} must have 1 to {chars_max} characters, not {len(name)}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{what} {name!r:.60} has a lone surrogate, which UTF-8 cannot hold; clean it first"
        ) from None
    return name
