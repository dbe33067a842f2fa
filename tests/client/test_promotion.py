"""Runs that are open when their journal moves go on where they were, and do nothing again that they have done."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.client.promotion import promote
from keepstep.journal import Condition
from tests.journal.scene import wait_until

SLEEP_SECONDS = 6.0

done: Counter[str] = Counter()
"""What the steps have done to the world: by run, step and attempt."""

finished_at: dict[str, float] = {}

is_new_code = False
"""Whether the code of ``change_while_it_waits`` was changed."""

is_mended = False
"""Whether what kept ``unbook_the_room`` from working was put right."""


@pytest.fixture(autouse=True)
def nothing_was_done() -> Iterator[None]:
    global is_new_code, is_mended
    done.clear()
    finished_at.clear()
    is_new_code = is_mended = False
    yield
    is_new_code = is_mended = False


@step
async def note_it(what: str) -> str:
    done[what] += 1
    finished_at[what] = time.monotonic()
    return what


@step(retry=Retry(max_attempts=3, initial=SLEEP_SECONDS, factor=1.0, max_interval=SLEEP_SECONDS))
async def fail_once(what: str) -> int:
    attempt = keepstep.step_info().attempt
    done[f"{what} attempt {attempt}"] += 1
    if attempt == 1:
        raise ConnectionError("not yet")
    finished_at[what] = time.monotonic()
    return attempt


@step(once=True, timeout=0.2)
async def pay_and_hang() -> str:
    done["paid"] += 1
    await asyncio.sleep(60)
    return "never heard"


@step(retry=Retry(max_attempts=1))
async def unbook_the_room() -> None:
    done[f"unbook {'mended' if is_mended else 'broken'}"] += 1
    if not is_mended:
        raise ConnectionError("the hotel does not answer")


@step(queue="promoted-gpu")
async def compute_elsewhere(n: int) -> int:
    done["computed"] += 1
    return n * n


@workflow
async def sleep_over_the_move() -> str:
    before = await note_it("sleeper before")
    await keepstep.sleep(SLEEP_SECONDS)
    return f"{before}, {await note_it('sleeper after')}"


@workflow
async def hear_after_the_move() -> str:
    early = await keepstep.receive("early", str)
    await note_it("hearer before")
    late = await keepstep.receive("late", str)
    return f"{early} {late} {await keepstep.receive('unheard', str)}"


@workflow
async def try_again_after_the_move() -> int:
    await note_it("retrier before")
    return await fail_once("retrier")


@workflow
async def change_while_it_waits() -> str:
    await note_it("changed now" if is_new_code else "changing before")
    await keepstep.receive("go on")
    return await note_it("changing after")


@workflow
async def be_stopped_by_people(name: str) -> str:
    await note_it(f"{name} before")
    await keepstep.receive("go on")
    return await note_it(f"{name} after")


@workflow
async def undo_after_the_move() -> None:
    async with keepstep.saga() as saga:
        await note_it("booked")
        saga.compensate(unbook_the_room)
        raise RuntimeError("no more rooms wanted")


@workflow
async def wait_in_a_child() -> str:
    await note_it("child before")
    said = await keepstep.receive("said", str)
    return await note_it(f"child {said}")


@workflow
async def wait_for_a_child() -> str:
    await note_it("parent before")
    child = await keepstep.start_child(wait_in_a_child, id="the-child")
    return f"parent of {await child}"


@workflow
async def pay_before_the_move() -> str:
    return await pay_and_hang()


@workflow
async def ask_people_over_the_move() -> str:
    answer = await keepstep.human_task("may it move?", form=str)
    return f"said {answer}"


@workflow
async def compute_after_the_move() -> int:
    return await compute_elsewhere(7)


async def _before(url: str) -> None:
    """Start all of them, and bring each to where it is to be moved."""
    global is_new_code
    async with Engine(url) as engine:
        await engine.start(change_while_it_waits, id="changing")
        for name in ("paused", "quarantined"):
            await engine.start(be_stopped_by_people, name, id=name)
        await engine.start(undo_after_the_move, id="undoing")
        await engine.start(pay_before_the_move, id="paying")
        await engine.start(wait_for_a_child, id="parent")
        hearer = await engine.start(hear_after_the_move, id="hearer")
        await hearer.signal("unheard", "of")
        await hearer.signal("early", "first")
        await engine.start(ask_people_over_the_move, id="asking")
        await engine.start(compute_after_the_move, id="computing")
        for what in ("changing before", "paused before", "quarantined before", "hearer before", "child before"):
            await wait_until(lambda what=what: done[what])  # type: ignore[misc]
        await wait_until(lambda: done["unbook broken"] and done["paid"])
        await engine.get("paused").pause()
    is_new_code = True
    async with Engine(url) as engine:
        await engine.start(sleep_over_the_move, id="sleeper")
        await engine.start(try_again_after_the_move, id="retrier")
        await wait_until(lambda: done["sleeper before"] and done["retrier attempt 1"])
        await engine.get("changing").signal("go on")
        await _until_condition(engine, "changing", Condition.BLOCKED)


async def _until_condition(engine: Engine, id: str, condition: Condition) -> None:
    async def holds() -> bool:
        return (await engine.get(id).describe()).condition is condition

    await wait_until(holds)


def _quarantine(path: Path) -> None:
    """As if it had killed five workers."""
    with sqlite3.connect(path) as db:
        changed = db.execute(
            "UPDATE runs SET condition = 5, strikes = 5, wake_at = NULL WHERE workflow_id = 'quarantined'"
        )
        assert changed.rowcount == 1
    db.close()


async def _after(url: str) -> dict[str, Any]:
    """Do what each of them waits for; their results."""
    global is_new_code, is_mended
    is_new_code, is_mended = False, True
    async with Engine(url, queues=("default", "promoted-gpu")) as engine:
        for id, condition in (("paused", Condition.PAUSED), ("quarantined", Condition.QUARANTINED)):
            assert (await engine.get(id).describe()).condition is condition
        await engine.get("paused").resume()
        await engine.get("quarantined").retry()
        for id in ("paused", "quarantined"):
            await engine.get(id).signal("go on")
        await engine.get("undoing").retry()
        [uncertain] = [each for each in (await engine.get("paying").describe()).waiting_for if each.key]
        await engine.resolve("paying", uncertain.key, value="paid after all")
        await engine.get("the-child").signal("said", "hello")
        await engine.get("hearer").signal("late", "second")
        [asked] = [task async for task in engine.human_tasks()]
        await engine.complete_callback(asked.token, "yes")
        return {id: await _result(engine, id) for id in RESULTS}


async def _result(engine: Engine, id: str) -> Any:
    try:
        return await engine.get(id).result(timeout=60)
    except keepstep.WorkflowFailed as failed:
        return f"failed: {failed.__cause__}"


RESULTS = {
    "sleeper": "sleeper before, sleeper after",
    "hearer": "first second of",
    "retrier": 2,
    "changing": "changing after",
    "paused": "paused after",
    "quarantined": "quarantined after",
    "undoing": "failed: no more rooms wanted",
    "parent": "parent of child hello",
    "paying": "paid after all",
    "asking": "said yes",
    "computing": 49,
}


async def test_open_runs_of_every_kind_go_on_to_their_right_end_and_do_nothing_twice(
    tmp_path: Path, postgres_url: str
) -> None:
    path = tmp_path / "runs.db"
    url = f"sqlite:///{path}"
    await _before(url)
    begun = time.monotonic()
    _quarantine(path)
    moved = await asyncio.to_thread(promote, url, postgres_url, wait=False, tell=lambda _: None, say=lambda _: None)
    assert moved["runs"] == len(RESULTS) + 1
    assert await _after(postgres_url) == RESULTS
    assert "changed now" not in done
    assert done["unbook broken"] == done["unbook mended"] == 1
    assert set(done.values()) == {1}, done
    for what in ("sleeper after", "retrier"):
        assert finished_at[what] > begun, "this run was not open when it moved, so that the test says nothing"


async def test_a_wait_is_as_long_as_it_was_to_be(tmp_path: Path, postgres_url: str) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url) as engine:
        run = await engine.start(sleep_over_the_move, id="sleeper")
        while not (started := [event async for event in run.history() if event.type == "timer_started"]):
            await asyncio.sleep(0.01)
    await asyncio.to_thread(promote, url, postgres_url, wait=False, tell=lambda _: None, say=lambda _: None)
    async with Engine(postgres_url) as engine:
        assert await engine.get("sleeper").result(timeout=60) == RESULTS["sleeper"]
        [fired] = [event async for event in engine.get("sleeper").history() if event.type == "timer_fired"]
    assert SLEEP_SECONDS <= (fired.time - started[0].time).total_seconds() < SLEEP_SECONDS + 30
