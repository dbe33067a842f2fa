"""A run that cannot be read for want of a key or a blob is parked, says why, and goes on when it is there."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.keys import new_key
from keepstep.codecs.restraint import Restraint
from keepstep.journal import Condition, Unreadable
from keepstep.schedules.guest import room_of

OLD, NEW = new_key(), new_key()
SECRET = "the secret word"


@step
async def parked_step(word: str) -> str:
    return word + "!" * 1000


@workflow
async def parked_run(word: str) -> str:
    long = await parked_step(word)
    said = await keepstep.receive("go", str)
    return long[: len(word)] + said


def keys(*ids: str) -> Codec:
    return Codec(keys=Keys({id: OLD if id == "k1" else NEW for id in ids}))


def engine_on(folder: Path, codec: Codec | None, **options: Any) -> Engine:
    return Engine(f"sqlite:///{folder}/a.db", codec=codec, lease_seconds=2.0, **options)


async def eventually(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until what a coroutine function returns is true."""
    async with asyncio.timeout(seconds):
        while not (found := await holds()):
            await asyncio.sleep(0.02)
    return found


async def begin(folder: Path, codec: Codec) -> None:
    async with engine_on(folder, codec) as engine:
        handle = await engine.start(parked_run, SECRET, id="x")
        await eventually(lambda: has_done_its_step(handle))


async def has_done_its_step(handle: Any) -> bool:
    return any([event.type == "step_completed" async for event in handle.history()])


async def is_blocked(handle: Any) -> bool:
    return (await handle.describe()).condition == "blocked"  # type: ignore[no-any-return]


@pytest.mark.parametrize("codec", [None, keys("k2")], ids=["no codec", "another key"])
async def test_a_run_whose_key_is_missing_is_parked_and_goes_on_where_it_is_there(
    tmp_path: Path, codec: Codec | None
) -> None:
    await begin(tmp_path, keys("k1"))
    async with engine_on(tmp_path, codec) as engine:
        handle = engine.get("x")
        await handle.signal("go", " went")
        await eventually(lambda: is_blocked(handle))
        info = await handle.describe()
        assert info.error is not None
        assert "'k1'" in info.error
        assert SECRET not in info.error
        async with engine_on(tmp_path, keys("k1", "k2")) as better:
            assert await better.get("x").result(timeout=10) == SECRET + " went"


async def test_a_key_that_comes_into_the_file_lets_the_run_go_on_in_the_same_process(tmp_path: Path) -> None:
    await begin(tmp_path, keys("k1"))
    file = tmp_path / "keys"
    file.write_text(f"k2 {NEW}\n")
    async with engine_on(tmp_path, Codec(keys=Keys.from_file(file))) as engine:
        handle = engine.get("x")
        await handle.signal("go", " went")
        await eventually(lambda: is_blocked(handle))
        file.write_text(f"k1 {OLD}\nk2 {NEW}\n")
        assert await handle.result(timeout=20) == SECRET + " went"


async def test_a_blob_that_is_missing_parks_the_run_until_it_is_back(tmp_path: Path) -> None:
    place, away = tmp_path / "blobs", tmp_path / "away"
    await begin(tmp_path, Codec(blobs=FileBlobs(place), inline_bytes_max=100))
    shutil.move(place, away)
    async with engine_on(tmp_path, Codec(blobs=FileBlobs(place), inline_bytes_max=100)) as engine:
        handle = engine.get("x")
        await handle.signal("go", " went")
        await eventually(lambda: is_blocked(handle))
        assert "blob" in str((await handle.describe()).error)
        shutil.copytree(away, place, dirs_exist_ok=True)
        assert await handle.result(timeout=20) == SECRET + " went"


async def test_a_message_that_cannot_be_read_parks_the_run_that_has_it(tmp_path: Path) -> None:
    async with engine_on(tmp_path, keys("k1")) as engine:
        handle = await engine.start(parked_run, SECRET, id="x")
        async with engine_on(tmp_path, keys("k2"), workers=False) as other:
            await other.get("x").signal("go", " went")
        await eventually(lambda: is_blocked(handle))
        assert "'k2'" in str((await handle.describe()).error)
        async with engine_on(tmp_path, keys("k2", "k1")) as better:
            assert await better.get("x").result(timeout=10) == SECRET + " went"


