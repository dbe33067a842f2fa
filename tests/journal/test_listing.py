"""Listing: runs are found by what they are, newest first, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from keepstep.journal import Commit, Condition, Journal, StateChange, Status
from tests.journal.scene import START, new_run

RUNS: list[tuple[str, str, Status, Condition]] = [
    ("w0", "fulfil", Status.RUNNING, Condition.NONE),
    ("w1", "fulfil", Status.COMPLETED, Condition.NONE),
    ("w2", "refund", Status.RUNNING, Condition.WAITING),
    ("w3", "refund", Status.FAILED, Condition.NONE),
    ("w4", "fulfil", Status.RUNNING, Condition.PAUSED),
    ("w5", "fulfil", Status.CANCELLED, Condition.NONE),
]


@pytest.fixture
async def shelf(journal: Journal) -> Journal:
    for n, (workflow_id, type_, status, condition) in enumerate(RUNS):
        started = await journal.start(new_run(workflow_id, type=type_, started_at=START + n // 2))
        await journal.commit(Commit(run_id=started.run_id, version=started.version, status=status, condition=condition))
    await journal.start(new_run("w0", namespace="other"))
    return journal


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["w5", "w4", "w3", "w2", "w1", "w0"]),
    ({"statuses": [Status.RUNNING]}, ["w4", "w2", "w0"]),
    ({"statuses": [Status.FAILED, Status.CANCELLED]}, ["w5", "w3"]),
    ({"conditions": [Condition.WAITING]}, ["w2"]),
    ({"conditions": [Condition.WAITING, Condition.PAUSED], "types": ["fulfil"]}, ["w4"]),
    ({"types": ["refund"]}, ["w3", "w2"]),
    ({"types": ["refund"], "statuses": [Status.RUNNING, Status.COMPLETED]}, ["w2"]),
    ({"types": ["unknown"]}, []),
]


@pytest.mark.parametrize(("fit", "expected"), FILTERS, ids=lambda value: str(value))
async def test_runs_that_fit_are_listed_newest_first_and_counted(
    shelf: Journal, fit: dict[str, Any], expected: list[str]
) -> None:
    assert [run.workflow_id for run in await shelf.list_runs("default", **fit)] == expected
    assert await shelf.count_runs("default", **fit) == len(expected)


@pytest.mark.parametrize("limit", [1, 2, 4, 6])
@pytest.mark.parametrize("statuses", [(), (Status.RUNNING, Status.FAILED, Status.COMPLETED, Status.CANCELLED)])
async def test_pages_follow_each_other_without_gap_or_overlap(
    shelf: Journal, limit: int, statuses: tuple[Status, ...]
) -> None:
    seen: list[str] = []
    before: tuple[int, str] | None = None
    while page := await shelf.list_runs("default", statuses=statuses, before=before, limit=limit):
        seen += [run.workflow_id for run in page]
        before = (page[-1].started_at, page[-1].run_id)
    assert seen == ["w5", "w4", "w3", "w2", "w1", "w0"]


async def test_a_run_that_is_not_there_is_none(journal: Journal) -> None:
    assert await journal.read_run("missing") is None
    assert await journal.find_run("default", "missing") is None
    assert await journal.list_runs("nowhere") == []
    assert await journal.count_runs("nowhere") == 0


async def test_state_of_one_kind_is_listed_over_all_open_runs_page_by_page(journal: Journal) -> None:
    for n, status in enumerate((Status.RUNNING, Status.COMPLETED, Status.RUNNING)):
        started = await journal.start(new_run(f"w{n}", run_id=f"state-{n}"))
        state = tuple(StateChange(kind, key, f"{n}{key}".encode()) for kind in ("task", "beat") for key in ("b", "a"))
        await journal.commit(
            Commit(run_id=started.run_id, version=started.version, status=status, state=state, events=())
        )
    await journal.start(new_run("w0", run_id="state-9", namespace="other"))
    expected = [
        ("state-0", "a", b"0a"),
        ("state-0", "b", b"0b"),
        ("state-2", "a", b"2a"),
        ("state-2", "b", b"2b"),
    ]
    assert await journal.list_state("default", "task") == expected
    first = await journal.list_state("default", "task", limit=3)
    assert first == expected[:3]
    assert await journal.list_state("default", "task", after=first[-1][:2]) == expected[3:]
    assert await journal.list_state("default", "nothing") == []
