"""What a run says on its way is read by anyone, in its order, while the run goes on, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import BlockingEngine, Cancelled, Engine, InvalidInput, NotFound, Retry, TooLarge, step, workflow
from keepstep.codecs import Codec, Keys
from keepstep.codecs.keys import new_key
from keepstep.runtime import stream
from keepstep.testing import kit, run
from keepstep.worker import voice
from tests.runtime.crashing import World, crash_at_every_commit
from tests.runtime.programs import on_an_engine

KEY = new_key()


@dataclass(frozen=True)
class Token:
    text: str


@step
async def speak_and_await(words: list[str]) -> int:
    for word in words:
        await keepstep.write_stream("tokens", Token(word))
    return len(words)


@step
async def speak_without_awaiting(words: list[str]) -> int:
    for word in words:
        keepstep.write_stream("tokens", Token(word))
    return len(words)


@step
def stream_on_a_thread(words: list[str]) -> int:
    for word in words:
        keepstep.write_stream("tokens", Token(word))
    return len(words)


@step(queue="default")
async def speak_from_a_queue(words: list[str]) -> int:
    for word in words:
        keepstep.write_stream("tokens", Token(word))
    return len(words)


@step(queue="default")
def speak_from_a_thread_of_a_queue(words: list[str]) -> int:
    for word in words:
        keepstep.write_stream("tokens", Token(word))
    return len(words)


SPEAKERS = [
    speak_and_await,
    speak_from_a_queue,
    speak_without_awaiting,
    stream_on_a_thread,
    speak_from_a_thread_of_a_queue,
]


@workflow
async def say_it_all(speakers: int) -> int:
    said = 0
    await keepstep.write_stream("progress", "begun")
    for speaker in SPEAKERS[:speakers]:
        said += await speaker(["a", "b"])
        keepstep.write_stream("progress", speaker.name)
        keepstep.write_stream("progress", said)
    keepstep.write_stream("chapters", "one")
    keepstep.close_stream("chapters")
    await keepstep.sleep(1)
    return said


async def read(engine: Engine, id: str, name: str, type: Any = None, after: int = 0) -> list[Any]:
    return [each.value async for each in engine.get(id).stream(name, type, after)]


async def say_and_read(engine: Engine, speakers: int) -> dict[str, Any]:
    handle = await engine.start(say_it_all, speakers, id="speaker")
    chapters = await read(engine, "speaker", "chapters")
    was_open = not (await handle.describe()).closed_at
    said = {
        "progress": await read(engine, "speaker", "progress"),
        "tokens": [(each.step, each.attempt, each.value.text) async for each in handle.stream("tokens", Token)],
        "positions": [each.position async for each in handle.stream("tokens")],
    }
    return {**said, "chapters": chapters, "was_open": was_open, "result": await handle.result()}


def progress(speakers: int) -> list[Any]:
    return ["begun", *[each for n, step in enumerate(SPEAKERS[:speakers], 1) for each in (step.name, 2 * n)]]


@pytest.mark.parametrize(("speakers", "is_sealed"), [(4, False), (2, True)])
def test_a_crash_at_any_commit_loses_nothing_and_repeats_only_what_a_step_was_saying(
    speakers: int, is_sealed: bool
) -> None:
    def make_codec() -> Codec | None:
        return Codec(keys=Keys({"k": KEY})) if is_sealed else None

    def check(said: dict[str, Any], crashes: int) -> None:
        assert said["progress"] == progress(speakers)
        assert (said["chapters"], said["result"]) == (["one"], 2 * speakers)
        assert crashes or said["was_open"]
        assert said["positions"] == sorted(set(said["positions"]))
        for speaker in SPEAKERS[:speakers]:
            mine = "".join(text for key, _, text in said["tokens"] if key == speaker.name)
            assert mine.endswith("ab")
            assert "ab".startswith(mine.removesuffix("ab"))  # what it had said when its process died
            assert crashes or mine == "ab"
        assert {attempt for _, attempt, _ in said["tokens"]} == {1}
        order = [key for key, _, _ in said["tokens"]]
        assert order == sorted(order, key=[each.name for each in SPEAKERS].index)

    crashes = crash_at_every_commit(lambda engine: say_and_read(engine, speakers), check, make_codec=make_codec)
    assert crashes >= 9 * speakers


# while it goes on


class Stage:
    """Lets a test say when a step goes on."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.told: list[str] = []


