"""Runs that are started within a transaction of the user's own are found by their attributes once it is committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keepstep import AttributeRefused, Engine


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """A database's URL, and how a connection to it is opened."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shop.db", lambda: closing(sqlite3.connect(tmp_path / "shop.db"))
    else:
        url = request.getfixturevalue("postgres_url")
        yield url, lambda: psycopg.connect(url)


async def ids(engine: Engine, filter: str) -> list[str]:
    return [run.id async for run in engine.list(filter)]


async def test_a_run_is_found_once_the_transaction_is_committed(place: tuple[str, Any]) -> None:
    url, connect = place
    async with Engine(url, workers=False) as engine:
        await engine.attributes.register(due="datetime")
        with connect() as db:
            given = {"customer": "c7", "amount": 1.5, "due": "2026-11-27T09:00:00Z", "tags": ["a", "b"]}
            await engine.start("anything", id="one", attributes=given, connection=db)
            assert await engine.attributes.list() == {"due": "datetime"}
            db.commit()
        assert await ids(engine, "customer = 'c7' AND amount < 2 AND due = '2026-11-27T09:00:00Z'") == ["one"]
        assert await ids(engine, "tags = 'b'") == ["one"]
        with connect() as db:
            await engine.start("anything", id="two", attributes={"customer": "c8", "other": 1}, connection=db)
            db.rollback()
        assert await ids(engine, "customer = 'c8'") == []
        assert "other" not in await engine.attributes.list()


async def test_a_value_that_does_not_fit_is_refused_and_the_transaction_goes_on(place: tuple[str, Any]) -> None:
    url, connect = place
    async with Engine(url, workers=False) as engine:
        await engine.start("anything", id="first", attributes={"amount": 1})
        with connect() as db:
            await engine.start("anything", id="one", attributes={"amount": 2}, connection=db)
            for attributes in ({"amount": "much"}, {"Status": "x"}, {"n\0ul": 1}, {"note": "\0"}):
                with pytest.raises(AttributeRefused):
                    await engine.start("anything", id="two", attributes=attributes, connection=db)
            db.commit()
        assert await ids(engine, "amount > 0 ORDER BY amount") == ["first", "one"]
