"""Watch: what changes at a server, as hints of the port.

One stream of live changes serves all who listen in this process, and is there only while somebody does. When it breaks
it is begun again from where it was, so that what happened meanwhile is told; and because nobody may have been told
while there was none, every new beginning is a hint that anything may have changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec

from keepstep.journal.errors import AccessDenied, InvalidInput, JournalError
from keepstep.journal.hint import Hint, HintKind, Listener

from .transport import Transport

logger = logging.getLogger("keepstep.client")

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.1, 5.0
TROUBLE_SECONDS = 30.0
"""Who shows a key that counts no longer is not let in by asking more often."""


class _News(msgspec.Struct):
    run_ids: list[str] = []
    all: bool = False


class Watch:
    """See the module."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._listeners: dict[Listener, None] = {}
        self._watching: asyncio.Task[None] | None = None
        self._mark = ""

    def listen(self, listener: Listener) -> None:
        self._listeners[listener] = None
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def unlisten(self, listener: Listener) -> None:
        self._listeners.pop(listener, None)
        if not self._listeners and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def close(self) -> None:
        self._listeners.clear()
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                async with self._transport.watch(self._mark) as lines:
                    self._tell(Hint(HintKind.CLOSED))
                    pause = PAUSE_SECONDS
                    await self._read(lines)
            except JournalError as error:
                logger.log(logging.DEBUG if pause > PAUSE_SECONDS else logging.INFO, "no live changes: %s", error)
                if isinstance(error, InvalidInput):  # the mark is of another database, or not understood any more
                    self._mark = ""
                elif isinstance(error, AccessDenied):
                    self._tell(Hint(HintKind.CLOSED))  # whoever waits looks, and is told why
                    pause = TROUBLE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, max(pause, PAUSE_SECONDS_MAX))

    async def _read(self, lines: AsyncIterator[str]) -> None:
        """Server-sent events, until there are no more (WHATWG HTML, section 9.2.6)."""
        mark, data = self._mark, ""
        async for line in lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                mark = value
            elif name == "data":
                data += value
            elif not line:
                if data:
                    self._hint(data)
                self._mark, data = mark, ""

    def _hint(self, data: str) -> None:
        try:
            news = msgspec.json.decode(data, type=_News)
        except msgspec.MsgspecError:
            news = _News(all=True)
        named = () if news.all else tuple(news.run_ids)
        if named or news.all:
            self._tell(Hint(HintKind.CLOSED, named))
            self._tell(Hint(HintKind.SPOKEN, named))

    def _tell(self, hint: Hint) -> None:
        for listener in list(self._listeners):
            listener(hint)
