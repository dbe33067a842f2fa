"""A server on a real socket in this process, with a worker on its database or without, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from keepstep import Engine
from keepstep.client.address import open_journal
from keepstep.journal import Journal
from keepstep.server.app import server_app
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from keepstep.server.listener import Listener
from tests.cli.command import free_port


class House:
    """A store, who serves it, and at which address."""

    def __init__(self, store: Journal, first: Engine, address: str) -> None:
        self.store = store
        self.first = first
        """The engine that the server asks."""
        self.address = address

    def client(self, **options: Any) -> Engine:
        """A client of it, not yet open."""
        return Engine(self.address, **options)


@asynccontextmanager
async def house_of(
    url: str = "memory:", *, workers: bool = True, guard: Guard | None = None, store: Journal | None = None,
    **options: Any,
) -> AsyncIterator[House]:  # fmt: skip
    """What stands there while it is needed."""
    port = free_port()
    kept = store or await open_journal(url)
    try:
        async with Engine(url, journal=kept, workers=workers, **options) as first:
            engines = Engines(first, lambda name: Engine(url, journal=kept, namespace=name, workers=False), kept)
            app = server_app(engines, guard)
            listener = Listener(app, "127.0.0.1", port)
            await listener.start()
            try:
                yield House(kept, first, f"http://127.0.0.1:{port}")
            finally:
                app.state.desk.close()
                await listener.stop()
                await engines.close()
    finally:
        if store is None:
            await kept.close()
