"""A client whose server loses answers, restarts, is full or away: each thing happens once all the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

import keepstep
from keepstep import Engine, InvalidInput, StoreUnavailable, workflow
from keepstep.journal import Overloaded
from keepstep.journal.remote.transport import Transport
from tests.cli.command import free_port
from tests.client.remote.house import House, house_of


@workflow
async def far_heard(wanted: int) -> list[str]:
    return [await keepstep.receive("word", str) for _ in range(wanted)]


class Losing(httpx2.AsyncHTTPTransport):
    """A network that carries every call and loses the first answers to those of the given words."""

    def __init__(self, *words: str, times: int = 1) -> None:
        super().__init__()
        self.left = dict.fromkeys(words, times)
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        word = request.url.path.rpartition("/")[2]
        self.asked.append(word)
        answer = await super().handle_async_request(request)
        if self.left.get(word, 0) > 0:
            self.left[word] -= 1
            await answer.aread()
            raise httpx2.ReadError("the answer was lost", request=request)
        return answer


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with house_of() as house, asyncio.timeout(60):
        yield house


@pytest.mark.parametrize("policy", ["attach", "reject", "restart"])
async def test_a_start_whose_answer_is_lost_happens_once(house: House, policy: str) -> None:
    network = Losing("start", times=2)
    async with house.client(transport=network) as engine:
        run = await engine.start(far_heard, 1, id="once", if_running=policy, if_closed=policy)
        assert network.asked.count("start") == 3
        assert [each.run_id async for each in engine.list()] == [run.run_id]
        assert run.run_id is not None


async def test_changes_whose_answers_are_lost_happen_once(house: House) -> None:
    async with house.client(transport=Losing("commit", "send", "ask_update", times=1)) as engine:
        run = await engine.start(far_heard, 2, id="changed")
        await run.signal("word", "a", id="first")
        await run.signal("word", "b", id="second")
        assert await run.result() == ["a", "b"]
        other = await engine.start(far_heard, 1, id="ended")
        await other.terminate("once")
        assert [each.type async for each in other.history()].count("workflow_terminated") == 1
        forked = await run.fork(at=2, id="forked")
        await forked.cancel()
        assert (await forked.describe()).id == "forked"


async def test_a_restart_of_an_open_run_whose_answer_is_lost_starts_one_run(house: House) -> None:
    async with house.client() as engine:
        await engine.start(far_heard, 1, id="again")
    async with house.client(transport=Losing("commit")) as engine:
        second = await engine.start(far_heard, 2, id="again", if_running="restart")
        assert [each.status async for each in engine.list("ORDER BY StartTime ASC")] == ["terminated", "running"]
        assert (await engine.get("again").describe()).run_id == second.run_id


async def test_a_listing_of_failed_runs_asks_once_a_page(house: House) -> None:
    network = Losing()
    async with house.client(transport=network) as engine:
        for n in range(12):
            await engine.start(far_heard, 1, id=f"ended-{n}")
            await engine.get(f"ended-{n}").terminate(f"reason {n}")
        network.asked.clear()
        found = {run.id: run.error async for run in engine.list("Status = 'terminated'")}
        assert found == {f"ended-{n}": f"terminated: reason {n}" for n in range(12)}
        assert network.asked.count("search_runs") == 1
        assert "read_events" not in network.asked
        run = engine.get("ended-3")
        assert [each.seq async for each in run.history()] == [1, 2]


async def test_a_signal_without_an_id_is_not_said_twice(house: House) -> None:
    async with house.client(transport=Losing("send")) as engine:
        run = await engine.start(far_heard, 1, id="unsure")
        with pytest.raises(StoreUnavailable, match="may have been done"):
            await run.signal("word", "a")
        assert await run.result() == ["a"]


async def test_who_is_told_to_come_again_does_so_when_it_was_told() -> None:
    asked: list[float] = []
    loop = asyncio.get_running_loop()

    def answer(_: httpx2.Request) -> httpx2.Response:
        asked.append(loop.time())
        if len(asked) < 3:
            body = {"error": {"code": "overloaded", "message": "too much"}}
            return httpx2.Response(429, headers={"Retry-After": "0"}, json=body)
        return httpx2.Response(200, json={"is_known": True})

    from keepstep.journal.remote import words

    for patience, comes in ((5.0, True), (0.0, False)):
        asked.clear()
        transport = Transport("http://nowhere", "default", None, patience, transport=httpx2.MockTransport(answer))
        call = transport.call("send", words.CommitIs("x"), words.Known, is_repeatable=False)
        if comes:
            assert (await call).is_known
        else:
            with pytest.raises(Overloaded, match="too much"):
                await call
        await transport.close()


async def test_a_server_that_is_not_there_is_said_to_be_away_and_what_is_none_is_named() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StoreUnavailable, match=r"cannot be reached .* is keepstep server running"):
        async with Engine(nowhere, patience_seconds=0):
            pass
    page = httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>"))
    with pytest.raises(StoreUnavailable, match="in a form that is not known here"):
        async with Engine("http://page", patience_seconds=0, transport=page):
            pass
    older = httpx2.MockTransport(lambda _: httpx2.Response(404, json={"error": {"code": "not_found", "message": "x"}}))
    with pytest.raises(StoreUnavailable, match="no Keepstep server that clients can ask, or an older one"):
        async with Engine("http://older", transport=older):
            pass
    greeting = {"protocol": 99, "version": "9.9", "now": 0, "value_bytes_max": 1}
    newer = httpx2.MockTransport(lambda _: httpx2.Response(200, json=greeting))
    with pytest.raises(StoreUnavailable, match="speaks protocol 99"):
        async with Engine("http://newer", transport=newer):
            pass


@pytest.mark.parametrize(
    ("url", "options", "complaint"),
    [
        ("http://", {}, "no address"),
        ("http://host:99999", {}, "no address"),
        ("http://host?x=1", {}, "no address"),
        ("http://me:secret@host", {}, "has no password"),
        ("http://host", {"key": "two words"}, "signs in it"),
        ("http://host", {"workers": True}, "no worker can stand"),
    ],
)
def test_what_cannot_be_a_server_is_refused_before_it_is_asked(
    url: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint) as caught:
        Engine(url, **options)
    assert "secret" not in str(caught.value)
    assert "two words" not in str(caught.value)


async def test_what_needs_the_database_is_refused_and_says_where_it_is_done(house: House) -> None:
    async with house.client() as engine:
        with pytest.raises(InvalidInput, match="transaction on the database itself"):
            await engine.start(far_heard, 1, connection=object())
        await engine.start(far_heard, 0, id="done")
        await engine.get("done").result()
        data = await engine.export("done")
        with pytest.raises(InvalidInput, match="where the database is"):
            await engine.import_(data)
        await engine.retention.set("completed", 0)
        with pytest.raises(InvalidInput, match="where the database is"):
            await engine.retention.sweep()


APP = """
import keepstep
from keepstep import workflow

