"""Steps with ``queue=``: what they promise is what steps beside their run promise."""

from __future__ import annotations

import asyncio
from typing import Any

import keepstep
import keepstep.testing
from keepstep import Engine, Retry, StepFailed, step, workflow
from keepstep.journal import StoreUnavailable
from keepstep.journal.memory import MemoryJournal
from tests.runtime.crashing import World
from tests.runtime.programs import on_an_engine

begun: list[str] = []


def note() -> None:
    begun.append(keepstep.step_info().key)


@step(queue="elsewhere", retry=Retry(max_attempts=1))
async def give_up_on_a_queue() -> None:
    raise asyncio.CancelledError


@step(queue="elsewhere", total_timeout=8, timeout=5, retry=Retry(initial=1.0, jitter=0.0))
async def hang_on_a_queue() -> None:
    note()
    await asyncio.Event().wait()


@step(queue="elsewhere", heartbeat_timeout=3, retry=Retry(max_attempts=2, initial=1.0, jitter=0.0))
async def fall_silent_on_a_queue() -> str:
    details = keepstep.step_info().heartbeat_details
    if details is not None:
        return f"it was at {details}"
    for n in range(3):
        keepstep.heartbeat(n)
        await asyncio.sleep(1.5)
    await asyncio.Event().wait()
    return ""


@workflow
async def use_limits_on_a_queue() -> list[str]:
    said = []
    for call in (give_up_on_a_queue, hang_on_a_queue, fall_silent_on_a_queue):
        try:
            said.append(str(await call()))
        except StepFailed as error:
            said.append(f"{error.attempts} {error.uncertain} {error.__cause__}")
    return said


def test_a_step_on_a_queue_has_the_same_limits_of_time_as_others() -> None:
    async def program(engine: Engine) -> tuple[list[str], Any]:
        handle = await engine.start(use_limits_on_a_queue, id="q")
        said = await handle.result(timeout=120)
        run = await engine.journal.find_run("default", "q")
        assert run is not None
        return said, await engine.journal.read_state(run.run_id)

    begun.clear()
    said, state = on_an_engine(program, queues=("default", "elsewhere"))
    assert said == [
        "1 True step 'give_up_on_a_queue' was cancelled by its own code",
        "2 True step 'hang_on_a_queue' did not end within 2 s",
        "it was at 2",
    ]
    assert len(begun) == 2
    assert state == {}


def test_a_step_on_a_queue_that_a_stop_finds_running_ends_before_it() -> None:
    async def main() -> list[str]:
        world = World()
        here, there = await world.open(), await world.open(queues=("elsewhere",))
        handle = await here.start(work_long_on_a_queue, id="q")
        while not begun:
            await asyncio.sleep(0.1)
        await there.close(grace_seconds=20)
        world.engines.remove(there)
        done = [f"{len(begun)} begun", str(await handle.result(timeout=60))]
        await world.close()
        return done

    begun.clear()
    assert keepstep.testing.run(main) == ["1 begun", "done"]


@step(queue="elsewhere")
async def be_long_on_a_queue() -> str:
    note()
    await asyncio.sleep(4)
    return "done"


@workflow
async def work_long_on_a_queue() -> str:
    return await be_long_on_a_queue()


def test_a_step_on_a_queue_is_cut_off_when_the_lease_it_runs_under_is_taken_away() -> None:
    async def main() -> list[str]:
        world = World()
        here, there = await world.open(), await world.open(queues=("elsewhere",))
        handle = await here.start(hold_out_on_a_queue, id="q")
        while not begun:
            await asyncio.sleep(0.1)
        assert there.worker is not None
        other = MemoryJournal(world.disk, clock=there.journal.clock, is_surely_dead=lambda _: True)
        assert there.worker.lease_id in await other.reap()
        done = [str(await handle.result(timeout=120)), *begun]
        await world.close()
        return done

    begun.clear()
    assert keepstep.testing.run(main) == ["held out", "told_to_end", "told_to_end cut off", "told_to_end"]


