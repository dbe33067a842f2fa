"""A run's history over HTTP: every event once, in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from keepstep import Engine, step, workflow
from tests.server.asking import Api


@step
async def count_for_history(n: int) -> int:
    return n


@workflow
async def long_for_history(steps: int) -> int:
    for n in range(steps):
        await count_for_history(n)
    return steps


@pytest.fixture(autouse=True)
async def long_run(engine: Engine) -> None:
    await engine.run(long_for_history, 8, id="long")  # started, eight steps, completed


def seqs(page: dict[str, Any]) -> list[int]:
    return [each["seq"] for each in page["events"]]


async def test_pages_forward_have_every_event_once_and_in_order(api: Api) -> None:
    read: list[int] = []
    while page := seqs(await api.get("/runs/long/history", after=read[-1] if read else 0, limit=3)):
        read += page
    assert read == list(range(1, 11))


async def test_pages_backward_begin_at_the_tail_and_end_at_the_first_event(api: Api) -> None:
    page = await api.get("/runs/long/history", before=11, limit=4)
    assert (seqs(page), page["first_seq"], page["last_seq"], page["total"]) == ([7, 8, 9, 10], 7, 10, 10)
    assert seqs(await api.get("/runs/long/history", before=7, limit=4)) == [3, 4, 5, 6]
    assert seqs(await api.get("/runs/long/history", before=3, limit=4)) == [1, 2]
    assert seqs(await api.get("/runs/long/history", before=10_000, limit=2)) == [9, 10]
    for nothing in (0, 1):
        page = await api.get("/runs/long/history", before=nothing)
        assert (page["events"], page["first_seq"], page["last_seq"], page["total"]) == ([], 0, 0, 10)


async def test_without_a_direction_the_first_page_comes_with_words_of_each_event(api: Api) -> None:
    first, second, *_ = (await api.get("/runs/long/history"))["events"]
    assert (first["type"], first["data"]["payload"]) == ("workflow_started", [8])
    assert (second["type"], second["key"], second["data"]["payload"]) == ("step_completed", "count_for_history", 0)
    assert second["time"].endswith("Z")


@pytest.mark.parametrize("query", ["after=-1", "before=x", "after=1&before=2", "limit=1001", f"after={2**70}"])
async def test_a_place_that_cannot_be_is_refused(api: Api, query: str) -> None:
    assert (await api.refusal("GET", f"/runs/long/history?{query}"))[:2] == (400, "invalid_input")
