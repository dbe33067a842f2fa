"""Async generators of runs are remembered within a limit, and those of others are left to their own loops."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.runtime import generators
from tests.runtime.programs import on_an_engine


@step
async def count_a_generator(n: int) -> int:
    return n


async def numbers(upto: int) -> AsyncIterator[int]:
    for n in range(upto):
        yield await count_a_generator(n)


@workflow
async def leave_generators_behind(count: int) -> int:
    kept: list[Any] = []
    total = 0
    for _ in range(count):
        generator = numbers(3)
        kept.append(generator)
        async for n in generator:
            total += n
            if n == 1:
                break
    await keepstep.sleep(1)
    return total


def test_generators_of_runs_that_have_left_memory_are_swept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "GENERATORS_MAX", 2)

    async def program(engine: Engine) -> list[Any]:
        results = []
        for n in range(4):
            results.append(await engine.run(leave_generators_behind, 4, id=f"x{n}"))
            gc.collect()
        return results

    assert on_an_engine(program) == [4, 4, 4, 4]
    assert len(generators._generators) <= 2 + 4  # of the last run at most


def test_without_hooks_of_an_outer_loop_generators_are_nobodys_business() -> None:
    async def one() -> AsyncIterator[int]:
        yield 1

    made = one()
    generators.FirstIteration(None)(made)  # type: ignore[arg-type]
    generators._Finalizer(None)(made)  # type: ignore[arg-type]
    assert id(made) not in generators._generators


def test_the_hooks_of_an_outer_loop_still_hear_of_what_is_theirs() -> None:
    heard: list[str] = []

    async def one() -> AsyncIterator[int]:
        yield 1

    made = one()
    generators.FirstIteration(lambda _: heard.append("first"))(made)  # type: ignore[arg-type]
    generators._Finalizer(lambda _: heard.append("last"))(made)  # type: ignore[arg-type]
    assert heard == ["first", "last"]


def test_a_thread_is_hooked_once() -> None:
    before = sys.get_asyncgen_hooks()
    try:
        generators.hear_of_generators()
        once = sys.get_asyncgen_hooks()
        generators.hear_of_generators()
        assert sys.get_asyncgen_hooks() == once
        assert isinstance(once.firstiter, generators.FirstIteration)
    finally:
        sys.set_asyncgen_hooks(*before)


@workflow
async def fail_in_circles() -> None:
    try:
        await break_for_a_circle()
    except keepstep.StepFailed:
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first from second


@step(retry=keepstep.Retry(max_attempts=1))
async def break_for_a_circle() -> None:
    raise RuntimeError("broken")


@workflow
async def start_what_is_no_workflow() -> str:
    try:
        await keepstep.start_child(count_a_generator, 1)  # type: ignore[call-overload]
    except keepstep.InvalidInput as error:
        return str(error)
    return "started"


@workflow
async def call_at_once() -> list[str]:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.call_later(0, said.append, "now")
    loop.call_at(loop.time() - 5, said.append, "long ago")
    await asyncio.sleep(0)
    return said


def test_errors_that_cause_each_other_fail_the_run_like_any_other() -> None:
    async def program(engine: Engine) -> str:
        with pytest.raises(keepstep.WorkflowFailed) as failed:
            await engine.run(fail_in_circles)
        return str(failed.value)

    assert "first" in on_an_engine(program)


def test_only_workflows_are_children() -> None:
    async def program(engine: Engine) -> Any:
        return await engine.run(start_what_is_no_workflow)

    said = on_an_engine(program)
    assert "start_child needs a workflow, or the name of one, not <step count_a_generator>" in said


def test_what_is_due_already_is_called_in_this_turn() -> None:
    async def program(engine: Engine) -> Any:
        return await engine.run(call_at_once)

    assert on_an_engine(program) == ["now", "long ago"]
