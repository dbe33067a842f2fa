"""Encrypted from end to end: client and workers have the keys; the server and the wire between them have nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import keepstep
from keepstep import AlreadyStarted, Engine, Retry, WorkflowFailed, step, workflow
from keepstep.client.access import KeyRing, Role
from keepstep.client.address import open_journal
from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.keys import new_key
from keepstep.journal import Journal, Unreadable, uuid7
from keepstep.server.guard import Guard
from tests.client.remote.house import House, house_of
from tests.server.test_access import random_bytes

KEY = new_key()
SECRET = "swordfish"


def codec(**more: Any) -> Codec:
    return Codec(keys=Keys({"k1": KEY}), **more)


@step(retry=Retry(max_attempts=1))
async def far_whisper(text: str) -> str:
    if text == f"{SECRET}!":
        raise ValueError(f"{SECRET} is not to be shouted")
    return f"{SECRET} and {text}"


@workflow
class FarSecret:
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def run(self, text: str) -> str:
        said = await far_whisper(text)
        answer = await keepstep.receive("answer", str)
        return f"{said}: {answer}"

    @keepstep.query
    def what(self, about: str) -> str:
        return f"{SECRET} about {about}"

    @keepstep.update
    async def note(self, text: str) -> str:
        self.heard.append(text)
        return f"{SECRET} noted {text}"


class Wire(httpx2.AsyncHTTPTransport):
    """A network that remembers all that goes over it, both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = b""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.seen += str(request.url).encode() + request.content
        answer = await super().handle_async_request(request)
        if not request.url.path.endswith("/changes"):
            self.seen += await answer.aread()
        return answer


class Home:
    """A server without keys, and a worker with them, on one store."""

    def __init__(self, house: House, store: Journal) -> None:
        self.house = house
        self.store = store


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    store = await open_journal(f"sqlite:///{tmp_path}/runs.db")
    async with (
        asyncio.timeout(60),
        Engine("sqlite:///", journal=store, codec=codec()),
        house_of(workers=False, store=store) as house,
    ):
        yield Home(house, store)
    await store.close()


def all_of(folder: Path) -> bytes:
    """What its files have in them."""
    return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())


async def test_nothing_that_was_said_or_came_out_is_in_plain_on_the_wire_or_on_the_disk(
    home: Home, tmp_path: Path
) -> None:
    wire = Wire()
    async with home.house.client(codec=codec(), transport=wire) as engine:
        run = await engine.start(FarSecret, f"{SECRET}?", id="sealed")
        assert await run.query(FarSecret.what, SECRET) == f"{SECRET} about {SECRET}"
        assert await run.update(FarSecret.note, SECRET) == f"{SECRET} noted {SECRET}"
        await run.signal("answer", SECRET)
        assert await run.result() == f"{SECRET} and {SECRET}?: {SECRET}"
        assert SECRET in str([each.data async for each in run.history()])
        with pytest.raises(WorkflowFailed, match=SECRET):
            await engine.run(FarSecret, f"{SECRET}!", id="fails")
        forked = await run.fork(replace={"far_whisper": f"{SECRET} forked"}, id="forked")
        await forked.terminate("over")
        plan = await engine.schedule("sealed", FarSecret, SECRET, cron="0 3 * * *")
        await plan.pause()
        assert (await plan.describe()).paused
    plain = SECRET.encode()
    forms = [plain, *(base64.b64encode(b" " * n + plain)[4 * (n > 0) : -4] for n in range(3))]
    assert not any(form in wire.seen for form in forms)
    assert b"sealed" in wire.seen
    assert plain not in all_of(tmp_path)


async def test_the_server_shows_what_it_cannot_read_as_that(home: Home) -> None:
    async with home.house.client(codec=codec()) as engine:
        await engine.start(FarSecret, SECRET, id="sealed")
    async with httpx2.AsyncClient() as web:
        answer = await web.get(f"{home.house.address}/api/v1/runs/sealed")
    assert answer.status_code == 200
    assert "encrypted with key 'k1'" in answer.json()["input"]
    assert SECRET not in answer.text


async def test_a_client_without_the_keys_is_told_so(home: Home) -> None:
    async with home.house.client(codec=codec()) as engine:
        run = await engine.start(FarSecret, SECRET, id="sealed")
        await run.signal("answer", "x")
        await run.result()
    async with home.house.client() as engine:
        assert [each.id async for each in engine.list("Status = 'completed'")] == ["sealed"]
        with pytest.raises(Unreadable, match="'k1'"):
            await engine.get("sealed").result()


async def test_large_values_go_to_the_place_of_the_client_and_the_workers(tmp_path: Path) -> None:
    store = await open_journal("memory:")
    blobs = codec(blobs=FileBlobs(tmp_path / "blobs"))
    async with (
        asyncio.timeout(60),
        Engine("memory:", journal=store, codec=blobs),
        house_of(workers=False, store=store) as house,
        house.client(codec=blobs) as engine,
    ):
        large = SECRET * 400_000
        run = await engine.start(FarSecret, large, id="large")
        await run.signal("answer", "x")
        assert (await run.result()) == f"{SECRET} and {large}: x"
    await store.close()


async def test_a_server_with_keys_seals_for_clients_that_have_none(tmp_path: Path) -> None:
    store = await open_journal(f"sqlite:///{tmp_path}/runs.db")
    async with asyncio.timeout(60), house_of(store=store, codec=codec()) as house, house.client() as engine:
        run = await engine.start(FarSecret, SECRET, id="for others")
        await run.signal("answer", SECRET)
        assert await run.result() == f"{SECRET} and {SECRET}: {SECRET}"
    await store.close()
    assert SECRET.encode() not in all_of(tmp_path)


async def test_a_key_that_may_not_decode_starts_and_signals_and_reads_no_value(tmp_path: Path) -> None:
    store = await open_journal("memory:")
    ring = KeyRing(store, random_bytes, uuid7)
    _, blind = await ring.create("blind", Role.OPERATE)
    _, seeing = await ring.create("seeing", Role.OPERATE, decodes=True)
    async with (
        asyncio.timeout(60),
        house_of(store=store, codec=codec(), guard=Guard(ring, store.clock)) as house,
        house.client(key=blind) as engine,
        house.client(key=seeing) as other,
    ):
        run = await engine.start(FarSecret, SECRET, id="blind")
        assert (await engine.start(FarSecret, SECRET, id="blind")).run_id == run.run_id
        with pytest.raises(AlreadyStarted):
            await engine.start(FarSecret, "something else", id="blind")
        await run.signal("answer", "x")
        assert await other.get("blind").result() == f"{SECRET} and {SECRET}: x"
        with pytest.raises(Unreadable, match="'k1'"):
            await run.result()
        assert [each.status async for each in engine.list()] == ["completed"]
        assert SECRET not in str([each.data async for each in run.history()])
        assert all(SECRET.encode() not in each.data for each in await engine.journal.read_events(run.run_id or ""))
    await store.close()
