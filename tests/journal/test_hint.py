"""Hints: whoever should look again is told, in the same process at once and in others too."""

from __future__ import annotations

import pytest

from keepstep.journal import Commit, HintKind, NewMessage, NewTask, Status
from tests.journal.scene import Ears, Scene, advance, claim_one, event, lease, new_run, start_owned, wait_until


@pytest.fixture(params=["own", "other"])
def heard_by(request: pytest.FixtureRequest) -> str:
    """Who listens: the process that made the change, or another."""
    return str(request.param)


async def test_a_start_tells_that_a_run_is_ready(scene: Scene, heard_by: str) -> None:
    journal, other = await scene.open(), await scene.open()
    ears = Ears(journal if heard_by == "own" else other)
    started = await journal.start(new_run())
    await ears.wait_for(HintKind.READY, started.run_id)


async def test_a_message_to_a_sleeping_run_tells_that_it_is_ready(scene: Scene, heard_by: str) -> None:
    journal, other = await scene.open(), await scene.open()
    run = await start_owned(journal)
    await advance(journal, run, release=True)
    ears = Ears(journal if heard_by == "own" else other)
    await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    await ears.wait_for(HintKind.READY, run.run_id)


async def test_a_message_to_an_owned_run_tells_its_owner(scene: Scene, heard_by: str) -> None:
    journal, other = await scene.open(), await scene.open()
    run = await start_owned(journal)
    ears = Ears(journal)
    await (journal if heard_by == "own" else other).send(NewMessage(run_id=run.run_id, kind="signal"))
    await ears.wait_for(HintKind.INBOX, run.run_id)


async def test_a_task_tells_that_it_waits(scene: Scene, heard_by: str) -> None:
    journal, other = await scene.open(), await scene.open()
    run = await start_owned(journal)
    ears = Ears(journal if heard_by == "own" else other)
    await advance(journal, run, tasks=(NewTask(kind="step", key="a", queue="q"),))
    await ears.wait_for(HintKind.TASKS)


async def test_who_speaks_is_heard(scene: Scene, heard_by: str) -> None:
    journal, other = await scene.open(), await scene.open()
    run = await start_owned(journal)
    ears = Ears(journal if heard_by == "own" else other)
    await advance(journal, run, events=(event(),), is_spoken=True)
    await ears.wait_for(HintKind.SPOKEN, run.run_id)


async def test_who_does_not_speak_is_not_heard(scene: Scene) -> None:
    """Hints that name no run are told to whoever may have missed something, as when hints begin to be heard."""
    journal = await scene.open()
    run = await start_owned(journal)
    ears = Ears(journal)
    await advance(journal, run, events=(event(),))
    await advance(journal, run, events=(event(),), is_spoken=True)
    await wait_until(lambda: ears.names(HintKind.SPOKEN, run.run_id))
    assert ears.names(HintKind.SPOKEN, run.run_id) == 1


async def test_a_close_tells_everybody_and_its_own_process_the_last_event(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    near, far = Ears(journal), Ears(other)
    run = await start_owned(journal)
    last = event("completed", b"receipt")
    await advance(journal, run, events=(event(), last), status=Status.COMPLETED)
    await near.wait_for(HintKind.CLOSED, run.run_id)
    await far.wait_for(HintKind.CLOSED, run.run_id)
    closings = [closing for hint in near.hints for closing in hint.closings]
    assert [(each.run_id, each.status, each.event) for each in closings] == [(run.run_id, Status.COMPLETED, last)]
    assert [closing for hint in far.hints for closing in hint.closings] == []


async def test_a_close_without_an_event_has_none_to_tell(scene: Scene) -> None:
    journal = await scene.open()
    ears = Ears(journal)
    started = await journal.start(new_run())
    await journal.commit(Commit(run_id=started.run_id, version=started.version, status=Status.TERMINATED))
    await ears.wait_for(HintKind.CLOSED, started.run_id)
    [closing] = [closing for hint in ears.hints for closing in hint.closings]
    assert (closing.status, closing.event) == (Status.TERMINATED, None)


async def test_a_reaped_run_is_ready(scene: Scene) -> None:
    dying, other = await scene.open(), await scene.open()
    await dying.open_lease(lease("L", mortal=True))
    started = await dying.start(new_run(lease_id="L"))
    scene.kill(dying)
    ears = Ears(other)
    await other.reap()
    await ears.wait_for(HintKind.READY, started.run_id)


async def test_a_refused_commit_tells_nothing(scene: Scene) -> None:
    journal = await scene.open()
    run = await start_owned(journal)
    ears = Ears(journal)
    refused = Commit(run_id=run.run_id, epoch=run.epoch + 1, status=Status.COMPLETED, start=(new_run("child"),))
    with pytest.raises(Exception, match="epoch"):
        await journal.commit(refused)
    await journal.start(new_run("later"))
    await ears.wait_for(HintKind.READY)
    assert not ears.heard(HintKind.CLOSED)
    assert not [hint for hint in ears.hints if run.run_id in hint.run_ids]


async def test_who_no_longer_listens_hears_nothing(scene: Scene) -> None:
    journal = await scene.open()
    silent, ears = Ears(journal), Ears(journal)
    journal.unlisten(silent.hints.append)
    await journal.start(new_run())
    await ears.wait_for(HintKind.READY)
    assert silent.hints == []


async def test_a_wall_clock_that_jumps_is_reported_with_its_jump(scene: Scene) -> None:
    journal = await scene.open()
    ears = Ears(journal)
    await journal.open_lease(lease(lease_seconds=0.2))
    scene.clock.wall -= 3_600_000_000
    await ears.wait_for(HintKind.CLOCK_JUMPED)
    jumps = [hint.microseconds for hint in ears.hints if hint.kind is HintKind.CLOCK_JUMPED]
    assert jumps == [-3_600_000_000]
    assert journal.clock.now() == scene.clock.time


async def test_an_owner_that_gives_back_a_due_run_hears_that_it_is_ready(scene: Scene) -> None:
    journal = await scene.open()
    await journal.start(new_run())
    await journal.open_lease(lease())
    run = await claim_one(journal)
    ears = Ears(journal)
    await advance(journal, run, release=True, wake_at=0)
    await ears.wait_for(HintKind.READY, run.run_id)
