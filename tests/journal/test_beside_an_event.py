"""The store has a short way for commits that only append events; whatever else one carries takes effect as well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    Journal,
    NewMessage,
    NewTask,
    Run,
    StateChange,
    Status,
    TaskRef,
    Timer,
)
from tests.journal.scene import START, Scene, advance, claim_one, event, get, lease, new_run, settle, start_owned

TASK = NewTask(kind="step", key="a", queue="q")


async def _owner(journal: Journal, run: Run) -> Any:
    return (await get(journal, run.run_id)).owner


async def _status(journal: Journal, run: Run) -> Any:
    return (await get(journal, run.run_id)).status


async def _condition(journal: Journal, run: Run) -> Any:
    return (await get(journal, run.run_id)).condition


async def _detail(journal: Journal, run: Run) -> Any:
    return (await get(journal, run.run_id)).detail


async def _attributes(journal: Journal, run: Run) -> Any:
    return (await get(journal, run.run_id)).attributes


async def _status_text(journal: Journal, run: Run) -> Any:
    return (await get(journal, run.run_id)).status_text


async def _state(journal: Journal, run: Run) -> Any:
    return await journal.read_state(run.run_id)


async def _audit(journal: Journal, run: Run) -> Any:
    return [each.text for each in await journal.read_audit(run.run_id)]


async def _tasks(journal: Journal, _: Run) -> Any:
    return [each.key for each in await journal.claim_tasks("L", ("q",), ("step",), 10)]


async def _was_committed(journal: Journal, _: Run) -> Any:
    return await journal.was_committed("its-id")


async def _said_to_another(journal: Journal, _: Run) -> Any:
    other = await journal.find_run("default", "another")
    assert other is not None
    return [each.name for each in await journal.read_messages(other.run_id)]


async def _child(journal: Journal, _: Run) -> Any:
    return await journal.find_run("default", "child") is not None


async def _inbox(journal: Journal, run: Run) -> Any:
    return await journal.read_messages(run.run_id)


Look = Callable[[Journal, Run], Awaitable[Any]]
CASES: list[tuple[dict[str, Any], Look, Any]] = [
    ({"release": True}, _owner, None),
    ({"status": Status.COMPLETED}, _status, Status.COMPLETED),
    ({"condition": Condition.WAITING}, _condition, Condition.WAITING),
    ({"detail": b"why"}, _detail, b"why"),
    ({"attributes": {"a": 1}}, _attributes, {"a": 1}),
    ({"status_text": "half way"}, _status_text, "half way"),
    ({"state": (StateChange("k", "x", b"v"),)}, _state, {("k", "x"): b"v"}),
    ({"audit": "a person was here"}, _audit, ["a person was here"]),
    ({"tasks": (NewTask(kind="step", key="b", queue="q"),)}, _tasks, ["a", "b"]),
    ({"drop_tasks": (TaskRef("step", "a"),)}, _tasks, []),
    ({"id": "its-id"}, _was_committed, True),
    (
        {"send": (NewMessage(namespace="default", workflow_id="another", kind="signal", name="hello"),)},
        _said_to_another,
        ["hello"],
    ),
    ({"start": (new_run("child"),)}, _child, True),
    ({"consume": ()}, _inbox, []),
]


@pytest.mark.parametrize(("carried", "look", "seen"), CASES, ids=[next(iter(each[0])) for each in CASES])
@pytest.mark.parametrize("events", [0, 1, 2])
async def test_what_travels_beside_events_takes_effect(
    journal: Journal, carried: dict[str, Any], look: Look, seen: Any, events: int
) -> None:
    run = await start_owned(journal, tasks=(TASK,))
    await journal.start(new_run("another", lease_id="L"))
    if "consume" in carried:
        sent = await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
        carried = {"consume": (sent.n,)}
    done = await advance(journal, run, events=tuple(event() for _ in range(events)), **carried)
    assert await look(journal, run) == seen
    assert done.last_seq == (await get(journal, run.run_id)).last_seq == 1 + events


async def test_an_event_beside_an_expectation_that_fails_is_not_appended(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    with pytest.raises(Conflict):
        await advance(journal, run, events=(event(),), inbox_seen=0)
    with pytest.raises(Conflict):
        await advance(journal, run, events=(event(),), version=run.version + 5)
    assert (await get(journal, run.run_id)).last_seq == 1


async def test_timers_and_strikes_beside_an_event_are_kept(scene: Scene) -> None:
    journal = await scene.open()
    run = await start_owned(journal)
    await advance(journal, run, events=(event(),), timers=(Timer("t", START + 500),))
    await advance(journal, run, release=True)
    assert await journal.next_wake("L") == START + 500
    scene.clock.time = START + 500
    assert (await claim_one(journal)).run_id == run.run_id


async def test_two_commits_of_one_group_are_both_known_by_their_ids_and_both_start_their_children(
    journal: Journal,
) -> None:
    first = await start_owned(journal)
    started = await journal.start(new_run("another", lease_id="L"))
    second = await get(journal, started.run_id)
    outcomes = await settle(
        advance(journal, first, id="one", start=(new_run("child-1"),)),
        advance(journal, second, id="two", start=(new_run("child-2"),)),
    )
    assert [len(each.started) for each in outcomes] == [1, 1]
    assert [await journal.was_committed(each) for each in ("one", "two", "three")] == [True, True, False]
    assert await journal.find_run("default", "child-1")
    assert await journal.find_run("default", "child-2")


async def test_a_run_that_is_no_longer_blocked_is_offered_again_by_every_handle(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    run = await start_owned(journal)
    await other.open_lease(lease("M"))
    await advance(journal, run, release=True, condition=Condition.BLOCKED, blocked_for="L", wake_at=0)
    assert await journal.claim_runs("L", 10) == []
    now = await get(journal, run.run_id)
    await journal.commit(Commit(run_id=run.run_id, version=now.version, condition=Condition.NONE, wake_at=0))
    again = await scene.open()
    assert [each.run_id for each in await again.claim_runs("L", 10)] == [run.run_id]
