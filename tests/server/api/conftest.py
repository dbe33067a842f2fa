"""An engine in memory, and the API over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from keepstep import Engine
from tests.server.asking import Api, api_of


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine("memory:") as engine, asyncio.timeout(30):
        yield engine


@pytest.fixture
async def api(engine: Engine) -> AsyncIterator[Api]:
    async with api_of(engine) as api:
        yield api
