"""Heart: the heartbeat of one attempt: keeps what a long step notes, and tells when it has been silent for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from keepstep.journal import Clock
from keepstep.runtime.data import encode_value, within_limit
from keepstep.runtime.errors import Cancelled, TimedOut

HEARTBEAT = "heartbeat"
"""State kind: the sealed details of the last heartbeat, by the step's key."""

HEARTBEAT_SECONDS_MIN = 1.0
"""Heartbeat details are made durable at most so often."""


class Heart:
    """The heartbeat of one attempt. ``keep`` makes details durable; it is called on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, keep: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._clock = clock
        self._keep = keep
        self._beat_at = 0.0
        self._kept_at = float("-inf")
        self.task: asyncio.Future[Any] | None = None
        """The call, while it is watched."""
        self.is_over = False
        """Nobody waits for the attempt any more. Its thread cannot be interrupted, and its task may be elsewhere."""

    def beat(self, details: Any) -> None:
        """Called by user code, from the loop or from a thread. Raises ``Cancelled`` when the attempt is over."""
        if self.is_over:
            raise Cancelled("nobody waits for this attempt of the step any more; it has nothing left to do but to end")
        self._beat_at = self._loop.time()
        payload = within_limit(encode_value(details), "the heartbeat's details")
        self._loop.call_soon_threadsafe(self._keep_sometimes, payload)

    def _keep_sometimes(self, payload: bytes) -> None:
        now = self._clock.monotonic()
        if now - self._kept_at >= HEARTBEAT_SECONDS_MIN:
            self._kept_at = now
            self._keep(payload)

    async def watch(self, call: Any, name: str, seconds: float | None, silence_seconds: float | None) -> Any:
        """Await the call, but not longer than allowed, nor without a heartbeat for longer than allowed."""
        self.task = task = asyncio.ensure_future(call)
        began = self._beat_at = self._loop.time()
        deadline = began + (float("inf") if seconds is None else seconds)
        silence = float("inf") if silence_seconds is None else silence_seconds
        try:
            while True:
                limit = min(deadline, self._beat_at + silence)
                done, _ = await asyncio.wait((task,), timeout=limit - self._loop.time())
                if done:
                    return task.result()
                if limit == deadline:
                    raise TimedOut(f"step {name!r} did not end within {seconds:g} s")
                if self._beat_at + silence == limit:
                    raise TimedOut(f"step {name!r} sent no heartbeat for {silence:g} s")
        finally:
            if not task.done():
                self.is_over = True
                task.cancel()
                await asyncio.wait((task,), timeout=0.05)
