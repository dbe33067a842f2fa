"""Retention: closed runs go when their time has come, never before a registered subscriber has read them."""

from __future__ import annotations

import pytest

from keepstep.journal import (
    Commit,
    Journal,
    NewMessage,
    NotFound,
    Position,
    PositionGone,
    StateChange,
    Status,
)
from keepstep.journal.deciding import retention
from tests.journal.scene import START, Scene, event, get, lease, new_run


async def closed_run(journal: Journal, workflow_id: str = "order-1", events: int = 1) -> str:
    started = await journal.start(new_run(workflow_id))
    await journal.send(NewMessage(run_id=started.run_id, kind="signal", id="m"))
    await journal.commit(
        Commit(
            run_id=started.run_id,
            version=started.version,
            events=(event("completed"),) * events,
            state=(StateChange("k", "k", b"1"),),
            status=Status.COMPLETED,
            audit="closed",
        )
    )
    return started.run_id


async def test_a_purged_run_is_gone_with_all_that_belongs_to_it(scene: Scene) -> None:
    journal = await scene.open()
    run_id = await closed_run(journal)
    assert await journal.purge("default", START) == 0
    assert await journal.purge("default", START + 1) == 1
    assert await journal.read_run(run_id) is None
    assert await journal.find_run("default", "order-1") is None
    assert await journal.read_events(run_id) == []
    assert await journal.read_state(run_id) == {}
    assert await journal.read_messages(run_id) == []
    assert await journal.read_audit(run_id) == []
    assert await journal.count_runs("default") == 0
    with pytest.raises(NotFound):
        await journal.load(run_id)


async def test_open_runs_and_other_namespaces_are_kept(journal: Journal) -> None:
    await closed_run(journal)
    opened = await journal.start(new_run("open"))
    await journal.start(new_run(namespace="other"))
    assert await journal.purge("other", START + 10**12) == 0
    assert await journal.purge("default", START + 10**12) == 1
    assert (await get(journal, opened.run_id)).last_seq == 1


async def test_the_longest_closed_go_first_up_to_the_limit(scene: Scene) -> None:
    journal = await scene.open()
    ids = []
    for n in range(3):
        ids.append(await closed_run(journal, f"w{n}"))
        scene.clock.time += 10
    assert await journal.purge("default", scene.clock.time, limit=2) == 2
    assert [run.run_id for run in await journal.list_runs("default")] == ids[2:]


async def test_a_cursor_behind_what_is_kept_is_gone(journal: Journal) -> None:
    await closed_run(journal)
    kept = await journal.start(new_run("kept"))
    await journal.purge("default", START + 1)
    for n in (0, 1):
        with pytest.raises(PositionGone):
            await journal.read_log(Position(0, n))
    assert [(each.position.n, each.run_id) for each in await journal.read_log(Position(0, 2))] == [(3, kept.run_id)]


async def test_positions_are_not_reused_after_everything_was_purged(scene: Scene) -> None:
    journal = await scene.open()
    await closed_run(journal)
    await journal.purge("default", START + 1)
    reopened = await scene.open()
    started = await reopened.start(new_run("next"))
    assert [(each.position.n, each.run_id) for each in await reopened.read_log(Position(0, 2))] == [(3, started.run_id)]


async def test_what_a_registered_subscriber_has_not_read_is_kept(journal: Journal) -> None:
    await closed_run(journal, "a")
    await closed_run(journal, "b")
    await journal.save_cursor("slow", Position(0, 2))
    await journal.save_cursor("fast", Position(0, 4))
    assert await journal.purge("default", START + 1) == 1
    assert [each.position.n for each in await journal.read_log(Position(0, 2))] == [3, 4]
    assert await journal.purge("default", START + 1) == 0
    await journal.save_cursor("slow", Position(0, 3))
    assert await journal.purge("default", START + 1) == 0
    await journal.save_cursor("slow", Position(0, 4))
    assert await journal.purge("default", START + 1) == 1


async def test_events_of_kept_runs_between_purged_ones_stay_readable(journal: Journal) -> None:
    kept = await journal.start(new_run("kept"))
    await closed_run(journal)
    await journal.commit(Commit(run_id=kept.run_id, version=1, events=(event("late"),)))
    await journal.purge("default", START + 1)
    assert [each.type for each in await journal.read_events(kept.run_id)] == ["started", "late"]
    assert [each.event.type for each in await journal.read_log(Position(0, 3))] == ["late"]


async def test_a_workflow_id_may_be_started_anew_after_its_runs_were_purged(journal: Journal) -> None:
    first = await closed_run(journal)
    await journal.purge("default", START + 1)
    started = await journal.start(new_run())
    assert started.created
    assert started.run_id != first
    sent = await journal.send(NewMessage(run_id=started.run_id, kind="signal", id="m"))
    assert not sent.duplicate


async def test_when_the_newest_run_of_an_id_is_purged_an_older_one_is_found(scene: Scene) -> None:
    journal = await scene.open()
    first = await journal.start(new_run())
    following = new_run(continued_from=first.run_id)
    await journal.commit(
        Commit(run_id=first.run_id, version=first.version, status=Status.CONTINUED, start=(following,))
    )
    await journal.commit(Commit(run_id=following.run_id, version=1, status=Status.COMPLETED))
    scene.clock.time += 10
    await journal.commit(Commit(run_id=first.run_id, version=2, status=Status.RUNNING))
    await journal.commit(Commit(run_id=first.run_id, version=3, status=Status.COMPLETED))
    assert await journal.purge("default", START + 5) == 1
    found = await journal.find_run("default", "order-1")
    assert found is not None
    assert found.run_id == first.run_id


async def test_a_purge_removes_as_many_runs_as_it_may_however_many_events_they_have(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PURGE_EVENTS_MAX", 10)
    await journal.open_lease(lease())
    for n in range(6):
        await journal.start(new_run(f"w{n}", run_id=f"r{n}", lease_id="L"))
        events = tuple(event() for _ in range(12 if n == 2 else 4))
        await journal.commit(Commit(run_id=f"r{n}", epoch=1, events=events, status=Status.COMPLETED))
    later = journal.clock.now() + 1
    assert await journal.purge("default", later, limit=5) == 5
    assert [run.run_id for run in await journal.list_runs("default")] == ["r5"]
    assert await journal.purge("default", later, limit=5) == 1
    assert await journal.purge("default", later, limit=5) == 0
