"""A paused run begins nothing and sees nothing; what comes meanwhile is there when it is resumed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import keepstep
import keepstep.testing
from keepstep import Engine, InvalidInput, RunClosed, TimedOut, step, workflow
from keepstep.journal import Condition, Message, NewMessage
from tests.runtime.crashing import World, crash_at_every_commit
from tests.runtime.programs import on_an_engine

begun: Counter[int] = Counter()


@pytest.fixture(autouse=True)
def nothing_was_begun() -> None:
    begun.clear()


@workflow
async def hear_and_sleep() -> tuple[str, float]:
    before = keepstep.now()
    said, _ = await asyncio.gather(keepstep.receive("said", str), keepstep.sleep(60))
    return said, (keepstep.now() - before).total_seconds()


@step
async def take_ten_seconds(n: int) -> int:
    begun[n] += 1
    await asyncio.sleep(10)
    return n


@workflow
async def take_many() -> int:
    return sum(await asyncio.gather(*(take_ten_seconds(n) for n in range(5))))


@step
async def take_so_long(seconds: int) -> None:
    begun[seconds] += 1
    await asyncio.sleep(seconds)


@workflow
async def take_two_and_hear() -> str:
    async def one_after_the_other() -> None:
        await take_so_long(10)
        await take_so_long(30)

    heard, _, _ = await asyncio.gather(keepstep.receive("said", str), one_after_the_other(), take_so_long(20))
    return str(heard)


@workflow
async def take_one_by_one() -> int:
    return sum([await take_ten_seconds(n) for n in range(3)])


async def still_goes_on(run: keepstep.RunHandle[Any], seconds: float = 600) -> bool:
    try:
        await run.result(timeout=seconds)
    except TimedOut as error:
        return "it goes on" in str(error)
    return False


def test_what_is_said_to_a_paused_run_and_what_comes_due_waits_until_it_is_resumed() -> None:
    async def program(engine: Engine) -> None:
        run = await engine.start(hear_and_sleep)
        await asyncio.sleep(10)
        await run.pause()
        await run.pause()
        info = await run.describe()
        assert (info.condition, {wait.kind for wait in info.waiting_for}) == ("paused", {"signal", "timer"})
        await run.signal("said", "something")
        assert await still_goes_on(run)
        assert [event.type async for event in run.history()] == ["workflow_started", "timer_started"]
        await run.resume()
        said, seconds = await run.result(timeout=5)
        assert said == "something"
        assert seconds > 600

    on_an_engine(program)


def test_steps_that_are_being_executed_end_and_no_other_begins() -> None:
    async def program(engine: Engine) -> None:
        run = await engine.start(take_many)
        await asyncio.sleep(5)
        assert len(begun) == 2
        await run.pause()
        assert await still_goes_on(run)
        assert len(begun) == 2
        assert [event.type async for event in run.history()] == ["workflow_started", "step_completed", "step_completed"]
        await run.resume()
        assert await run.result(timeout=60) == 10

    on_an_engine(program, concurrent_steps_max=2)
    assert set(begun.values()) == {1}


def test_while_the_last_step_ends_nothing_is_delivered_and_the_run_counts_as_paused() -> None:
    async def program(engine: Engine) -> None:
        run = await engine.start(take_two_and_hear)
        await asyncio.sleep(5)
        await run.pause()
        await run.signal("said", "while it was paused")
        await asyncio.sleep(10)  # the shorter step has ended
        assert (await engine.journal.read_run(str(run.run_id))).condition == "paused"  # type: ignore[union-attr]
        assert await still_goes_on(run)
        assert [event.type async for event in run.history()] == ["workflow_started", "step_completed", "step_completed"]
        assert begun == {10: 1, 20: 1}
        await run.resume()
        assert await run.result(timeout=60) == "while it was paused"

    on_an_engine(program)


def test_a_request_to_pause_that_nobody_has_read_is_taken_back() -> None:
    async def main() -> int:
        world = World()
        client = await world.open(workers=False)
        run = await client.start(take_one_by_one)
        await client.journal.send(NewMessage(run_id=run.run_id, kind="pause"))
        await run.resume()
        await world.open()
        result: int = await run.result(timeout=60)
        await world.close()
        return result

    assert keepstep.testing.run(main) == 3


def test_a_run_that_is_resumed_while_its_step_is_being_executed_goes_on_after_it() -> None:
    async def program(engine: Engine) -> int:
        run = await engine.start(take_one_by_one)
        await asyncio.sleep(5)
        await run.pause()
        await run.resume()
        with pytest.raises(InvalidInput, match="is not paused"):
            await run.resume()
        return await run.result(timeout=60)

    assert on_an_engine(program) == 3
    assert set(begun.values()) == {1}


def test_a_run_that_nobody_has_taken_up_is_paused_before_it_begins() -> None:
    async def main() -> int:
        world = World()
        client = await world.open(workers=False)
        run = await client.start(take_one_by_one, id="x")
        await run.pause()
        assert (await run.describe()).condition == "paused"
        await world.open()
        assert await still_goes_on(run)
        assert not begun
        await run.resume()
        result: int = await run.result(timeout=60)
        await world.close()
        return result

    assert keepstep.testing.run(main) == 3


@pytest.mark.parametrize("resumed", [False, True])
def test_what_a_dying_worker_did_not_read_is_read_by_the_next_before_it_begins(resumed: bool) -> None:
    async def main() -> None:
        world = World()
        first = await world.open()
        run = await first.start(take_one_by_one, id="x")
        await asyncio.sleep(15)
        world.kill(first)
        client = await world.open(workers=False)
        await client.journal.send(NewMessage(run_id=run.run_id, kind="pause"))
        handle = client.get("x")
        if resumed:
            await handle.resume()
        second = await world.open()
        assert await still_goes_on(handle) is not resumed
        assert begun == ({0: 1, 1: 2, 2: 1} if resumed else {0: 1, 1: 1})
        if not resumed:
            assert (await second.get("x").describe()).condition == "paused"
            await handle.resume()
        assert await handle.result(timeout=60) == 3
        await world.close()

    keepstep.testing.run(main)


@pytest.mark.parametrize("is_said_by_somebody_who_died", [False, True])
def test_a_run_whose_worker_dies_before_it_reads_that_it_is_resumed_does_go_on(
    is_said_by_somebody_who_died: bool,
) -> None:
    async def main() -> None:
        world = World()
        first = await world.open()
        run = await first.start(take_one_by_one, id="x")
        await asyncio.sleep(5)
        await run.pause()
        assert (await run.describe()).condition == "paused"
        world.kill(first)
        client = await world.open(workers=False)
        handle = client.get("x")
        if is_said_by_somebody_who_died:
            await client.journal.send(NewMessage(run_id=run.run_id, kind="resume"))
            second = await world.open()
            assert await still_goes_on(second.get("x"))
            await handle.resume()
        else:
            resuming = asyncio.create_task(handle.resume())
            await asyncio.sleep(15)
            assert not resuming.done()
            await world.open()
            await resuming
        assert await handle.result(timeout=60) == 3
        with pytest.raises(RunClosed):
            await handle.resume()
        await world.close()

    keepstep.testing.run(main)


def test_a_pause_that_its_worker_reads_while_somebody_resumes_the_run_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(engine: Engine) -> int:
        run = await engine.start(take_one_by_one)
        await asyncio.sleep(5)
        read_messages = engine.journal.read_messages

        async def read_late(run_id: str) -> list[Message]:
            await run.pause()
            return await read_messages(run_id)

        monkeypatch.setattr(engine.journal, "read_messages", read_late)
        await run.resume()
        monkeypatch.undo()
        return await run.result(timeout=60)

    assert on_an_engine(program) == 3


def test_a_crash_at_any_commit_neither_loses_the_pause_nor_the_run() -> None:
    async def program(engine: Engine) -> str:
        run = await engine.start(hear_and_sleep, id="p")
        try:
            await run.pause()
        except RunClosed:  # it was resumed, and had its end, before the crash
            return (await run.result())[0]
        while (await run.describe()).condition is not Condition.PAUSED:
            await asyncio.sleep(0.1)
        await run.signal("said", "once", id="only")
        assert await still_goes_on(run, 120)
        while True:
            try:
                await run.resume()
            except InvalidInput:
                break
        return (await run.result())[0]

    assert crash_at_every_commit(program, lambda result, _: result == "once" or pytest.fail(result)) >= 3


def test_a_paused_run_is_terminated_at_once_and_cancelled_when_it_is_resumed() -> None:
    async def program(engine: Engine) -> None:
        cancelled, terminated = await engine.start(hear_and_sleep), await engine.start(hear_and_sleep)
        for run in (cancelled, terminated):
            await run.pause()
        await cancelled.cancel()
        await terminated.terminate("enough")
        assert await still_goes_on(cancelled)
        with pytest.raises(keepstep.Terminated):
            await terminated.result()
        await cancelled.resume()
        with pytest.raises(keepstep.Cancelled):
            await cancelled.result(timeout=5)
        for refused in (terminated.pause(), terminated.resume(), cancelled.pause()):
            with pytest.raises(RunClosed):
                await refused

    on_an_engine(program)


async def test_it_is_so_between_real_processes_on_a_real_file_too(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, workers=False) as client, Engine(url) as engine, asyncio.timeout(30):
        run = await engine.start(hear_and_sleep, id="x")
        handle = client.get("x")
        await handle.pause()
        assert (await client.journal.read_run(str(run.run_id))).condition is Condition.PAUSED  # type: ignore[union-attr]
        await handle.signal("said", "now")
        await handle.resume()
        while (await handle.describe()).condition != "waiting":
            await asyncio.sleep(0.01)
        assert [event.type async for event in handle.history()][-1] == "signal_received"
