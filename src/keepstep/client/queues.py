"""Queues: what an operator sees and says of them."""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.journal import InvalidInput, Journal, NotFound, QueueChange, QueueState
from keepstep.queues.limits import NAMES, as_plain, limits_of
from keepstep.runtime.data import checked_name


class QueueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A queue of which something is kept. Others have no limits."""

    name: str
    is_paused: bool
    limits: dict[str, Any]
    """What holds."""
    declared: dict[str, Any]
    """What code says."""
    changed: tuple[str, ...]
    """The limits that an operator has changed, which count above what code says."""
    waiting: int
    """Steps and runs that wait, those included that do not begin before a certain time."""
    held: int
    """Slots: steps that workers execute, and runs that have begun and are not closed."""


class Queues:
    """``engine.queues``."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def list(self) -> list[QueueInfo]:
        """All queues of which something is kept, by name."""
        return [_info(state) for state in await self._journal.list_queues()]

    async def get(self, name: str) -> QueueInfo:
        """One of them. Raises ``NotFound``."""
        for info in await self.list():
            if info.name == name:
                return info
        raise NotFound(
            f"nothing is kept of a queue {name!r}: no worker has declared it, and nobody has limited or paused it"
        )

    async def pause(self, name: str) -> None:
        """Hand out nothing more; what runs goes on."""
        await self._change(QueueChange(name=_checked(name), is_paused=True))

    async def resume(self, name: str) -> None:
        """Hand out again. Raises ``NotFound``."""
        await self.get(name)
        await self._change(QueueChange(name=name, is_paused=False))

    async def limit(self, /, name: str, **limits: Any) -> None:
        """Change limits, from now on and above what code declares: ``limit("gpu", concurrency=2, rate=None)``.

        Raises ``InvalidInput`` for what cannot be one.
        """
        if not limits:
            raise InvalidInput(f"which limit of queue {name!r}? there are {', '.join(NAMES)}")
        override = limits_of(_checked(name), limits)
        await self._change(QueueChange(name=name, override=override, overridden=tuple(limits)))

    async def reset(self, name: str, *limits: str) -> None:
        """Let what code declares count again, for these limits or for all. Raises ``NotFound``, ``InvalidInput``."""
        limits_of(name, dict.fromkeys(limits))
        await self.get(name)
        await self._change(QueueChange(name=name, withdrawn=limits or NAMES))

    async def _change(self, change: QueueChange) -> None:
        await self._journal.change_queue(change)


def _checked(name: str) -> str:
    return checked_name(name, "the name of a queue")


def _info(state: QueueState) -> QueueInfo:
    queue = state.queue
    return QueueInfo(
        name=queue.name,
        is_paused=queue.is_paused,
        limits=as_plain(queue.limits),
        declared=as_plain(queue.declared),
        changed=queue.overridden,
        waiting=state.waiting,
        held=state.held,
    )
