"""The demo's processes, with real ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from examples.order_fulfilment.audit import audit
from examples.order_fulfilment.processes import NotRunning, Process, free_ports, world_process
from examples.order_fulfilment.world.plan import Plan


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Process]:
    process = world_process(free_ports(1)[0], tmp_path, Plan(seed=1, stock=5))
    yield process
    process.stop()


async def test_the_world_answers_over_http_and_keeps_its_books_in_the_folder(world: Process, tmp_path: Path) -> None:
    world.start()
    await world.listening()
    async with httpx2.AsyncClient(base_url=world.url) as client:
        await client.post("/mailer/mails", json={"order": "a", "to": "b"}, headers={"Idempotency-Key": "k"})
    assert audit(tmp_path / "books.db", []).requests == 1


async def test_a_killed_process_is_gone_and_its_next_life_has_another_name(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    server = Process("server", port, [sys.executable, "-m", "http.server", str(port)], tmp_path, {})
    try:
        server.start()
        await server.listening()
        assert server.life == "server.1"
        server.kill()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(server.url)
        server.start()
        await server.listening()
        assert server.life == "server.2"
    finally:
        server.stop()


async def test_a_process_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    broken = Process("worker-1", free_ports(1)[0], [sys.executable, "-c", "print('no such module')"], tmp_path, {})
    broken.start()
    with pytest.raises(NotRunning, match=r"worker-1.1 has ended by itself:\nno such module"):
        await broken.listening()


def test_what_is_stopped_twice_or_never_started_does_not_complain(tmp_path: Path) -> None:
    never = Process("worker-1", 1, [sys.executable], tmp_path, {})
    never.stop()
    never.stop()
