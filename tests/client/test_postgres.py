"""The same engine on PostgreSQL: a run from start to result, with a client here and a worker there."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

import keepstep
from keepstep import Engine, InvalidInput, step, workflow


@step
async def add_on_postgres(a: int, b: int) -> int:
    return a + b


@workflow
async def add_up_on_postgres(count: int) -> int:
    total = 0
    for n in range(count):
        total = await add_on_postgres(total, n)
    async with asyncio.timeout(60):
        return total + await keepstep.receive("more", int)


async def test_a_run_is_started_signalled_and_done_on_postgres(postgres_url: str) -> None:
    async with (
        asyncio.timeout(30),
        Engine(postgres_url, workers=True),
        Engine(postgres_url, workers=False) as client,
    ):
        run = await client.start(add_up_on_postgres, 5, id="sum")
        await run.signal("more", 32)
        assert await run.result() == 42
        assert [event.type async for event in run.history()][-1] == "workflow_completed"


async def test_a_schema_that_is_missing_is_not_made_by_whoever_only_looks(postgres_url: str) -> None:
    with pytest.raises(keepstep.Error, match="holds no journal"):
        async with Engine(postgres_url, workers=False, create=False):
            """It is refused."""


async def test_a_url_that_postgres_cannot_mean_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidInput, match="is not a PostgreSQL URL") as refused:
        async with Engine("postgresql://me:secret@host:no-port/db"):
            """It is refused."""
    assert "secret" not in str(refused.value)


def test_no_driver_is_loaded_before_a_postgres_url_is_opened() -> None:
    code = "import keepstep, sys; sys.exit(any(name.startswith(('psycopg', 'asyncpg')) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
