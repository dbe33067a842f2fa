"""Listener: serves an ASGI application inside a running event loop, without taking over the process's signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from keepstep.journal import InvalidInput


class _Server(uvicorn.Server):
    """uvicorn, leaving signals to the worker that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """``await listener.start()``, later ``await listener.stop()``."""

    def __init__(self, app: Any, host: str, port: int, *, grace_seconds: float = 10.0) -> None:
        config = uvicorn.Config(
            app, host=host, port=port, lifespan="off", log_config=None, log_level="warning", access_log=False,
            timeout_graceful_shutdown=round(grace_seconds),
        )  # fmt: skip
        self._server = _Server(config)
        self._address = (host, port)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises ``InvalidInput`` if the address cannot be had."""
        host, port = self._address
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((host, port), family=family, backlog=1024)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections have it from here
        except OSError as error:
            raise InvalidInput(f"cannot listen on {host}:{port}: {error.strerror}; choose another --http") from error
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))

    async def stop(self) -> None:
        """Finish the requests that are being answered, within the limit, and stop."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
