"""Outbox: starts and messages that are part of a transaction of the caller's own, and happen when that is committed."""

from __future__ import annotations

from typing import Protocol

from .commit import NewRun, Started
from .message import NewMessage, Sent


class Outbox(Protocol):
    """One open transaction, as ``Journal.within`` has found it."""

    async def start(self, new: NewRun) -> Started:
        """As ``Journal.start``. Nothing has happened until the transaction is committed.

        Raises ``Conflict`` too where the transaction cannot write any more, and must be rolled back.
        """
        ...

    async def send(self, message: NewMessage) -> Sent:
        """As ``Journal.send``, likewise."""
        ...
