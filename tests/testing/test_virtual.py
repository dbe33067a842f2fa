"""Virtual time passes only when nothing else is left to do, and then exactly as far as the next timer."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from keepstep.testing import RealInputOutput, Stuck, VirtualClock, VirtualLoop, run


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def test_a_day_of_sleep_takes_no_time_and_ends_exactly_a_day_later() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(main) == 86_400
    assert time.monotonic() - began < 5


def test_timers_fire_in_the_order_of_their_times_and_not_before() -> None:
    async def main() -> list[tuple[str, int]]:
        fired: list[tuple[str, int]] = []

        async def wait(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((name, virtual_loop().microseconds()))

        await asyncio.gather(wait("late", 0.3), wait("early", 0.1), wait("middle", 0.2), wait("close", 0.100_001))
        return fired

    assert run(main) == [("early", 100_000), ("close", 100_001), ("middle", 200_000), ("late", 300_000)]


def test_a_timer_a_hair_away_is_not_fired_before_its_microsecond() -> None:
    async def main() -> list[int]:
        loop, clock = virtual_loop(), VirtualClock(virtual_loop())
        fired: list[int] = []

        def note(due: int) -> None:
            fired.append(clock.now() - due)

        for n in range(1, 2000):
            loop.call_later(n / 1_000_000, note, clock.now() + n)
        await asyncio.sleep(1)
        return fired

    late = run(main)
    assert len(late) == 1999
    assert all(0 <= microseconds <= 1 for microseconds in late)


def test_ready_callbacks_run_before_time_passes() -> None:
    async def main() -> float:
        for _ in range(10_000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run(main) == 0


def test_cancelled_timers_let_time_pass_no_further_than_the_others_do() -> None:
    async def main() -> tuple[float, int]:
        loop = virtual_loop()
        fired: list[int] = []
        timers = [loop.call_later(n + 1, fired.append, n) for n in range(200)]
        for n, timer in enumerate(timers):
            if n % 100:  # so many that all of them are looked through
                timer.cancel()
        await asyncio.sleep(0)
        assert len(loop._scheduled) == 2
        timers[100].cancel()  # so few that only those in front are
        await asyncio.sleep(150)
        assert fired == [0]
        return loop.time(), len(loop._scheduled)

    assert run(main) == (150, 0)


def test_a_loop_whose_timers_are_all_cancelled_is_stuck() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(1, print).cancel()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match=r"at 0\.0 s"):
        run(main)


def test_a_century_passes() -> None:
    async def main() -> float:
        await asyncio.sleep(100 * 365 * 86_400)
        return asyncio.get_running_loop().time()

    assert run(main) == 100 * 365 * 86_400


def test_a_callback_that_raises_stops_no_other() -> None:
    async def main() -> list[str]:
        loop = virtual_loop()
        told: list[str] = []
        loop.set_exception_handler(lambda _, context: told.append(repr(context["exception"])))
        loop.call_soon(lambda: 1 / 0)
        loop.call_soon(told.append, "the next one")
        await asyncio.sleep(0)
        return told

    assert run(main) == ["ZeroDivisionError('division by zero')", "the next one"]


def test_timeouts_and_task_groups_work() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(10))
                group.create_task(asyncio.sleep(3600))
        return asyncio.get_running_loop().time()

    assert run(main) == 30


def test_a_program_that_would_wait_for_ever_is_stuck_and_says_where() -> None:
    async def waits_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match=r"test_virtual\.py:\d+"):
        run(waits_for_nobody)


def test_what_is_left_at_the_end_is_cancelled_and_unwound() -> None:
    unwound: list[str] = []

    async def sleeper() -> None:
        try:
            await asyncio.sleep(1_000_000)
        finally:
            unwound.append("sleeper")

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(sleeper())
        await asyncio.sleep(1)
        return task

    assert run(main).cancelled()
    assert unwound == ["sleeper"]


def test_the_seed_decides_the_random_numbers() -> None:
    async def main() -> list[float]:
        return [virtual_loop().random.random() for _ in range(5)]

    assert run(main, seed=7) == run(main, seed=7)
    assert run(main, seed=7) != run(main, seed=8)


def test_sync_functions_run_on_the_loops_own_thread_and_see_no_loop() -> None:
    async def main() -> tuple[str, float]:
        def work() -> str:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            return "done"

        return await asyncio.to_thread(work), asyncio.get_running_loop().time()

    assert run(main) == ("done", 0)


def test_an_error_in_a_sync_function_reaches_its_awaiter() -> None:
    async def main() -> None:
        def work() -> None:
            raise ValueError("out of stock")

        await asyncio.to_thread(work)

    with pytest.raises(ValueError, match="out of stock"):
        run(main)


async def _connect() -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def _spawn() -> None:
    await asyncio.create_subprocess_exec("true")


async def _receive() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        await asyncio.get_running_loop().sock_recv(left, 1)


async def _watch() -> None:
    asyncio.get_running_loop().add_reader(0, print)


def test_a_thread_that_calls_back_is_refused() -> None:
    refused: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def call_back() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except RealInputOutput as error:
                refused.append(error)

        thread = threading.Thread(target=call_back)
        thread.start()
        thread.join()

    run(main)
    assert len(refused) == 1


@pytest.mark.parametrize("reach_out", [_connect, _spawn, _receive, _watch])
def test_real_input_and_output_are_refused(reach_out: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await reach_out()

    with pytest.raises(RealInputOutput):
        run(main)


def test_engine_time_follows_the_loop_and_not_the_wall_clock() -> None:
    async def main() -> None:
        clock = VirtualClock(virtual_loop())
        began = clock.now()
        clock.move_wall(-3_600_000_000)
        await asyncio.sleep(2.5)
        assert clock.now() - began == 2_500_000
        assert clock.jump() == -3_600_000_000
        assert clock.monotonic() == 2.5

    run(main)


def test_clocks_of_one_boot_agree_once_anchored_and_those_of_another_boot_do_not() -> None:
    async def main() -> None:
        first = VirtualClock(virtual_loop())
        await asyncio.sleep(1)
        ahead = VirtualClock(virtual_loop(), wall_offset=5_000_000)
        elsewhere = VirtualClock(virtual_loop(), boot_id="another", wall_offset=5_000_000)
        ahead.adopt(first.anchor())
        elsewhere.adopt(first.anchor())
        await asyncio.sleep(1)
        assert ahead.now() == first.now()
        assert ahead.jump() == 5_000_000
        assert elsewhere.now() == first.now() + 5_000_000

    run(main)


def test_a_stall_makes_timers_late_and_never_early() -> None:
    async def main() -> float:
        loop = virtual_loop()
        loop.call_later(1, loop.advance, 60)
        await asyncio.sleep(2)
        return loop.time()

    assert run(main) == 61
