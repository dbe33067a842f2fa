"""What is done with, and expected of, async and sync workflows alike when their processes die."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from keepstep import Engine, RunClosed, StepFailed, WorkflowFailed
from keepstep.runtime.workflow import Workflow


async def tell_the_news(engine: Engine, workflow: Workflow[Any, list[Any]]) -> list[Any]:
    """The result of a run that waits for one signal, however often this is begun anew."""
    handle = await engine.start(workflow, "x", id="x")
    with suppress(RunClosed):
        await handle.signal("news", "good", id="only-once")
    return await handle.result()


def expect_only_what_was_in_flight_twice(effects: Counter[str], crashes: int) -> None:
    """Of steps of which three are in flight at most; ``stubborn`` needs three attempts."""
    once = {what: count for what, count in effects.items() if what != "stubborn"}
    assert all(1 <= count <= 1 + crashes for count in once.values()), once
    assert sum(once.values()) <= len(once) + 3 * crashes
    assert 3 <= effects["stubborn"] <= 3 + crashes


async def have_it_fail(engine: Engine, workflow: Workflow[Any, None]) -> str:
    """Why the last step of a saga failed."""
    handle = await engine.start(workflow, id="saga")
    with pytest.raises(WorkflowFailed) as failed:
        await handle.result()
    assert isinstance(failed.value.__cause__, StepFailed)
    return str(failed.value.__cause__.__cause__)


def expect_all_undone(effects: Counter[str], crashes: int) -> None:
    """Of a saga that charged, reserved, and failed to ship."""
    undone = {what: count for what, count in effects.items() if what.startswith("undo")}
    assert set(undone) == {"undo charge, succeeded", "undo reserve, succeeded", "undo ship, failed"}
    assert sum(undone.values()) <= 3 + crashes
    assert all(effects[what] <= 1 + crashes for what in ("charge", "reserve", "ship"))
