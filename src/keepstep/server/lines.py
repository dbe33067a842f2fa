"""Lines: an answer that comes line by line, as JSON, while what it tells of goes on.

What goes on waits until a line was sent before it makes the next but one, and ends where it is when the caller hangs
up. An error before the first line is an answer of its own; a later one is the last line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from starlette.types import Receive, Scope, Send

from .refusal import ErrorBody, refusal_of
from .stream import until_gone

MEDIA = "application/x-ndjson"

Tell = Callable[[msgspec.Struct], Awaitable[None]]


class LineStream:
    """``stream = LineStream(work)``, ``await stream.begin()``, and then it is an answer."""

    def __init__(self, work: Callable[[Tell], Awaitable[None]]) -> None:
        self._work = work
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        """An empty one is the end."""
        self._first = b""
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Until the first line is there. Raises what went wrong before it."""
        self._task = asyncio.create_task(self._run())
        try:
            self._first = await self._lines.get()
        except BaseException:
            self._task.cancel()
            raise
        if not self._first and self._error is not None:
            raise self._error

    async def _run(self) -> None:
        try:
            await self._work(self._tell)
        except Exception as error:
            self._error = error
        await self._lines.put(b"")

    async def _tell(self, line: msgspec.Struct) -> None:
        await self._lines.put(msgspec.json.encode(line) + b"\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._task is not None
        gone = asyncio.ensure_future(until_gone(receive))
        sending = asyncio.ensure_future(self._send(send))
        try:
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (gone, sending, self._task):
                each.cancel()
            await asyncio.gather(gone, sending, self._task, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", MEDIA.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        line = self._first
        while line:
            await send({"type": "http.response.body", "body": line, "more_body": True})
            line = await self._lines.get()
        if self._error is not None:
            line = msgspec.json.encode(ErrorBody(refusal_of(self._error).detail)) + b"\n"
        await send({"type": "http.response.body", "body": line})
