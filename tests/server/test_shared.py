"""Who asks for the same at the same time is answered by one reading, and never by one that had begun before."""

from __future__ import annotations

import asyncio

import pytest

from keepstep.server.shared import Shared


class Shelf:
    """What is read; a reading lasts until it is let go on."""

    def __init__(self) -> None:
        self.value = 0
        self.readings = 0
        self.go = asyncio.Event()

    async def read(self) -> int:
        self.readings += 1
        seen = self.value
        await self.go.wait()
        if seen < 0:
            raise ValueError("less than nothing")
        return seen


async def soon() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_hundred_who_ask_at_once_are_answered_by_one_reading() -> None:
    shared, shelf = Shared(), Shelf()
    asking = [asyncio.create_task(shared.read("page", shelf.read)) for _ in range(100)]
    await soon()
    shelf.go.set()
    assert await asyncio.gather(*asking) == [0] * 100
    assert shelf.readings == 1


async def test_who_asks_while_a_reading_is_at_work_is_told_what_was_acknowledged_before() -> None:
    shared, shelf = Shared(), Shelf()
    early = asyncio.create_task(shared.read("page", shelf.read))
    await soon()
    shelf.value = 1
    late = [asyncio.create_task(shared.read("page", shelf.read)) for _ in range(10)]
    await soon()
    shelf.go.set()
    assert await early == 0
    assert await asyncio.gather(*late) == [1] * 10
    assert shelf.readings == 2


async def test_other_questions_are_read_on_their_own_and_nothing_is_kept() -> None:
    shared, shelf = Shared(), Shelf()
    shelf.go.set()
    await asyncio.gather(shared.read("page", shelf.read), shared.read("other", shelf.read))
    shelf.value = 2
    assert await shared.read("page", shelf.read) == 2
    assert shelf.readings == 3


async def test_an_error_is_told_to_all_who_share_it_and_to_nobody_else() -> None:
    shared, shelf = Shared(), Shelf()
    shelf.value = -1
    failing = [asyncio.create_task(shared.read("page", shelf.read)) for _ in range(3)]
    await soon()
    shelf.value = 3
    shelf.go.set()
    for each in failing:
        with pytest.raises(ValueError, match="less than nothing"):
            await each
    assert await shared.read("page", shelf.read) == 3


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    shared, shelf = Shared(), Shelf()
    leaving, staying = (asyncio.create_task(shared.read("page", shelf.read)) for _ in range(2))
    await soon()
    leaving.cancel()
    await soon()
    shelf.go.set()
    assert await staying == 0
    with pytest.raises(asyncio.CancelledError):
        await leaving
