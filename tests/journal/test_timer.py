"""Timers: a sleeping run wakes at its earliest timer, and not before."""

from __future__ import annotations

from keepstep.journal import Commit, Journal, NewMessage, Status, Timer
from tests.journal.scene import START, Scene, advance, claim_one, event, get, lease, new_run, start_owned

SECOND = 1_000_000


async def test_a_released_run_wakes_at_its_earliest_timer(scene: Scene) -> None:
    journal = await scene.open()
    run = await start_owned(journal)
    timers = (Timer("late", START + 9 * SECOND), Timer("early", START + 2 * SECOND))
    await advance(journal, run, timers=timers, release=True)
    assert await journal.next_wake("L") == START + 2 * SECOND
    scene.clock.time = START + 2 * SECOND - 1
    assert await journal.claim_runs("L", 10) == []
    scene.clock.time += 1
    assert (await claim_one(journal)).run_id == run.run_id


async def test_a_wake_time_given_at_release_counts_if_it_is_earlier(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, timers=(Timer("t", START + 5),), release=True, wake_at=START + 3)
    assert (await get(journal, run.run_id)).wake_at == START + 3
    other = await get(journal, (await journal.start(new_run("other", lease_id="L"))).run_id)
    await advance(journal, other, timers=(Timer("t", START + 5),), release=True, wake_at=START + 8)
    assert (await get(journal, other.run_id)).wake_at == START + 5


async def test_timers_set_by_an_earlier_commit_count_at_release(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, timers=(Timer("t", START + 7),))
    await advance(journal, run, events=(event(),))
    await advance(journal, run, release=True)
    assert (await get(journal, run.run_id)).wake_at == START + 7


async def test_new_timers_replace_all_of_the_old_ones(journal: Journal) -> None:
    run = await start_owned(journal, timers=(Timer("t", START + 7), Timer("u", START + 8)))
    await advance(journal, run, timers=(Timer("u", START + 9),))
    await advance(journal, run, release=True)
    assert (await get(journal, run.run_id)).wake_at == START + 9


async def test_a_run_without_timers_sleeps_until_something_comes(journal: Journal) -> None:
    run = await start_owned(journal, timers=(Timer("t", START + 7),))
    await advance(journal, run, timers=(), release=True)
    assert (await get(journal, run.run_id)).wake_at is None


async def test_a_run_released_over_an_unconsumed_message_is_due_at_once(journal: Journal) -> None:
    run = await start_owned(journal)
    sent = await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    await advance(journal, run, timers=(Timer("t", START + 7),), release=True, wake_at=START + 5)
    claimed = await claim_one(journal)
    await advance(journal, claimed, consume=(sent.n,), release=True)
    assert (await get(journal, run.run_id)).wake_at == START + 7


async def test_a_message_that_does_not_wake_does_not_count_at_release(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.send(NewMessage(run_id=run.run_id, kind="signal", wakes=False))
    await advance(journal, run, release=True)
    assert (await get(journal, run.run_id)).wake_at is None


async def test_a_message_sent_by_the_releasing_commit_to_its_own_run_makes_it_due(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, release=True, send=(NewMessage(run_id=run.run_id, kind="signal"),))
    assert (await claim_one(journal)).run_id == run.run_id


async def test_a_start_with_timers_wakes_at_the_earlier_of_them_and_its_wake_time(journal: Journal) -> None:
    first = await journal.start(new_run("a", wake_at=START + 9, timers=(Timer("t", START + 4),)))
    second = await journal.start(new_run("b", wake_at=None, timers=(Timer("t", START + 4),)))
    third = await journal.start(new_run("c", wake_at=START + 2, timers=(Timer("t", START + 4),)))
    wakes = [(await get(journal, started.run_id)).wake_at for started in (first, second, third)]
    assert wakes == [START + 4, START + 4, START + 2]


async def test_deleted_timers_are_made_good_by_rebuild(journal: Journal) -> None:
    run = await start_owned(journal)
    released = await advance(journal, run, timers=(Timer("t", START + 7),), release=True)
    await journal.commit(Commit(run_id=run.run_id, version=released.version, timers=(), release=True))
    assert (await get(journal, run.run_id)).wake_at is None
    assert await journal.rebuild() == 1
    assert (await claim_one(journal)).run_id == run.run_id


async def test_a_closed_run_has_no_timers_left_when_it_is_reopened(journal: Journal) -> None:
    run = await start_owned(journal, timers=(Timer("t", START + 7),))
    closed = await advance(journal, run, status=Status.FAILED)
    reopen = Commit(run_id=run.run_id, version=closed.version, status=Status.RUNNING, release=True)
    await journal.commit(reopen)
    assert (await get(journal, run.run_id)).wake_at is None
    await journal.open_lease(lease("M"))
    assert await journal.claim_runs("M", 10) == []
