"""Leases: what a dead owner held is given back by anyone; what a living one holds is stolen by nobody."""

from __future__ import annotations

import pytest

from keepstep.journal import (
    Commit,
    Condition,
    Fenced,
    HintKind,
    Journal,
    LeaseState,
    NewMessage,
    NewTask,
    Timer,
)
from tests.journal.scene import (
    START,
    Ears,
    ManualClock,
    Scene,
    advance,
    claim_one,
    event,
    get,
    lease,
    new_run,
    start_owned,
    wait_until,
)


async def lease_state(journal: Journal, lease_id: str) -> LeaseState:
    [state] = [each for each in await journal.list_leases() if each.lease.lease_id == lease_id]
    return state


async def test_an_open_lease_is_listed_with_what_it_holds(journal: Journal) -> None:
    await journal.open_lease(lease("L", label="worker 1"))
    await journal.open_lease(lease("M"))
    tasks = (NewTask(kind="step", key="a", queue="q"), NewTask(kind="step", key="b", queue="q"))
    await journal.start(new_run("a", lease_id="L", tasks=tasks))
    await journal.start(new_run("b", lease_id="L"))
    await journal.claim_tasks("L", ["q"], ["step"], 1)
    state = await lease_state(journal, "L")
    assert (state.lease.label, state.runs_held, state.tasks_held, state.probing) == ("worker 1", 2, 1, None)
    state = await lease_state(journal, "M")
    assert (state.runs_held, state.tasks_held) == (0, 0)


async def test_a_closed_lease_gives_back_what_it_held_and_is_forgotten(journal: Journal) -> None:
    run = await start_owned(journal, tasks=(NewTask(kind="step", key="a", queue="q"),))
    [task] = await journal.claim_tasks("L", ["q"], ["step"], 1)
    await journal.close_lease("L")
    assert await journal.list_leases() == []
    await journal.open_lease(lease("M"))
    claimed = await claim_one(journal, "M")
    assert claimed.epoch > run.epoch
    assert claimed.strikes == 0
    [again] = await journal.claim_tasks("M", ["q"], ["step"], 1)
    assert again.token.task_id == task.token.task_id
    assert again.token.epoch > task.token.epoch
    with pytest.raises(Fenced):
        await advance(journal, run, events=(event(),))
    with pytest.raises(Fenced):
        await journal.release_task(task.token, visible_at=0, attempt=2)


async def test_a_lease_that_is_not_open_claims_and_probes_nothing(journal: Journal) -> None:
    await journal.start(new_run())
    with pytest.raises(Fenced):
        await journal.claim_runs("gone", 1)
    assert (await journal.find_run("default", "order-1")).owner is None  # type: ignore[union-attr]


