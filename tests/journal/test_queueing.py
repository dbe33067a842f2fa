"""Queues with limits: no more than the limit is held, in the right order, whoever claims and whatever has crashed."""

from __future__ import annotations

import random
from typing import Any
from unittest.mock import patch

import pytest

from keepstep.journal import (
    Claimed,
    Commit,
    Condition,
    Declaration,
    Fenced,
    IfClosed,
    Journal,
    Limits,
    NewMessage,
    NewTask,
    QueueChange,
    Rate,
    Run,
    Status,
    TaskRef,
    Ticket,
)
from keepstep.journal.deciding import rate
from tests.journal.scene import START, Scene, advance, event, get, lease, new_run, settle, start_owned

SECOND = 1_000_000


def step(key: str, **changes: Any) -> NewTask:
    return NewTask(**{"kind": "step", "key": key, "queue": "gpu", **changes})


async def declare(journal: Journal, name: str = "gpu", **limits: Any) -> None:
    await journal.declare_queues([Declaration(name=name, limits=Limits(**limits))])


async def claim(journal: Journal, limit: int = 10, lease_id: str = "L") -> Claimed:
    return await journal.claim_work(lease_id, ["gpu"], ["step"], limit, ["fulfil"])


async def keys(journal: Journal, limit: int = 10, lease_id: str = "L") -> list[str]:
    return [task.key for task in (await claim(journal, limit, lease_id)).tasks]


async def admitted(journal: Journal, limit: int = 10, lease_id: str = "L") -> list[str]:
    return [run.workflow_id for run in (await claim(journal, limit, lease_id)).runs]


async def start(journal: Journal, workflow_id: str, **ticket: Any) -> Run:
    """A run on the queue gpu."""
    how = {"ticket": Ticket(queue="gpu", key="fulfil", is_asked_for=True, **ticket)} if ticket else {}
    started = await journal.start(new_run(workflow_id, queue="gpu", **how))
    return await get(journal, started.run_id)


async def end(journal: Journal, workflow_id: str, lease_id: str = "L", **changes: Any) -> Run:
    run = await journal.find_run("default", workflow_id)
    assert run is not None
    await advance(journal, run, events=(event("ended"),), **{"status": Status.COMPLETED, **changes})
    return run


# who is given which run


async def test_the_place_of_a_run_tells_its_priority_and_its_time(journal: Journal) -> None:
    run = await start(journal, "later", not_before=START + SECOND, priority=-7, fairness_key="k")
    place = await journal.find_place(run.run_id)
    assert place is not None
    assert (place.priority, place.fairness_key, place.not_before) == (-7, "k", START + SECOND)


