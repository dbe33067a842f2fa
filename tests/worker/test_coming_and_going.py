"""Workers that come, go, take over and give up in the middle of something."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import Any

import msgspec
import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.journal import Commit, Hint, HintKind, NewTask, StoreUnavailable
from keepstep.runtime.data import encode
from keepstep.runtime.execution import Execution
from keepstep.runtime.loop import WorkflowLoop
from keepstep.testing import run
from keepstep.worker.probe import Probe, in_slices
from keepstep.worker.resident import Resident
from tests.worker.troubled import LEASE_SECONDS, TroubledJournal, World, broken, in_trouble

begun: list[str] = []


@step
async def begin_and_wait(name: str) -> str:
    begun.append(name)
    await asyncio.sleep(5)
    return name


@step
async def beat_often(times: int) -> int:
    for n in range(times):
        keepstep.heartbeat(n)
    return times


@step(queue="far away")
async def beat_far_away(times: int) -> int:
    keepstep.heartbeat(times)
    return times


@workflow
async def begin_two_at_once() -> list[str]:
    return list(await asyncio.gather(begin_and_wait("first"), begin_and_wait("second")))


@workflow
async def beat_and_go_on(times: int) -> int:
    return await beat_often(times)


@workflow
async def beat_elsewhere(times: int) -> int:
    return await beat_far_away(times)


@step
async def add_one(number: int) -> int:
    return number + 1


@workflow
async def begin_two_and_go(number: int) -> int:
    return sum(await asyncio.gather(add_one(number), add_one(number)))


def in_memory() -> int:
    """How many runs are; those of other tests, too, whose code cannot be ended."""
    kinds = Counter(type(each) for each in gc.get_objects() if isinstance(each, Execution | Resident | WorkflowLoop))
    return max(kinds.values(), default=0)


@workflow
async def wait_for_a_person() -> str:
    said: str = await keepstep.human_task("Is it ready?", str)
    return said


@workflow
async def take_five_seconds(name: str) -> str:
    return await begin_and_wait(name)


@pytest.fixture(autouse=True)
def _nothing_begun() -> None:
    begun.clear()


def test_a_step_that_waits_for_a_place_when_its_worker_stops_is_begun_by_the_next() -> None:
    async def main() -> tuple[Any, list[str]]:
        world = World()
        async with Engine(journal=world.journal(), concurrent_steps_max=1) as engine:
            handle = await engine.start(begin_two_at_once, id="x")
            await asyncio.sleep(1)
            assert begun == ["first"]
            await engine.close(grace_seconds=1.0)
        assert begun == ["first"]
        async with Engine(journal=world.journal()) as other:
            return await other.get(handle.id).result(timeout=60), sorted(begun)

    result, executed = run(main)
    assert result == ["first", "second"]
    assert executed == ["first", "first", "second"]


def test_a_worker_that_is_full_goes_on_claiming_when_it_has_room_again() -> None:
    async def main() -> list[Any]:
        world = World()
        async with (
            Engine(journal=world.journal(), workers=False) as client,
            Engine(journal=world.journal(), active_runs_max=1, poll_seconds=1000.0),
        ):
            handles = [await client.start(take_five_seconds, f"run {n}", id=f"x{n}") for n in range(3)]
            return [await each.result(timeout=100) for each in handles]

    assert run(main) == ["run 0", "run 1", "run 2"]


def test_a_person_may_answer_after_the_worker_that_asked_has_died() -> None:
    async def main() -> str:
        world = World()
        first = world.journal()
        engine = await Engine(journal=first, lease_seconds=LEASE_SECONDS).__aenter__()
        await engine.start(wait_for_a_person, id="x")
        while not [each async for each in engine.human_tasks()]:
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        await engine.close()
        async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as other:
            [task] = [each async for each in other.human_tasks()]
            await other.complete_callback(task.token, "yes")
            result = await other.get("x").result(timeout=60)
            assert [each async for each in other.human_tasks()] == []
            return str(result)

    assert run(main) == "yes"


def test_heartbeats_that_come_close_together_are_kept_once_and_the_step_goes_on() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> Any:
        return await engine.run(beat_and_go_on, 500)

    assert in_trouble(program) == 500


def test_a_step_of_a_queue_beats_like_any_other() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> Any:
        return await engine.run(beat_elsewhere, 3)

    assert in_trouble(program, queues=("default", "far away")) == 3


def test_a_task_for_a_step_that_this_worker_does_not_know_is_left_to_others(caplog: pytest.LogCaptureFixture) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> int:
        handle = await engine.start(take_five_seconds, "x", id="x")
        await asyncio.sleep(1)
        now = await journal.find_run("default", "x")
        assert now is not None
        data = msgspec.msgpack.encode(("a_step_of_tomorrow", encode([]), "x"))
        task = NewTask(kind="step", key="unknown", queue="far away", data=data)
        await journal.commit(Commit(run_id=now.run_id, epoch=now.epoch, tasks=(task,)))
        await asyncio.sleep(2)
        assert await handle.result(timeout=30) == "x"
        return caplog.text.count("has step 'a_step_of_tomorrow', which this worker does not know")

    assert in_trouble(program, queues=("default", "far away")) == 1


def test_an_engine_may_be_closed_twice_and_hears_what_is_not_for_it() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        assert engine.worker is not None
        engine.worker._hear(Hint(HintKind.ASKS))
        engine.worker._hear(Hint(HintKind.LEASE_LOST, lease_id="somebody else's"))
        await engine.close()
        await engine.close()

    in_trouble(program)


def test_a_run_that_was_to_be_read_again_is_left_to_others_when_its_worker_ends() -> None:
    async def main() -> Any:
        world = World()
        journal = world.journal()
        async with Engine(journal=world.journal(), workers=False) as client:
            async with Engine(journal=journal, lease_seconds=LEASE_SECONDS) as engine:
                journal.trouble["load"] = broken(100)
                handle = await client.start(take_five_seconds, "x", id="x")
                await asyncio.sleep(0.5)  # it could not be read; a second later it would be tried again
                await engine.close()
            async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS):
                return await handle.result(timeout=60)

    assert run(main) == "x"


def test_a_run_that_must_be_begun_anew_is_left_to_others_when_its_worker_ends() -> None:
    async def main() -> Any:
        world = World()
        journal = world.journal()
        async with Engine(journal=journal, lease_seconds=LEASE_SECONDS) as engine:
            handle = await engine.start(take_five_seconds, "x", id="x")
            journal.refuse = lambda commit: StoreUnavailable("full") if commit.events else None
            journal.trouble["read_run"] = broken(100)
            await asyncio.sleep(6)
            await engine.close()
        async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as other:
            return await other.get(handle.id).result(timeout=60)

    assert run(main) == "x"


def test_a_run_that_is_terminated_while_it_is_begun_late_never_runs() -> None:
    async def main() -> list[str]:
        world = World()
        async with Engine(journal=world.journal(), workers=False) as client:
            handle = await client.start(take_five_seconds, "x", id="x")
            await asyncio.sleep(10)
            journal = world.journal()
            load = journal.load

            async def load_while_it_ends(run_id: str) -> Any:
                loaded = await load(run_id)
                if len(loaded.events) > 1:
                    await engine.get("x").terminate("too late")
                return loaded

            journal.load = load_while_it_ends  # type: ignore[method-assign]
            async with Engine(journal=journal, lease_seconds=LEASE_SECONDS) as engine:
                with pytest.raises(keepstep.Terminated):
                    await handle.result(timeout=60)
                await asyncio.sleep(1)
                return begun

    assert run(main) == []


def test_background_work_that_fails_is_told_of_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("a mistake")

    async def program(engine: Engine, journal: TroubledJournal) -> Any:
        assert engine.worker is not None
        engine.worker.spawn(fail())
        return await engine.run(take_five_seconds, "x")

    assert in_trouble(program) == "x"
    assert "background work failed: RuntimeError('a mistake')" in caplog.text


def test_a_worker_that_has_stopped_opens_no_lease_although_it_lost_its_own() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> list[Any]:
        worker = engine.worker
        assert worker is not None
        await worker.stop()
        await worker._begin_anew()
        await worker.stop()
        return await another_handle(journal).list_leases()

    assert in_trouble(program) == []


def another_handle(journal: TroubledJournal) -> TroubledJournal:
    return TroubledJournal(journal.disk, clock=journal.clock)  # type: ignore[arg-type]


def test_a_run_whose_start_is_answered_when_its_worker_has_stopped_is_taken_over() -> None:
    async def main() -> Any:
        world = World()
        journal = world.journal()
        async with (
            Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as other,
            Engine(journal=journal, lease_seconds=LEASE_SECONDS) as engine,
        ):
            start, worker = journal.start, engine.worker
            assert worker is not None

            async def start_and_stop(new: Any) -> Any:
                started = await start(new)
                await worker.stop()
                return started

            journal.start = start_and_stop  # type: ignore[method-assign]
            await engine.start(take_five_seconds, "x", id="x")
            return await other.get("x").result(timeout=60)

    assert run(main) == "x"


def test_a_suspect_whose_code_is_given_up_before_its_turn_is_closed_and_never_begun() -> None:
    """The right to run a suspect's code is waited for; whoever is cancelled meanwhile must not leave it half begun."""

    async def main() -> list[str]:
        ended: list[str] = []

        class Journal:
            async def probe(self, lease_id: str, run_id: str | None) -> None:
                """Noted."""

        class Worker:
            journal = Journal()
            lease_id = "lease"

        class Suspect:
            run_id = "suspect"
            is_probed = True
            worker: Any = Worker()

        suspect: Any = Suspect()
        suspect.worker.probe = probe = Probe(suspect.worker)

        async def code() -> None:
            try:
                ended.append("begun")
                await asyncio.sleep(10)
            finally:
                ended.append("ended")

        await probe.begin("another")
        before = asyncio.ensure_future(_drive(in_slices(suspect, code())))
        on_thread = asyncio.ensure_future(probe.on_thread(suspect, code()))
        await asyncio.sleep(1)
        before.cancel()
        on_thread.cancel()
        await asyncio.gather(before, on_thread, return_exceptions=True)
        assert ended == []
        await probe.end()
        begun_once = asyncio.ensure_future(_drive(in_slices(suspect, code())))
        await asyncio.sleep(1)
        begun_once.cancel()
        await asyncio.gather(begun_once, return_exceptions=True)
        thread = asyncio.ensure_future(probe.on_thread(suspect, code()))
        await asyncio.sleep(1)
        thread.cancel()
        await asyncio.gather(thread, return_exceptions=True)
        return ended

    assert run(main) == ["begun", "ended"] * 2