async def test_who_has_no_key_is_told_which_and_is_shown_no_garbage(tmp_path: Path) -> None:
    async with engine_on(tmp_path, keys("k1")) as engine:
        handle = await engine.start(parked_run, SECRET, id="x")
        await handle.signal("go", "")
        await handle.result()
    async with engine_on(tmp_path, None, workers=False) as engine:
        events = [event async for event in engine.get("x").history()]
        assert all(event.data["sealed"] == "<encrypted with key 'k1'>" for event in events)
        with pytest.raises(Unreadable, match="'k1'"):
            await engine.get("x").result()
        assert [info.id async for info in engine.list()] == ["x"]


@step(queue="sealed-tasks")
async def parked_remote(word: str) -> str:
    return word.upper()


@workflow
async def parked_elsewhere(word: str) -> str:
    return await parked_remote(word)


async def test_a_task_that_cannot_be_read_is_left_to_who_can(tmp_path: Path) -> None:
    blind = Engine(f"sqlite:///{tmp_path}/a.db", queues=("sealed-tasks",), codec=keys("k2"))
    async with engine_on(tmp_path, keys("k2", "k1")) as engine, blind:
        handle = await engine.start(parked_elsewhere, "word", id="x")
        async with Engine(f"sqlite:///{tmp_path}/a.db", queues=("sealed-tasks",), codec=keys("k1", "k2")):
            assert await handle.result(timeout=10) == "WORD"


def test_a_queue_is_left_alone_for_longer_each_time_until_something_on_it_is_read() -> None:
    now = 0.0
    restraint = Restraint(lambda: now)
    pauses = []
    for _ in range(7):
        restraint.leave("q")
        assert restraint.open_queues(["q", "r"]) == ["r"]
        pauses.append(restraint.seconds_left(["q", "r"]))
        now += pauses[-1]
        assert restraint.open_queues(["q", "r"]) == ["q", "r"]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    restraint.go_on("q")
    restraint.leave("q")
    assert restraint.seconds_left(["q"]) == 1.0


async def test_who_cannot_read_a_run_cannot_fork_it(tmp_path: Path) -> None:
    async with engine_on(tmp_path, keys("k1")) as engine:
        handle = await engine.start(parked_run, SECRET, id="x")
        await handle.signal("go", "")
        await handle.result()
    for codec in (None, keys("k2")):
        async with engine_on(tmp_path, codec, workers=False) as engine:
            with pytest.raises(Unreadable, match="'k1'"):
                await engine.get("x").fork(at=2)
            assert [info.id async for info in engine.list()] == ["x"]


async def test_a_schedule_that_cannot_be_read_stands_in_nobodys_way(tmp_path: Path) -> None:
    async with engine_on(tmp_path, keys("k1"), workers=False) as engine:
        await engine.schedule("sealed", parked_elsewhere, "word", every="1s")
        await engine.schedule("sealed-too", parked_elsewhere, "word", every="1s")
    async with engine_on(tmp_path, keys("k2")) as engine:
        handle = await engine.start(parked_run, "other", id="x")
        await handle.signal("go", " went")
        assert await handle.result(timeout=10) == "other went"
        await eventually(lambda: both_are_parked(engine), seconds=20)
        async with engine_on(tmp_path, keys("k1", "k2"), queues=("default", "sealed-tasks")) as better:
            await eventually(lambda: has_fired(better), seconds=20)


async def both_are_parked(engine: Engine) -> bool:
    return [run.condition for run in await engine.journal.list_runs(room_of("default"))] == [Condition.BLOCKED] * 2


async def has_fired(engine: Engine) -> bool:
    return any([info.id.startswith("sealed-") async for info in engine.list("WorkflowType = 'parked_elsewhere'")])


@workflow
class ParkedAsk:
    @keepstep.query
    def word(self) -> str:
        return "word"

    async def run(self) -> None:
        await keepstep.sleep("1h")


async def test_a_sleeping_run_that_cannot_be_read_says_so_to_who_asks_it(tmp_path: Path) -> None:
    async with engine_on(tmp_path, keys("k1")) as engine:
        await (await engine.start(ParkedAsk, id="x")).query("word")
    async with engine_on(tmp_path, keys("k2")) as engine:
        with pytest.raises(keepstep.Blocked, match="'k1'"):
            await engine.get("x").query("word", timeout=5)
