"""Listener: serves an ASGI application inside a running event loop, without taking over the process's signals."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from keepstep.journal import InvalidInput

from .tls import Certificate

HSTS_SECONDS = 365 * 24 * 3600


class _Server(uvicorn.Server):
    """uvicorn, leaving signals to the worker that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """``await listener.start()``, later ``await listener.stop()``."""

    def __init__(
        self, app: Any, host: str, port: int, *, grace_seconds: float = 10.0, certificate: Certificate | None = None
    ) -> None:
        """``certificate``: speak TLS; browsers then ask by that alone, unless they asked this machine itself."""
        headers = (
            [] if certificate is None or _is_own(host) else [("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")]
        )
        config = uvicorn.Config(
            app, host=host, port=port, lifespan="off", log_config=None, log_level="warning", access_log=False,
            timeout_graceful_shutdown=round(grace_seconds), headers=headers,
        )  # fmt: skip
        config.load()
        if certificate is not None:
            config.ssl = certificate.context
        self._server = _Server(config)
        self._address = (host, port)
        self._certificate = certificate
        self._serving: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

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
        if self._certificate is not None:
            self._watching = asyncio.create_task(self._certificate.watch())

    async def stop(self) -> None:
        """Finish the requests that are being answered, within the limit, and stop."""
        self._server.should_exit = True
        if self._watching is not None:
            self._watching.cancel()
        if self._serving is not None:
            await self._serving


def _is_own(host: str) -> bool:
    """Whether only this machine reaches it, where what a browser keeps for a host is for all that serve on it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
