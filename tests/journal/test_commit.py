"""Commits change everything they name, or are refused and change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    Fenced,
    InvalidInput,
    Journal,
    NewMessage,
    NotFound,
    RunClosed,
    StateChange,
    Status,
    TooLarge,
)
from tests.journal.scene import Scene, advance, event, get, lease, new_run, picture, settle, start_owned


async def test_a_commit_appends_events_with_the_next_seqs(journal: Journal) -> None:
    run = await start_owned(journal)
    committed = await advance(journal, run, events=(event("a"), event("b", b"data", "key")))
    assert (committed.last_seq, committed.version, committed.epoch) == (3, 3, run.epoch)
    events = await journal.read_events(run.run_id)
    assert [(each.seq, each.type) for each in events] == [(1, "started"), (2, "a"), (3, "b")]
    assert (events[2].data, events[2].key, events[2].time) == (b"data", "key", event().time)


async def test_the_version_counts_events_and_commits_without_events(journal: Journal) -> None:
    run = await start_owned(journal)
    assert run.version == 1
    assert (await advance(journal, run, status_text="picking")).version == 2
    assert (await advance(journal, run, events=(event(), event()))).version == 4
    assert (await advance(journal, run, detail=b"why")).version == 5
    read = await get(journal, run.run_id)
    assert (read.version, read.last_seq) == (5, 3)


async def test_state_is_set_replaced_and_deleted(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, state=(StateChange("attempt", "a", b"1"), StateChange("attempt", "b", b"1")))
    await advance(journal, run, state=(StateChange("attempt", "a", b"2"), StateChange("attempt", "b", None)))
    await advance(journal, run, state=(StateChange("beat", "a", b""), StateChange("beat", "never", None)))
    assert await journal.read_state(run.run_id) == {("attempt", "a"): b"2", ("beat", "a"): b""}
    assert await journal.read_state(run.run_id, "beat") == {("beat", "a"): b""}


async def test_the_last_of_two_changes_of_one_state_in_a_commit_counts(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, state=(StateChange("k", "a", b"1"), StateChange("k", "a", b"2")))
    await advance(journal, run, state=(StateChange("k", "b", b"1"), StateChange("k", "b", None)))
    assert await journal.read_state(run.run_id) == {("k", "a"): b"2"}


async def test_attributes_are_merged_and_none_removes_a_name(journal: Journal) -> None:
    run = await start_owned(journal, attributes={"customer": "c-1", "amount": 5})
    await advance(journal, run, attributes={"amount": None, "tags": ["a", "b"]}, status_text="picking")
    read = await get(journal, run.run_id)
    assert (read.attributes, read.status_text) == ({"customer": "c-1", "tags": ["a", "b"]}, "picking")


async def test_condition_and_detail_stay_until_they_are_changed(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, condition=Condition.UNCERTAIN, detail=b"charge")
    await advance(journal, run, events=(event(),))
    read = await get(journal, run.run_id)
    assert (read.condition, read.detail) == (Condition.UNCERTAIN, b"charge")
    await advance(journal, run, condition=Condition.NONE, detail=b"")
    read = await get(journal, run.run_id)
    assert (read.condition, read.detail) == (Condition.NONE, b"")


STALE: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "an older epoch": ({"epoch": -1}, Fenced),
    "a later epoch": ({"epoch": 1}, Fenced),
    "another version": ({"version": 1}, Conflict),
    "an older version": ({"version": -1}, Conflict),
    "another first seq": ({"epoch": 0, "first_seq": 7}, Conflict),
    "a message that is not there": ({"epoch": 0, "consume": (999,)}, Conflict),
    "an inbox without the message in it": ({"epoch": 0, "inbox_seen": 0}, Conflict),
}


@pytest.mark.parametrize("stale", STALE)
async def test_a_commit_that_expects_what_is_not_so_is_refused_and_changes_nothing(
    journal: Journal, stale: str
) -> None:
    run = await start_owned(journal)
    sent = await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    before = await picture(journal, run.run_id)
    off, error = STALE[stale]
    expected = dict(off)
    for name, base in (("epoch", run.epoch), ("version", run.version)):
        if name in expected:
            expected[name] += base
    consume = (*expected.pop("consume", ()), sent.n)
    with pytest.raises(error):
        await journal.commit(
            Commit(
                run_id=run.run_id,
                **expected,
                consume=consume,
                events=(event(),),
                state=(StateChange("k", "k", b"x"),),
                send=(NewMessage(run_id=run.run_id, kind="signal"),),
                start=(new_run("child"),),
                status=Status.FAILED,
                attributes={"a": 1},
                audit="line",
                seize="version" in expected,
                id="commit-1",
            )
        )
    assert await picture(journal, run.run_id) == before
    assert await journal.find_run("default", "child") is None
    assert not await journal.was_committed("commit-1")


async def test_a_refused_commit_does_not_disturb_the_others_of_its_group(journal: Journal) -> None:
    await journal.open_lease(lease())
    runs = [await get(journal, (await journal.start(new_run(f"w{n}", lease_id="L"))).run_id) for n in range(20)]
    outcomes = await settle(
        *(
            journal.commit(Commit(run_id=run.run_id, epoch=run.epoch + n % 2, events=(event("a"), event("b"))))
            for n, run in enumerate(runs)
        )
    )
    for n, (run, outcome) in enumerate(zip(runs, outcomes, strict=True)):
        assert isinstance(outcome, Fenced) == bool(n % 2)
        assert (await get(journal, run.run_id)).last_seq == (1 if n % 2 else 3)


async def test_commits_to_one_run_in_one_group_are_applied_one_after_the_other(journal: Journal) -> None:
    run = await start_owned(journal)
    done = await settle(*(advance(journal, run, events=(event(str(n)),)) for n in range(50)))
    assert [each.last_seq for each in done] == list(range(2, 52))
    assert [each.type for each in await journal.read_events(run.run_id, 1)] == [str(n) for n in range(50)]


async def test_of_racing_commits_that_expect_one_version_exactly_one_happens(scene: Scene) -> None:
    handles = [await scene.open(), await scene.open()]
    started = await handles[0].start(new_run())
    outcomes = await settle(
        *(
            handles[n % 2].commit(Commit(run_id=started.run_id, version=started.version, events=(event(str(n)),)))
            for n in range(20)
        )
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19
    assert (await get(handles[1], started.run_id)).last_seq == 2


async def test_two_handles_commit_at_once_without_losing_an_event(scene: Scene) -> None:
    handles = [await scene.open() for _ in range(3)]
    runs = []
    for n, handle in enumerate(handles):
        await handle.open_lease(lease(f"L{n}"))
        runs.append(await get(handle, (await handle.start(new_run(f"w{n}", lease_id=f"L{n}"))).run_id))
    outcomes = await settle(
        *(
            advance(handle, run, events=(event(str(i)),))
            for i in range(30)
            for handle, run in zip(handles, runs, strict=True)
        )
    )
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    for run in runs:
        events = await handles[0].read_events(run.run_id)
        assert [each.seq for each in events] == list(range(1, 32))
        assert [each.type for each in events[1:]] == [str(i) for i in range(30)]


async def test_first_seq_that_fits_is_accepted(journal: Journal) -> None:
    run = await start_owned(journal)
    assert (await advance(journal, run, first_seq=2, events=(event(),))).last_seq == 2
    with pytest.raises(Conflict):
        await advance(journal, run, first_seq=2, events=(event(),))


async def test_a_run_that_nobody_owns_takes_no_commit_by_epoch(journal: Journal) -> None:
    run = await start_owned(journal)
    released = await advance(journal, run, release=True)
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, epoch=released.epoch, events=(event(),)))
    assert (await get(journal, run.run_id)).last_seq == 1


async def test_a_run_that_somebody_owns_takes_no_commit_by_version_alone(journal: Journal) -> None:
    run = await start_owned(journal)
    with pytest.raises(Conflict):
        await journal.commit(Commit(run_id=run.run_id, version=run.version, events=(event(),)))
    assert (await get(journal, run.run_id)).last_seq == 1


async def test_epoch_and_version_are_both_checked_when_both_are_given(journal: Journal) -> None:
    run = await start_owned(journal)
    with pytest.raises(Conflict):
        await advance(journal, run, version=run.version + 1, events=(event(),))
    assert (await advance(journal, run, version=run.version, events=(event(),))).last_seq == 2


@pytest.mark.parametrize("expectations", [{}, {"seize": True, "epoch": 1}, {"inbox_seen": 5}, {"first_seq": 2}])
async def test_a_commit_that_expects_nothing_or_seizes_without_a_version_is_wrong(
    journal: Journal, expectations: dict[str, Any]
) -> None:
    started = await journal.start(new_run())
    with pytest.raises(InvalidInput):
        await journal.commit(Commit(run_id=started.run_id, events=(event(),), **expectations))


@pytest.mark.parametrize("expectations", [{"epoch": 1}, {"version": 1}])
async def test_a_commit_to_a_missing_run_is_not_found(journal: Journal, expectations: dict[str, Any]) -> None:
    with pytest.raises(NotFound):
        await journal.commit(Commit(run_id="missing", **expectations))


async def test_seizing_fences_the_owner_off(journal: Journal) -> None:
    run = await start_owned(journal)
    seized = await journal.commit(
        Commit(run_id=run.run_id, version=run.version, seize=True, condition=Condition.PAUSED, audit="paused by ann")
    )
    assert seized.epoch > run.epoch
    with pytest.raises(Fenced):
        await advance(journal, run, events=(event(),))
    read = await get(journal, run.run_id)
    assert (read.owner, read.condition, read.last_seq) == (None, Condition.PAUSED, 1)


async def test_a_seized_run_belongs_to_the_lease_named(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.open_lease(lease("M"))
    seized = await journal.commit(Commit(run_id=run.run_id, version=run.version, seize=True, lease_id="M"))
    assert (await get(journal, run.run_id)).owner == "M"
    done = await journal.commit(Commit(run_id=run.run_id, epoch=seized.epoch, events=(event(),)))
    assert done.last_seq == 2


async def test_a_lease_that_is_over_seizes_nothing(journal: Journal) -> None:
    run = await start_owned(journal)
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, version=run.version, seize=True, lease_id="gone"))
    assert (await get(journal, run.run_id)).owner == "L"


async def test_closing_takes_the_run_from_its_owner_and_ends_what_is_derived(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=(event("done"),), status=Status.COMPLETED)
    read = await get(journal, run.run_id)
    assert (read.status, read.owner, read.wake_at) == (Status.COMPLETED, None, None)
    assert read.closed_at >= run.started_at
    assert await journal.claim_runs("L", 10) == []
    assert await journal.next_wake("L") is None


@pytest.mark.parametrize("commit", [{"epoch": 1}, {"version": 2}, {"version": 2, "seize": True}])
async def test_a_closed_run_takes_no_commit(journal: Journal, commit: dict[str, Any]) -> None:
    run = await start_owned(journal)
    assert run.epoch == 1
    await advance(journal, run, events=(event("done"),), status=Status.FAILED)
    before = await picture(journal, run.run_id)
    with pytest.raises(Fenced if "epoch" in commit else RunClosed):
        await journal.commit(Commit(run_id=run.run_id, events=(event(),), **commit))
    assert await picture(journal, run.run_id) == before


async def test_a_closed_run_is_reopened_by_a_commit_that_says_running(journal: Journal) -> None:
    run = await start_owned(journal)
    closed = await advance(journal, run, events=(event("failed"),), status=Status.FAILED)
    reopened = await journal.commit(
        Commit(run_id=run.run_id, version=closed.version, status=Status.RUNNING, events=(event("reopened"),))
    )
    assert reopened.last_seq == 3
    read = await get(journal, run.run_id)
    assert (read.status, read.closed_at, read.owner) == (Status.RUNNING, 0, None)
    [claimed] = await journal.claim_runs("L", 10)
    assert claimed.epoch > run.epoch
    with pytest.raises(Fenced):
        await advance(journal, run, events=(event(),))


async def test_reopening_with_another_version_is_a_conflict(journal: Journal) -> None:
    run = await start_owned(journal)
    closed = await advance(journal, run, status=Status.FAILED)
    with pytest.raises(Conflict):
        await journal.commit(Commit(run_id=run.run_id, version=closed.version - 1, status=Status.RUNNING))
    assert (await get(journal, run.run_id)).status is Status.FAILED


async def test_a_run_is_not_reopened_beside_an_open_run_of_its_workflow_id(journal: Journal) -> None:
    run = await start_owned(journal)
    closed = await advance(journal, run, status=Status.CONTINUED, start=(new_run(run.workflow_id),))
    with pytest.raises(Conflict):
        await journal.commit(Commit(run_id=run.run_id, version=closed.version, status=Status.RUNNING))
    assert (await get(journal, run.run_id)).status is Status.CONTINUED


async def test_was_committed_knows_what_happened_and_what_did_not(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    run = await start_owned(journal)
    await advance(journal, run, id="one", events=(event(),))
    with pytest.raises(Fenced):
        await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch + 5, id="two"))
    assert await other.was_committed("one")
    assert not await other.was_committed("two")


async def test_histories_are_read_in_pages(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=tuple(event(str(n)) for n in range(2, 26)))
    assert [each.seq for each in await journal.read_events(run.run_id, 5, 3)] == [6, 7, 8]
    assert [each.seq for each in await journal.read_events(run.run_id, 23)] == [24, 25]
    assert await journal.read_events(run.run_id, 25) == []


async def test_load_gives_all_of_a_run_and_a_missing_one_is_not_found(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=(event("a"),), state=(StateChange("k", "x", b"1"),))
    sent = await journal.send(NewMessage(run_id=run.run_id, kind="signal", name="picked", data=b"p"))
    loaded = await journal.load(run.run_id)
    assert loaded.run == await get(journal, run.run_id)
    assert [each.type for each in loaded.events] == ["started", "a"]
    assert loaded.state == {("k", "x"): b"1"}
    assert [(each.n, each.name, each.data) for each in loaded.messages] == [(sent.n, "picked", b"p")]
    with pytest.raises(NotFound):
        await journal.load("missing")


async def test_submitted_commits_happen_and_resolve_in_the_order_submitted(journal: Journal) -> None:
    run = await start_owned(journal)
    resolved: list[int] = []
    futures = []
    for n in range(30):
        future = journal.submit(Commit(run_id=run.run_id, epoch=run.epoch + (n == 7), events=(event(str(n)),)))
        future.add_done_callback(lambda _, n=n: resolved.append(n))  # type: ignore[misc]
        futures.append(future)
    outcomes = await settle(*futures)
    assert resolved == list(range(30))
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Fenced)] == [7]
    assert [each.type for each in await journal.read_events(run.run_id, 1)] == [str(n) for n in range(30) if n != 7]


async def test_what_can_be_told_at_once_is_raised_by_submit_itself(journal: Journal) -> None:
    run = await start_owned(journal)
    with pytest.raises(TooLarge):
        journal.submit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(data=bytes(5 * 1024 * 1024)),)))
