"""Tracks stand still where threads would wait, in the middle of plain code, and go on as the loop says."""

from __future__ import annotations

import asyncio
import random
from contextvars import copy_context

import pytest

from keepstep.testing.simulation.scheduler import Fate, SimulationLoop, fate
from keepstep.testing.simulation.track import Killed, TrackEvent, TrackLock, TrackPace, Tracks, this_track
from keepstep.testing.virtual import run


def make_tracks() -> tuple[asyncio.AbstractEventLoop, Tracks]:
    loop = asyncio.get_running_loop()
    return loop, Tracks(loop, copy_context())


def test_while_one_sleeps_others_go_on() -> None:
    async def main() -> list[str]:
        loop, tracks = make_tracks()
        told: list[str] = []

        def work(name: str, seconds: float) -> None:
            for n in range(2):
                this_track().sleep(seconds)
                told.append(f"{name}{n} at {loop.time():.1f}")

        await asyncio.gather(tracks.call(lambda: work("a", 1.0)), tracks.call(lambda: work("b", 0.7)))
        return told

    assert run(main) == ["b0 at 0.7", "a0 at 1.0", "b1 at 1.4", "a1 at 2.0"]


def test_what_comes_of_a_call_is_told_and_so_is_what_goes_wrong() -> None:
    async def main() -> None:
        _, tracks = make_tracks()
        assert await tracks.call(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await tracks.call(lambda: 1 // 0)

    run(main)


def test_an_event_ends_the_wait_of_all_who_wait_for_it() -> None:
    async def main() -> None:
        loop, tracks = make_tracks()
        event = TrackEvent()
        waits = [asyncio.ensure_future(tracks.call(lambda: event.wait(9.0))) for _ in range(2)]
        waits.append(asyncio.ensure_future(tracks.call(event.wait)))
        await asyncio.sleep(2.0)
        assert not any(each.done() for each in waits)
        event.set()
        assert await asyncio.gather(*waits) == [True, True, True]
        assert loop.time() == 2.0
        assert await tracks.call(lambda: event.wait(1.0))
        event.clear()
        assert not await tracks.call(lambda: event.wait(1.0))
        assert loop.time() == 3.0

    run(main)


def test_a_lock_is_had_by_one_at_a_time_and_waited_for_no_longer_than_wished() -> None:
    async def main() -> None:
        loop, tracks = make_tracks()
        lock = TrackLock()

        def hold(seconds: float) -> float:
            with lock:
                this_track().sleep(seconds)
                return loop.time()

        holding = [asyncio.ensure_future(tracks.call(lambda: hold(1.0))) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert not lock.acquire(blocking=False)
        assert not await tracks.call(lambda: lock.acquire(timeout=0.4))
        assert loop.time() == 0.5
        assert await asyncio.gather(*holding) == [1.0, 2.0]
        assert lock.acquire()
        assert lock.locked()

    run(main)


def test_of_a_track_that_is_killed_only_its_way_out_is_run() -> None:
    async def main() -> list[str]:
        _, tracks = make_tracks()
        told: list[str] = []

        def work() -> None:
            try:
                told.append("begins")
                this_track().sleep(1.0)
                told.append("never")
            finally:
                with pytest.raises(Killed):
                    this_track().sleep(1.0)
                told.append("ends")

        tracks.begin(work)
        await asyncio.sleep(0.5)
        tracks.kill()
        tracks.kill()
        await asyncio.sleep(5.0)
        return told

    assert run(main) == ["begins", "ends"]


def test_a_track_that_is_killed_before_it_begins_does_nothing() -> None:
    async def main() -> None:
        _, tracks = make_tracks()
        tracks.begin(lambda: pytest.fail("it has begun"))
        tracks.kill()
        await asyncio.sleep(1.0)

    run(main)


def test_a_frozen_process_has_frozen_tracks() -> None:
    async def main() -> float:
        process = Fate()
        context = copy_context()
        context.run(fate.set, process)

        def sleep() -> float:
            this_track().sleep(1.0)
            return loop.time()

        done = asyncio.ensure_future(Tracks(loop, context).call(sleep))
        await asyncio.sleep(0.5)
        process.freeze()
        await asyncio.sleep(4.0)
        assert not done.done()
        process.thaw(loop)
        return await done

    loop = SimulationLoop()
    try:
        assert loop.run_until_complete(main()) == 4.5
    finally:
        loop.close()


def test_a_pace_waits_in_virtual_time_and_draws_from_its_seed() -> None:
    async def main() -> tuple[float, float, int]:
        loop, tracks = make_tracks()
        pace = TrackPace(loop, random.Random(1))
        await tracks.call(lambda: pace.sleep(3.0))
        return pace.monotonic(), pace.between(0.0, 1.0), pace.draw_number()

    assert run(main) == run(main)
    assert run(main)[0] == 3.0
