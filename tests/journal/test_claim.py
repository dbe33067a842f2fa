"""Claiming runs: who is offered what, in which order, and only to one."""

from __future__ import annotations

from typing import Any

import pytest

from keepstep.journal import Commit, Condition, Fenced, Journal, NewMessage, NewRun, Status
from tests.journal.scene import (
    START,
    ManualClock,
    Scene,
    advance,
    claim_one,
    event,
    get,
    lease,
    new_run,
    settle,
    start_owned,
)


async def test_a_claimed_run_has_its_owner_and_a_greater_epoch(journal: Journal) -> None:
    started = await journal.start(new_run())
    await journal.open_lease(lease())
    claimed = await claim_one(journal)
    assert (claimed.owner, claimed.version) == ("L", started.version)
    assert claimed.epoch > started.epoch
    read = await get(journal, claimed.run_id)
    assert (read.owner, read.epoch) == (claimed.owner, claimed.epoch)
    assert (await advance(journal, claimed, events=(event(),))).last_seq == 2


async def test_an_owned_run_is_not_offered_again(journal: Journal) -> None:
    await start_owned(journal)
    await journal.open_lease(lease("M"))
    assert await journal.claim_runs("M", 10) == []
    assert await journal.claim_runs("L", 10) == []


async def test_the_longest_due_run_comes_first_up_to_the_limit(journal: Journal) -> None:
    await journal.open_lease(lease())
    for name, wake_at in (("b", START - 20), ("c", START - 10), ("a", START - 30), ("later", START + 1)):
        await journal.start(new_run(name, wake_at=wake_at))
    assert [run.workflow_id for run in await journal.claim_runs("L", 2)] == ["a", "b"]
    assert [run.workflow_id for run in await journal.claim_runs("L", 2)] == ["c"]
    assert await journal.claim_runs("L", 2) == []


async def test_what_is_due_at_once_stands_in_line_since_then(scene: Scene) -> None:
    journal = await scene.open()
    asleep = await start_owned(journal, workflow_id="spoken to")
    await advance(journal, asleep, release=True, condition=Condition.WAITING)
    for name, wake_at in (("first", START + 1), ("fourth", START + 40)):
        await journal.start(new_run(name, wake_at=wake_at))
    scene.clock.time = START + 10
    await journal.start(new_run("second"))
    scene.clock.time = START + 20
    for _ in range(2):
        await journal.send(NewMessage(namespace="default", workflow_id="spoken to", kind="signal"))
        scene.clock.time = START + 50
    await journal.start(new_run("last"))
    claimed = [run.workflow_id for run in await journal.claim_runs("L", 4)]
    assert claimed == ["first", "second", "spoken to", "fourth"]
    assert [run.workflow_id for run in await journal.claim_runs("L", 4)] == ["last"]


async def test_what_is_due_at_once_is_so_by_every_clock(scene: Scene) -> None:
    journal = await scene.open()
    run = await start_owned(journal)
    await advance(journal, run, release=True, condition=Condition.WAITING)
    await journal.start(new_run("started"))
    await journal.send(NewMessage(namespace="default", workflow_id=run.workflow_id, kind="signal"))
    slow = await scene.open(ManualClock(START - 3600 * 1_000_000))
    await slow.open_lease(lease("M"))
    assert await slow.next_wake("M") == 0
    assert len(await slow.claim_runs("M", 10)) == 2


async def test_no_run_is_offered_before_its_time(scene: Scene) -> None:
    journal = await scene.open()
    await journal.open_lease(lease())
    await journal.start(new_run(wake_at=START + 1000))
    assert await journal.next_wake("L") == START + 1000
    scene.clock.time = START + 999
    assert await journal.claim_runs("L", 10) == []
    scene.clock.time = START + 1000
    assert len(await journal.claim_runs("L", 10)) == 1


UNFIT: dict[str, NewRun] = {
    "another queue": new_run(queue="gpu"),
    "another language": new_run(language="states"),
    "no wake time": new_run(wake_at=None),
}


@pytest.mark.parametrize("unfit", UNFIT)
async def test_runs_that_do_not_fit_a_lease_are_not_offered_to_it(journal: Journal, unfit: str) -> None:
    await journal.open_lease(lease())
    await journal.start(UNFIT[unfit])
    assert await journal.claim_runs("L", 10) == []
    assert await journal.next_wake("L") is None


