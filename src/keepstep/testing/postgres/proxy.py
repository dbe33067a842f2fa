"""Proxy: a network between clients and a server on loopback, which can be cut, silent or slow.

It runs on a thread of its own, and each of its states is entered when the call returns:

* ``heal``: what comes is passed on.
* ``cut``: connections are reset, new ones are refused, as by a host that is up and has no server.
* ``silence``: nothing is passed on in any direction and nobody is told, as when packets are lost; connections can be
  opened, and what was sent meanwhile arrives when the network is healed.
* ``slow``: what comes is passed on after so many seconds, in order.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

_RESET = struct.pack("ii", 1, 0)
"""Do not linger: closing resets the connection instead of ending it in peace."""

CHUNK_BYTES = 65536

DELAYED_CHUNKS_MAX = 256
"""In one direction of one connection; then the sender is held up."""


class Proxy:
    """``with Proxy(server.port) as proxy: connect(port=proxy.port)``."""

    def __init__(self, target_port: int, *, address: str = "127.0.0.1") -> None:
        """
        :param address: of ours, where it listens; the target is always on loopback.
        """
        self.target_port = target_port
        self.address = address
        self.port = 0
        self.delay_seconds = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._passing: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.heal()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cut()
        self._do(self._drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._writers) // 2

    def heal(self) -> None:
        """Pass on what comes, at once, and what has waited."""
        self.delay_seconds = 0.0
        self._do(self._open())

    def cut(self) -> None:
        self._do(self._close())

    def silence(self) -> None:
        self._do(self._hold())

    def slow(self, seconds: float) -> None:
        self.delay_seconds = seconds
        self._do(self._open())

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    # ---- on the thread ----

    async def _open(self) -> None:
        if self._passing is None:
            self._passing = asyncio.Event()
        self._passing.set()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, self.address, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in list(self._writers):
            with suppress(OSError):  # it may be closed already
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        if self._passing is not None:
            self._passing.set()  # those that are held find their connections gone

    async def _hold(self) -> None:
        await self._open()
        assert self._passing is not None
        self._passing.clear()

    async def _drain(self) -> None:
        """Until nothing is left: a connection may have been accepted just before nobody listened any more."""
        while others := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._may_pass()
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            self._writers.discard(writer)
            writer.transport.abort()
            return
        self._writers.add(server_writer)
        try:
            await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
        except asyncio.CancelledError:
            """The proxy ends, and nobody awaits this task."""
        finally:
            for each in (writer, server_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _may_pass(self) -> None:
        assert self._passing is not None
        await self._passing.wait()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on until the sender is done, which is passed on too. Reading ahead lets chunks overlap their delays."""
        waiting: deque[tuple[float, bytes]] = deque()
        news = asyncio.Event()
        passer = asyncio.create_task(self._pass_on(waiting, news, writer))
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                waiting.append((self._loop.time() + self.delay_seconds, chunk))
                news.set()
                while len(waiting) >= DELAYED_CHUNKS_MAX:
                    await asyncio.sleep(0.005)
        waiting.append((self._loop.time() + self.delay_seconds, b""))
        news.set()
        await passer

    async def _pass_on(
        self, waiting: deque[tuple[float, bytes]], news: asyncio.Event, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            while not waiting:
                news.clear()
                await news.wait()
            due, chunk = waiting[0]
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self._may_pass()
            waiting.popleft()
            with suppress(OSError):
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()
