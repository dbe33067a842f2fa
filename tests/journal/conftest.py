"""Every test of the port runs against every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keepstep.journal import Journal
from tests.journal.scene import SCENES, PostgresScene, Scene


def make_scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """A scene on the store that the fixture's parameter names."""
    if request.param == "postgres":
        return PostgresScene(request.getfixturevalue("postgres_server").url)
    if request.param == "pgbouncer":
        pooler_url = request.getfixturevalue("pooler").url
        return PostgresScene(request.getfixturevalue("postgres_server").url, pooler_url)
    return SCENES[request.param](tmp_path)


@pytest.fixture(params=[*SCENES, "postgres", "pgbouncer"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """A store on which several handles can be opened."""
    made = make_scene(request, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def journal(scene: Scene) -> Journal:
    """One handle on a fresh store."""
    return await scene.open()
