"""Kept: every piece of a language's data, wherever the journal keeps it, for whoever has to look at all of them.

A codec's keys get old, and what they have sealed must be sealed anew; blobs that nothing refers to must be found. Both
want all data of a journal, page by page, beside workers that write. ``swap`` puts other bytes in the place of some, if
these are still there: it is for bytes that mean the same to the language (another seal of the same content), and for
nothing else. It makes no event, moves no version and is no owner's business, because nothing that a run could see has
changed. Questions and answers (``ask``) are not among them: they are gone within minutes.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

PAGE_ROWS = 200
PAGE_BYTES_MAX = 8 * 1024 * 1024


class KeptIn(StrEnum):
    """Where data are, in the order in which they are looked at: what can move on its way is looked at last."""

    STATE = "state"
    TASKS = "tasks"
    DETAILS = "details"
    INPUTS = "inputs"
    """Digests of inputs."""
    MESSAGES = "messages"
    EVENTS = "events"


Spot = tuple[int | str, ...]
"""Where in the order of its kind a piece is: numbers of the store's own, and keys."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One piece of data, and all that it can be bound to."""

    spot: Spot
    run_id: str
    namespace: str
    workflow_id: str
    kind: str = ""
    """The type of an event; the kind of a state, a task, a message."""
    key: str = ""
    """The key of an event, a state, a task; the name of a message."""
    id: str = ""
    """Of a message."""
    time: int = 0
    """Of an event."""
    data: bytes = b""


class Swap(msgspec.Struct, frozen=True, gc=False):
    """Other bytes for a piece, if it still is as it was."""

    spot: Spot
    was: bytes
    data: bytes
