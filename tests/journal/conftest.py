"""Every test of the port runs against every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keepstep.journal import Journal
from tests.journal.scene import SCENES, PostgresScene, Scene


@pytest.fixture(params=[*SCENES, "postgres"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """A store on which several handles can be opened."""
    made: Scene
    if request.param == "postgres":
        made = PostgresScene(request.getfixturevalue("postgres_server").url)
    else:
        made = SCENES[request.param](tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def journal(scene: Scene) -> Journal:
    """One handle on a fresh store."""
    return await scene.open()