@workflow
async def far_killed() -> str:
    return await keepstep.receive("word", str)
"""


@contextmanager
def serving(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A real server, killed at the end."""
    command = [sys.executable, "-m", "keepstep", "server", "--app", "killed.py", "--http", str(port)]
    environment = {**os.environ, "KEEPSTEP_DB": "sqlite:///runs.db", "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield server
    finally:
        server.kill()
        server.wait()


async def test_a_server_that_is_killed_while_a_result_is_waited_for_is_waited_for_itself(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(APP)
    port = free_port()
    async with asyncio.timeout(90):
        with serving(tmp_path, port):
            engine = await Engine(f"http://127.0.0.1:{port}").__aenter__()
            run: keepstep.RunHandle[str] = await engine.start("far_killed", id="survivor")
            waiting = asyncio.create_task(run.result())
            following = asyncio.create_task(_count(run))
            while not (await run.describe()).waiting_for:
                await asyncio.sleep(0.02)
        assert not waiting.done()
        signalling = asyncio.create_task(run.signal("word", "back", id="word"))  # nobody is there to hear it
        with serving(tmp_path, port):
            await signalling
            assert await waiting == "back"
            assert await following == 3
            assert await engine.count("Status = 'completed'") == 1
            await engine.close()


async def _count(run: keepstep.RunHandle[Any]) -> int:
    """Of the events; who follows asks again where a call has found nobody."""
    return len([each async for each in run.follow()])