async def _drive(call: Any) -> Any:
    return await call


seen: list[Any] = []


@step
async def count_sheep(upto: int) -> Any:
    seen.append(keepstep.step_info().heartbeat_details)
    for n in range(upto):
        keepstep.heartbeat({"sheep": n})
        await asyncio.sleep(2)
    return keepstep.step_info().heartbeat_details


@workflow
async def count_sheep_to_the_end(upto: int) -> Any:
    return await count_sheep(upto)


def test_the_next_worker_is_told_how_far_a_step_was_when_its_worker_died() -> None:
    async def main() -> None:
        seen.clear()
        world = World()
        async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as engine:
            await engine.start(count_sheep_to_the_end, 50, id="x")
            await asyncio.sleep(9)
            await engine.close(grace_seconds=0.1)
        async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as other:
            await other.get("x").result(timeout=300)

    run(main)
    assert seen[0] is None
    assert seen[1] == {"sheep": 4}


@workflow
async def begin_one_after_the_other() -> list[str]:
    return [await begin_and_wait("first"), await begin_and_wait("second")]


def test_a_step_that_is_asked_for_while_its_worker_stops_is_begun_by_the_next() -> None:
    async def main() -> Any:
        world = World()
        async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as engine:
            await engine.start(begin_one_after_the_other, id="x")
            await asyncio.sleep(1)
            await engine.close(grace_seconds=20.0)
        assert begun == ["first"]
        async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as other:
            return await other.get("x").result(timeout=60)

    assert run(main) == ["first", "second"]
    assert begun == ["first", "second"]


