"""How long somebody waits for an answer."""

from __future__ import annotations

import asyncio

from keepstep.client.question import Patience
from keepstep.testing import run


def test_no_time_is_left_when_it_is_up_although_the_sum_of_two_moments_is_a_little_more() -> None:
    async def wait() -> None:
        for _ in range(200):
            await asyncio.sleep(0.001001)
            patience = Patience(0.3)
            await asyncio.sleep(0.3)
            assert patience.left <= 0

    run(wait)


def test_who_waits_for_ever_has_all_the_time() -> None:
    async def wait() -> None:
        assert Patience(None).left == float("inf")

    run(wait)
