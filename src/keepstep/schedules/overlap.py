"""Overlap: what a firing does while a run of the same schedule is still going on."""

from __future__ import annotations

from enum import StrEnum

from keepstep.journal import InvalidInput


class Overlap(StrEnum):
    """See the module. The words are Temporal's, without their suffixes."""

    SKIP = "skip"
    """Nothing is started."""
    BUFFER_ONE = "buffer_one"
    """The first that comes waits until the other has ended; what comes while one waits is skipped."""
    BUFFER_ALL = "buffer_all"
    """All wait, and are started one after the other."""
    CANCEL = "cancel"
    """The other is asked to stop, and this one is started when it has."""
    TERMINATE = "terminate"
    """The other is ended by force, and this one is started when it is."""
    ALLOW = "allow"
    """It is started all the same, and nothing waits for it."""


def overlap_of(word: str) -> Overlap:
    """The policy of that name. Raises ``InvalidInput`` for another word."""
    try:
        return Overlap(word)
    except ValueError:
        raise InvalidInput(f"overlap is one of {', '.join(Overlap)}, not {word!r:.60}") from None
