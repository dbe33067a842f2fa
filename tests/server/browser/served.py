"""A real server in a thread of its own: an engine with its worker, the REST API, and the UI."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from keepstep import Engine
from keepstep.client.address import open_journal
from keepstep.journal import Journal
from keepstep.server.app import server_app
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from keepstep.server.listener import Listener

T = TypeVar("T")
SECONDS_MAX = 20.0


class Served:
    """``served.address`` for the browser; ``served.do(...)`` for what is to happen behind its back."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, address: str) -> None:
        self.engine = engine
        self.address = address
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS_MAX)


@contextlib.contextmanager
def served(folder: Path, make_guard: Callable[[Journal, str], Guard] | None = None) -> Iterator[Served]:
    """Serves a database in this folder. ``make_guard``: who is let in, by the store and the address."""
    ready = threading.Event()
    kept: list[Served] = []
    failed: list[BaseException] = []
    stop: list[asyncio.Event] = []

    async def serve() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url, address = f"sqlite:///{folder / 'runs.db'}", f"http://127.0.0.1:{port}"
        store = await open_journal(url)
        async with Engine(url, journal=store) as engine:
            app = server_app(Engines(engine), None if make_guard is None else make_guard(store, address))
            listener = Listener(app, "127.0.0.1", port, grace_seconds=1)
            await listener.start()
            stop.append(asyncio.Event())
            kept.append(Served(engine, asyncio.get_running_loop(), address))
            ready.set()
            await stop[0].wait()
            app.state.desk.close()
            await listener.stop()
        await store.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="served", daemon=True)
    thread.start()
    ready.wait(SECONDS_MAX)
    if failed:
        raise failed[0]
    try:
        yield kept[0]
    finally:
        kept[0]._loop.call_soon_threadsafe(stop[0].set)
        thread.join(SECONDS_MAX)
