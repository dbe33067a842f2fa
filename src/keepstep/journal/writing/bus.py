"""Bus: how hints travel between the processes of one database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from keepstep.journal.hint import Hint, HintKind

Hear = Callable[[Hint], None]


class Bus(Protocol):
    """What a journal needs of it. Hints may get lost."""

    def listen(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        """Hand hints of others to ``hear`` on the loop."""
        ...

    def tell(self, kinds: Sequence[HintKind]) -> None:
        """Send kinds of hints to all others. Called on the drive's thread."""
        ...

    def close(self) -> None: ...
