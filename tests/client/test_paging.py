"""Listings page by page, by a text that says where to go on: on every store, while runs begin, end and change."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import keepstep
from keepstep import Engine, FilterError, InvalidInput, workflow
from keepstep.client import paging
from keepstep.client.paging import _Cursor, _digest, _write
from keepstep.testing import run
from tests.runtime.crashing import World


@workflow
async def be_paged(size: float, team: str = "red") -> None:
    keepstep.set_attributes(size=size, team=team)
    await keepstep.receive("end")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    else:
        url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url) as engine:
        await engine.attributes.register(size="double", team="keyword")
        for n in range(7):
            await engine.start(be_paged, n / 2, "red" if n % 3 else "blue", id=f"r{n}")
        while await engine.count("size IS NOT NULL") < 7:
            await asyncio.sleep(0.01)
        yield engine


async def walk(engine: Engine, filter: str | None, limit: int, cursor: str | None = None) -> list[list[str]]:
    """The ids of all pages."""
    pages = []
    while True:
        runs, cursor = await engine.page(filter, cursor, limit)
        pages.append([each.id for each in runs])
        if cursor is None:
            return pages


async def test_pages_are_what_a_list_gives_and_stay_so_while_runs_begin_and_end(engine: Engine) -> None:
    for filter in (
        None,
        "team = 'red'",
        "ORDER BY size DESC",
        "ORDER BY team, size DESC",
        "Status = 'running' ORDER BY CloseTime, WorkflowId",
        "StartTime < NOW + '1h' ORDER BY StartTime",
    ):
        listed = [each.id async for each in engine.list(filter)]
        for limit in (1, 2, 3, 7, 1000):
            pages = await walk(engine, filter, limit)
            assert [id for page in pages for id in page] == listed, (filter, limit)
            assert max(map(len, pages)) <= limit
    first, cursor = await engine.page(limit=3)
    assert cursor is not None
    assert [each.id for each in first] == ["r6", "r5", "r4"]
    assert first[0].attributes == {"size": 3.0, "team": "blue"}
    await engine.start(be_paged, 9, id="later")
    for id in ("r5", "r2"):
        await engine.get(id).terminate("enough")
    assert await walk(engine, None, 3, cursor) == [["r3", "r2", "r1"], ["r0"]]
    [page] = await walk(engine, "Status = 'terminated' ORDER BY WorkflowId", 5)
    assert page == ["r2", "r5"]
    terminated, _ = await engine.page("Status = 'terminated'")
    assert {each.error for each in terminated} == {"terminated: enough"}


def test_what_now_means_is_the_same_on_all_pages() -> None:
    async def main() -> None:
        world = World()
        engine = await world.open()
        for n in range(4):
            await engine.start(be_paged, n, id=f"r{n}")
            await asyncio.sleep(60)
        filter = "StartTime > NOW - '200s'"
        first, cursor = await engine.page(filter, limit=1)
        await asyncio.sleep(3600)
        assert [first[0].id, *(id for page in await walk(engine, filter, 1, cursor) for id in page)] == [
            "r3",
            "r2",
            "r1",
        ]
        assert (await engine.page(filter, limit=1)).runs == []
        await world.close()

    run(main)


def test_what_is_rare_is_looked_for_a_bounded_time_and_found_further_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        world = World()
        engine = await world.open()
        for n in range(30):
            await engine.start(be_paged, n, id=f"r{n:02}")
            await asyncio.sleep(0.01)
        search, looks = engine.journal.search_runs, list[int]()

        async def look_at_one(namespace: str, wanted: Any, *, after: Any = None, limit: int = 1) -> Any:
            looks.append(limit)
            page = await search(namespace, wanted, after=after, limit=1)
            fitting = [each for each in page.runs if each.workflow_id in ("r03", "r20")]
            return msgspec.structs.replace(page, runs=fitting)

        monkeypatch.setattr(engine.journal, "search_runs", look_at_one)
        pages = await walk(engine, None, 2)
        assert pages == [["r20"], [], ["r03"]]
        assert looks == [2] * 10 + [2] * 10 + [2] * 7 + [1] * 3
        await world.close()

    run(main)


def test_a_cursor_fits_into_an_address_and_is_of_one_filter_and_namespace() -> None:
    async def main() -> None:
        world = World()
        engine, other = await world.open(), await world.open(namespace="other")
        for n in range(2):
            await engine.start(be_paged, n, id=f"Wörld {n}")
            await asyncio.sleep(1)  # so that they did not start in the same moment
        _, cursor = await engine.page("ORDER BY WorkflowId", limit=1)
        assert cursor is not None
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert cursor.isascii()
        for wrong, filter in ((engine, "ORDER BY WorkflowId DESC"), (engine, None), (other, "ORDER BY WorkflowId")):
            with pytest.raises(InvalidInput, match="is of another filter or namespace"):
                await wrong.page(filter, cursor)
        _, first = await engine.page(None, limit=1)
        assert [each.id for each in (await engine.page("", first)).runs] == ["Wörld 0"]
        with pytest.raises(FilterError, match="at position 1"):
            await engine.page("custmer = 'c7'")
        await world.close()

    run(main)


def test_what_is_no_cursor_or_was_changed_is_refused_in_words() -> None:
    async def main() -> None:
        world = World()
        engine = await world.open()
        for n in range(2):
            await engine.start(be_paged, n, id=f"r{n}")
        _, cursor = await engine.page(limit=1)
        assert cursor is not None
        middle = len(cursor) // 2
        changed = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
        bad: tuple[Any, ...] = (
            "",
            "x",
            "tea",
            "ü" * 8,
            "a b",
            cursor[:-3],
            cursor + "AAAA",
            changed,
            "A" * 30_000,
            7,
            b"x",
        )
        for each in bad:
            with pytest.raises(InvalidInput, match=r"is no cursor \(.+\); give the one that came with the page before"):
                await engine.page(None, each)
        for limit in (0, -1, 1001, True, "3", 2.0):
            with pytest.raises(InvalidInput, match="limit is how many runs a page has, from 1 to 1000, not"):
                await engine.page(limit=limit)  # type: ignore[arg-type]
        await world.close()

    run(main)


@pytest.mark.parametrize(
    ("filter", "place"),
    [
        (None, ()),
        (None, (1,)),
        (None, ("r", "r")),
        (None, (1, 2)),
        (None, (2**63, "r")),
        (None, (1, 2, "r")),
        ("ORDER BY WorkflowId", (1, 2, "r")),
        ("ORDER BY HistoryLength", ("x", 2, "r")),
        ("ORDER BY size", ("x", 2, "r")),
    ],
)
def test_a_forged_cursor_of_what_cannot_be_reaches_no_store(filter: str | None, place: tuple[Any, ...]) -> None:
    async def main() -> None:
        world = World()
        engine = await world.open()
        await engine.attributes.register(size="double")
        forged = _write(_Cursor(paging.VERSION, _digest(f"default\0{filter or ''}".encode()), 0, place))
        with pytest.raises(InvalidInput, match="does not fit the order of the filter"):
            await engine.page(filter, forged)
        await world.close()

    run(main)


def test_a_cursor_of_a_version_to_come_is_refused_as_such() -> None:
    async def main() -> None:
        world = World()
        engine = await world.open()
        later = _write(_Cursor(paging.VERSION + 1, _digest(b"default\0"), 0, (1, "r")))
        with pytest.raises(InvalidInput, match="of another version of Keepstep"):
            await engine.page(None, later)
        damaged = msgspec.msgpack.encode(["no", "cursor"])
        text = base64.urlsafe_b64encode(_digest(damaged) + damaged).rstrip(b"=").decode()
        with pytest.raises(InvalidInput, match="is no cursor"):
            await engine.page(None, text)
        await world.close()

    run(main)
