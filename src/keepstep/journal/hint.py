"""Hint: "look again". Hints make things fast; nothing depends on their arrival.

A store tells its own process at once and other processes by whatever it has (local datagram sockets, NOTIFY). Behind
every hint stands a slow poll by whoever wants to know.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Protocol

import msgspec

from .errors import StoreUnavailable
from .event import NewEvent
from .run import Status


class HintKind(StrEnum):
    """What may have changed."""

    READY = "ready"
    """A run may be there to claim."""
    INBOX = "inbox"
    """A run that somebody owns got a message."""
    CLOSED = "closed"
    """A run was closed."""
    TASKS = "tasks"
    """A task may be there to claim."""
    ASKS = "asks"
    """Somebody asked, or answered."""
    SPOKEN = "spoken"
    """A run has said something to whoever listens (``Commit.is_spoken``)."""
    LEASE_LOST = "lease_lost"
    """A lease of this process was taken away: its holder must drop everything that it holds."""
    CLOCK_JUMPED = "clock_jumped"
    """The wall clock jumped; engine time did not follow. ``microseconds`` says how far."""
    STORE_LOST = "store_lost"
    """This process cannot write to the journal any more, and never will again; ``reason`` says why."""


class Closing(msgspec.Struct, frozen=True, gc=False):
    """A run that this process has just closed, with its last event."""

    run_id: str
    status: Status
    event: NewEvent | None


class Hint(msgspec.Struct, frozen=True, gc=False):
    """Something may have changed. Without ``run_ids`` it may be any run."""

    kind: HintKind
    run_ids: tuple[str, ...] = ()
    closings: tuple[Closing, ...] = ()
    """Only with ``CLOSED``, and only for what this very process committed."""
    lease_id: str | None = None
    """Only with ``LEASE_LOST``."""
    microseconds: int = 0
    reason: StoreUnavailable | None = None
    """Only with ``STORE_LOST``."""


Listener = Callable[[Hint], None]
"""Called on the event loop of the store's opener; must return quickly and never raise."""


class Source(Protocol):
    """What hints come from, as a journal does."""

    def listen(self, listener: Listener) -> None: ...

    def unlisten(self, listener: Listener) -> None: ...


class Relay:
    """What passes hints on that it makes of others: for journals that stand before another one.

    :param make: the hint that listeners get instead; None if they get none.
    """

    def __init__(self, source: Source, make: Callable[[Hint], Hint | None]) -> None:
        self._source = source
        self._make = make
        self._listeners: dict[Listener, Listener] = {}

    def listen(self, listener: Listener) -> None:
        self._listeners[listener] = passed_on = partial(self._pass_on, listener)
        self._source.listen(passed_on)

    def unlisten(self, listener: Listener) -> None:
        passed_on = self._listeners.pop(listener, None)
        if passed_on is not None:
            self._source.unlisten(passed_on)

    def _pass_on(self, listener: Listener, hint: Hint) -> None:
        made = self._make(hint)
        if made is not None:
            listener(made)
