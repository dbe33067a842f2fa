"""Stream: the changes of a namespace as server-sent events, until the caller leaves or the server stops; and how any
such events are sent.

An event comes at once when nothing was told for ``PAUSE_SECONDS`` (or as long as the caller wants), else when that is
over, with all that has come meanwhile. A comment every ``KEEP_ALIVE_SECONDS`` keeps proxies from hanging up. What is
sent waits for the caller to read it, so a slow one costs a set of ids and no more.

Whether the caller may still read along is asked every ``ASK_SECONDS``: with a key that was revoked or has expired, the
stream ends, and who comes back is told why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from .changes import Changes, News, Watcher

PAUSE_SECONDS = 0.25
PAUSE_SECONDS_MIN = 0.01
KEEP_ALIVE_SECONDS = 15.0
ASK_SECONDS = 5.0
KEEP_ALIVE = b": keep-alive\n\n"

MayGoOn = Callable[[], Awaitable[bool]]
"""Whether who has called would still be let in."""

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events to itself
]


class EventStream:
    """The answer to a call that watches."""

    def __init__(
        self, changes: Changes, watcher: Watcher, closing: asyncio.Event, may_go_on: MayGoOn,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:  # fmt: skip
        self._changes = changes
        self._watcher = watcher
        self._closing = closing
        self._may_go_on = may_go_on
        self._pause_seconds = pause_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send_events(scope, receive, send, self._closing, self._may_go_on, self._send)
        finally:
            self._changes.leave(self._watcher)

    async def _send(self, send: Send) -> None:
        await write(send, f"retry: 1000\nid: {self._watcher.mark}\n\n".encode())
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    news = await self._watcher.take()
            except TimeoutError:
                await write(send, KEEP_ALIVE)
                continue
            await write(send, event_of(news))
            await asyncio.sleep(self._pause_seconds)


def event_of(news: News) -> bytes:
    """As it is sent."""
    data = {"ids": list(dict.fromkeys(news.runs.values())), "run_ids": list(news.runs), "all": news.is_all}
    return b"id: %s\nevent: runs\ndata: %s\n\n" % (news.mark.encode(), msgspec.json.encode(data))


async def send_events(
    scope: Scope, receive: Receive, send: Send, closing: asyncio.Event, may_go_on: MayGoOn,
    go_on: Callable[[Send], Awaitable[None]],
) -> None:  # fmt: skip
    """Answer with server-sent events, until ``go_on`` has ended, the caller is gone or may read no longer, or the
    server stops."""
    ends: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(each) for each in (until_gone(receive), closing.wait(), _until_refused(may_go_on))
    ]
    sending = asyncio.ensure_future(_begin(scope, send, go_on))
    try:
        await asyncio.wait((*ends, sending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (*ends, sending):
            each.cancel()
        await asyncio.gather(*ends, sending, return_exceptions=True)
    if not ends[0].done() or ends[0].cancelled():
        await send({"type": "http.response.body", "body": b""})


async def _begin(scope: Scope, send: Send, go_on: Callable[[Send], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    if scope["method"] != "HEAD":
        await go_on(send)


async def write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _until_refused(may_go_on: MayGoOn) -> None:
    while await may_go_on():
        await asyncio.sleep(ASK_SECONDS)


async def until_gone(receive: Receive) -> None:
    """Until the caller hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