async def test_closing_the_journal_gives_back_what_its_leases_held(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    run = await start_owned(journal)
    await journal.close()
    assert await other.list_leases() == []
    await other.open_lease(lease("M"))
    assert (await claim_one(other, "M")).run_id == run.run_id


async def test_what_a_dead_process_held_is_given_back_at_once(scene: Scene) -> None:
    dying, other = await scene.open(), await scene.open()
    await dying.open_lease(lease("L", mortal=True))
    started = await dying.start(new_run(lease_id="L", tasks=(NewTask(kind="step", key="a", queue="q"),)))
    await dying.claim_tasks("L", ["q"], ["step"], 1)
    scene.kill(dying)
    assert await other.reap() == ["L"]
    assert await other.list_leases() == []
    run = await get(other, started.run_id)
    assert (run.owner, run.wake_at) == (None, 0)
    assert run.epoch > started.epoch
    await other.open_lease(lease("M"))
    assert (await claim_one(other, "M")).run_id == started.run_id
    assert len(await other.claim_tasks("M", ["q"], ["step"], 5)) == 1
    with pytest.raises(Fenced):
        await other.commit(Commit(run_id=started.run_id, epoch=started.epoch, events=(event(),)))


async def test_a_reaped_run_is_due_even_if_it_waited_for_a_timer(scene: Scene) -> None:
    dying, other = await scene.open(), await scene.open()
    await dying.open_lease(lease("L", mortal=True))
    started = await dying.start(new_run(lease_id="L", timers=(Timer("t", START + 10**12),)))
    scene.kill(dying)
    await other.reap()
    assert (await get(other, started.run_id)).wake_at == 0


async def test_a_reaped_run_that_is_paused_is_offered_to_nobody(scene: Scene) -> None:
    dying, other = await scene.open(), await scene.open()
    await dying.open_lease(lease("L", mortal=True))
    started = await dying.start(new_run(lease_id="L"))
    await dying.commit(Commit(run_id=started.run_id, epoch=started.epoch, condition=Condition.PAUSED))
    scene.kill(dying)
    await other.reap()
    await other.open_lease(lease("M"))
    assert await other.claim_runs("M", 10) == []
    assert (await get(other, started.run_id)).owner is None


async def test_a_lease_is_over_when_its_counter_has_not_moved_for_its_length_on_the_takers_clock(scene: Scene) -> None:
    owner, watch = await scene.open(), ManualClock()
    other = await scene.open(watch)
    run = await start_owned(owner)
    assert await other.reap() == []
    watch.steady += 999
    assert await other.reap() == []
    watch.steady += 1.5
    assert await other.reap() == ["L"]
    assert (await get(other, run.run_id)).owner is None


async def test_the_first_look_at_a_lease_never_ends_it(scene: Scene) -> None:
    owner, watch = await scene.open(), ManualClock()
    other = await scene.open(watch)
    await start_owned(owner)
    watch.steady += 1_000_000
    assert await other.reap() == []


async def test_a_wall_clock_that_jumps_steals_nothing(scene: Scene) -> None:
    owner, watch = await scene.open(), ManualClock()
    other = await scene.open(watch)
    run = await start_owned(owner)
    for jump in (10**12, -(10**12), 10**15):
        watch.time += jump
        watch.wall += jump
        assert await other.reap() == []
    assert (await get(other, run.run_id)).owner == "L"


async def test_the_store_renews_a_lease_by_itself_and_a_renewed_one_is_not_over(scene: Scene) -> None:
    owner, watch = await scene.open(), ManualClock()
    other = await scene.open(watch)
    await owner.open_lease(lease(lease_seconds=0.2))
    for _ in range(3):
        assert await other.reap() == []
        counter = (await lease_state(other, "L")).counter

        async def moved(counter: int = counter) -> bool:
            return (await lease_state(other, "L")).counter > counter

        await wait_until(moved)
        watch.steady += 60
    assert await other.reap() == []


async def test_a_holder_whose_lease_was_taken_is_told_and_fenced(scene: Scene) -> None:
    owner, watch = await scene.open(), ManualClock()
    ears = Ears(owner)
    other = await scene.open(watch)
    await owner.open_lease(lease(lease_seconds=0.9))
    started = await owner.start(new_run(lease_id="L"))

    async def taken() -> bool:
        over = await other.reap()
        watch.steady += 1
        return bool(over)

    await wait_until(taken)
    await ears.wait_for(HintKind.LEASE_LOST)
    assert [hint.lease_id for hint in ears.hints if hint.kind is HintKind.LEASE_LOST] == ["L"]
    with pytest.raises(Fenced):
        await owner.commit(Commit(run_id=started.run_id, epoch=started.epoch, events=(event(),)))
    with pytest.raises(Fenced):
        await owner.claim_runs("L", 1)


async def test_of_many_who_reap_at_once_each_lease_is_ended_by_one(scene: Scene) -> None:
    dying = await scene.open()
    others = [await scene.open() for _ in range(3)]
    for n in range(3):
        await dying.open_lease(lease(f"L{n}", mortal=True))
        await dying.start(new_run(f"w{n}", lease_id=f"L{n}"))
    scene.kill(dying)
    ended = [await other.reap() for other in others]
    assert sorted(lease_id for each in ended for lease_id in each) == ["L0", "L1", "L2"]


async def test_opening_a_lease_offers_blocked_runs_once_more(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, release=True, condition=Condition.BLOCKED, blocked_for="L")
    assert await journal.claim_runs("L", 10) == []
    await journal.open_lease(lease("M"))
    assert await journal.claim_runs("L", 10) == []
    assert await journal.next_wake("L") is None
    claimed = await claim_one(journal, "M")
    assert claimed.condition is Condition.BLOCKED
    await advance(journal, claimed, release=True, condition=Condition.BLOCKED, blocked_for="M")
    await journal.open_lease(lease("N"))
    assert await journal.claim_runs("L", 10) == []
    assert await journal.claim_runs("M", 10) == []
    assert len(await journal.claim_runs("N", 10)) == 1


async def test_a_run_that_is_blocked_no_more_is_offered_to_all_again(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, release=True, condition=Condition.BLOCKED, blocked_for="L")
    await journal.open_lease(lease("M"))
    claimed = await claim_one(journal, "M")
    await advance(journal, claimed, events=(event(),), condition=Condition.NONE, release=True, wake_at=0)
    assert len(await journal.claim_runs("L", 10)) == 1


async def test_a_blocked_run_is_not_woken_by_messages(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, release=True, condition=Condition.BLOCKED, blocked_for="L")
    await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    assert await journal.claim_runs("L", 10) == []
    assert await journal.next_wake("L") is None


async def test_a_blocked_run_is_offered_to_a_lease_that_was_opened_while_another_tried_it(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.open_lease(lease("M"))
    await advance(journal, run, release=True, condition=Condition.BLOCKED, blocked_for="L")
    assert await journal.next_wake("L") is None
    assert await journal.next_wake("M") == 0
    claimed = await claim_one(journal, "M")
    await advance(journal, claimed, release=True, condition=Condition.BLOCKED, blocked_for="M")
    assert await journal.next_wake("M") is None
    assert (await get(journal, run.run_id)).wake_at is None


async def test_every_open_lease_that_a_run_is_blocked_for_is_remembered(journal: Journal) -> None:
    started = await journal.start(new_run())
    for n in range(70):
        await journal.open_lease(lease(f"L{n}"))
        claimed = await claim_one(journal, f"L{n}")
        await advance(journal, claimed, release=True, condition=Condition.BLOCKED, blocked_for=f"L{n}")
    await journal.rebuild()
    for n in range(70):
        assert await journal.claim_runs(f"L{n}", 1) == []
    assert (await get(journal, started.run_id)).owner is None
