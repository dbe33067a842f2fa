"""What is said by an id happens once in a whole chain of runs, although each of them has a history of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

import keepstep
from keepstep import Engine, NotFound, RunClosed, UpdateFailed, step, workflow
from keepstep.runtime import heard
from keepstep.runtime.heard import Heard, run_that_heard
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine

taken: Counter[str] = Counter()


@step
async def take_in(what: str) -> None:
    taken[what] += 1


@workflow
class Gate:
    """Lets one in, by whatever way, and continues as new."""

    def __init__(self, passed: list[str]) -> None:
        self.passed = passed
        self.is_closed = False

    async def run(self, passed: list[str]) -> list[str]:
        before = len(passed)
        await keepstep.wait_for(
            lambda: (len(self.passed) > before or self.is_closed) and keepstep.all_handlers_finished()
        )
        if not self.is_closed:
            keepstep.continue_as_new(self.passed)
        return self.passed

    @keepstep.update
    async def enter(self, who: str) -> int:
        await take_in(who)
        if who == "a stranger":
            raise PermissionError("we do not know each other")
        self.passed.append(who)
        return len(self.passed)

    @keepstep.signal
    async def jump(self, who: str) -> None:
        await take_in(who)
        self.passed.append(who)

    @keepstep.signal
    def close(self) -> None:
        self.is_closed = True

    @keepstep.query
    def so_far(self) -> list[str]:
        return self.passed


async def _until(engine: Engine, id: str, count: int) -> None:
    while len(await engine.get(id).query(Gate.so_far)) < count:
        await asyncio.sleep(0.1)


async def _say_all(engine: Engine) -> list[Any]:
    """Say it in order, each when what was before has been heard, so that every one comes to a run of its own."""
    gate = engine.get("gate")
    told = [await gate.update(Gate.enter, "ann", id="1")]
    with suppress(RunClosed):
        await gate.signal(Gate.jump, "bob", id="1")  # an update and a signal of one id are two things
    await _until(engine, "gate", 2)
    told.append(await gate.update(Gate.enter, "cid", id="2"))
    with pytest.raises(UpdateFailed, match="do not know each other"):
        await gate.update(Gate.enter, "a stranger", id="3")
    return told


async def keep_gate(engine: Engine) -> tuple[list[Any], list[str], int]:
    gate = await engine.start(Gate, [], id="gate")
    told = [*await _say_all(engine), *await _say_all(engine)]
    with suppress(RunClosed):
        await engine.get("gate").signal(Gate.close)
    result = await gate.result()
    told += [await engine.get("gate").update(Gate.enter, "ann", id="1")]  # it is closed, and knows it still
    told += [await engine.update_with_start(Gate, [], id="gate", update=Gate.enter, update_args=["x"], update_id="2")]
    return told, result, await engine.count("WorkflowId = 'gate'")


def test_what_a_chain_of_runs_was_told_by_an_id_happens_once_whatever_crashes() -> None:
    def check(seen: tuple[list[Any], list[str], int], crashes: int) -> None:
        told, result, runs = seen
        assert told == [1, 3, 1, 3, 1, 3]
        assert result == ["ann", "bob", "cid"]
        assert runs == 4
        assert set(taken) == {"ann", "bob", "cid", "a stranger"}
        assert sum(taken.values()) <= 4 + crashes
        taken.clear()

    taken.clear()
    assert crash_at_every_commit(keep_gate, check) >= 30


def test_a_signal_that_nobody_had_read_when_its_run_continued_is_read_by_the_next_and_by_no_other() -> None:
    @workflow
    async def read_one_a_round(read: list[str]) -> list[str]:
        read = [*read, await keepstep.receive("word", str)]
        if len(read) < 4:
            keepstep.continue_as_new(read)
        return read

    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(read_one_a_round, [], id="reading")
        for n in range(3):
            await handle.signal("word", f"w{n}", id=f"w{n}")
        while await engine.count("WorkflowId = 'reading'") < 4:
            await asyncio.sleep(0.1)
        for n in (0, 1, 2, 3):
            await handle.signal("word", f"w{n}", id=f"w{n}")
        return await handle.result()

    assert on_an_engine(program) == ["w0", "w1", "w2", "w3"]


def test_an_update_whose_outcome_is_gone_with_its_run_is_not_done_again() -> None:
    async def program(engine: Engine) -> None:
        gate = await engine.start(Gate, [], id="forgetful")
        await gate.update(Gate.enter, "dan", id="d")
        await _until(engine, "forgetful", 1)
        while (await engine.get("forgetful").describe()).run_id == gate.run_id:
            await asyncio.sleep(0.1)
        first = await anext(aiter(engine.get("forgetful").history()))
        assert first.data["heard"] == {gate.run_id: 1}
        assert "heard" not in (await anext(aiter(gate.history()))).data
        now = engine.journal.clock.now()
        assert await engine.journal.purge(engine.namespace, now + 1) == 1
        with pytest.raises(NotFound, match=r"update 'd' was done by run .*, whose retention has ended"):
            await engine.get("forgetful").update(Gate.enter, "dan", id="d")
        assert await engine.get("forgetful").query(Gate.so_far) == ["dan"]

    taken.clear()
    on_an_engine(program)
    assert taken == {"dan": 1}


def test_a_chain_remembers_the_last_ids_and_forgets_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "HEARD_MAX", 3)
    first = Heard()
    for n in range(2):
        first.note("signal", str(n))
    second = Heard()
    second.begin(first.passed_on("run 1", ()))
    for n in range(2, 5):
        second.note("update", str(n))
    third = second.passed_on("run 2", [("update", "3")])
    known = {n: run_that_heard(third, kind, n) for kind, n in (("signal", "0"), ("signal", "1"), ("update", "2"))}
    assert known == {"0": "", "1": "run 1", "2": "run 2"}
    assert run_that_heard(third, "update", "3") == ""  # it goes over
    assert run_that_heard(third, "update", "4") == "run 2"
    assert run_that_heard(third, "signal", "4") == ""


def test_of_a_run_that_hears_very_many_ids_no_more_are_kept_than_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "HEARD_MAX", 10)
    run = Heard()
    for n in range(1_000):
        run.note("signal", str(n))
        assert len(run._here) <= 20
    carried = run.passed_on("run", ())
    assert [run_that_heard(carried, "signal", str(n)) for n in (989, 990, 999)] == ["", "run", "run"]
