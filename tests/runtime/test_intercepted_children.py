"""What stands around the start of a child: it sees it, may change it, and is the same at every replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Cancelled, Engine, Interceptor, StartingChild, WorkflowFailed, step, workflow
from keepstep.runtime.interceptor import CallNext
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine


@step
async def note_a_start(what: str) -> str:
    return what


@workflow
async def child_that_is_seen(text: str, loud: bool = False) -> str:
    return f"{text}{'!' if loud else ''} for {keepstep.info().headers.get('for', 'nobody')}"


@workflow
async def parent_that_is_seen() -> list[str]:
    started = await keepstep.start_child(child_that_is_seen, "started", id="its own id")
    awaited = await child_that_is_seen("awaited", loud=True)
    gathered = await asyncio.gather(child_that_is_seen("g1"), child_that_is_seen("g2"))
    return [await started, awaited, *gathered]


class Marking(Interceptor):
    """Notes each start by a step, changes its arguments, and says whom it is for."""

    async def start_child(self, call: StartingChild, call_next: CallNext[StartingChild]) -> Any:
        noted = await note_a_start(f"{call.workflow.name} at {call.key}")
        call.args = [f"{each}+" for each in call.args]
        call.headers["for"] = noted.rpartition("/")[2]
        return await call_next(call)


PLAIN = ["started for nobody", "awaited! for nobody", "g1 for nobody", "g2 for nobody"]
MARKED = [f"{each.replace(' for nobody', '').replace('!', '')}+" for each in PLAIN]


async def run_the_parent(engine: Engine) -> Any:
    return await (await engine.start(parent_that_is_seen, id="p")).result(timeout="1h")


def test_the_start_of_every_child_is_changed_on_its_way_whatever_crashes() -> None:
    def check(said: list[str], _: int) -> None:
        assert [each.partition(" ")[0].replace("!", "") for each in said] == MARKED
        assert all("child_that_is_seen" in each.partition(" for ")[2] for each in said)

    assert on_an_engine(run_the_parent) == PLAIN
    assert crash_at_every_commit(run_the_parent, check, interceptors=[Marking()]) > 10


class Refusing(Interceptor):
    async def start_child(self, call: StartingChild, call_next: CallNext[StartingChild]) -> Any:
        raise PermissionError(f"no {call.workflow.name} here")


class Waiting(Interceptor):
    """Waits for the end of each child before it lets go of its handle."""

    async def start_child(self, call: StartingChild, call_next: CallNext[StartingChild]) -> Any:
        handle = await call_next(call)
        await handle
        return handle


class Twice(Interceptor):
    async def start_child(self, call: StartingChild, call_next: CallNext[StartingChild]) -> Any:
        await call_next(call)
        return await call_next(call)


class NoHandle(Interceptor):
    async def start_child(self, call: StartingChild, call_next: CallNext[StartingChild]) -> Any:
        return await (await call_next(call))


class AnotherOne(Interceptor):
    async def start_child(self, call: StartingChild, call_next: CallNext[StartingChild]) -> Any:
        call.workflow = parent_that_is_seen
        return await call_next(call)


def test_an_interceptor_may_wait_for_the_child() -> None:
    assert on_an_engine(run_the_parent, interceptors=[Waiting()]) == PLAIN


@pytest.mark.parametrize(
    ("interceptor", "said"),
    [
        (Refusing(), "no child_that_is_seen here"),
        (Twice(), "starts the child 'child_that_is_seen' once"),
        (NoHandle(), "returns the handle"),
        (AnotherOne(), "may not start"),
    ],
)
def test_what_an_interceptor_may_not_do_fails_the_run(interceptor: Interceptor, said: str) -> None:
    async def program(engine: Engine) -> None:
        with pytest.raises(WorkflowFailed, match=said):
            await run_the_parent(engine)

    on_an_engine(program, interceptors=[interceptor])


@workflow
async def child_that_hangs() -> None:
    await keepstep.receive("never")


@workflow
async def parent_that_gives_up() -> str:
    try:
        async with asyncio.timeout(5):
            await child_that_hangs()
    except TimeoutError:
        return "given up"
    return "never"


def test_a_child_that_is_given_up_through_interceptors_is_cancelled() -> None:
    async def program(engine: Engine) -> str:
        said = await engine.run(parent_that_gives_up, id="p")
        with pytest.raises(Cancelled):
            await engine.get("p/child_that_hangs").result(timeout=60)
        return said

    assert on_an_engine(program, interceptors=[Marking()]) == "given up"
