"""Live changes, asked of a real server as browsers ask."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.client.access import KeyRing, Role
from keepstep.client.address import open_journal
from keepstep.journal import StoreUnavailable, uuid7
from keepstep.server import changes as changes_module
from keepstep.server import guard as guard_module
from keepstep.server import stream as stream_module
from keepstep.server.app import server_app
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from keepstep.server.listener import Listener
from tests.cli.command import free_port
from tests.server.test_access import random_bytes


@step
async def count_for_changes(n: int) -> int:
    return n


@workflow
async def go_on_for_changes() -> None:
    n = 0
    while await keepstep.receive("go") == "on":
        n = await count_for_changes(n + 1)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(30):
        yield engine


class Stream:
    """What a browser's EventSource makes of an answer."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self.last_id = ""
        self._lines = answer.aiter_lines()

    async def begin(self) -> Stream:
        """Past the first id."""
        while not self.last_id:
            await self._line()
        return self

    async def next(self) -> dict[str, Any]:
        """The data of the next event."""
        while True:
            name, _, value = (await self._line()).partition(": ")
            if name == "data":
                return json.loads(value)  # type: ignore[no-any-return]

    async def until_told(self, id: str) -> dict[str, Any]:
        while id not in (told := await self.next())["ids"]:
            assert not told["all"]
        return told

    async def _line(self) -> str:
        line = await anext(self._lines)
        if line.startswith("id: "):
            self.last_id = line[4:]
        return line


@asynccontextmanager
async def server_of(engines: Engines, guard: Guard | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    app, port = server_app(engines, guard), free_port()
    listener = Listener(app, "127.0.0.1", port)
    await listener.start()
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as web:
            yield web
    finally:
        app.state.desk.close()
        await listener.stop()


@asynccontextmanager
async def watching(web: httpx2.AsyncClient, **options: Any) -> AsyncIterator[Stream]:
    async with web.stream("GET", "/api/v1/changes", **options) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        yield await Stream(answer).begin()


async def test_a_change_is_told_within_the_floor_also_one_that_another_process_makes(
    engine: Engine, tmp_path: Path
) -> None:
    run = await engine.start(go_on_for_changes, id="r")
    async with (
        Engine(engine.url, workers=False) as looker,
        server_of(Engines(looker)) as web,
        watching(web) as stream,
    ):
        before = time.monotonic()
        await run.signal("go", "on")
        told = await stream.until_told("r")
        assert time.monotonic() - before < 5  # the floor of 300 ms is measured where the machine is quiet
        assert told["run_ids"] == [(await run.describe()).run_id]


async def test_changes_of_many_shards_are_told_and_caught_up_with(postgres_url: str) -> None:
    """Whose positions are given out only when somebody reads the log."""
    async with Engine(postgres_url, workers=False) as engine, asyncio.timeout(60), server_of(Engines(engine)) as web:
        await engine.start(go_on_for_changes, id="long ago")
        async with watching(web) as stream:
            for n in range(8):
                await engine.start(go_on_for_changes, id=f"r{n}")
            told: set[str] = set()
            while len(told & {f"r{n}" for n in range(8)}) < 8:
                told |= set((await stream.next())["ids"])
            assert "long ago" not in told
            mark = stream.last_id
        assert len(mark.split("-")) == 16
        await engine.start(go_on_for_changes, id="meanwhile")
        async with watching(web, headers={"Last-Event-ID": mark}) as again:
            await again.until_told("meanwhile")


async def test_what_changes_quickly_is_told_together(engine: Engine) -> None:
    async with server_of(Engines(engine)) as web, watching(web) as stream:
        for n in range(50):
            await engine.start(go_on_for_changes, id=f"r{n}")
        told: list[set[str]] = []
        while len(set().union(*told)) < 50:
            told.append(set((await stream.next())["ids"]))
    assert len(told) < 25


async def test_who_wants_to_be_told_less_often_is_told_more_together(engine: Engine) -> None:
    async with server_of(Engines(engine)) as web:
        assert (await web.get("/api/v1/changes", params={"pause": 0})).status_code == 400
        async with watching(web, params={"pause": 1}) as stream:
            await engine.start(go_on_for_changes, id="first")
            await stream.until_told("first")
            for n in range(3):
                await engine.start(go_on_for_changes, id=f"r{n}")
                while not (await engine.get(f"r{n}").describe()).waiting_for:
                    await asyncio.sleep(0.005)
            assert {"r0", "r1", "r2"} <= set((await stream.next())["ids"])


async def test_who_comes_back_is_told_what_happened_meanwhile(engine: Engine) -> None:
    async with server_of(Engines(engine)) as web:
        async with watching(web) as stream:
            await engine.start(go_on_for_changes, id="before")
            await stream.until_told("before")
        await engine.start(go_on_for_changes, id="meanwhile")
        async with watching(web, headers={"Last-Event-ID": stream.last_id}) as again:
            await again.until_told("meanwhile")


async def test_too_much_to_be_named_is_told_as_such(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "ENTRIES_MAX", 5)
    async with server_of(Engines(engine)) as web:
        async with watching(web) as stream:
            mark = stream.last_id
        for n in range(10):
            await engine.start(go_on_for_changes, id=f"r{n}")
        async with watching(web, headers={"Last-Event-ID": mark}) as again:
            assert await again.next() == {"ids": [], "run_ids": [], "all": True}


@pytest.mark.parametrize("mark", ["x", "1", "0.-1", "0.1.2", "99999.1", "0." + "9" * 30])
async def test_an_id_that_came_from_elsewhere_is_refused(engine: Engine, mark: str) -> None:
    async with server_of(Engines(engine)) as web:
        answer = await web.get("/api/v1/changes", headers={"Last-Event-ID": mark})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


async def test_other_namespaces_of_the_same_store_hear_nothing(tmp_path: Path) -> None:
    store = await open_journal(url := f"sqlite:///{tmp_path / 'runs.db'}")

    def make(namespace: str) -> Engine:
        return Engine(url, journal=store, namespace=namespace, workers=False)

    async with asyncio.timeout(30), make("default") as here, make("other") as there:
        engines = Engines(here, make, store)
        async with server_of(engines) as web, watching(web, params={"namespace": "other"}) as stream:
            await here.start("go_on_for_changes", id="here")
            await there.start("go_on_for_changes", id="there")
            told = await stream.next()
            while "there" not in told["ids"]:
                assert "here" not in told["ids"]
                told = await stream.next()
        await engines.close()
    await store.close()


async def test_streams_end_when_the_server_does_and_nobody_looks_when_nobody_watches(engine: Engine) -> None:
    app, port = server_app(Engines(engine)), free_port()
    listener = Listener(app, "127.0.0.1", port)
    await listener.start()
    changes = app.state.desk.changes
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as web:
        async with watching(web):
            assert changes.watchers == 1
        while changes.watchers:
            await asyncio.sleep(0.005)
        assert changes._looking is None
        async with watching(web) as stream:
            app.state.desk.close()
            async with asyncio.timeout(5):
                await listener.stop()
            with pytest.raises(StopAsyncIteration):
                while True:
                    await stream.next()


async def test_a_store_that_is_away_for_a_while_loses_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "keepstep.server")
    monkeypatch.setattr(changes_module, "TROUBLE_SECONDS", 0.01)
    was_refused = 0

    async with server_of(Engines(engine)) as web, watching(web) as stream:
        read = engine.journal.read_run

        async def away(run_id: str) -> Any:
            nonlocal was_refused
            was_refused += 1
            if was_refused < 3:
                raise StoreUnavailable("gone for a moment")
            return await read(run_id)

        monkeypatch.setattr(engine.journal, "read_run", away)
        await engine.start(go_on_for_changes, id="r")
        await stream.until_told("r")
    assert was_refused >= 3
    assert "changes cannot be read now" in caplog.text


