"""What a run says on its way, read over HTTP: every value once, in pages or as it comes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.client import streaming
from keepstep.codecs import Codec, Keys
from keepstep.server.api import streams as streams_module
from keepstep.server.engines import Engines
from tests.server.asking import Api, api_of, until
from tests.server.test_changes import server_of


@step
async def say_from_a_step(words: list[str]) -> None:
    for word in words:
        await keepstep.write_stream("said", word)


@workflow
async def talk_over_http(words: list[str]) -> None:
    for n, word in enumerate(words):
        keepstep.write_stream("said", word)
        keepstep.write_stream("other", n)
    await say_from_a_step(["by", "a step"])
    keepstep.write_stream("said", "the end")


@workflow
async def talk_until_told() -> None:
    while (word := await keepstep.receive("say", str)) != "goodbye":
        keepstep.write_stream("said", word)
    keepstep.close_stream("said")
    await keepstep.receive("leave")


ALL = [*map(str, range(7)), "by", "a step", "the end"]


async def pages_of(api: Api, id: str, limit: int) -> list[dict[str, Any]]:
    pages = [await api.get(f"/runs/{id}/streams/said", limit=limit)]
    while pages[-1]["has_more"]:
        pages.append(await api.get(f"/runs/{id}/streams/said", limit=limit, after=pages[-1]["position"]))
    return pages


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
async def test_pages_have_every_value_once_and_in_order(engine: Engine, api: Api, limit: int) -> None:
    await engine.run(talk_over_http, ALL[:7], id="talk")
    pages = await pages_of(api, "talk", limit)
    values = [each for page in pages for each in page["values"]]
    assert [each["value"] for each in values] == ALL
    assert [each["position"] for each in values] == sorted({each["position"] for each in values})
    assert all(len(page["values"]) <= limit for page in pages)
    assert [(each["step"], each["attempt"]) for each in values[6:8]] == [(None, 0), ("say_from_a_step", 1)]
    assert [page["has_ended"] for page in pages] == [False] * (len(pages) - 1) + [True]


async def test_long_stretches_of_other_events_and_large_values_end_a_page_early(
    engine: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.run(talk_over_http, ALL[:7], id="talk")
    monkeypatch.setattr(streaming, "PAGE", 1)
    monkeypatch.setattr(streaming, "PAGE_EVENTS_MAX", 2)
    pages = await pages_of(api, "talk", 100)
    assert [each["value"] for page in pages for each in page["values"]] == ALL
    assert any(not page["values"] for page in pages)
    monkeypatch.undo()
    monkeypatch.setattr(streaming, "PAGE_BYTES_MAX", 1)
    pages = await pages_of(api, "talk", 100)
    assert [each["value"] for page in pages for each in page["values"]] == ALL
    assert len(pages) > 5


async def test_a_stream_that_was_closed_has_ended_before_its_run_has(engine: Engine, api: Api) -> None:
    run = await engine.start(talk_until_told, id="talk")
    empty = await api.get("/runs/talk/streams/said")
    assert (empty["values"], empty["has_more"], empty["has_ended"]) == ([], False, False)
    await run.signal("say", "hello")
    await run.signal("say", "goodbye")

    async def ended() -> Any:
        page = await api.get("/runs/talk/streams/said", after=empty["position"])
        return page["has_ended"] and page

    page = await until(ended)
    assert [each["value"] for each in page["values"]] == ["hello"]
    again = await api.get("/runs/talk/streams/said", after=page["position"])
    assert (again["values"], again["has_ended"]) == ([], True)
    assert (await run.describe()).status == "running"


async def test_what_cannot_be_is_refused(engine: Engine, api: Api) -> None:
    await engine.run(talk_over_http, ["x"], id="talk")
    for path in ("/runs/nobody/streams/said", "/runs/nobody/streams/said/live"):
        assert (await api.refusal("GET", path))[:2] == (404, "not_found")
    for query in ("after=-1", "limit=0", "limit=1001", "after=x"):
        assert (await api.refusal("GET", f"/runs/talk/streams/said?{query}"))[:2] == (400, "invalid_input")
    for mark in ("x", "-1", "9" * 30):
        told = await api.refusal("GET", "/runs/talk/streams/said/live", headers={"Last-Event-ID": mark})
        assert told[:2] == (400, "invalid_input")


async def test_what_is_sealed_by_keys_that_are_not_here_cannot_be_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, codec=Codec(keys=Keys({"k": bytes(32)}))) as engine, asyncio.timeout(30):
        await engine.run(talk_over_http, ["secret"], id="talk")
    async with Engine(url, workers=False) as looker, api_of(looker) as api, asyncio.timeout(30):
        assert (await api.refusal("GET", "/runs/talk/streams/said"))[:2] == (409, "unreadable")


def events_in(text: str) -> list[dict[str, str]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]
    return [each for each in blocks if "event" in each]


async def test_values_come_live_and_a_reader_who_was_cut_off_goes_on(engine: Engine) -> None:
    run = await engine.start(talk_until_told, id="talk")
    async with server_of(Engines(engine)) as web:
        path = "/api/v1/runs/talk/streams/said/live"
        async with web.stream("GET", path) as answer:
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
            lines = answer.aiter_lines()
            await run.signal("say", "one")
            seen = await _first_id(lines)
        await run.signal("say", "two")
        await run.signal("say", "goodbye")
        rest = events_in((await web.get(path, headers={"Last-Event-ID": seen})).text)
        assert [(each["event"], each["data"]) for each in rest[1:]] == [("end", "{}")]
        assert json.loads(rest[0]["data"])["value"] == "two"
        everything = events_in((await web.get(path)).text)
        assert [json.loads(each["data"]).get("value") for each in everything] == ["one", "two", None]
        behind = events_in((await web.get(path, params={"after": rest[0]["id"]})).text)
        assert [each["event"] for each in behind] == ["end"]
    await run.terminate()


async def _first_id(lines: Any) -> str:
    async for line in lines:
        if line.startswith("id: "):
            return str(line[4:])
    raise AssertionError("it has ended")


async def test_a_quiet_stream_is_kept_alive_and_ends_with_the_server(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.server.spoken.KEEP_ALIVE_SECONDS", 0.05)
    run = await engine.start(talk_until_told, id="talk")
    async with server_of(Engines(engine)) as web, web.stream("GET", "/api/v1/runs/talk/streams/said/live") as answer:
        lines = answer.aiter_lines()
        async for line in lines:
            if line == ": keep-alive":
                break
        await run.terminate()
        left = [line async for line in lines if line and line != ": keep-alive"]
        assert left == ["event: end", "data: {}"]


async def test_too_many_readers_are_asked_to_come_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "READERS_MAX", 1)
    run = await engine.start(talk_until_told, id="talk")
    path = "/api/v1/runs/talk/streams/said/live"
    async with server_of(Engines(engine)) as web:
        async with web.stream("GET", path) as answer:
            await anext(answer.aiter_lines())
            assert (await web.get(path)).status_code == 429
        await run.terminate()

        async def let_in() -> bool:
            answer: httpx2.Response = await web.get(path)
            return answer.status_code == 200

        assert await until(let_in)


async def test_a_reader_of_a_removed_run_is_told_that_it_was_cut_off_by_the_missing_end(
    engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await engine.start(talk_until_told, id="talk")
    monkeypatch.setattr("keepstep.server.spoken.POLL_SECONDS", 0.05)
    async with server_of(Engines(engine)) as web, web.stream("GET", "/api/v1/runs/talk/streams/said/live") as answer:
        lines = answer.aiter_lines()
        await anext(lines)

        async def gone(_: str) -> None:
            return None

        monkeypatch.setattr(engine.journal, "read_run", gone)
        assert [line async for line in lines if line] == []
    monkeypatch.undo()
    assert "was cut off: there is no run" in caplog.text
    await run.terminate()