@step(queue="far away", timeout=10.0)
def twice_far_away(n: int) -> int:
    return 2 * n


@step
async def reserve_a_bed(what: str) -> str:
    return what


@step(queue="far away", retry=keepstep.Retry(max_attempts=1))
async def give_back_far_away(what: str, outcome: keepstep.Outcome) -> None:
    begun.append(f"give back {what}")
    if len(begun) == 1:
        raise ConnectionError("not today")


@step(retry=keepstep.Retry(max_attempts=1))
async def have_no_money() -> None:
    raise ValueError("no money")


@workflow
async def twice_elsewhere(n: int) -> int:
    return await twice_far_away(n)


@workflow
async def reserve_and_fail() -> None:
    waiting = asyncio.create_task(keepstep.sleep("1h"))
    try:
        async with keepstep.saga() as saga:
            await saga.run(reserve_a_bed, "a room", undo=give_back_far_away)
            await have_no_money()
    finally:
        waiting.cancel()


def test_a_sync_step_of_a_queue_runs_on_a_thread_within_its_time() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> Any:
        return await engine.run(twice_elsewhere, 21)

    assert in_trouble(program, queues=("default", "far away")) == 42


def test_an_undo_on_a_queue_that_failed_is_done_when_a_person_says_retry() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        handle = await engine.start(reserve_and_fail, id="x")
        while not any(each.parked for each in (await handle.describe()).waiting_for):
            await asyncio.sleep(0.5)
        assert begun == ["give back a room"]
        await handle.retry()
        with pytest.raises(keepstep.WorkflowFailed) as failed:
            await handle.result(timeout=60)
        return str(failed.value)

    assert "no money" in in_trouble(program, queues=("default", "far away"))
    assert begun == ["give back a room", "give back a room"]


async def test_runs_that_are_over_are_freed_without_the_collector_of_cycles() -> None:
    async with Engine("memory://") as engine:
        await engine.run(begin_two_and_go, 0)
        gc.collect()
        before = in_memory()
        gc.disable()
        try:
            await asyncio.gather(*(engine.run(begin_two_and_go, n) for n in range(20)))
            async with asyncio.timeout(10):
                while in_memory() > before + 1:  # those that have waited stay a while, and the last one even longer
                    await asyncio.sleep(0.05)
        finally:
            gc.enable()