@asynccontextmanager
async def guarded_server() -> AsyncIterator[tuple[Engine, KeyRing, httpx2.AsyncClient]]:
    """A server that asks for keys, and what keeps them."""
    store = await open_journal("memory:")
    ring = KeyRing(store, random_bytes, uuid7)
    async with (
        asyncio.timeout(30),
        Engine("memory:", journal=store) as engine,
        server_of(Engines(engine, None, store), Guard(ring, store.clock)) as web,
    ):
        yield engine, ring, web
    await store.close()


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_a_stream_ends_when_its_key_counts_no_longer(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(guard_module, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(stream_module, "ASK_SECONDS", 0.02)
    async with guarded_server() as (engine, ring, web):
        _, key = await ring.create("watcher", Role.READ, expires_after_seconds=2.0 if how == "expired" else None)
        shown = {"Authorization": f"Bearer {key}"}
        async with watching(web, headers=shown) as stream:
            await engine.start(go_on_for_changes, id="while it counts")
            await stream.until_told("while it counts")
            if how == "revoked":
                await ring.revoke("watcher")
            with pytest.raises(StopAsyncIteration):
                while True:
                    await stream.next()
        assert (await web.get("/api/v1/changes", headers=shown)).status_code == 401


async def test_a_stream_goes_on_while_the_keys_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(stream_module, "ASK_SECONDS", 0.01)
    asked = 0

    async def away() -> Any:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("gone for a moment")

    async with guarded_server() as (engine, ring, web):
        _, key = await ring.create("watcher", Role.READ)
        async with watching(web, headers={"Authorization": f"Bearer {key}"}) as stream:
            monkeypatch.setattr(ring, "list", away)
            while asked < 3:
                await asyncio.sleep(0.005)
            await engine.start(go_on_for_changes, id="all the same")
            await stream.until_told("all the same")


async def test_a_run_that_another_process_parks_and_lets_go_on_is_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "PARKED_SECONDS", 0.02)
    run = await engine.start(go_on_for_changes, id="parked elsewhere")
    async with Engine(engine.url, workers=False) as looker, server_of(Engines(looker)) as web, watching(web) as stream:
        while not (await run.describe()).waiting_for:
            await asyncio.sleep(0.005)
        for act, wanted in ((run.pause, "paused"), (run.resume, "waiting")):
            before = stream.last_id
            await act()
            while (await run.describe()).condition != wanted:
                await asyncio.sleep(0.005)
            await stream.until_told("parked elsewhere")
            assert stream.last_id.split(".")[0] == before.split(".")[0]
