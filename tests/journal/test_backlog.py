"""What waits on queues, whether anything is kept of them or not, on every store."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

from keepstep.journal import Condition, Journal, Ticket
from keepstep.journal.backlog import Backlog
from tests.journal.scene import START, Scene, advance, get, lease, new_run, start_owned
from tests.journal.test_queueing import claim, declare, step

SECOND = 1_000_000


async def of(journal: Journal, queue: str) -> Backlog | None:
    return next((each for each in await journal.list_backlogs() if each.queue == queue), None)


async def test_nothing_waits_on_an_empty_store(journal: Journal) -> None:
    assert await journal.list_backlogs() == []


async def test_runs_that_nobody_takes_up_are_told_with_the_moment_since_when(scene: Scene) -> None:
    journal = await scene.open()
    await journal.start(new_run("one", queue="dark"))
    scene.clock.time += 5 * SECOND
    await journal.start(new_run("two", queue="dark"))
    await journal.start(new_run("three", queue="dark", language="states"))
    await journal.start(new_run("four", queue="bright"))
    assert await of(journal, "dark") == Backlog(queue="dark", runs=3, due_since=START)
    assert [each.queue for each in await journal.list_backlogs()] == ["bright", "dark"]
    await journal.open_lease(lease(queues=("dark",)))
    await journal.claim_runs("L", 10)
    dark = await of(journal, "dark")
    assert dark is not None
    assert (dark.runs, dark.due_since) == (1, START + 5 * SECOND)


async def test_a_run_is_no_backlog_while_it_sleeps_or_needs_a_person(scene: Scene) -> None:
    journal = await scene.open()
    await journal.start(new_run("sleeper", queue="gpu", wake_at=START + 10 * SECOND))
    parked = await start_owned(journal, workflow_id="parked")
    assert await journal.list_backlogs() == []
    await advance(journal, parked, release=True, condition=Condition.BLOCKED, blocked_for="L", wake_at=0)
    assert await journal.list_backlogs() == []
    scene.clock.time += 11 * SECOND
    assert await of(journal, "gpu") == Backlog(queue="gpu", runs=1, due_since=START + 10 * SECOND)


async def test_tasks_that_wait_are_counted_and_the_oldest_of_them_is_named(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"), step("b", queue="cpu"), step("c")))
    assert await of(journal, "gpu") == Backlog(queue="gpu", tasks=2, oldest_run_id=run.run_id, oldest_key="a")
    assert [task.key for task in (await claim(journal, 1)).tasks] == ["a"]
    assert await of(journal, "gpu") == Backlog(queue="gpu", tasks=1, oldest_run_id=run.run_id, oldest_key="c")
    assert await of(journal, "cpu") == Backlog(queue="cpu", tasks=1, oldest_run_id=run.run_id, oldest_key="b")


async def test_a_run_that_waits_for_its_admission_is_a_task_of_its_queue_and_not_due(journal: Journal) -> None:
    await declare(journal, concurrency=1)
    for name in ("one", "two"):
        await journal.start(new_run(name, queue="gpu", ticket=Ticket(queue="gpu", key="fulfil", is_asked_for=True)))
    found = await of(journal, "gpu")
    assert found is not None
    assert (found.tasks, found.runs) == (2, 0)
    assert (await get(journal, found.oldest_run_id)).workflow_id == "one"


async def test_no_more_is_counted_than_is_told(journal: Journal) -> None:
    for n in range(4):
        await journal.start(new_run(f"r{n}", queue="dark"))
    await start_owned(journal, tasks=tuple(step(f"s{n}") for n in range(4)))
    with ExitStack() as stack:
        for store in ("memory", "sqlite", "postgres"):
            stack.enter_context(patch(f"keepstep.journal.{store}.backlog.COUNTED_MAX", 3))
        dark, gpu = await of(journal, "dark"), await of(journal, "gpu")
    assert dark is not None
    assert gpu is not None
    assert (dark.runs, dark.due_since, gpu.tasks, gpu.oldest_key) == (3, START, 3, "s0")
