"""Connection: HTTP/1.1 kept alive, as little of it as a client needs that must not be what is measured."""

from __future__ import annotations

import asyncio
from typing import Self


class Connection:
    """One request at a time. ``async with await Connection.open(port) as connection``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    @property
    def is_open(self) -> bool:
        """Whether the server has not hung up, as it does where nothing is asked for some seconds."""
        return not self.reader.at_eof()

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer. Raises ``RuntimeError`` for one that is no success."""
        self.say(method, path, body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        answer = await self.reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{method} {path}: {head[:40]!r} {answer[:500]!r}")
        return answer

    def say(self, method: str, path: str, body: bytes = b"") -> None:
        """Ask, and leave the answer to whoever reads on."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
