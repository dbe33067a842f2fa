"""Size: payloads are bounded where they are made, so that the error stands where the value came from."""

from __future__ import annotations

from keepstep.journal import TooLarge
from keepstep.journal.limits import PAYLOAD_BYTES_MAX


def within_limit(payload: bytes, what: str, name: str = "") -> bytes:
    """The payload, if it is not over the limit. Raises ``TooLarge``, naming ``what`` it is."""
    if len(payload) <= PAYLOAD_BYTES_MAX:
        return payload
    named = f"{what} {name!r}" if name else what
    raise TooLarge(
        f"{named}: {len(payload):,} bytes are more than the {PAYLOAD_BYTES_MAX:,} that one value may have; "
        "keep large data elsewhere and pass a reference to it"
    )