stage = Stage()


@step(retry=Retry(max_attempts=2, initial=0.1, jitter=0.0))
async def speak_and_fail_once() -> str:
    attempt = keepstep.step_info().attempt
    await keepstep.write_stream("tries", f"attempt {attempt}")
    await stage.may_go_on.wait()
    if attempt == 1:
        raise ConnectionError("lost")
    return "done"


@workflow
async def try_and_tell() -> str:
    return await speak_and_fail_once()


def test_values_are_read_while_the_step_goes_on_and_tell_what_a_failed_attempt_had_said() -> None:
    async def whole() -> list[Any]:
        global stage
        stage = Stage()
        world = World()
        engine, reader = await world.open(), await world.open(workers=False)
        await engine.start(try_and_tell, id="tries")
        seen = []
        async for each in reader.get("tries").stream("tries", str):
            seen.append((each.attempt, each.value, each.step, stage.may_go_on.is_set()))
            stage.may_go_on.set()
        await world.close()
        return seen

    assert run(whole) == [
        (1, "attempt 1", "speak_and_fail_once", False),
        (2, "attempt 2", "speak_and_fail_once", True),
    ]


def test_a_reader_goes_on_behind_any_position_that_another_one_has_reached() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(speak_in_batches, 250, id="batches")
        await handle.result()
        every = [each async for each in handle.stream("n", int)]
        assert [each.value for each in every] == list(range(250))
        assert [event.type async for event in handle.history()].count("stream_written") < 10
        for known in (0, 1, 99, 100, 101, 248, 249):
            assert await read(engine, "batches", "n", int, every[known].position) == list(range(known + 1, 250))

    on_an_engine(program)


@step
async def count_in_hundreds(n: int) -> None:
    for each in range(n):
        written = keepstep.write_stream("n", each)
        if each % 100 == 99:
            await written


@workflow
async def speak_in_batches(n: int) -> None:
    await count_in_hundreds(n)


@step
async def speak_without_end() -> None:
    for n in range(voice.WAITING_VALUES_MAX * 3):
        keepstep.write_stream("n", n)


@workflow
async def hear_that_it_is_too_much() -> str:
    try:
        await speak_without_end.options(retry=Retry(max_attempts=1))()
    except keepstep.StepFailed as error:
        return str(error)
    return "never"


def test_an_async_step_that_never_awaits_is_told_to() -> None:
    async def program(engine: Engine) -> str:
        return await engine.run(hear_that_it_is_too_much)

    assert "await keepstep.write_stream" in on_an_engine(program)


# attempts that nobody waits for


@step(retry=Retry(max_attempts=1))
async def speak_when_it_is_over() -> None:
    await keepstep.write_stream("words", "in time")
    try:
        await stage.may_go_on.wait()
    finally:
        for what in ("too late", "much too late"):
            try:
                await keepstep.write_stream("words", what)
            except Cancelled as error:
                stage.told.append(str(error))


@workflow
async def wait_for_the_speaker(queue: str | None) -> None:
    await speak_when_it_is_over.options(queue=queue)()


@pytest.mark.parametrize("queue", [None, "default"])
def test_an_attempt_that_has_lost_its_run_hears_that_when_it_speaks(queue: str | None) -> None:
    async def program(engine: Engine) -> list[str]:
        global stage
        stage = Stage()
        handle = await engine.start(wait_for_the_speaker, queue, id="late")
        async for each in handle.stream("words"):
            assert each.value == "in time"
            await handle.terminate()
        stage.may_go_on.set()
        while len(stage.told) < 2:
            await asyncio.sleep(0.1)
        assert await read(engine, "late", "words") == ["in time"]
        return stage.told

    assert all("of the step any more" in each or "another worker" in each for each in on_an_engine(program))


