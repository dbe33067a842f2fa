"""Retention on the stores that are used, in real time; also by several processes at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keepstep import Engine, workflow
from keepstep.archive import Archive, place_at
from tests.codecs.test_blobs import bucket  # noqa: F401  a fixture
from tests.journal.scene import wait_until


@workflow
async def retained_in_a_store(name: str) -> str:
    return name


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'retained.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


async def test_workers_archive_and_remove_what_is_due_and_it_comes_back(url: str, tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    async with Engine(url) as engine, Engine(url):
        for n in range(10):
            await engine.run(retained_in_a_store, f"{n}", id=f"w{n}")
        await engine.retention.set("completed", 0, archive=place)

        async def is_empty() -> bool:
            return await engine.count() == 0

        await wait_until(is_empty)
        await engine.retention.set("completed", None)
        archive = engine.archive(place)
        assert sorted(each.id for each in await archive.list()) == [f"w{n}" for n in range(10)]
        handle = await archive.restore("w3")
        assert await handle.result() == "3"
        assert [each.id async for each in engine.list()] == ["w3"]
        assert (await engine.retention.describe()).trouble is None


async def test_several_that_sweep_at_once_lose_nothing_and_leave_nothing(url: str, tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    async with Engine(url) as engine:
        await asyncio.gather(*(engine.run(retained_in_a_store, "x", id=f"w{n}") for n in range(60)))
    async with Engine(url, workers=False) as one, Engine(url, workers=False) as two:
        await one.retention.set("all", 0, archive=place)
        swept = await asyncio.gather(*(each.retention.sweep() for each in (one, two, one, two)))
        assert sum(each.removed for each in swept) == 60
        assert await one.count() == 0
    archive = Archive(place_at(place))
    assert sorted(each.run.workflow_id for each in archive.list()) == sorted(f"w{n}" for n in range(60))
    assert archive.troubles == []


async def test_an_archive_may_be_in_a_bucket(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place: str = request.getfixturevalue("bucket")
    async with Engine(f"sqlite:///{tmp_path}/retained.db") as engine:
        await engine.run(retained_in_a_store, "x", id="w")
        await engine.retention.set("all", 0, archive=place)
        await engine.retention.sweep()
        assert [each.id for each in await engine.archive(place).list()] == ["w"]
        assert await (await engine.archive(place).restore("w", as_id="again")).result() == "x"