async def test_who_serves_every_type_is_given_each_run_by_its_type_and_none_by_another_key(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await start(journal, "mine", priority=1)
    ticket = Ticket(queue="gpu", key="gpu (fulfil, version 2)", is_asked_for=True)
    await journal.start(new_run("pinned", queue="gpu (fulfil, version 2)", ticket=ticket))
    assert [run.workflow_id for run in (await journal.claim_work("L", ["gpu"], ["step"], 10, ["*"])).runs] == ["mine"]
    also = (await journal.claim_work("L", ["gpu"], ["step"], 10, ["*", "gpu (fulfil, version 2)"])).runs
    assert [run.workflow_id for run in also] == ["pinned"]


# tasks


async def test_no_more_tasks_are_held_than_the_concurrency_says(journal: Journal) -> None:
    await declare(journal, concurrency=2)
    run = await start_owned(journal, tasks=tuple(step(f"t{n}") for n in range(5)))
    first = (await claim(journal)).tasks
    assert [task.key for task in first] == ["t0", "t1"]
    assert await keys(journal) == []
    await journal.commit(Commit(run_id=run.run_id, task_token=first[0].token, events=(event(),)))
    assert await keys(journal) == ["t2"]
    await journal.release_task(first[1].token, visible_at=0, attempt=2)
    assert await keys(journal) == ["t1"]


async def test_of_many_who_claim_at_once_all_together_hold_no_more_than_the_limit(scene: Scene) -> None:
    handles = [await scene.open() for _ in range(3)]
    for n, handle in enumerate(handles):
        await handle.open_lease(lease(f"L{n}"))
    await declare(handles[0], concurrency=7)
    await handles[0].start(new_run(tasks=tuple(step(f"t{n}") for n in range(40))))
    claims = await settle(*(claim(handle, 5, f"L{n}") for _ in range(3) for n, handle in enumerate(handles)))
    got = [task.key for each in claims for task in each.tasks]
    assert len(got) == len(set(got)) == 7


async def test_a_dead_owners_slots_are_free_once_its_lease_is_over_and_it_is_fenced(scene: Scene) -> None:
    dying, other = await scene.open(), await scene.open()
    await declare(other, concurrency=1)
    await dying.open_lease(lease("Z", mortal=True))
    await other.open_lease(lease("L"))
    run = await other.start(new_run(tasks=(step("a"), step("b"))))
    [held] = (await claim(dying, lease_id="Z")).tasks
    assert await keys(other) == []
    scene.kill(dying)
    assert await other.reap() == ["Z"]
    assert await keys(other) == ["a"]
    with pytest.raises(Fenced):
        await other.commit(Commit(run_id=run.run_id, task_token=held.token, events=(event(),)))


async def test_each_worker_holds_no_more_than_its_own_limit(journal: Journal) -> None:
    await declare(journal, per_worker=2)
    await journal.open_lease(lease("M"))
    await start_owned(journal, tasks=tuple(step(f"t{n}") for n in range(5)))
    assert await keys(journal) == ["t0", "t1"]
    assert await keys(journal) == []
    assert await keys(journal, lease_id="M") == ["t2", "t3"]


async def test_of_one_key_no_more_are_held_than_per_key_says_in_order_of_arrival(journal: Journal) -> None:
    await declare(journal, per_key=1)
    tasks = tuple(step(f"{key}{n}", fairness_key=key) for n in range(3) for key in "ab")
    run = await start_owned(journal, tasks=tasks)
    first = (await claim(journal)).tasks
    assert sorted(task.key for task in first) == ["a0", "b0"]
    assert await keys(journal) == []
    done = next(task for task in first if task.key == "a0")
    await journal.commit(Commit(run_id=run.run_id, task_token=done.token, events=(event(),)))
    assert await keys(journal) == ["a1"]


async def test_a_full_key_does_not_keep_others_waiting_that_come_after_many_full_ones(journal: Journal) -> None:
    await declare(journal, per_key=1)
    full = tuple(step(f"f{n}-{i}", fairness_key=f"f{n:03}") for n in range(60) for i in range(2))
    await start_owned(journal, tasks=full)
    assert len(await keys(journal, 100)) == 60
    await journal.start(new_run("late", tasks=(step("z", fairness_key="z"), step("a", fairness_key="a"))))
    assert sorted(await keys(journal, 2)) == ["a", "z"]


async def test_a_key_with_ten_thousand_tasks_takes_one_turn_among_the_others(journal: Journal) -> None:
    await declare(journal, concurrency=1)
    run = await start_owned(journal, tasks=tuple(step(f"big-{n}", fairness_key="big") for n in range(10_000)))
    small = tuple(step(f"{key}{n}", fairness_key=key) for key in ("ann", "zoe") for n in range(3))
    await advance(journal, run, tasks=small)
    order = []
    for _ in range(9):
        [task] = (await claim(journal)).tasks
        order.append(task.key)
        await journal.commit(Commit(run_id=run.run_id, task_token=task.token, events=(event(),)))
    assert order == ["ann0", "big-0", "zoe0", "ann1", "big-1", "zoe1", "ann2", "big-2", "zoe2"]


async def test_a_key_of_more_weight_gets_more_turns_also_one_by_one(journal: Journal) -> None:
    await declare(journal, concurrency=1, weights={"gold": 3})
    tasks = tuple(step(f"{key}{n}", fairness_key=key) for key in ("gold", "tin") for n in range(8))
    run = await start_owned(journal, tasks=tasks)
    order = ""
    for _ in range(8):
        [task] = (await claim(journal)).tasks
        order += task.key[0]
        await journal.commit(Commit(run_id=run.run_id, task_token=task.token, events=(event(),)))
    assert order == "gggtgggt"


async def test_a_higher_priority_goes_before_fairness(journal: Journal) -> None:
    await declare(journal, concurrency=3)
    tasks = (step("a1", fairness_key="a"), step("b1", fairness_key="b"), step("a2", fairness_key="a", priority=2))
    await start_owned(journal, tasks=tasks)
    assert await keys(journal, 2) == ["a2", "a1"]
    assert await keys(journal, 2) == ["b1"]


async def test_in_no_stretch_of_the_windows_length_are_there_more_handouts_than_the_rate_says(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate=Rate(3, 10 * SECOND))
    await start_owned(journal, tasks=tuple(step(f"t{n:03}") for n in range(100)))
    moments: list[int] = []
    for _ in range(200):
        claimed = await claim(journal, 2)
        moments += [scene.clock.time] * len(claimed.tasks)
        scene.clock.time += 700_000
    assert len(moments) > 30
    assert all(later - earlier >= 10 * SECOND for earlier, later in zip(moments, moments[3:], strict=False))


async def test_a_claim_says_when_the_rate_allows_more(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate=Rate(1, 10 * SECOND))
    await start_owned(journal, tasks=(step("a"), step("b")))
    claimed = await claim(journal)
    assert ([task.key for task in claimed.tasks], claimed.again_at) == (["a"], START + 10 * SECOND)
    scene.clock.time = START + 10 * SECOND - 1
    assert await keys(journal) == []
    scene.clock.time = START + 10 * SECOND
    assert await keys(journal) == ["b"]


async def test_in_no_stretch_of_the_windows_length_does_a_key_get_more_than_its_rate(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate_per_key=Rate(3, 16 * SECOND))
    await start_owned(
        journal, tasks=tuple(step(f"{key}{n:03}", fairness_key=key) for n in range(20) for key in ("", "a", "b"))
    )
    moments: dict[str, list[int]] = {"": [], "a": [], "b": []}
    for _ in range(110):
        for key in await keys(journal, 4):
            moments[key.rstrip("0123456789")].append(scene.clock.time)
        scene.clock.time += 700_000
    for times in moments.values():
        assert len(times) >= 12
        assert all(later - earlier >= 16 * SECOND for earlier, later in zip(times, times[3:], strict=False))


async def test_a_claim_says_when_the_rate_of_a_key_allows_more(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate_per_key=Rate(1, 10 * SECOND))
    await start_owned(journal, tasks=tuple(step(f"{key}{n}", fairness_key=key) for key in ("a", "b") for n in (1, 2)))
    claimed = await claim(journal, 1)
    assert [task.key for task in claimed.tasks] == ["a1"]
    scene.clock.time += 4 * SECOND
    claimed = await claim(journal)
    assert ([task.key for task in claimed.tasks], claimed.again_at) == (["b1"], START + 10 * SECOND)
    scene.clock.time = START + 10 * SECOND - 1
    assert await keys(journal) == []
    scene.clock.time = START + 10 * SECOND
    claimed = await claim(journal)
    assert ([task.key for task in claimed.tasks], claimed.again_at) == (["a2"], START + 14 * SECOND)
    scene.clock.time = START - 100 * SECOND
    assert await keys(journal) == []
    await declare(journal)
    assert await keys(journal) == ["b2"]


async def test_a_queue_remembers_so_many_keys_and_has_others_wait_rather_than_get_too_much(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate_per_key=Rate(1, 10 * SECOND))
    await start_owned(journal, tasks=tuple(step(key, fairness_key=key) for key in ("a", "b", "c", "d")))
    with patch.object(rate, "KEYS_MAX", 2):
        claimed = await claim(journal)
        assert ([task.key for task in claimed.tasks], claimed.again_at) == (["a", "b"], START + 10 * SECOND)
        scene.clock.time += 9 * SECOND
        assert await keys(journal) == []
        scene.clock.time += SECOND
        assert await keys(journal) == ["c", "d"]


async def test_runs_of_one_key_begin_at_its_rate(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate_per_key=Rate(1, 10 * SECOND))
    await journal.open_lease(lease())
    for name, key in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        await start(journal, name, fairness_key=key)
    assert await admitted(journal) == ["a1", "b1"]
    scene.clock.time += 10 * SECOND
    assert await admitted(journal) == ["a2"]


async def test_a_clock_that_goes_back_does_not_open_the_window(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate=Rate(1, 10 * SECOND))
    await start_owned(journal, tasks=(step("a"), step("b")))
    assert await keys(journal) == ["a"]
    scene.clock.time = START - 100 * SECOND
    assert await keys(journal) == []


async def test_a_rate_of_thousands_is_kept_by_few_moments(scene: Scene) -> None:
    journal = await scene.open()
    await declare(journal, rate=Rate(200, 64 * SECOND))
    await start_owned(journal, tasks=tuple(step(f"t{n:03}") for n in range(600)))
    moments: list[int] = []
    chance = random.Random(1)
    for _ in range(300):
        moments += [scene.clock.time] * len((await claim(journal, chance.randint(1, 20))).tasks)
        scene.clock.time += chance.randint(1, SECOND)
    assert all(later - earlier >= 64 * SECOND for earlier, later in zip(moments, moments[200:], strict=False))
    assert len(moments) == 600


async def test_a_paused_queue_hands_out_nothing_until_it_is_resumed_and_what_runs_goes_on(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(step("a"), step("b")))
    [held] = (await claim(journal, 1)).tasks
    await journal.change_queue(QueueChange(name="gpu", is_paused=True))
    assert await keys(journal) == []
    await journal.commit(Commit(run_id=run.run_id, task_token=held.token, events=(event(),)))
    await journal.change_queue(QueueChange(name="gpu", is_paused=False))
    assert await keys(journal) == ["b"]


async def test_a_limit_that_is_lowered_counts_what_is_held_already(journal: Journal) -> None:
    await start_owned(journal, tasks=tuple(step(f"t{n}") for n in range(6)))
    held = (await claim(journal, 3)).tasks
    await declare(journal, concurrency=2)
    assert await keys(journal) == []
    for task in held[:2]:
        await journal.release_task(task.token, visible_at=START + 1, attempt=2)
    assert await keys(journal) == ["t3"]


async def test_a_task_created_already_leased_takes_no_slot_of_a_limited_queue(journal: Journal) -> None:
    await declare(journal, concurrency=1)
    run = await start_owned(journal)
    await advance(journal, run, tasks=(step("a", lease_id="L"), step("b", lease_id="L")))
    assert await keys(journal) == ["a"]
    assert await keys(journal) == []


async def test_a_dropped_or_closed_owners_slot_is_free(journal: Journal) -> None:
    await declare(journal, concurrency=1)
    run = await start_owned(journal, tasks=(step("a"),))
    await journal.start(new_run("other", tasks=(step("b"),)))
    assert await keys(journal) == ["a"]
    await advance(journal, run, events=(event(),), status=Status.TERMINATED)
    assert await keys(journal) == ["b"]


# runs


async def test_a_run_on_a_limited_queue_waits_for_its_admission_and_holds_its_slot_until_it_closes(
    journal: Journal,
) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    first, second = await start(journal, "one"), await start(journal, "two")
    assert first.condition is second.condition is Condition.QUEUED
    assert await journal.claim_runs("L", 10) == []
    [run] = (await claim(journal)).runs
    assert (run.workflow_id, run.owner, run.epoch, run.condition) == ("one", "L", 1, Condition.NONE)
    await advance(journal, run, release=True, wake_at=START + 5)
    assert await admitted(journal) == []
    again = await get(journal, run.run_id)
    await journal.commit(Commit(run_id=run.run_id, version=again.version, wake_at=0))
    [run] = await journal.claim_runs("L", 10)
    assert await admitted(journal) == []
    await end(journal, "one")
    assert await admitted(journal) == ["two"]


async def test_a_run_is_never_begun_by_its_starter_where_it_has_to_wait(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    started = await journal.start(new_run(queue="gpu", lease_id="L"))
    assert not started.leased
    assert (await get(journal, started.run_id)).owner is None


async def test_no_message_and_no_rebuilding_wakes_a_run_that_waits_on_its_queue(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    await start(journal, "one")
    assert await admitted(journal) == ["one"]
    two = await start(journal, "two")
    await journal.send(NewMessage(run_id=two.run_id, kind="signal", name="hello"))
    await journal.rebuild()
    assert await journal.next_wake("L") is None
    assert await journal.claim_runs("L", 10) == []
    assert await admitted(journal) == []
    await end(journal, "one")
    assert await admitted(journal) == ["two"]
    assert [message.name for message in await journal.read_messages(two.run_id)] == ["hello"]


async def test_tickets_that_are_lost_are_rebuilt_for_who_waits_and_for_who_holds_a_slot(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1, per_key=1)
    await start(journal, "one", fairness_key="k")
    assert await admitted(journal) == ["one"]
    one = await journal.find_run("default", "one")
    assert one is not None
    await advance(journal, one, drop_tasks=(TaskRef("run", "fulfil"),))
    two = await start(journal, "two", fairness_key="k", priority=1)
    await journal.commit(Commit(run_id=two.run_id, version=two.version, drop_tasks=(TaskRef("run", "fulfil"),)))
    await start(journal, "three", fairness_key="k")
    assert await journal.rebuild() == 0
    assert await journal.claim_runs("L", 10) == []
    assert await admitted(journal) == []
    await end(journal, "one")
    assert await admitted(journal) == ["two"]
    assert await journal.rebuild() == 0
    assert await admitted(journal) == []


async def test_a_dead_owners_admitted_run_keeps_its_slot_and_is_claimed_again(scene: Scene) -> None:
    dying, other = await scene.open(), await scene.open()
    await declare(other, concurrency=1)
    await dying.open_lease(lease("Z", mortal=True, queues=("gpu",)))
    await other.open_lease(lease("L", queues=("gpu",)))
    await start(other, "one")
    await start(other, "two")
    assert await admitted(dying, lease_id="Z") == ["one"]
    scene.kill(dying)
    assert await other.reap() == ["Z"]
    assert await admitted(other) == []
    [run] = await other.claim_runs("L", 10)
    assert run.workflow_id == "one"
    await end(other, "one")
    assert await admitted(other) == ["two"]


async def test_a_waiting_run_that_is_terminated_leaves_the_queue(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    one = await start(journal, "one")
    await start(journal, "two")
    await journal.commit(
        Commit(run_id=one.run_id, version=one.version, status=Status.TERMINATED, events=(event("ended"),))
    )
    assert await admitted(journal) == ["two"]


async def test_a_run_that_continues_goes_on_in_its_slot_and_one_that_is_restarted_while_it_waits_gets_none(
    journal: Journal,
) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    one, two = await start(journal, "one"), await start(journal, "two")
    assert await admitted(journal) == ["one"]
    new = new_run("one", queue="gpu", continued_from=one.run_id)
    await end(journal, "one", status=Status.CONTINUED, start=(new,))
    assert await admitted(journal) == []
    [continuation] = await journal.claim_runs("L", 10)
    assert continuation.run_id == new.run_id
    anew = new_run("two", queue="gpu", continued_from=two.run_id)
    await journal.commit(
        Commit(run_id=two.run_id, version=two.version, status=Status.TERMINATED, events=(event(),), start=(anew,))
    )
    assert await journal.claim_runs("L", 10) == []
    assert await admitted(journal) == []
    await end(journal, "one")
    assert await admitted(journal) == ["two"]


async def test_a_run_that_continues_keeps_its_key(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, per_key=1)
    one = await start(journal, "one", fairness_key="k")
    await start(journal, "two", fairness_key="k")
    assert await admitted(journal) == ["one"]
    new = new_run("another", queue="gpu", continued_from=one.run_id)
    await end(journal, "one", status=Status.CONTINUED, start=(new,))
    assert [run.run_id for run in await journal.claim_runs("L", 10)] == [new.run_id]
    assert await admitted(journal) == []
    await end(journal, "another")
    assert await admitted(journal) == ["two"]


async def test_a_run_that_is_reopened_waits_as_it_waited_before(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1, per_key=1)
    await start(journal, "one", fairness_key="k", priority=3)
    await start(journal, "two", fairness_key="k")
    assert await admitted(journal) == ["one"]
    one = await end(journal, "one", status=Status.FAILED)
    assert await admitted(journal) == ["two"]
    closed = await get(journal, one.run_id)
    await journal.commit(Commit(run_id=one.run_id, version=closed.version, status=Status.RUNNING, wake_at=0))
    assert (await get(journal, one.run_id)).condition is Condition.QUEUED
    await start(journal, "three", fairness_key="k", priority=2)
    assert await journal.claim_runs("L", 10) == []
    assert await admitted(journal) == []
    await end(journal, "two")
    assert await admitted(journal) == ["one"]


async def test_steps_and_runs_of_a_queue_share_its_slots(journal: Journal) -> None:
    await declare(journal, concurrency=2)
    await start_owned(journal, tasks=(step("a"), step("b")))
    await start(journal, "run")
    got = await claim(journal, 3)
    assert ([task.key for task in got.tasks], got.runs) == (["a", "b"], [])


async def test_only_who_knows_its_workflow_is_given_a_run(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    await start(journal, "one")
    assert (await journal.claim_work("L", ["gpu"], ["step"], 10, ["another"])).runs == []
    assert await journal.claim_tasks("L", ["gpu"], ["step"], 10) == []
    assert await admitted(journal) == ["one"]


async def test_a_worker_takes_no_more_runs_than_its_own_limit(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await journal.open_lease(lease("M", queues=("gpu",)))
    await declare(journal, per_worker=1)
    for name in ("one", "two", "three"):
        await start(journal, name)
    assert await admitted(journal) == ["one"]
    assert await admitted(journal) == []
    assert await admitted(journal, lease_id="M") == ["two"]
    await end(journal, "one")
    assert await admitted(journal) == ["three"]


async def test_a_run_with_a_delay_begins_no_sooner_on_any_queue(scene: Scene) -> None:
    journal = await scene.open()
    await journal.open_lease(lease(queues=("gpu",)))
    run = await start(journal, "later", not_before=START + 10)
    await journal.send(NewMessage(run_id=run.run_id, kind="signal", name="hello"))
    claimed = await claim(journal)
    if claimed.again_at is not None:
        assert claimed.again_at == START + 10
    assert (claimed.runs, await journal.claim_runs("L", 10)) == ([], [])
    scene.clock.time = START + 10
    assert await admitted(journal) == ["later"]


async def test_a_queue_that_gets_limits_counts_what_runs_and_holds_back_what_has_not_begun(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await journal.start(new_run("running", queue="gpu", lease_id="L"))
    waiting = await start(journal, "waiting")
    await declare(journal, concurrency=1)
    assert (await get(journal, waiting.run_id)).condition is Condition.QUEUED
    assert await journal.claim_runs("L", 10) == []
    assert await admitted(journal) == []
    await end(journal, "running")
    assert await admitted(journal) == ["waiting"]


async def test_a_queue_that_loses_its_limits_hands_out_what_waits(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    for name in ("one", "two", "three"):
        await start(journal, name)
    assert await admitted(journal) == ["one"]
    await declare(journal)
    assert await admitted(journal) == ["two", "three"]
    started = await journal.start(new_run("four", queue="gpu", lease_id="L"))
    assert started.leased


async def test_it_is_told_where_a_run_waits(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=5, per_key=1)
    one = await start(journal, "one", fairness_key="k")
    two, three = await start(journal, "two", fairness_key="k"), await start(journal, "three", fairness_key="k")
    assert await admitted(journal) == ["one"]
    place = await journal.find_place(three.run_id)
    assert place is not None
    assert (place.queue, place.before, place.holder, place.is_paused) == ("gpu", 1, "one", False)
    await journal.change_queue(QueueChange(name="gpu", is_paused=True))
    place = await journal.find_place(two.run_id)
    assert place is not None
    assert (place.before, place.is_paused) == (0, True)
    assert await journal.find_place(one.run_id) is None
    assert await journal.find_place("nobody") is None


# what is said about queues


async def test_the_newest_declaration_counts_and_the_other_one_is_told(journal: Journal) -> None:
    await declare(journal, concurrency=1)
    assert await journal.declare_queues([Declaration(name="gpu", limits=Limits(concurrency=1))]) == []
    [other] = await journal.declare_queues([Declaration(name="gpu", limits=Limits(concurrency=2))])
    assert other.declared.concurrency == 1
    [state] = await journal.list_queues()
    assert state.queue.limits.concurrency == 2


async def test_what_an_operator_says_counts_above_code_until_it_is_withdrawn(journal: Journal) -> None:
    await declare(journal, concurrency=1, per_key=2)
    queue = await journal.change_queue(
        QueueChange(name="gpu", override=Limits(concurrency=9), overridden=("concurrency",))
    )
    assert (queue.limits.concurrency, queue.limits.per_key) == (9, 2)
    await declare(journal, concurrency=3, per_key=4)
    [state] = await journal.list_queues()
    assert (state.queue.limits.concurrency, state.queue.limits.per_key) == (9, 4)
    queue = await journal.change_queue(QueueChange(name="gpu", withdrawn=("concurrency",)))
    assert queue.limits.concurrency == 3


async def test_queues_are_listed_with_what_waits_and_what_is_held(journal: Journal) -> None:
    await declare(journal, concurrency=1)
    await declare(journal, "idle", per_key=1)
    await start_owned(journal, tasks=(step("a"), step("b"), step("c")))
    await keys(journal)
    states = {state.queue.name: (state.waiting, state.held) for state in await journal.list_queues()}
    assert states == {"gpu": (2, 1), "idle": (0, 0)}


async def test_a_restart_of_a_closed_run_waits_on_the_queue(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("gpu",)))
    await declare(journal, concurrency=1)
    await start(journal, "one")
    assert await admitted(journal) == ["one"]
    await end(journal, "one")
    again = await journal.start(new_run("one", queue="gpu", if_closed=IfClosed.RESTART))
    assert again.created
    assert (await get(journal, again.run_id)).condition is Condition.QUEUED
    assert await admitted(journal) == ["one"]
