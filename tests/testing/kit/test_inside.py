"""A step's function that a test calls by itself finds what a worker would give it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

import keepstep
from keepstep import InvalidInput, step, sync
from keepstep.testing.kit import inside_step


@step
async def kit_copy(pages: int) -> str:
    info = keepstep.step_info()
    done = info.heartbeat_details or {"page": 0}
    for page in range(done["page"], pages):
        await asyncio.sleep(0)
        keepstep.heartbeat({"page": page + 1})
    return f"{info.idempotency_key}, attempt {info.attempt} of {info.workflow_id}"


@sync.step
def kit_beat(details: Any) -> None:
    keepstep.heartbeat(details)


async def test_a_step_is_called_with_an_attempt_of_its_own_and_its_heartbeats_are_seen() -> None:
    with inside_step(attempt=2, heartbeat_details={"page": 2}, key="copy", run_id="r1", workflow_id="book") as beats:
        assert await kit_copy(4) == "r1/copy, attempt 2 of book"
    assert beats == [{"page": 3}, {"page": 4}]


async def test_a_first_attempt_finds_no_details() -> None:
    with inside_step() as beats:
        await kit_copy(1)
    assert beats == [{"page": 1}]


async def test_a_sync_step_may_beat_from_its_thread_and_details_go_through_json() -> None:
    with inside_step() as beats:
        await asyncio.to_thread(kit_beat, {"at": datetime(2026, 11, 27, tzinfo=UTC)})
    assert beats == [{"at": "2026-11-27T00:00:00Z"}]
    with inside_step(), pytest.raises(InvalidInput, match="nan"):
        kit_beat(float("nan"))


def test_outside_of_it_a_step_that_asks_is_told_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="inside_step"):
        kit_beat(1)
    with inside_step():
        pass
    with pytest.raises(RuntimeError, match="inside_step"):
        kit_beat(1)


@pytest.mark.parametrize("attempt", [0, -1, True, "2"])
def test_an_attempt_that_cannot_be_is_refused(attempt: Any) -> None:
    with pytest.raises(InvalidInput, match="count from 1"), inside_step(attempt=attempt):
        pass
