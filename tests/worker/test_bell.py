"""Who waits for a bell wakes when it rings, or when the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from keepstep.testing import run
from keepstep.worker.bell import Bell


def at(bell: Bell, seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, bell.ring)


def now() -> float:
    return asyncio.get_running_loop().time()


def play(story: Coroutine[Any, Any, Any]) -> Any:
    return run(lambda: story)


def test_a_bell_wakes_who_waits_when_it_rings() -> None:
    async def story() -> tuple[bool, float]:
        bell = Bell()
        at(bell, 1)
        return await bell.wait(10), now()

    assert play(story()) == (True, 1)


def test_who_waits_in_vain_waits_no_longer_than_was_said() -> None:
    async def story() -> tuple[bool, float]:
        bell = Bell()
        at(bell, 11)
        return await bell.wait(10), now()

    assert play(story()) == (False, 10)


def test_a_bell_stays_rung_until_it_is_cleared() -> None:
    async def story() -> list[tuple[bool, float]]:
        bell = Bell()
        bell.ring()
        told = [(await bell.wait(10), now()) for _ in range(2)]
        bell.clear()
        told.append((await bell.wait(10), now()))
        return told

    assert play(story()) == [(True, 0), (True, 0), (False, 10)]


def test_what_is_rung_at_the_very_end_of_a_wait_is_heard_by_the_next_one() -> None:
    async def story() -> list[bool]:
        bell = Bell()
        waiting = asyncio.create_task(bell.wait(10))
        await asyncio.sleep(0)
        at(bell, 10)  # its timer is due in the same iteration, after that of the limit
        return [await waiting, await bell.wait(10)]

    told = play(story())
    assert told[1] is True


def test_who_is_cancelled_leaves_nothing_behind() -> None:
    async def story() -> tuple[bool, float]:
        bell = Bell()
        waiting = asyncio.create_task(bell.wait(100))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        bell.ring()
        bell.clear()
        return await bell.wait(2), now()

    assert play(story()) == (False, 3)


def test_one_bell_is_for_one_who_waits() -> None:
    async def story() -> None:
        bell = Bell()
        first = asyncio.create_task(bell.wait(1))
        await asyncio.sleep(0)
        with pytest.raises(AssertionError, match="one bell"):
            await bell.wait(1)
        assert not await first

    play(story())
