"""Each key of a queue begins no more than its rate, however many workers serve it and whatever dies meanwhile."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise
from typing import Any

import keepstep
from keepstep import Engine, step, workflow
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit

PAUSE = 10

letters = keepstep.queue("rated-letters", rate_per_key=(1, f"{PAUSE}s"))
begun: defaultdict[str, dict[str, float]] = defaultdict(dict)
"""By key: when each of its steps or runs began first."""


@step(queue=letters)
async def write_a_rated_letter(customer: str, n: int) -> int:
    begun[customer][str(n)] = asyncio.get_running_loop().time()
    return n


@workflow
async def write_rated_letters(customers: list[str], each: int) -> int:
    calls = [
        write_a_rated_letter.options(fairness_key=customer)(customer, n) for n in range(each) for customer in customers
    ]
    return sum(await asyncio.gather(*calls))


def check_gaps(at_least: int) -> None:
    for firsts in begun.values():
        moments = sorted(firsts.values())
        assert len(moments) >= at_least
        assert all(later - earlier >= PAUSE - 0.01 for earlier, later in pairwise(moments))


def test_two_workers_together_keep_to_the_rate_of_each_key_and_no_key_waits_for_another() -> None:
    async def whole() -> float:
        world = World()
        queues = ("default", letters)
        first = await world.open(queues=queues)
        await world.open(queues=queues)
        began = asyncio.get_running_loop().time()
        assert await first.run(write_rated_letters, ["a", "b", "c"], 3, id="letters") == 9
        took = asyncio.get_running_loop().time() - began
        await world.close()
        return took

    begun.clear()
    assert 2 * PAUSE <= run(whole) < 3 * PAUSE
    check_gaps(3)


@step
async def note_when_it_begins(customer: str, run_id: str) -> str:
    begun[customer].setdefault(run_id, asyncio.get_running_loop().time())  # a crash begins it again, not another one
    return customer


@workflow
async def write_one_of_a_key(customer: str) -> str:
    return await note_when_it_begins(customer, keepstep.info().run_id)


def test_a_crash_at_any_commit_lets_no_key_begin_sooner() -> None:
    async def program(engine: Engine) -> Any:
        await engine.queues.limit("default", rate_per_key=(1, f"{PAUSE}s"))
        handles = [
            await engine.start(write_one_of_a_key, customer, id=f"{customer}-{n}", fairness_key=customer)
            for n in range(2)
            for customer in ("a", "b")
        ]
        return [await handle.result() for handle in handles]

    def check(result: Any, crashes: int) -> None:
        assert result == ["a", "b", "a", "b"]
        check_gaps(2)
        begun.clear()

    begun.clear()
    assert crash_at_every_commit(program, check) >= 8
