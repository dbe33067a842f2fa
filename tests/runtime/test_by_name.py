"""Steps and workflows are called by names that this process has no code for, and code may serve every name."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, Retry, RunClosed, RunHandle, StepFailed, WorkflowFailed, step, workflow
from keepstep.runtime import registry
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine

done: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def own_names() -> Iterator[None]:
    """Code for every name would serve those of all other tests."""
    done.clear()
    with registry.emptied():
        yield


@dataclass
class Money:
    cents: int


def define_what_is_called() -> None:
    @step(name="charge", queue="default", retry=Retry(max_attempts=2, initial=0.1))
    async def charge(order: str, money: Money, note: str = "") -> Money:
        done[order] += 1
        if order == "broken" or (order == "flaky" and keepstep.step_info().attempt == 1):
            raise ConnectionError(order)
        return Money(money.cents + len(note))

    @workflow(name="ship")
    async def ship(order: str, *, fast: bool = False) -> str:
        done[f"ship {order}"] += 1
        return f"{order}{' fast' if fast else ''}"


@workflow
async def call_all_by_name() -> list[Any]:
    charge = keepstep.step_by_name("charge", result=Money)
    ship = keepstep.workflow_by_name("ship", result=str)
    first = await charge("o", Money(7), note="abc")
    plain = await keepstep.step_by_name("charge")("flaky", {"cents": 1})
    child = await keepstep.start_child("ship", "o2")
    parcel = await ship("o1", fast=True)
    async with keepstep.saga() as saga:
        third = await saga.run(charge, "o3", Money(3), undo=charge)
    return [first.cents, plain, parcel, await child, third.cents]


EXPECTED = [10, {"cents": 1}, "o1 fast", "o2", 3]


def register_again(*definitions: Any) -> None:
    for each in definitions:
        registry.register(each)


def test_what_is_called_by_name_is_done_where_its_code_is_whatever_crashes() -> None:
    register_again(call_all_by_name)
    define_what_is_called()

    async def program(engine: Engine) -> Any:
        return await (await engine.start(call_all_by_name, id="w")).result(timeout="1h")

    def check(result: Any, crashes: int) -> None:
        assert result == EXPECTED
        assert all(1 <= done[name] <= 1 + crashes for name in ("o", "o3"))
        done.clear()

    assert crash_at_every_commit(program, check) > 10


def test_it_waits_until_somebody_has_a_code_of_that_name_and_says_what_for() -> None:
    register_again(call_all_by_name)

    async def program(engine: Engine) -> Any:
        handle = await engine.start(call_all_by_name, id="w")
        await asyncio.sleep(20)
        [wait] = (await handle.describe()).waiting_for
        assert (wait.kind, wait.name, wait.queue) == ("step", "charge", "default")
        define_what_is_called()
        return await handle.result(timeout="1h")

    assert on_an_engine(program) == EXPECTED


@workflow
async def call_with_options() -> list[str]:
    said: list[str] = []
    for call in (
        keepstep.step_by_name("charge"),
        keepstep.step_by_name("charge").options(retry=Retry(max_attempts=1)),
        keepstep.step_by_name("charge", result=str),
    ):
        try:
            await call("broken" if not said or len(said) == 1 else "fine", Money(1))
        except (StepFailed, InvalidInput) as error:
            said.append(f"{type(error).__name__} {getattr(error, 'attempts', '')}")
    return said


def test_options_are_those_of_the_code_unless_the_call_says_others() -> None:
    register_again(call_with_options)
    define_what_is_called()

    async def program(engine: Engine) -> Any:
        handle = await engine.start(call_with_options, id="w")
        while (info := await handle.describe()).condition != "blocked":
            await asyncio.sleep(1)
        return info.detail, [each.data["attempts"] async for each in handle.history() if each.type == "step_failed"]

    detail, attempts = on_an_engine(program)
    assert attempts == [2, 1]
    assert "declared type" in str(detail), "a result that does not fit blocks the run until the type is mended"


def test_a_time_limit_that_the_code_has_stays_where_the_call_names_another_option() -> None:
    from keepstep.runtime.step import published_options, with_published_options

    @step(name="slow", queue="default", timeout=5, total_timeout=60)
    async def slow() -> None: ...

    named = keepstep.step_by_name("slow")
    assert published_options(named) is None
    changed = published_options(named.options(retry=Retry(max_attempts=7), timeout=2))
    assert changed is not None
    options = with_published_options(slow, changed).run_options
    assert (options.timeout_seconds, options.total_timeout_seconds, options.retry.max_attempts) == (2, 60, 7)


@workflow
async def fail_by_name() -> None:
    await keepstep.workflow_by_name("failing")()


def test_a_child_of_another_process_that_fails_fails_its_parent_and_is_retried_with_it() -> None:
    broken = [True]

    @workflow(name="failing")
    async def failing() -> None:
        if broken:
            raise ValueError("kaputt")

    register_again(fail_by_name)

    async def program(engine: Engine) -> None:
        handle = await engine.start(fail_by_name, id="w")
        with pytest.raises(WorkflowFailed, match="kaputt"):
            await handle.result(timeout="1h")
        broken.clear()
        await handle.retry()
        await handle.result(timeout="1h")

    on_an_engine(program)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: keepstep.step_by_name(""), "name"),
        (lambda: keepstep.step_by_name("*"), "say which"),
        (lambda: keepstep.workflow_by_name("*"), "say which"),
        (lambda: keepstep.step_by_name("x", queue=""), "queue"),
        (lambda: keepstep.step_by_name("x").options(queue=None), "by its name alone"),
        (lambda: keepstep.step_by_name("x").options(once=True), "once"),
        (lambda: keepstep.step_by_name("x")(1), "call it in a workflow"),
        (lambda: keepstep.workflow_by_name("x")(1), "call it in a workflow"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        make()


# every name


def define_code_for_every_name() -> tuple[Any, Any]:
    @step(name="*", queue="default", retry=Retry(max_attempts=2, initial=0.1))
    async def any_step(name: str, *args: int, loud: bool = False) -> str:
        done[name] += 1
        return f"{name}{sum(args)}{'!' if loud else ''}"

    @workflow(name="*")
    class AnyWorkflow:
        def __init__(self) -> None:
            self.said: list[str] = []

        async def run(self, name: str, size: int, *more: int) -> list[str]:
            for each in name.split("+"):
                self.said.append(await keepstep.step_by_name(each)(size, *more, loud=True))
            if name == "parent":
                self.said += await (await keepstep.start_child("left+right", 1))
            await keepstep.receive("leave")
            return self.said

        @keepstep.query
        def so_far(self) -> list[str]:
            return self.said

    return any_step, AnyWorkflow


def test_code_for_every_name_runs_what_nothing_else_serves_whatever_crashes() -> None:
    define_code_for_every_name()

    @step(name="own", queue="default")
    async def own(size: int, loud: bool) -> str:
        return f"the own one, {size}"

    async def program(engine: Engine) -> Any:
        handle: RunHandle[Any] = await engine.start("own+other", 2, id="w")
        with suppress(RunClosed):  # it is over, and was told so before the crash
            await handle.signal("leave", id="s")
        return await handle.result(timeout="1h"), (await handle.describe()).type, await handle.query("so_far")

    def check(result: Any, crashes: int) -> None:
        said = ["the own one, 2", "other2!"]
        assert result == (said, "own+other", said)
        assert 1 <= done["other"] <= 1 + crashes
        done.clear()

    assert crash_at_every_commit(program, check) > 5


def test_a_workflow_for_every_name_is_a_child_and_waits_on_queues_with_limits() -> None:
    define_code_for_every_name()
    keepstep.queue("narrow", concurrency=1)

    async def program(engine: Engine) -> Any:
        runs: list[RunHandle[Any]] = [await engine.start(f"n{n}", n, id=f"n{n}", queue="narrow") for n in range(3)]
        parent: RunHandle[Any] = await engine.start("parent", 5, id="parent", delay=3)
        for run in runs:
            await run.signal("leave")
        assert [await run.result(timeout="1h") for run in runs] == [["n00!"], ["n11!"], ["n22!"]]
        await parent.signal("leave")
        while [each async for each in engine.list("WorkflowType = 'left+right'")] == []:
            await asyncio.sleep(1)
        [child] = [each async for each in engine.list("WorkflowType = 'left+right'")]
        await engine.get(child.id).signal("leave")
        return await parent.result(timeout="1h")

    assert on_an_engine(program, queues=("default", "narrow")) == ["parent5!", "left1!", "right1!"]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_stores_on_disk_give_every_type_to_who_serves_every_name(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'k.db'}" if store == "sqlite" else request.getfixturevalue("postgres_url")
    define_code_for_every_name()
    async with Engine(url, queues=("default", "narrow")) as engine:
        keepstep.queue("narrow", concurrency=1)
        runs: list[RunHandle[Any]] = [
            await engine.start(f"t{n}", n, queue=("narrow" if n % 2 else None), priority=n % 3) for n in range(6)
        ]
        for run in runs:
            await run.signal("leave")
        assert [await run.result(timeout=60) for run in runs] == [[f"t{n}{n}!"] for n in range(6)]


def test_runs_that_stay_with_a_version_are_left_to_who_has_it() -> None:
    """A worker for every name must not take them, also where they wait on a queue with limits."""
    define_code_for_every_name()

    async def program(engine: Engine) -> Any:
        @workflow(name="pinned", version="2", pinned=True)
        async def pinned() -> str:
            return "by its own code"

        run = await engine.start(pinned, id="p", delay=5)
        registry.forget("workflow", "pinned")
        await asyncio.sleep(30)
        assert (await run.describe()).condition == "queued"
        registry.register(pinned)
        return await run.result(timeout="1h")

    assert on_an_engine(program) == "by its own code"


async def test_another_process_starts_any_name_where_code_for_every_name_is_published(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'k.db'}"
    define_code_for_every_name()
    async with Engine(url) as engine:
        with registry.emptied():
            async with Engine(url, workers=False) as client:
                run: RunHandle[Any] = await client.start("whatever", 4)
                with pytest.raises(InvalidInput, match=r"argument 1|string|int"):
                    await client.start("whatever", "no number")
        await engine.get(run.id).signal("leave")
        assert await engine.get(run.id).result(timeout=60) == ["whatever4!"]


def test_code_for_every_name_must_take_the_name_and_is_not_called_without_one() -> None:
    async def no_name(*, size: int) -> None: ...

    class NoName:
        async def run(self) -> None: ...

    with pytest.raises(InvalidInput, match=r"must take its name: def no_name\(name: str, ...\)"):
        step(name="*", queue="default")(no_name)
    with pytest.raises(InvalidInput, match=r"must take its name: def run\(self, name: str, ...\)"):
        workflow(name="*")(NoName)

    async def fine(name: str) -> None: ...

    with pytest.raises(InvalidInput, match="leave out once="):
        step(name="*", once=True)(fine)
    with pytest.raises(InvalidInput, match="no version of its own"):
        workflow(name="*", version="1")(fine)
    any_step, any_workflow = define_code_for_every_name()

    @workflow(name="call it directly")
    async def call_it_directly() -> None:
        await any_step("x", 1)

    @workflow(name="start it directly")
    async def start_it_directly() -> None:
        await keepstep.start_child(any_workflow, 1)

    async def program(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="say the name of one"):
            await engine.start(any_workflow, 1)
        for each in (call_it_directly, start_it_directly):
            with pytest.raises(WorkflowFailed, match="say the name of one"):
                await engine.run(each)

    on_an_engine(program)
