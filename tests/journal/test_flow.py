"""How many runs began and ended in stretches of time, on every store."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

import pytest

from keepstep.journal import InvalidInput, Journal, Status
from keepstep.journal.flow import COUNTED_MAX, Count, Sampled, Stretch, Window
from tests.journal.scene import START, Scene, advance, get, lease, new_run

MINUTE = 60_000_000
WINDOW = Window(START, MINUTE, 3)


async def run_through(scene: Scene, journal: Journal, id: str, took: int, status: Status, **changes: object) -> None:
    """A run that starts now, and ends after so many microseconds; the clock then stands where it stood."""
    started_at = scene.clock.time
    run = await journal.start(new_run(id, lease_id="L", started_at=started_at, **changes))
    scene.clock.time += took
    await advance(journal, await get(journal, run.run_id), status=status)
    scene.clock.time = started_at


async def read(journal: Journal, window: Window = WINDOW, namespace: str = "default") -> list[Stretch]:
    return await journal.read_flow(namespace, window)


async def test_where_nothing_happened_every_stretch_is_empty(journal: Journal) -> None:
    assert await read(journal) == [Stretch(Count(), {})] * 3


async def test_runs_are_told_in_the_stretches_in_which_they_began_and_ended(scene: Scene) -> None:
    journal = await scene.open()
    await journal.open_lease(lease())
    await run_through(scene, journal, "quick", 1_000, Status.COMPLETED)
    await run_through(scene, journal, "bad", 5_000, Status.FAILED, type="pay")
    scene.clock.time += MINUTE - 1
    await run_through(scene, journal, "slow", MINUTE, Status.COMPLETED)
    scene.clock.time += 1
    await run_through(scene, journal, "elsewhere", 1, Status.COMPLETED, namespace="other")
    await run_through(scene, journal, "open", 2 * MINUTE + 1, Status.TERMINATED)
    first, second, third = await read(journal)
    assert first.started == Count(3, START + MINUTE - 1)
    assert set(first.ended) == {Status.COMPLETED, Status.FAILED}
    assert first.ended[Status.COMPLETED].count == Count(1, START + 1_000)
    assert list(first.ended[Status.FAILED].sample) == [Sampled("pay", 5_000)]
    assert (second.started, list(second.ended)) == (Count(1, START + MINUTE), [Status.COMPLETED])
    assert list(second.ended[Status.COMPLETED].sample) == [Sampled("fulfil", MINUTE)]
    assert (third.started, third.ended) == (Count(), {})
    [other] = await read(journal, Window(START, 3 * MINUTE, 1), "other")
    assert other.started.counted == 1


async def test_of_many_runs_no_more_are_counted_and_looked_at_than_is_told(scene: Scene) -> None:
    journal = await scene.open()
    await journal.open_lease(lease())
    for n in range(6):
        await run_through(scene, journal, f"r{n}", 1 + n, Status.COMPLETED)
    with ExitStack() as stack:
        for store in ("memory", "sqlite", "postgres"):
            stack.enter_context(patch(f"keepstep.journal.{store}.flow.COUNTED_MAX", 4))
            stack.enter_context(patch(f"keepstep.journal.{store}.flow.SAMPLED_MAX", 2))
        first, *_ = await read(journal)
    assert first.started == Count(4, START)
    assert first.ended[Status.COMPLETED].count == Count(4, START + 4)
    assert [each.microseconds for each in first.ended[Status.COMPLETED].sample] == [1, 2]


@pytest.mark.parametrize("window", [Window(START, 0, 3), Window(START, MINUTE, 0), Window(START, MINUTE, 401)])
async def test_a_window_that_cannot_be_drawn_is_refused(journal: Journal, window: Window) -> None:
    with pytest.raises(InvalidInput, match="1 to 400 stretches"):
        await read(journal, window)


def test_beyond_what_was_counted_the_rest_is_taken_to_be_as_dense() -> None:
    assert Count(7, START + 5).estimate(START, MINUTE) == 7
    assert Count(COUNTED_MAX, START + MINUTE // 4).estimate(START, MINUTE) == 4 * COUNTED_MAX
    assert Count(COUNTED_MAX, START + MINUTE - 1).estimate(START, MINUTE) == pytest.approx(COUNTED_MAX, rel=0.01)
    assert Count(COUNTED_MAX, START).estimate(START, MINUTE) > COUNTED_MAX
