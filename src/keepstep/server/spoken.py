"""Spoken: the values of one stream of a run as server-sent events, from a position on, until the stream has ended.

Each event has a value's position as its ``id``, so that a browser that was cut off goes on behind it. When the stream
has ended, an event of the type ``end`` says so, and the answer ends. One that ends without it was cut off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from keepstep.client.streaming import StreamValue, read_stream
from keepstep.journal import JournalError
from keepstep.runtime.data import reader

from .desk import Desk
from .stream import KEEP_ALIVE, KEEP_ALIVE_SECONDS, MayGoOn, send_events, write

logger = logging.getLogger("keepstep.server")

POLL_SECONDS = 5.0
"""Behind hints, which may get lost."""


class SpokenStream:
    """The answer to a call that reads along."""

    def __init__(
        self, desk: Desk, namespace: str, run_id: str, name: str, after: int, may_go_on: MayGoOn, *, opens: bool
    ) -> None:
        """``opens``: encrypted values are opened for the caller."""
        self._desk = desk
        self._opens = opens
        self._namespace = namespace
        self._run_id = run_id
        self._name = name
        self._after = after
        self._may_go_on = may_go_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._desk.readers += 1
        try:
            await send_events(scope, receive, send, self._desk.closing, self._may_go_on, self._send)
        finally:
            self._desk.readers -= 1

    async def _send(self, send: Send) -> None:
        await write(send, b"retry: 1000\n\n")
        try:
            async with self._desk.engines.borrow(self._namespace) as engine:
                seen = engine if self._opens else await self._desk.engines.blind(engine)
                spoken = read_stream(seen.journal, self._run_id, self._name, reader(), self._after, POLL_SECONDS)
                async with aclosing(spoken):
                    await _pass_on(spoken, send)
        except JournalError as error:
            logger.warning("stream %r of run %s was cut off: %s", self._name, self._run_id, error)
            return
        await write(send, b"event: end\ndata: {}\n\n")


async def _pass_on(spoken: AsyncIterator[StreamValue[Any]], send: Send) -> None:
    """Send each value when it comes; a slow reader is waited for."""
    coming = asyncio.ensure_future(_next_of(spoken))
    try:
        while True:
            done, _ = await asyncio.wait((coming,), timeout=KEEP_ALIVE_SECONDS)
            if not done:
                await write(send, KEEP_ALIVE)
                continue
            value = coming.result()
            if value is None:
                return
            await write(send, event_of(value))
            coming = asyncio.ensure_future(_next_of(spoken))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _next_of(spoken: AsyncIterator[StreamValue[Any]]) -> StreamValue[Any] | None:
    return await anext(spoken, None)


def event_of(value: StreamValue[Any]) -> bytes:
    """As it is sent."""
    return b"id: %d\nevent: value\ndata: %s\n\n" % (value.position, msgspec.json.encode(value))
