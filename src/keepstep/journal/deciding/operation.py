"""Operation: something to be written, on its way from its caller through a group to its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from keepstep.journal.deed import Deed
from keepstep.journal.hint import Hint, HintKind

from .picture import Picture, Wants

Verb = Callable[[Picture, Any], Any]
Want = Callable[[Wants, Any], None]


class Operation(msgspec.Struct):
    """A verb, what it is done with, and the future that waits for it."""

    verb: Verb
    argument: Any
    want: Want | None
    future: asyncio.Future[Any]
    outcome: Any = None
    error: Exception | None = None
    deed: Deed | None = None
    """Work of the caller's own that the verb has done."""


Answer = Callable[[Sequence[Operation], Sequence[Hint], Sequence[HintKind]], None]
"""Takes a flushed group, the hints for this process and the kinds for others; called by whatever drives the writer."""