@step(queue="default", retry=Retry(max_attempts=1))
async def speak_behind_a_pause() -> None:
    stage.told.append("begun")
    await stage.may_go_on.wait()
    await keepstep.write_stream("words", "one")
    await keepstep.write_stream("words", "two")
    stage.told.append("said")


@workflow
async def be_paused_while_it_speaks() -> None:
    await speak_behind_a_pause()


async def end_what_is_paused(engine: Engine, *, restarts: bool) -> None:
    """A run that is paused records nothing; what its steps have said meanwhile is there all the same when it ends."""
    global stage
    stage = Stage()
    handle = await engine.start(be_paused_while_it_speaks, id="paused")
    run_id = handle.run_id
    assert run_id is not None
    while not stage.told:
        await asyncio.sleep(0.01)
    await handle.pause()
    while (await handle.describe()).condition != "paused":
        await asyncio.sleep(0.01)
    stage.may_go_on.set()
    while len(stage.told) < 2:
        await asyncio.sleep(0.01)
    assert await read_now(handle) == []
    if restarts:
        await engine.start(be_paused_while_it_speaks, id="paused", if_running="restart")
    else:
        await handle.terminate("enough")
    said = [(each.value, each.step, each.attempt) async for each in engine.get("paused", run_id).stream("words")]
    assert said == [("one", "speak_behind_a_pause", 1), ("two", "speak_behind_a_pause", 1)]
    assert [event.type async for event in engine.get("paused", run_id).history()][-1] == "workflow_terminated"
    assert not [each.kind for each in await engine.journal.read_messages(run_id) if each.kind == "stream"]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_a_step_has_said_is_recorded_when_its_run_is_ended_by_force(restarts: bool, tmp_path: Path) -> None:
    async def program(engine: Engine) -> None:
        await end_what_is_paused(engine, restarts=restarts)

    async def on_sqlite() -> None:
        async with Engine(f"sqlite:///{tmp_path}/words.db") as engine:
            await program(engine)

    on_an_engine(program)
    asyncio.run(on_sqlite())


def test_a_worker_that_has_lost_the_task_of_a_step_cannot_speak_for_it() -> None:
    async def program(engine: Engine) -> list[tuple[int, str]]:
        global stage
        stage = Stage()
        handle = await engine.start(wait_for_the_speaker, "default", id="fenced")
        async for _ in handle.stream("words"):
            break
        assert engine.worker is not None
        [task] = await engine.journal.list_held_tasks(engine.worker.lease_id)
        again_at = engine.journal.clock.now() + 5_000_000
        await engine.journal.release_task(task.token, visible_at=again_at, attempt=2)
        stage.may_go_on.set()
        while len(stage.told) < 2:
            await asyncio.sleep(0.1)
        assert await read_now(handle) == ["in time"]
        await handle.result()
        return await read_now(handle)

    # the task's next owner says its word, and the step ends, whose last words nobody hinders
    assert on_an_engine(program) == ["in time", "in time", "too late", "much too late"]


async def read_now(handle: keepstep.RunHandle[Any]) -> list[Any]:
    """What is there, without waiting for more."""
    shown = [each.data["payloads"] async for each in handle.history() if each.type == "stream_written"]
    return [value for payloads in shown for value in payloads]


# what is refused


@step
async def speak_of_much(size: int) -> str:
    with pytest.raises(TooLarge, match="a value of stream 'words'"):
        keepstep.write_stream("words", "x" * (stream.VALUE_BYTES_MAX + 1))
    await keepstep.write_stream("words", "x" * size)
    for _ in range(3):  # the last two wait together
        keepstep.write_stream("words", "x" * size)
    return "said"


