"""The listener lives in somebody else's event loop, and leaves when it is told to."""

from __future__ import annotations

import asyncio
import http.client
import signal
import time
from typing import Any

import httpx2
import pytest

from keepstep.journal import InvalidInput
from keepstep.server.listener import Listener
from tests.cli.command import free_port


class Hanging:
    """An application that answers one path and never another."""

    def __init__(self) -> None:
        self.was_asked = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/hang":
            self.was_asked.set()
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})


async def test_it_answers_without_taking_over_signals_and_then_stops() -> None:
    port, before = free_port(), (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    listener = Listener(Hanging(), "127.0.0.1", port)
    await listener.start()
    async with httpx2.AsyncClient() as web:
        assert (await web.get(f"http://127.0.0.1:{port}/")).text == "here"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    await listener.stop()
    async with httpx2.AsyncClient() as web:
        with pytest.raises(httpx2.ConnectError):
            await web.get(f"http://127.0.0.1:{port}/")


async def test_a_request_that_hangs_does_not_hold_it_up_beyond_the_limit() -> None:
    port, app = free_port(), Hanging()
    listener = Listener(app, "127.0.0.1", port, grace_seconds=0)
    await listener.start()
    async with httpx2.AsyncClient() as web:
        hanging = asyncio.ensure_future(web.get(f"http://127.0.0.1:{port}/hang", timeout=60))
        await app.was_asked.wait()
        async with asyncio.timeout(10):
            await listener.stop()
        assert (await hanging).status_code == 500  # so that its sender tries again


async def test_an_address_that_is_taken_is_refused() -> None:
    port = free_port()
    first = Listener(Hanging(), "127.0.0.1", port)
    await first.start()
    with pytest.raises(InvalidInput, match="cannot listen on 127"):
        await Listener(Hanging(), "127.0.0.1", port).start()
    await first.stop()


async def test_a_host_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="choose another --http"):
        await Listener(Hanging(), "no-such-host.invalid", 1234).start()


async def test_an_answer_does_not_wait_for_its_callers_acknowledgement() -> None:
    """Which systems put off for 40 ms, and with it the second packet of an answer on a connection that is kept."""
    listener = Listener(Hanging(), "127.0.0.1", port := free_port())
    await listener.start()

    def ask() -> float:
        took = []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for _ in range(20):
            began = time.monotonic()
            connection.request("GET", "/")
            connection.getresponse().read()
            took.append(time.monotonic() - began)
        connection.close()
        return min(took[5:])

    try:
        assert await asyncio.to_thread(ask) < 0.03
    finally:
        await listener.stop()