async def test_a_lease_with_several_queues_and_languages_is_offered_all_of_them(journal: Journal) -> None:
    await journal.open_lease(lease(queues=("q", "gpu"), languages=("states", "python")))
    for n, (queue, language) in enumerate((("q", "python"), ("gpu", "states"), ("gpu", "python"), ("q", "dag"))):
        await journal.start(new_run(f"w{n}", queue=queue, language=language, wake_at=START - n))
    assert [run.workflow_id for run in await journal.claim_runs("L", 10)] == ["w2", "w1", "w0"]


async def test_only_runs_of_the_types_asked_for_are_claimed(journal: Journal) -> None:
    await journal.open_lease(lease())
    await journal.start(new_run("a", type="fulfil", wake_at=START - 5))
    await journal.start(new_run("b", type="refund", wake_at=START - 3))
    assert await journal.next_wake("L", ["refund"]) == START - 3
    assert await journal.next_wake("L") == START - 5
    assert await journal.claim_runs("L", 10, []) == []
    assert await journal.next_wake("L", []) is None
    assert [run.type for run in await journal.claim_runs("L", 10, ["refund", "other"])] == ["refund"]


async def test_of_many_who_claim_at_once_each_run_goes_to_one(scene: Scene) -> None:
    handles = [await scene.open() for _ in range(3)]
    for n, handle in enumerate(handles):
        await handle.open_lease(lease(f"L{n}"))
    for n in range(30):
        await handles[0].start(new_run(f"w{n}"))
    claims = await settle(*(handle.claim_runs(f"L{n}", 7) for _ in range(3) for n, handle in enumerate(handles)))
    claimed = [run.run_id for claim in claims for run in claim]
    assert len(claimed) == len(set(claimed)) == 30


async def test_a_released_run_belongs_to_nobody_until_it_is_due(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=(event(),), release=True, condition=Condition.WAITING)
    read = await get(journal, run.run_id)
    assert (read.owner, read.wake_at, read.condition) == (None, None, Condition.WAITING)
    assert await journal.claim_runs("L", 10) == []
    assert await journal.next_wake("L") is None


async def test_the_next_owner_has_a_greater_epoch_than_the_one_that_released(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, release=True, wake_at=0)
    claimed = await claim_one(journal)
    assert claimed.epoch > run.epoch
    with pytest.raises(Fenced):
        await advance(journal, run, events=(event(),))


async def test_closed_runs_are_not_offered(journal: Journal) -> None:
    started = await journal.start(new_run())
    await journal.commit(Commit(run_id=started.run_id, version=started.version, status=Status.TERMINATED))
    await journal.open_lease(lease())
    assert await journal.claim_runs("L", 10) == []


@pytest.mark.parametrize("change", [{}, {"events": (event(),)}, {"timers": ()}, {"attributes": {"a": 1}}])
async def test_a_commit_by_version_never_loses_a_wake(journal: Journal, change: dict[str, Any]) -> None:
    started = await journal.start(new_run(wake_at=START - 1))
    await journal.commit(Commit(run_id=started.run_id, version=started.version, **change))
    await journal.open_lease(lease())
    assert (await claim_one(journal)).run_id == started.run_id


async def test_a_run_taken_from_its_owner_by_nobody_is_due(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.commit(Commit(run_id=run.run_id, version=run.version, seize=True, events=(event("note"),)))
    assert (await claim_one(journal)).run_id == run.run_id


async def test_rebuild_makes_every_open_run_without_owner_due(journal: Journal) -> None:
    owned = await start_owned(journal)
    asleep = await journal.start(new_run("asleep", wake_at=None))
    later = await journal.start(new_run("later", wake_at=START + 10**9))
    closed = await journal.start(new_run("closed"))
    await journal.commit(Commit(run_id=closed.run_id, version=closed.version, status=Status.COMPLETED))
    assert await journal.claim_runs("L", 10) == []
    assert await journal.rebuild() == 2
    assert {run.run_id for run in await journal.claim_runs("L", 10)} == {asleep.run_id, later.run_id}
    assert (await get(journal, owned.run_id)).epoch == owned.epoch


async def test_a_lease_can_ask_what_it_owns(journal: Journal) -> None:
    """As after a claim whose answer was lost."""
    await journal.open_lease(lease())
    await journal.open_lease(lease("M"))
    for name in ("a", "b", "c"):
        await journal.start(new_run(name))
    claimed = await journal.claim_runs("L", 2)
    others = await journal.claim_runs("M", 2)
    assert sorted(run.run_id for run in await journal.list_owned_runs("L")) == sorted(run.run_id for run in claimed)
    assert await journal.list_owned_runs("M") == others
    await advance(journal, claimed[0], events=(event(),), status=Status.COMPLETED)
    await advance(journal, claimed[1], release=True)
    assert await journal.list_owned_runs("L") == []
    assert await journal.list_owned_runs("nobody") == []
