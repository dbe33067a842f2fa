"""A run that waits for its time may begin at another one: sooner, later, or now, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import BlockingEngine, Engine, InvalidInput, NotFound, RunClosed, workflow
from tests.cli.command import Command
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine
from tests.server.asking import api_of


@workflow
async def tell_when_it_began() -> float:
    return keepstep.now().timestamp()


async def began_after(engine: Engine, **moved: Any) -> float:
    """Seconds from the start to its beginning."""
    before = engine.journal.clock.now() / 1e6
    handle = await engine.start(tell_when_it_began, id="later", delay="1h", attributes={"kept": "yes"}, priority=7)
    await asyncio.sleep(60)
    await handle.move_start(**moved)
    began = await handle.result(timeout="3d")
    info = await handle.describe()
    assert (info.status, info.attributes, info.started_at.timestamp()) == ("completed", {"kept": "yes"}, began)
    return began - before


def test_a_delayed_start_is_moved_both_ways() -> None:
    assert on_an_engine(lambda engine: began_after(engine, delay=5)) == pytest.approx(65, abs=1)
    assert on_an_engine(lambda engine: began_after(engine, delay="2d")) == pytest.approx(60 + 2 * 86_400, abs=1)
    assert on_an_engine(lambda engine: began_after(engine, delay=0)) == pytest.approx(60, abs=1)
    assert on_an_engine(lambda engine: began_after(engine, start_at=datetime(2000, 1, 1, tzinfo=UTC))) == pytest.approx(
        60, abs=1
    )


def test_what_is_shown_of_it_says_when_it_begins_now() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(tell_when_it_began, delay="1h")
        moment = datetime.now(UTC) + timedelta(days=800)
        await handle.move_start(start_at=moment)
        [wait] = (await handle.describe()).waiting_for
        assert (wait.kind, wait.until) == ("queue", round(moment.timestamp() * 1e6))
        await handle.start_now()
        assert await handle.result(timeout=60)

    on_an_engine(program)


def test_it_is_moved_once_whatever_crashes() -> None:
    async def program(engine: Engine) -> float:
        handle = await engine.start(tell_when_it_began, id="later", delay="5m")
        try:
            await handle.signal("said before", 1, id="s")
            await handle.move_start(start_at=moment)
        except (InvalidInput, RunClosed):  # it was moved before the crash, and its time has come
            pass
        began = await handle.result(timeout="1h")
        runs = [each async for each in engine.list("WorkflowId = 'later'")]
        assert sum(each.status == "completed" for each in runs) == 1
        assert sum(each.status == "continued" for each in runs) >= 1
        return began

    def check(began: Any, _: int) -> None:
        assert moment.timestamp() <= began < moment.timestamp() + 60

    moment = datetime(2026, 1, 1, 0, 0, 40, tzinfo=UTC)

    assert crash_at_every_commit(program, check) >= 4


def test_a_run_that_has_begun_or_ended_is_not_moved() -> None:
    async def program(engine: Engine) -> None:
        done = await engine.start(tell_when_it_began, id="done")
        await done.result()
        with pytest.raises(RunClosed):
            await done.start_now()
        callback = await engine.start(wait_to_be_moved, id="w")
        with pytest.raises(InvalidInput, match="has begun"):
            await callback.move_start(delay=5)
        with pytest.raises(NotFound):
            await engine.get("nobody").start_now()
        both: dict[str, Any] = {"delay": 1, "start_at": datetime.now(UTC)}
        for wrong in ({}, both):
            with pytest.raises(InvalidInput, match="say when"):
                await callback.move_start(**wrong)
        with pytest.raises(InvalidInput, match="time zone"):
            await callback.move_start(start_at=datetime(2030, 1, 1))
        await callback.terminate()

    on_an_engine(program)


@workflow
async def wait_to_be_moved() -> None:
    await keepstep.receive("never")


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_it_is_moved_in_stores_on_disk_and_over_http(store: str, tmp_path: Path, request: Any) -> None:
    url = f"sqlite:///{tmp_path / 'k.db'}" if store == "sqlite" else request.getfixturevalue("postgres_url")
    async with Engine(url) as engine, api_of(engine) as api, asyncio.timeout(60):
        handle = await engine.start(tell_when_it_began, id="later", delay="1h")
        moved = await api.post("/runs/later/move-start", {"start_at": "2200-01-01T00:00:00Z"})
        assert (moved["id"], moved["condition"]) == ("later", "queued")
        for body in ({}, {"delay": 1, "start_at": "2200-01-01T00:00:00Z"}):
            refused = await api.ask("POST", "/runs/later/move-start", json=body)
            assert refused.status_code == 400
        await api.post("/runs/later/move-start", {"delay": 0})
        assert await handle.result()
        assert (await api.refusal("POST", "/runs/later/move-start", json={"delay": 0}))[:2] == (410, "run_closed")


def test_a_sync_program_moves_it(tmp_path: Path) -> None:
    with BlockingEngine(f"sqlite:///{tmp_path / 'k.db'}") as engine:
        handle = engine.start(tell_when_it_began, delay="1h")
        handle.move_start(delay="2h")
        handle.start_now()
        assert handle.result(timeout=30)


def test_it_is_moved_in_a_shell(tmp_path: Path) -> None:
    keepstep = Command(tmp_path)
    with keepstep.worker():
        order = '{"id": 7, "item": "x"}'
        assert keepstep("start", "buy", "--input", order, "--id", "o", "--delay", "1h").returncode == 0
        assert keepstep("move-start", "o", "--at", "2200-01-01T00:00Z").stdout == "o: moved\n"
        assert keepstep.json("show", "o")["waiting_for"][0]["until"].startswith("2200-01-01T00:00:00")
        assert keepstep("move-start", "o", "--delay", "2h").returncode == 0
        for wrong in ((), ("--now", "--delay", "1h"), ("--at", "tomorrow"), ("--at", "2200-01-01T00:00")):
            ran = keepstep("move-start", "o", *wrong)
            assert ran.returncode == 2, ran
        assert keepstep("move-start", "o", "--now").returncode == 0
        keepstep.until(lambda: keepstep.json("show", "o")["condition"] != "queued")
        ran = keepstep("move-start", "o", "--now")
        assert (ran.returncode, "has begun" in ran.stderr) == (2, True)
