"""Removal by run: only what is still as it was seen goes, and never what a registered subscriber has not read."""

from __future__ import annotations

import pytest

from keepstep.journal import ClosedRun, Commit, Journal, NewMessage, NotFound, Position, PositionGone, Status
from keepstep.journal.deciding import retention
from tests.journal.scene import START, Scene, advance, event, get, new_run, settle, start_owned

LATER = START + 10**12


async def close(
    journal: Journal, workflow_id: str, status: Status = Status.COMPLETED, namespace: str = "default"
) -> str:
    started = await journal.start(new_run(workflow_id, namespace=namespace))
    await journal.send(NewMessage(run_id=started.run_id, kind="signal", id="m"))
    await journal.commit(
        Commit(run_id=started.run_id, version=started.version, events=(event("ended"),), status=status, audit="closed")
    )
    return started.run_id


async def seen(journal: Journal, status: Status = Status.COMPLETED, before: int = LATER) -> list[ClosedRun]:
    return await journal.list_closed("default", status, before)


async def test_the_closed_runs_of_one_status_and_namespace_are_listed_longest_closed_first(scene: Scene) -> None:
    journal = await scene.open()
    first = await close(journal, "first")
    await close(journal, "failed", Status.FAILED)
    await close(journal, "elsewhere", namespace="other")
    await journal.start(new_run("open"))
    scene.clock.time += 10
    second = await close(journal, "second")
    assert await seen(journal) == [ClosedRun(first, 2, START, 2), ClosedRun(second, 2, START + 10, 2)]
    assert [each.run_id for each in await journal.list_closed("default", Status.COMPLETED, LATER, 1)] == [first]
    assert [each.run_id for each in await seen(journal, before=START + 10)] == [first]
    assert await seen(journal, Status.RUNNING) == []


async def test_a_removed_run_is_gone_with_all_that_belongs_to_it(journal: Journal) -> None:
    run_id = await close(journal, "gone")
    kept = await close(journal, "kept")
    assert await journal.remove_runs((await seen(journal))[:1]) == [run_id]
    assert await journal.read_run(run_id) is None
    assert await journal.find_run("default", "gone") is None
    assert await journal.read_events(run_id) == []
    assert await journal.read_messages(run_id) == []
    assert await journal.read_audit(run_id) == []
    assert (await get(journal, kept)).last_seq == 2
    started = await journal.start(new_run("gone"))
    assert started.created


async def test_a_run_that_was_reopened_since_it_was_seen_stays_even_when_it_is_closed_again(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    run_id = await close(journal, "retried", Status.FAILED)
    before = await seen(journal, Status.FAILED)
    await other.commit(Commit(run_id=run_id, version=2, status=Status.RUNNING))
    assert await journal.remove_runs(before) == []
    await other.commit(Commit(run_id=run_id, version=3, status=Status.FAILED))
    assert await journal.remove_runs(before) == []
    assert (await get(journal, run_id)).status is Status.FAILED
    assert await journal.remove_runs(await seen(journal, Status.FAILED)) == [run_id]


async def test_a_run_that_is_removed_already_or_never_was_is_passed_over(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    run_id = await close(journal, "twice")
    [one] = await seen(journal)
    assert await other.remove_runs([one]) == [run_id]
    assert await journal.remove_runs([one, ClosedRun("nobody", 1, START, 1)]) == []


async def test_what_a_registered_subscriber_has_not_read_is_neither_listed_nor_removed(journal: Journal) -> None:
    first, second = await close(journal, "a"), await close(journal, "b")
    everything = await seen(journal)
    entries = await journal.read_log(Position(0, 0))
    await journal.save_cursor("slow", Position(0, 2))
    await journal.save_cursor("fast", entries[-1].position)
    assert [each.run_id for each in await seen(journal)] == [first]
    assert await journal.remove_runs(everything) == [first]
    assert await seen(journal) == []
    await journal.save_cursor("slow", Position(0, 4))
    assert await journal.remove_runs(everything) == [second]


async def test_a_cursor_behind_what_was_removed_is_gone_and_positions_go_on(journal: Journal) -> None:
    await close(journal, "gone")
    await journal.remove_runs(await seen(journal))
    with pytest.raises(PositionGone):
        await journal.read_log(Position(0, 1))
    kept = await journal.start(new_run("kept"))
    assert [(each.position.n, each.run_id) for each in await journal.read_log(Position(0, 2))] == [(3, kept.run_id)]


async def test_however_many_runs_are_removed_a_transaction_has_only_so_many_events(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PURGE_EVENTS_MAX", 4)
    ids = [await close(journal, f"w{n}") for n in range(5)]
    everything = await seen(journal)
    assert [len(part) for part in retention.in_transactions(everything)] == [2, 2, 1]
    assert [len(part) for part in retention.in_transactions(everything[:4])] == [2, 2]
    assert await journal.remove_runs([]) == []
    assert await journal.remove_runs(everything) == ids
    assert await journal.count_runs("default") == 0


async def test_what_comes_behind_a_removal_in_the_same_flush_finds_nothing_of_it(scene: Scene) -> None:
    journal = await scene.open()
    run_id, other = await close(journal, "gone"), await close(journal, "other")
    everything = await seen(journal)
    removed, started, sent, late = await settle(
        journal.remove_runs(everything[:1]),
        journal.start(new_run("gone")),
        journal.send(NewMessage(namespace="default", workflow_id="gone", kind="signal", id="m")),
        journal.commit(Commit(run_id=run_id, version=2, status=Status.RUNNING)),
    )
    assert removed == [run_id]
    assert (started.created, started.run_id) == (True, sent.run_id)
    assert not sent.duplicate
    assert isinstance(late, NotFound)
    assert (await get(journal, other)).version == 2


async def test_runs_at_work_go_on_while_others_are_removed(scene: Scene) -> None:
    journal = await scene.open()
    await close(journal, "gone")
    everything = await seen(journal)
    run = await start_owned(journal, workflow_id="at work")
    outcomes = await settle(
        advance(journal, run, events=(event("one"),)),
        journal.remove_runs(everything),
        advance(journal, run, events=(event("two"),)),
    )
    assert [getattr(each, "last_seq", None) for each in outcomes] == [2, None, 3]
    await advance(journal, run, events=(event("three"),))
    assert [each.type for each in await journal.read_events(run.run_id)] == ["started", "one", "two", "three"]
