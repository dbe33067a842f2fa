"""Lines of workflow and step code say which run they belong to, and are written once however often code is replayed."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.journal import Condition
from keepstep.telemetry.json_lines import JsonFormatter
from keepstep.testing import run
from tests.runtime.crashing import World
from tests.runtime.deploying import until_shown


@step(retry=Retry(max_attempts=2, initial=0.1))
async def speak_in_a_step() -> str:
    keepstep.logger.info("attempt under way", extra={"size": 3})
    if keepstep.step_info().attempt == 1:
        raise OSError("again")
    return "spoken"


@step
def speak_on_a_thread() -> None:
    keepstep.logger.warning("from a thread")


@workflow
async def speaking() -> str:
    try:
        keepstep.logger.info("begun by %s", keepstep.info().workflow_id)
        said = await speak_in_a_step()
        await speak_on_a_thread()
        await keepstep.receive("go")
        keepstep.logger.info("gone on")
        return said
    finally:
        keepstep.logger.info("finally")


turns: list[tuple[str, bool]] = []


@workflow
async def telling_replay() -> None:
    turns.append(("begun", keepstep.is_replaying()))
    await keepstep.receive("go")
    turns.append(("gone on", keepstep.is_replaying()))


@workflow
class SpeakingHandlers:
    async def run(self) -> None:
        await keepstep.receive("go")

    @keepstep.query
    def ask(self) -> str:
        keepstep.logger.info("asked")
        return "answer"


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, "keepstep.run")
    return lambda: [each for each in caplog.records if each.name == "keepstep.run"]


def test_lines_say_which_run_and_step_and_attempt_they_belong_to(records: Any) -> None:
    async def main() -> str | None:
        world = World()
        engine = await world.open()
        handle = await engine.start(speaking, id="speaking-1")
        await handle.signal("go")
        assert await handle.result(timeout=60) == "spoken"
        await world.close()
        return handle.run_id

    run_id = run(main)
    lines = records()
    assert [each.getMessage() for each in lines] == [
        "begun by speaking-1", "attempt under way", "attempt under way", "from a thread", "gone on", "finally"
    ]  # fmt: skip
    assert {(each.run_id, each.workflow_id) for each in lines} == {(run_id, "speaking-1")}
    assert lines[0].workflow == "speaking"
    assert [(each.step_key, each.attempt) for each in lines[1:4]] == [
        ("speak_in_a_step", 1), ("speak_in_a_step", 2), ("speak_on_a_thread", 1)
    ]  # fmt: skip
    assert lines[1].size == 3
    assert lines[0].funcName == "speaking"


def test_replay_after_a_crash_and_code_that_was_cut_off_are_quiet(records: Any) -> None:
    async def main() -> None:
        world = World()
        first = await world.open(lease_seconds=1.0)
        await first.start(speaking, id="speaking-2")
        while len(records()) < 4:
            await asyncio.sleep(0.1)
        await until_shown(first, Condition.WAITING, "speaking-2")
        said = len(records())
        world.kill(first)
        second = await world.open(lease_seconds=1.0)
        await second.signal("speaking-2", "go")
        await second.get("speaking-2").result(timeout=60)
        await world.close()
        assert [each.getMessage() for each in records()[said:]] == ["gone on", "finally"]

    run(main)


def test_code_may_ask_whether_it_is_replayed() -> None:
    async def main() -> None:
        world = World()
        first = await world.open(lease_seconds=1.0)
        await first.start(telling_replay, id="telling")
        await until_shown(first, Condition.WAITING, "telling")
        world.kill(first)
        second = await world.open(lease_seconds=1.0)
        await second.signal("telling", "go")
        await second.get("telling").result(timeout=60)
        await world.close()

    turns.clear()
    run(main)
    assert turns == [("begun", False), ("begun", True), ("gone on", False)]
    with pytest.raises(RuntimeError, match="is_replaying can only be used inside a workflow"):
        keepstep.is_replaying()


def test_a_query_after_a_replay_is_asked_now_and_may_speak(records: Any) -> None:
    async def main() -> None:
        world = World()
        first = await world.open(lease_seconds=1.0)
        await first.start(SpeakingHandlers, id="asked")
        await until_shown(first, Condition.WAITING, "asked")
        world.kill(first)
        second = await world.open(lease_seconds=1.0)
        assert await second.get("asked").query("ask") == "answer"
        await world.close()
        assert [each.getMessage() for each in records()] == ["asked"]

    run(main)


def test_outside_of_runs_it_is_a_plain_logger(records: Any) -> None:
    keepstep.logger.info("plain", extra={"mine": 1})
    [line] = records()
    assert line.mine == 1
    assert not hasattr(line, "run_id")


def formatted(message: str = "said %s", *args: Any, **extra: Any) -> Any:
    logger = logging.getLogger("app")
    record = logger.makeRecord(
        "app", logging.WARNING, "f.py", 7, message, args, extra.pop("exc_info", None), extra=extra
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_json_line_has_the_message_the_extras_and_the_traceback() -> None:
    try:
        raise ValueError("kaputt")
    except ValueError:
        line = formatted("said %s", "it", run_id="r1", attempt=2, exc_info=sys.exc_info())
    assert (line["level"], line["logger"], line["message"]) == ("warning", "app", "said it")
    assert (line["run_id"], line["attempt"]) == ("r1", 2)
    assert line["error"].endswith("ValueError: kaputt")
    assert line["time"].endswith("+00:00")


def test_a_json_line_is_written_whatever_the_extras_are() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert formatted("x", thing=object, level="mine")["level"] == "warning"
    assert formatted("x", thing=object)["thing"] == repr(object)
    assert formatted("x", thing=circle)["message"] == "x"
    assert formatted("bad \udc80")["message"] == "bad \\udc80"


async def test_an_engine_on_a_file_speaks_too(tmp_path: Any, records: Any) -> None:
    async with Engine(f"sqlite:///{tmp_path}/runs.db") as engine:
        handle = await engine.start(speaking, id="speaking-3")
        await handle.signal("go")
        await handle.result(timeout=60)
    assert len(records()) == 6
