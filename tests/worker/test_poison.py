"""A run that kills, stops or confuses its worker harms nobody else, and is found out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import keepstep
from keepstep import Engine, InvalidInput, step, workflow
from keepstep.journal import Condition
from keepstep.runtime.registry import forget
from tests.runtime.programs import on_an_engine
from tests.worker import poisonous

PROGRAM = Path(__file__).with_name("poisonous.py")
DEATHS_MAX = 12


async def work_until_quarantined(engine: Engine, url: str) -> int:
    """Start workers one after the other, each of which is killed; how many deaths it took."""
    for deaths in range(1, DEATHS_MAX):
        worker = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), url, stderr=subprocess.DEVNULL)
        try:
            while worker.returncode is None:
                if (await engine.get("bad").describe()).condition is Condition.QUARANTINED:
                    return deaths - 1
                await asyncio.sleep(0.02)
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    raise AssertionError("never quarantined")


async def test_a_step_that_kills_its_worker_again_and_again_is_quarantined_and_others_complete(tmp_path: Path) -> None:
    url, flag = f"sqlite:///{tmp_path / 'runs.db'}", tmp_path / "harmless"
    async with Engine(url, workers=False) as client, asyncio.timeout(60):
        bad = await client.start(poisonous.kill_the_worker, str(flag), id="bad")
        good = [await client.start(poisonous.behave, n, id=f"good {n}") for n in range(20)]
        deaths = await work_until_quarantined(client, url)
        assert 5 <= deaths <= DEATHS_MAX
        info = await bad.describe()
        assert (info.status, info.condition) == ("running", Condition.QUARANTINED)
        async with Engine(url):
            assert await asyncio.gather(*(run.result(timeout=20) for run in good)) == [2 * n for n in range(20)]
            assert (await bad.describe()).condition is Condition.QUARANTINED
            for run in good:
                assert (await run.describe()).condition is not Condition.QUARANTINED
            flag.touch()
            await bad.retry()
            assert await bad.result(timeout=20) == "no harm done"


@step
async def pass_by(n: int) -> int:
    return n


@workflow(guard=False)
async def never_come_back(how: str) -> None:
    await pass_by(0)
    if how == "plainly":
        while True:
            pass
    if how == "in a task":
        async with asyncio.TaskGroup() as group:
            group.create_task(spin())
    while True:
        try:
            await spin()
        except Exception:
            return


async def spin() -> None:
    while True:
        pass


@workflow
async def just_pass(n: int) -> int:
    return await pass_by(n)


@pytest.mark.parametrize("how", ["plainly", "in a task", "catching everything"])
async def test_an_endless_loop_in_workflow_code_is_interrupted_and_blocked_while_others_go_on(how: str) -> None:
    async with Engine("memory:") as engine, asyncio.timeout(20):
        assert engine.worker is not None
        engine.worker.watchdog._limit = 0.2
        bad = await engine.start(never_come_back, how, id="bad")
        assert await asyncio.gather(*(engine.run(just_pass, n, id=str(n)) for n in range(5))) == list(range(5))
        while (await bad.describe()).condition is not Condition.BLOCKED:
            await asyncio.sleep(0.01)
        info = await bad.describe()
        assert info.status == "running"
        assert "without waiting" in (info.error or "")
        assert await engine.run(just_pass, 7, id="7") == 7


def test_a_name_that_nobody_serves_and_an_input_that_no_longer_fits_stop_nobody() -> None:
    async def program(engine: Engine) -> None:
        @workflow(name="fickle")
        async def old(n: int) -> int:
            await keepstep.receive("go")
            return n

        @workflow(name="gone")
        async def gone() -> int:
            await keepstep.receive("go")
            return 1

        handles = [await engine.start(old, 1, id="fickle"), await engine.start(gone, id="gone")]
        while (await handles[1].describe()).condition is not Condition.WAITING:
            await asyncio.sleep(0.1)
        assert engine.worker is not None
        for resident in list(engine.worker.residents.values()):
            resident.release()
        forget("workflow", "gone")

        @workflow(name="fickle")
        async def new(n: dict[str, int]) -> int:
            return len(n)

        for handle in handles:
            await handle.signal("go")
        assert await engine.run(just_pass, 3, id="3") == 3
        while (await handles[0].describe()).condition is not Condition.BLOCKED:
            await asyncio.sleep(0.1)
        assert (await handles[1].describe()).status == "running"
        with pytest.raises(InvalidInput, match="decorated"):
            await engine.start(len)  # type: ignore[call-overload]

    on_an_engine(program)
