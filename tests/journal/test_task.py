"""Tasks: handed out once, in a fair order, and completed only by who holds them."""

from __future__ import annotations

from typing import Any

import pytest

from keepstep.journal import (
    Commit,
    Conflict,
    Fenced,
    Journal,
    NewTask,
    StateChange,
    Status,
    Task,
    TaskRef,
    TaskToken,
)
from tests.journal.scene import START, Scene, advance, event, get, lease, new_run, settle, start_owned


def step(key: str, **changes: Any) -> NewTask:
    return NewTask(**{"kind": "step", "key": key, "queue": "gpu", **changes})


async def claim(journal: Journal, limit: int = 10, lease_id: str = "L") -> list[Task]:
    return await journal.claim_tasks(lease_id, ["gpu"], ["step"], limit)


async def keys(journal: Journal, limit: int = 10) -> list[str]:
    return [task.key for task in await claim(journal, limit)]


async def test_a_claimed_task_says_all_that_was_put_on_the_queue(journal: Journal) -> None:
    task = step("charge", data=b"args", priority=3, visible_at=START - 1, deadline=START + 9, attempt=2)
    run = await start_owned(journal, tasks=(task,))
    [claimed] = await claim(journal)
    assert (claimed.run_id, claimed.workflow_id, claimed.namespace) == (run.run_id, run.workflow_id, "default")
    assert (claimed.kind, claimed.key, claimed.queue, claimed.data) == ("step", "charge", "gpu", b"args")
    assert (claimed.priority, claimed.visible_at, claimed.deadline, claimed.attempt) == (3, START - 1, START + 9, 2)


async def test_a_held_task_is_not_handed_out_again(journal: Journal) -> None:
    await start_owned(journal, tasks=(step("a"),))
    assert await keys(journal) == ["a"]
    assert await keys(journal) == []


async def test_only_tasks_of_the_queues_and_kinds_asked_for_are_handed_out(journal: Journal) -> None:
    await start_owned(journal, tasks=(step("a"), step("b", queue="cpu"), step("c", kind="decide")))
    assert await keys(journal) == ["a"]
    both = await journal.claim_tasks("L", ["cpu", "gpu"], ["step", "decide"], 10)
    assert sorted(task.key for task in both) == ["b", "c"]


async def test_a_higher_priority_goes_first_then_age(journal: Journal) -> None:
    tasks = (step("old"), step("young"), step("urgent", priority=5), step("later", priority=-1))
    await start_owned(journal, tasks=tasks)
    assert await keys(journal) == ["urgent", "old", "young", "later"]


async def test_one_tenants_many_tasks_do_not_keep_anothers_single_one_waiting(journal: Journal) -> None:
    many = tuple(step(f"big-{n}", fairness_key="big") for n in range(10))
    await start_owned(journal, tasks=(*many, step("small", fairness_key="small")))
    assert "small" in await keys(journal, 2)


async def test_a_tenant_of_more_weight_gets_more_turns(journal: Journal) -> None:
    heavy = tuple(step(f"h{n}", fairness_key="heavy", fairness_weight=3.0) for n in range(20))
    light = tuple(step(f"l{n}", fairness_key="light") for n in range(20))
    await start_owned(journal, tasks=(*light, *heavy))
    got = await keys(journal, 8)
    assert sum(key.startswith("h") for key in got) == 6


async def test_no_task_is_handed_out_before_it_is_visible_or_after_its_deadline(scene: Scene) -> None:
    journal = await scene.open()
    await start_owned(journal, tasks=(step("later", visible_at=START + 10), step("expired", deadline=START - 1)))
    assert await keys(journal) == []
    scene.clock.time = START + 9
    assert await keys(journal) == []
    scene.clock.time = START + 10
    assert await keys(journal) == ["later"]


async def test_a_task_that_exists_already_is_left_as_it_is(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a", data=b"first"),))
    await advance(journal, run, tasks=(step("a", data=b"second"), step("a", kind="decide")))
    [task] = await claim(journal)
    assert task.data == b"first"
    await advance(journal, run, tasks=(step("a", data=b"third"),))
    assert await keys(journal) == []


async def test_a_dropped_task_is_gone_and_its_holder_is_fenced(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"), step("b")))
    held, _ = await claim(journal)
    await advance(journal, run, drop_tasks=(TaskRef("step", "a"), TaskRef("step", "b"), TaskRef("step", "never")))
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, task_token=held.token, events=(event(),)))
    assert await keys(journal) == []


async def test_a_dropped_task_may_be_put_anew_by_the_same_commit(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a", data=b"old"),))
    await advance(journal, run, drop_tasks=(TaskRef("step", "a"),), tasks=(step("a", data=b"new"),))
    assert [task.data for task in await claim(journal)] == [b"new"]


async def test_its_holder_completes_a_task_by_its_token(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"),))
    [task] = await claim(journal)
    done = await journal.commit(Commit(run_id=run.run_id, task_token=task.token, events=(event("done"),)))
    assert done.last_seq == 2
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, task_token=task.token, events=(event("done"),)))
    assert (await get(journal, run.run_id)).last_seq == 2


