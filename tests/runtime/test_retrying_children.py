"""``retry`` of a run that failed because of a child lets the child go on too, and nothing is done twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Cancelled, Engine, Retry, WorkflowFailed, step, workflow
from keepstep.client.handle import RunHandle
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine

done: Counter[str] = Counter()
broken: set[str] = set()


@pytest.fixture(autouse=True)
def _nothing_done_and_nothing_broken() -> None:
    done.clear()
    broken.clear()


@step(retry=Retry(max_attempts=1))
async def deliver_part(what: str) -> str:
    if what in broken:
        raise ConnectionError(f"{what} is broken")
    done[what] += 1
    return what


@step(queue="default", retry=Retry(max_attempts=1))
async def deliver_part_elsewhere(what: str) -> str:
    if what in broken:
        raise ConnectionError(f"{what} is broken")
    done[what] += 1
    return what


@workflow
async def child_of_three_steps(name: str) -> list[str]:
    return [await deliver_part(f"{name}1"), await deliver_part(f"{name}2"), await deliver_part_elsewhere(f"{name}3")]


@workflow
async def parent_of_such_a_child() -> list[str]:
    got = [await deliver_part("before")]
    got += await child_of_three_steps("c")
    return [*got, await deliver_part("after")]


@workflow
async def grandparent_of_such_a_child() -> list[str]:
    return ["grand", *await parent_of_such_a_child()]


async def until_failed(handle: RunHandle[Any]) -> WorkflowFailed:
    with pytest.raises(WorkflowFailed) as failed:
        await handle.result(timeout="1h")
    return failed.value


def repaired_and_retried(program: Any, *breaks: str) -> Any:
    """What it gives, if it fails first, is repaired, and is retried."""

    async def play(engine: Engine) -> Any:
        broken.update(breaks)
        handle = await engine.start(program, id="p")
        await until_failed(handle)
        broken.clear()
        await handle.retry()
        return await handle.result(timeout="1h")

    return on_an_engine(play)


ALL = ["before", "c1", "c2", "c3", "after"]


@pytest.mark.parametrize("breaks", ["c1", "c2", "c3"])
def test_a_child_goes_on_at_its_failed_step_when_its_parent_is_retried(breaks: str) -> None:
    assert repaired_and_retried(parent_of_such_a_child, breaks) == ALL
    assert done == dict.fromkeys(ALL, 1)


def test_so_does_the_child_of_a_child() -> None:
    assert repaired_and_retried(grandparent_of_such_a_child, "c2") == ["grand", *ALL]
    assert done == dict.fromkeys(ALL, 1)


def test_a_failed_child_is_revived_once_whatever_crashes() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(grandparent_of_such_a_child, id="p")
        while True:
            try:
                return await handle.result(timeout="1h")
            except WorkflowFailed:
                broken.clear()
                if (await handle.describe()).status == "failed":
                    await handle.retry()

    def check(result: Any, crashes: int) -> None:
        assert result == ["grand", *ALL]
        assert all(1 <= done[name] <= 1 + crashes for name in ALL), done
        done.clear()
        broken.update(("c2",))

    broken.update(("c2",))
    assert crash_at_every_commit(program, check) >= 20


@workflow
async def parent_that_hears_an_error() -> list[str]:
    try:
        return await child_of_three_steps("e")
    except WorkflowFailed as error:
        await deliver_part("sorry")
        raise ValueError("the child has failed") from error


def test_a_parent_that_failed_with_an_error_of_its_own_goes_on_at_the_child_behind_it() -> None:
    assert repaired_and_retried(parent_that_hears_an_error, "e2") == ["e1", "e2", "e3"]
    assert done == {"e1": 1, "e2": 1, "e3": 1, "sorry": 1}


@workflow
async def child_that_undoes() -> str:
    async with keepstep.saga() as saga:
        await saga.run(deliver_part, "charge", undo=take_back)
        return await deliver_part("ship")


@step
async def take_back(what: str, outcome: Any) -> None:
    done[f"no {what}"] += 1


@workflow
async def parent_of_one_that_undoes() -> list[str]:
    child = await keepstep.start_child(child_that_undoes)
    first = await deliver_part("beside")
    await deliver_part(f"run {child.id}")
    return [first, await child]


def test_a_child_that_has_compensated_is_started_anew_under_its_id() -> None:
    async def play(engine: Engine) -> Any:
        broken.add("ship")
        handle = await engine.start(parent_of_one_that_undoes, id="p")
        await until_failed(handle)
        broken.clear()
        await handle.retry()
        assert await handle.result(timeout="1h") == ["beside", "ship"]
        return [(run.id, run.status) async for run in engine.list("Type = 'child_that_undoes'")]

    runs = on_an_engine(play)
    assert {id for id, _ in runs} == {"p/child_that_undoes"}
    assert sorted(status for _, status in runs) == ["completed", "failed"]
    assert done == {"charge": 2, "no charge": 1, "ship": 1, "beside": 1, "run p/child_that_undoes": 1}


@workflow
async def child_that_waits() -> str:
    done["waits"] += 1
    return str(await keepstep.receive("go", str))


@workflow
async def parent_with_a_failure_beside_a_child() -> list[str]:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(one_that_waits())
        made = group.create_task(one_delivery())
    return [await waiting, await made]


async def one_that_waits() -> str:
    return await child_that_waits()


async def one_delivery() -> str:
    return await deliver_part("x")


def test_a_child_that_was_stopped_because_another_branch_failed_is_done_again() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(parent_with_a_failure_beside_a_child, id="p")
        while (await handle.describe()).status == "failed" or broken:
            if (await handle.describe()).status == "failed":
                broken.clear()
                await handle.retry()
            await asyncio.sleep(1)
        while (await handle.describe()).status == "running":
            async for child in engine.list(open_children):
                await engine.get(child.id).signal("go", "gone", id="once")
            await asyncio.sleep(1)
        return await handle.result(timeout="1h")

    def check(result: Any, crashes: int) -> None:
        assert result == ["gone", "x"]
        assert done["x"] <= 1 + crashes
        done.clear()
        broken.add("x")

    open_children = "Type = 'child_that_waits' and Condition = 'waiting'"
    broken.add("x")
    assert crash_at_every_commit(program, check) >= 10


@workflow
async def child_slow_to_stop() -> str:
    try:
        return str(await keepstep.receive("go", str))
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.sleep(60))
        done["stopped"] += 1
        raise


@workflow
async def parent_of_one_slow_to_stop() -> list[str]:
    child = await keepstep.start_child(child_slow_to_stop, id="slow child")
    return [await deliver_part("y"), await child]


def test_a_child_that_is_still_stopping_is_started_anew_when_it_has_whatever_crashes() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(parent_of_one_slow_to_stop, id="p")
        while (await handle.describe()).status in ("failed", "running"):
            if (await handle.describe()).status == "failed":
                broken.clear()
                await handle.retry()
            async for child in engine.list("Type = 'child_slow_to_stop' and Status = 'running'"):
                if not broken and done["stopped"]:
                    await engine.get(child.id).signal("go", "gone", id="once")
            await asyncio.sleep(7)
        return await handle.result(timeout="1h")

    def check(result: Any, crashes: int) -> None:
        assert result == ["y", "gone"]
        assert done["y"] <= 1 + crashes
        done.clear()
        broken.add("y")

    broken.add("y")
    assert crash_at_every_commit(program, check) >= 10


@workflow
class ParentOfSeveral:
    """It hears everything that is on its way before it closes, being a class."""

    async def run(self, names: list[str]) -> list[list[str]]:
        return list(await asyncio.gather(*(child_of_three_steps(name) for name in names)))


def test_children_that_fail_at_the_same_time_are_all_done_again() -> None:
    async def play(engine: Engine) -> Any:
        broken.update({"a1", "b1", "c1"})
        handle = await engine.start(ParentOfSeveral, ["a", "b", "c"], id="p")
        await until_failed(handle)
        broken.clear()
        await handle.retry()
        return await handle.result(timeout="1h")

    assert on_an_engine(play) == [["a1", "a2", "a3"], ["b1", "b2", "b3"], ["c1", "c2", "c3"]]
    assert set(done.values()) == {1}


@workflow
async def child_that_fails_although_it_is_told_to_stop() -> str:
    try:
        return await deliver_part("late")
    except keepstep.StepFailed:
        with contextlib.suppress(asyncio.CancelledError):
            await keepstep.sleep("1h")
        raise


@workflow
async def parent_of_one_that_fails_late() -> list[str]:
    child = await keepstep.start_child(child_that_fails_although_it_is_told_to_stop, id="late child")
    await keepstep.sleep(1)
    return [await deliver_part("early"), await child]


def test_a_child_that_was_told_to_stop_when_it_had_failed_already_goes_on_all_the_same() -> None:
    async def play(engine: Engine) -> Any:
        broken.update({"late", "early"})
        handle = await engine.start(parent_of_one_that_fails_late, id="p")
        await until_failed(handle)
        await until_failed(engine.get("late child"))
        broken.clear()
        await handle.retry()
        return await handle.result(timeout="30m")

    assert on_an_engine(play) == ["early", "late"]
    assert done == {"early": 1, "late": 1}


def test_a_child_that_somebody_has_retried_before_is_heard() -> None:
    async def play(engine: Engine) -> Any:
        broken.add("c2")
        handle = await engine.start(parent_of_such_a_child, id="p")
        await until_failed(handle)
        broken.clear()
        child = engine.get("p/child_of_three_steps")
        await child.retry()
        assert await child.result(timeout="1h") == ["c1", "c2", "c3"]
        await handle.retry()
        return await handle.result(timeout="1h")

    assert on_an_engine(play) == ALL
    assert done == dict.fromkeys(ALL, 1)


def test_a_child_that_fails_again_fails_its_parent_again() -> None:
    async def play(engine: Engine) -> Any:
        broken.add("c2")
        handle = await engine.start(parent_of_such_a_child, id="p")
        for _ in range(3):
            error = await until_failed(handle)
            assert "c2 is broken" in str(error)
            await handle.retry()
        await until_failed(handle)
        broken.clear()
        await handle.retry()
        return await handle.result(timeout="1h")

    assert on_an_engine(play) == ALL
    assert done == dict.fromkeys(ALL, 1)


@workflow
async def parent_of_a_named_child() -> str:
    child = await keepstep.start_child(child_that_waits, id="shared name")
    return await child


def test_a_child_whose_id_was_taken_is_started_when_that_is_free() -> None:
    async def play(engine: Engine) -> Any:
        other = await engine.start(child_that_waits, id="shared name")
        handle = await engine.start(parent_of_a_named_child, id="p")
        assert "in use by another open run" in str(await until_failed(handle))
        await other.signal("go", "first")
        await other.result()
        await handle.retry()
        while (await engine.get("shared name").describe()).status != "running":
            await asyncio.sleep(1)
        await engine.get("shared name").signal("go", "second")
        return await handle.result(timeout="1h")

    assert on_an_engine(play) == "second"


def test_a_child_that_was_cancelled_or_ended_by_force_is_started_anew() -> None:
    async def play(engine: Engine) -> Any:
        handle = await engine.start(parent_of_a_named_child, id="p")
        while not done["waits"]:
            await asyncio.sleep(1)
        await engine.get("shared name").cancel("by a person")
        with pytest.raises((WorkflowFailed, Cancelled)):
            await handle.result(timeout="1h")
        await handle.retry()
        while done["waits"] < 2:
            await asyncio.sleep(1)
        await engine.get("shared name").terminate()
        await until_failed(handle)
        await handle.retry()
        while done["waits"] < 3:
            await asyncio.sleep(1)
        await engine.get("shared name").signal("go", "third")
        return await handle.result(timeout="1h")

    assert on_an_engine(play) == "third"


def test_a_child_that_goes_on_hears_of_it_when_its_parent_is_ended_by_force() -> None:
    async def play(engine: Engine) -> str:
        broken.add("c2")
        handle = await engine.start(parent_with_a_stuck_child, id="p")
        await until_failed(handle)
        broken.clear()
        await handle.retry()
        child = engine.get("p/child_that_then_waits")
        while (await child.describe()).status != "running":
            await asyncio.sleep(1)
        await handle.terminate()
        with pytest.raises(Cancelled):
            await child.result(timeout="1h")
        return (await child.describe()).status

    assert on_an_engine(play) == "cancelled"


@workflow
async def child_that_then_waits() -> None:
    await deliver_part("c2")
    await keepstep.receive("never")


@workflow
async def parent_with_a_stuck_child() -> None:
    await child_that_then_waits()


def test_a_fork_of_a_retried_parent_leaves_its_children_alone() -> None:
    async def play(engine: Engine) -> Any:
        broken.add("c2")
        handle = await engine.start(parent_of_such_a_child, id="p")
        await until_failed(handle)
        await handle.retry()
        await until_failed(handle)
        events = [each async for each in handle.history()]
        reopened = next(each.seq for each in events if each.type == "workflow_reopened")
        copy = await handle.fork(at=reopened, id="copy")
        assert "c2 is broken" in str(await until_failed(copy))
        broken.clear()
        await copy.retry()
        assert await copy.result(timeout="1h") == ALL
        return sorted([each.status async for each in engine.list("Type = 'child_of_three_steps'")])

    assert on_an_engine(play) == ["completed", "failed"]
    assert done == {**dict.fromkeys(ALL, 1), "c1": 2}


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_a_parent_and_its_child_go_on_in_stores_on_disk(store: str, tmp_path: Path, request: Any) -> None:
    url = f"sqlite:///{tmp_path / 'k.db'}" if store == "sqlite" else request.getfixturevalue("postgres_url")
    async with Engine(url) as engine:
        broken.add("c2")
        handle = await engine.start(grandparent_of_such_a_child, id="p")
        await until_failed(handle)
        broken.clear()
        await handle.retry()
        assert await handle.result(timeout=60) == ["grand", *ALL]
    assert done == dict.fromkeys(ALL, 1)