@workflow
class Refused:
    def __init__(self) -> None:
        self.is_over = False

    async def run(self) -> list[str]:
        said = []
        for name, value in (("", 1), (7, 1), ("words", object())):
            try:
                keepstep.write_stream(name, value)  # type: ignore[arg-type]
            except InvalidInput as error:
                said.append(str(error))
        await keepstep.wait_for(lambda: self.is_over)
        for queue in (None, "default"):
            said.append(await speak_of_much.options(queue=queue)(stream.VALUE_BYTES_MAX - 10))
        for n in range(stream.TURN_VALUES_MAX):
            keepstep.write_stream("n", n)
        try:
            keepstep.write_stream("n", -1)
        except InvalidInput as error:
            said.append(str(error))
        return said

    @keepstep.signal
    def finish(self) -> None:
        self.is_over = True

    @keepstep.query
    def look(self) -> None:
        keepstep.write_stream("words", "a query only looks")


@workflow
async def speak_in_a_predicate() -> None:
    await keepstep.wait_for(lambda: keepstep.write_stream("words", "so?") is None)


def test_what_cannot_be_written_is_said_where_it_was_tried() -> None:
    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(Refused, id="refused")
        with pytest.raises(keepstep.QueryFailed, match="only looks at the run"):
            await handle.query(Refused.look)
        await handle.signal(Refused.finish)
        said = await handle.result()
        assert await read(engine, "refused", "n", int) == list(range(stream.TURN_VALUES_MAX))
        with pytest.raises(keepstep.WorkflowFailed, match="not into a predicate"):
            await engine.run(speak_in_a_predicate)
        with pytest.raises(NotFound):
            await read(engine, "nobody", "words")
        with pytest.raises(InvalidInput, match="the position of a value"):
            await read(engine, "refused", "n", int, -1)
        with pytest.raises(InvalidInput):
            await read(engine, "refused", "words", int)
        return said

    said = on_an_engine(program)
    assert len(said) == 6
    assert "1 to" in said[0]
    assert "must be text" in said[1]
    assert "10,000 values to stream 'n'" in said[5]
    with pytest.raises(RuntimeError, match="inside a workflow"):
        keepstep.write_stream("words", "outside")


# elsewhere


@step(transaction=True)
def speak_in_a_transaction(connection: Any) -> None:
    keepstep.write_stream("words", "in a transaction")


@workflow
async def have_a_transaction_speak() -> str:
    try:
        await speak_in_a_transaction()
    except keepstep.StepFailed as error:
        return str(error)
    return "never"


@step
def count_slowly(n: int) -> int:
    for each in range(n):
        keepstep.write_stream("n", each)
        went_on.wait(10)
        went_on.clear()
    return n


@workflow
async def count_on_a_thread(n: int) -> int:
    return await count_slowly(n)


went_on = threading.Event()


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_program_that_does_not_await_reads_along_in_several_processes(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/runs.db" if store == "sqlite" else str(request.getfixturevalue("postgres_url"))
    with BlockingEngine(url, poll_seconds=30) as engine, BlockingEngine(url, workers=False, poll_seconds=0.5) as other:
        if store == "sqlite":
            assert "its one word is its result" in engine.run(have_a_transaction_speak)
        began = time.monotonic()
        handle = engine.start(count_on_a_thread, 4, id="count")
        position = 0
        for each, reader in enumerate((engine, other, engine, other)):
            said = next(iter(reader.get("count").stream("n", int, position)))
            position = said.position
            assert said.value == each
            went_on.set()
        assert handle.result() == 4
        assert time.monotonic() - began < 20


def test_a_fork_has_what_was_said_before_it() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(say_it_all, 2, id="speaker")
        await handle.result()
        fork = await handle.fork()
        assert await fork.result() == 4
        assert await read(engine, fork.id, "progress") == progress(2)
        shown = [each.data async for each in handle.history() if each.type == "stream_written"]
        assert shown[0] == {"name": "progress", "payloads": ["begun"], "asked_seq": 1}

    on_an_engine(program)


def test_a_step_called_by_a_test_tells_it_what_it_says() -> None:
    heard: dict[str, list[Any]] = {}
    with kit.inside_step(streams=heard):
        assert stream_on_a_thread.fn(["a", "b"]) == 2
        keepstep.close_stream("tokens")
    assert heard == {"tokens": [{"text": "a"}, {"text": "b"}]}