@step(queue="elsewhere")
async def told_to_end() -> str:
    note()
    if len(begun) == 1:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            begun.append("told_to_end cut off")
            raise
    return "held out"


@workflow
async def hold_out_on_a_queue() -> str:
    return await told_to_end()


def test_a_step_on_a_queue_is_answered_though_the_store_is_in_trouble() -> None:
    async def main() -> Any:
        world = World()
        here, there = await world.open(), await world.open(queues=("elsewhere",))
        handle = await here.start(work_long_on_a_queue, id="q")
        while not begun:
            await asyncio.sleep(0.1)
        commit, failures = there.journal.commit, 3

        async def in_trouble(change: Any) -> Any:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise StoreUnavailable("the disk is in trouble")
            return await commit(change)

        there.journal.commit = in_trouble  # type: ignore[method-assign, assignment]
        result = await handle.result(timeout=60)
        await world.close()
        return result, failures, len(begun)

    begun.clear()
    assert keepstep.testing.run(main) == ("done", -1, 1)


@step
async def go_anywhere(n: int) -> str:
    note()
    if n < 0:
        raise LookupError("no")
    await asyncio.sleep(n)
    return f"attempt {keepstep.step_info().attempt}"


@workflow
async def send_it_elsewhere() -> list[str]:
    said = []
    elsewhere = go_anywhere.options(queue="elsewhere", timeout=3, retry=Retry(max_attempts=2, initial=1.0))
    for n, call in (
        (1, elsewhere),
        (5, elsewhere),
        (-1, elsewhere.options(retry=Retry(max_attempts=9, non_retryable=(LookupError,)))),
    ):
        try:
            said.append(await call(n))
        except StepFailed as error:
            said.append(f"{error.attempts} {error.__cause__}")
    return said


def test_options_given_to_a_call_hold_for_the_worker_of_another_queue_too() -> None:
    async def main() -> list[str]:
        world = World()
        here = await world.open()
        await world.open(queues=("elsewhere",))
        said: list[str] = await (await here.start(send_it_elsewhere, id="q")).result(timeout=120)
        await world.close()
        return said

    begun.clear()
    assert keepstep.testing.run(main) == ["attempt 1", "2 step 'go_anywhere' did not end within 3 s", "1 no"]


dying_on: list[Any] = []


@step(queue="elsewhere")
async def kill_my_worker() -> None:
    note()
    dying_on[0].set()
    await asyncio.Event().wait()


@step(queue="elsewhere")
async def take_a_minute() -> str:
    note()
    await asyncio.sleep(60)
    return "took a minute"


@workflow
async def kill_workers_elsewhere() -> str:
    try:
        await kill_my_worker()
    except StepFailed as error:
        return f"{error.uncertain} {error.__cause__}"
    return "it did not"


@workflow
async def work_beside_a_killer() -> str:
    return await take_a_minute()


def test_a_step_that_kills_its_workers_fails_in_the_end_and_others_are_done() -> None:
    async def main() -> tuple[list[str], int]:
        world = World()
        here = await world.open()
        killer = asyncio.ensure_future(here.run(kill_workers_elsewhere, id="killer"))
        others = [asyncio.ensure_future(here.run(work_beside_a_killer, id=f"other {n}")) for n in range(3)]
        deaths = 0
        while not killer.done():
            dying_on[:] = [asyncio.Event()]
            there = await world.open(queues=("elsewhere",), lease_seconds=2.0)
            dies = asyncio.ensure_future(dying_on[0].wait())
            await asyncio.wait((dies, killer), return_when=asyncio.FIRST_COMPLETED)
            if dies.done():
                deaths += 1
                world.kill(there)
            dies.cancel()
        said = [await each for each in (killer, *others)]
        await world.close()
        return said, deaths

    begun.clear()
    said, deaths = keepstep.testing.run(main)
    assert said[0] == "True step 'kill_my_worker' was being executed by 5 workers when they died"
    assert said[1:] == ["took a minute"] * 3
    assert deaths == begun.count("kill_my_worker") == 5
