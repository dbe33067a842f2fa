"""A run that is given back in the middle of something goes on elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.client.start import start_request
from keepstep.journal import Message
from keepstep.testing import run as run_in_virtual_time
from tests.runtime.crashing import World

begun = asyncio.Event()
calls: list[int] = []


@step
async def hang_at_first() -> int:
    """Never ends in the first worker."""
    calls.append(1)
    if len(calls) == 1:
        begun.set()
        await asyncio.Event().wait()
    return len(calls)


@step(retry=Retry(initial=0.2, jitter=0.0))
async def fail_then_take_a_while() -> str:
    """Its second attempt is long enough for the run to be looked at meanwhile."""
    if keepstep.step_info().attempt == 1:
        raise RuntimeError("not this time")
    await asyncio.sleep(0.3)
    return "done"


@workflow
async def call_one_that_hangs() -> int:
    return await hang_at_first()


@workflow
async def call_one_that_fails_first() -> str:
    return await fail_then_take_a_while()


async def test_a_step_that_a_graceful_stop_cut_off_is_done_by_the_next_worker(tmp_path: Path) -> None:
    calls.clear()
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    first = await Engine(url).__aenter__()
    await first.start(call_one_that_hangs, id="a")
    await begun.wait()
    await first.close(grace_seconds=0.0)
    async with Engine(url) as second:
        assert await second.get("a").result(timeout=10) == 2


async def test_a_run_is_not_given_back_as_idle_while_its_next_attempt_runs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, show_after_seconds=0.02, idle_seconds_max=0.35) as engine:
        run = await engine.start(call_one_that_fails_first, id="a")
        assert await run.result(timeout=10) == "done"
        events = [event async for event in run.history()]
        assert [event.data["attempts"] for event in events if event.type == "step_completed"] == [2]


@workflow
async def hear_two_words() -> list[str]:
    return [await keepstep.receive("word", str), await keepstep.receive("word", str)]


async def test_a_run_that_is_not_kept_in_memory_hears_all_that_was_said_at_once(tmp_path: Path) -> None:
    """Two messages are recorded by one commit; between the two the run seems to wait for nothing but the second."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, workers=False) as client:
        run = await client.start(hear_two_words, id="a")
        await run.signal("word", "one")
        await run.signal("word", "two")
        async with Engine(url, idle_runs_max=0):
            assert await run.result(timeout=10) == ["one", "two"]


@workflow
async def nap_and_hear() -> str:
    await keepstep.sleep(0.2)
    return await keepstep.receive("word", str)


async def test_a_worker_that_keeps_no_idle_runs_in_memory_still_gets_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, idle_runs_max=0) as engine:
        run = await engine.start(nap_and_hear, id="a")
        while (await run.describe()).events < 3:  # the nap is over, and recorded
            await asyncio.sleep(0.01)
        await run.signal("word", "heard")
        assert await run.result(timeout=10) == "heard"
        assert len([event async for event in run.history()]) < 10


def test_what_was_said_when_a_run_was_owned_before_is_not_taken_again() -> None:
    """A message that is read while its run is given back may be another worker's by the time the run comes back."""

    async def main() -> tuple[list[str], int]:
        world = World()
        first = await world.open(idle_runs_max=0, lease_seconds=600.0)
        run = await first.start(hear_two_words, id="a")
        await run.signal("word", "one")
        while first.worker is not None and first.worker.residents:
            await asyncio.sleep(0.01)
        assert first.worker is not None
        found = await first.journal.find_run("default", "a")
        assert found is not None
        stale = Message(run_id=found.run_id, n=1, kind="signal", name="word", data=b'"stale"', time=0, id=None)
        first.worker.admission._early[found.run_id] = {1: stale}
        await run.signal("word", "two")
        result = await run.result()
        events = [event.type for event in (await first.journal.load(found.run_id)).events]
        await world.close()
        return list(result), events.count("signal_received")

    assert run_in_virtual_time(main) == (["one", "two"], 2)


def test_an_owning_that_was_lost_unheard_does_not_stand_in_the_way_of_the_next_one() -> None:
    """A run may come back to its worker before the worker has heard that it was taken away or given back."""

    async def main() -> list[str]:
        world = World()
        engine = await world.open(lease_seconds=600.0)
        run = await engine.start(hear_two_words, id="a")
        await run.signal("word", "one")
        while (await run.describe()).events < 2:
            await asyncio.sleep(0.01)
        owned = await engine.journal.find_run("default", "a")
        assert owned is not None
        assert engine.worker is not None
        engine.worker.residents[owned.run_id].epoch -= 1
        await engine.worker.admission.take_up([owned])
        await run.signal("word", "two")
        result = await run.result()
        await world.close()
        return list(result)

    assert run_in_virtual_time(main) == ["one", "two"]


def test_a_run_that_was_started_under_a_lease_that_is_over_is_left_to_who_has_it_now() -> None:
    """The answer to a start may be so long in coming that the worker has another lease by then."""

    async def main() -> tuple[bool, list[str]]:
        world = World()
        engine = await world.open()
        worker = engine.worker
        assert worker is not None
        new = engine._new_run(await start_request(hear_two_words, (), {}, engine.published), "a", None)
        late = msgspec.structs.replace(new, lease_id="over")
        started = await engine.journal.start(msgspec.structs.replace(new, lease_id=None))
        worker.admission.adopt(late, msgspec.structs.replace(started, leased=True, epoch=1))
        is_adopted = new.run_id in worker.residents
        run = engine.get("a")
        await run.signal("word", "one")
        await run.signal("word", "two")
        result = await run.result()
        await world.close()
        return is_adopted, list(result)

    assert run_in_virtual_time(main) == (False, ["one", "two"])