async def test_a_kept_task_stays_with_its_holder(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"),))
    [task] = await claim(journal)
    beat = Commit(
        run_id=run.run_id, task_token=task.token, keep_task=True, state=(StateChange("heartbeat", "a", b"50 %"),)
    )
    await journal.commit(beat)
    await journal.commit(beat)
    assert await keys(journal) == []
    await journal.commit(Commit(run_id=run.run_id, task_token=task.token, events=(event("done"),)))


@pytest.mark.parametrize("off", [(0, 1), (1, 0), (0, -1)])
async def test_another_token_is_fenced_and_changes_nothing(journal: Journal, off: tuple[int, int]) -> None:
    run = await start_owned(journal, tasks=(step("a"),))
    [task] = await claim(journal)
    token = TaskToken(task.token.task_id + off[0], task.token.epoch + off[1])
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, task_token=token, events=(event(),)))
    with pytest.raises(Fenced):
        await journal.release_task(token, visible_at=0, attempt=2)
    assert (await get(journal, run.run_id)).last_seq == 1
    assert await keys(journal) == []


async def test_a_token_is_good_for_its_own_run_only(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"),))
    other = await journal.start(new_run("other", lease_id="L"))
    [task] = await claim(journal)
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=other.run_id, task_token=task.token, events=(event(),)))
    assert (await get(journal, run.run_id)).last_seq == 1


async def test_a_token_and_a_version_are_both_checked(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"),))
    [task] = await claim(journal)
    with pytest.raises(Conflict):
        await journal.commit(Commit(run_id=run.run_id, task_token=task.token, version=run.version + 1))
    await journal.commit(Commit(run_id=run.run_id, task_token=task.token, version=run.version, events=(event(),)))


async def test_a_released_task_is_handed_out_again_with_its_new_attempt(scene: Scene) -> None:
    journal = await scene.open()
    await start_owned(journal, tasks=(step("a", data=b"args"),))
    [task] = await claim(journal)
    await journal.release_task(task.token, visible_at=START + 5, attempt=2)
    assert await keys(journal) == []
    scene.clock.time = START + 5
    [again] = await claim(journal)
    assert (again.attempt, again.data, again.token.task_id) == (2, b"args", task.token.task_id)
    assert again.token != task.token
    with pytest.raises(Fenced):
        await journal.release_task(task.token, visible_at=0, attempt=3)
    await journal.release_task(again.token, visible_at=0, attempt=3, data=b"more")
    [third] = await claim(journal)
    assert (third.attempt, third.data) == (3, b"more")


async def test_a_closed_run_has_no_tasks(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"), step("b")))
    [task] = await claim(journal, 1)
    await advance(journal, run, events=(event(),), status=Status.TERMINATED, tasks=(step("c"),))
    assert await keys(journal) == []
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, task_token=task.token, events=(event(),)))


async def test_of_many_who_claim_tasks_at_once_each_task_goes_to_one(scene: Scene) -> None:
    handles = [await scene.open() for _ in range(3)]
    for n, handle in enumerate(handles):
        await handle.open_lease(lease(f"L{n}"))
    await handles[0].start(new_run(tasks=tuple(step(f"t{n}") for n in range(40))))
    claims = await settle(*(claim(handle, 5, f"L{n}") for _ in range(3) for n, handle in enumerate(handles)))
    claimed = [task.key for each in claims for task in each]
    assert len(claimed) == len(set(claimed)) == 40


async def test_a_task_created_already_leased_is_handed_to_nobody_else(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, tasks=(step("a", lease_id="L"),))
    await journal.open_lease(lease("M"))
    assert await claim(journal, lease_id="M") == []
    await journal.close_lease("L")
    assert len(await claim(journal, lease_id="M")) == 1


async def test_a_task_goes_to_its_fallback_queue_while_nobody_serves_its_own(journal: Journal) -> None:
    await journal.open_lease(lease("L", queues=("gpu",)))
    await journal.open_lease(lease("M", queues=("sticky",)))
    await journal.start(new_run(queue="other", tasks=(step("a", queue="sticky", fallback_queue="gpu"),)))
    assert await keys(journal) == []
    await journal.close_lease("M")
    assert await keys(journal) == ["a"]


async def test_a_lease_can_ask_what_it_holds(journal: Journal) -> None:
    """As after a claim whose answer was lost."""
    await start_owned(journal, tasks=(step("a"), step("b"), step("c")))
    await journal.open_lease(lease("M"))
    claimed = await claim(journal, 2)
    others = await claim(journal, 2, "M")
    assert await journal.list_held_tasks("L") == claimed
    assert await journal.list_held_tasks("M") == others
    await journal.release_task(claimed[0].token, visible_at=0, attempt=2)
    assert await journal.list_held_tasks("L") == claimed[1:]
    assert await journal.list_held_tasks("nobody") == []
