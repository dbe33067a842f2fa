"""Whatever is written where a run's history, state or messages should be: that run is parked, and others go on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

from keepstep import Engine
from keepstep.journal import Condition
from keepstep.testing.chaos.poison.potions import POTIONS
from keepstep.testing.chaos.poison.round import poison
from keepstep.testing.chaos.poison.visit import bring_to_sleep
from keepstep.testing.chaos.poison.workflows import WAKE, errand

HEALTHY = "healthy"


async def test_a_run_that_cannot_be_read_is_blocked_and_says_why_and_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    url = f"sqlite:///{path}"
    await bring_to_sleep(url, [HEALTHY, *POTIONS])
    poison(path, {name: name for name in POTIONS}, Random(1))
    async with Engine(url) as engine, asyncio.timeout(60):
        for name in (*POTIONS, HEALTHY):
            await engine.signal(name, WAKE, "good morning")
        assert await engine.get(HEALTHY).result() == ["noted 0", "good morning", "noted 1"]
        for name in POTIONS:
            while (await engine.get(name).describe()).condition is not Condition.BLOCKED:
                await asyncio.sleep(0.01)
            assert (await engine.get(name).describe()).error
        assert await engine.run(errand, 3) == "34"


async def test_an_event_that_cannot_be_read_is_shown_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    url = f"sqlite:///{path}"
    await bring_to_sleep(url, [HEALTHY])
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE events SET data = x'c1c1c1' WHERE seq = 2")
        db.commit()
    async with Engine(url, workers=False) as engine:
        events = [event async for event in engine.get(HEALTHY).history()]
    assert events[1].type == "step_completed"
    assert events[1].data["bytes"] == 3
    assert events[1].data["unreadable"]
