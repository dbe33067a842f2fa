"""A fork begins with another run's history and goes its own way from there: nothing recorded is done again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

import keepstep
from keepstep import AlreadyStarted, Engine, InvalidInput, RunHandle, step, workflow
from keepstep.client import forking
from keepstep.journal import Condition, StoreUnavailable
from keepstep.testing import run
from tests.runtime.crashing import World
from tests.runtime.deploying import until_shown
from tests.runtime.programs import on_an_engine

Program = Callable[[Engine], Awaitable[Any]]

begun: list[tuple[str, int]] = []
"""Idempotency keys and numbers of all steps begun."""


@pytest.fixture(autouse=True)
def nothing_was_begun() -> None:
    begun.clear()


@dataclass
class Price:
    amount: int
    currency: str = "EUR"


@step
async def price_before_fork(n: int) -> Price:
    begun.append((keepstep.step_info().idempotency_key, n))
    return Price(n)


@step
async def spend_in_fork(n: int, words: str = "") -> str:
    begun.append((keepstep.step_info().idempotency_key, n))
    return f"spent {n}{words}"


@step
async def fail_in_fork() -> int:
    raise ValueError("no such thing")


@workflow
async def buy_in_steps(n: int) -> list[str]:
    price = await price_before_fork(n)
    first = await spend_in_fork(price.amount)
    said = await keepstep.receive("say", str)
    return [first, said, await spend_in_fork(price.amount + 1)]


async def history_of(handle: RunHandle[Any]) -> list[tuple[int, str, str | None]]:
    return [(each.seq, each.type, each.key) async for each in handle.history()]


async def bought(engine: Engine, id: str = "bought") -> RunHandle[Any]:
    handle = await engine.start(buy_in_steps, 5, id=id)
    await until_shown(engine, Condition.WAITING, id)
    await handle.signal("say", "hello")
    await handle.result()
    return handle


def test_a_fork_has_the_history_up_to_its_event_and_does_the_rest_anew() -> None:
    async def program(engine: Engine) -> Any:
        handle = await bought(engine)
        forked = await handle.fork(at=3)
        await forked.signal("say", "good bye")
        result = await forked.result()
        return await history_of(handle), await history_of(forked), result

    old, new, result = on_an_engine(program)
    assert result == ["spent 5", "good bye", "spent 6"]
    assert new[:3] == old[:3]
    assert [each[1] for each in new[3:]] == ["forked", "signal_received", "step_completed", "workflow_completed"]
    assert [n for _, n in begun] == [5, 5, 6, 6]
    assert len({key for key, _ in begun}) == 4, "what is done anew has idempotency keys of its own"


def test_the_history_of_a_fork_says_where_it_came_from() -> None:
    async def program(engine: Engine) -> Any:
        handle = await bought(engine)
        forked = await handle.fork(at=3, replace={"price_before_fork": Price(5)})
        return handle.run_id, [each.data async for each in forked.history() if each.type == "forked"]

    run_id, [data] = on_an_engine(program)
    assert (data["run_id"], data["workflow_id"], data["at"]) == (run_id, "bought", 3)
    assert data["replaced"] == ("price_before_fork",)


def test_a_result_that_is_replaced_is_what_the_code_goes_on_with() -> None:
    async def program(engine: Engine) -> Any:
        forked = await (await bought(engine)).fork(replace={"price_before_fork": Price(70)})
        await forked.signal("say", "dear")
        return await forked.result(), len(await history_of(forked))

    result, events = on_an_engine(program)
    assert result == ["spent 70", "dear", "spent 71"]
    assert events == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replace": {"price_before_fork": {"amount": "much"}}}, "could not have returned"),
        ({"replace": {"price_before_fork": 3}}, "could not have returned"),
        ({"replace": {"unheard_of": 3}}, "no result with the key 'unheard_of'"),
        ({"at": 2, "replace": {"spend_in_fork": "x"}}, "in its first 2 events"),
        ({"at": 0}, "the events 1 to 6"),
        ({"at": 7}, "the events 1 to 6"),
        ({"at": 6}, "had ended at seq 6"),
        ({"at": 3, "id": ""}, "the id of a fork"),
    ],
)
def test_what_cannot_be_forked_is_refused_and_starts_nothing(options: dict[str, Any], words: str) -> None:
    async def program(engine: Engine) -> int:
        handle = await bought(engine)
        with pytest.raises(InvalidInput, match=words):
            await handle.fork(**options)
        return await engine.count()

    assert on_an_engine(program) == 1


def test_a_failed_step_can_be_given_a_result_after_all() -> None:
    @workflow(name="fail_before_fork")
    async def code() -> int:
        return 1 + await fail_in_fork.options(retry=keepstep.Retry(max_attempts=1))()

    async def program(engine: Engine) -> int:
        handle = await engine.start(code, id="failed")
        with pytest.raises(keepstep.WorkflowFailed):
            await handle.result()
        forked = await handle.fork(replace={"fail_in_fork": 41})
        result: int = await forked.result()
        return result

    assert on_an_engine(program) == 42


def test_an_open_run_is_forked_without_noticing_it() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(buy_in_steps, 5, id="open")
        await until_shown(engine, Condition.WAITING, "open")
        forked = await handle.fork(at=3)
        await forked.signal("say", "fork")
        await handle.signal("say", "open")
        return await forked.result(), await handle.result()

    assert on_an_engine(program) == (["spent 5", "fork", "spent 6"], ["spent 5", "open", "spent 6"])


@workflow
async def tell_who_and_when() -> list[Any]:
    before = keepstep.now()
    told = [await spend_in_fork(1, f" {keepstep.info()} {keepstep.uuid4()} {keepstep.now()}")]
    callback = keepstep.callback()
    told.append(await spend_in_fork(2, callback.token + callback.url))
    await keepstep.receive("go")
    passed = keepstep.now() - before
    told.append(await spend_in_fork(3, f" {keepstep.info().workflow_id} {keepstep.uuid4()}"))
    return [*told, passed.total_seconds() >= 1000, await callback.result(str)]


def test_in_what_was_copied_the_code_hears_what_it_heard_and_afterwards_its_own() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(tell_who_and_when, id="one")
        info = await until_shown(engine, Condition.WAITING, "one")
        old_token = next(each.token for each in info.waiting_for if each.kind == "callback")
        await asyncio.sleep(1000)
        forks = [await handle.fork(at=info.events, id="two")]
        forks.append(await forks[0].fork(at=info.events, id="three"))  # a fork of what was copied itself
        forks.append(await forks[0].fork(id="four"))
        results = []
        for forked in forks:
            await forked.signal("go")
            shown = await until_shown(engine, Condition.WAITING, forked.id)
            while len(shown.waiting_for) != 1:
                await asyncio.sleep(1)
                shown = await forked.describe()
            [waiting] = shown.waiting_for
            assert waiting.token != old_token
            await engine.complete_callback(waiting.token, f"to {forked.id}")
            results.append(await forked.result())
        await handle.signal("go")
        await engine.complete_callback(old_token, "to one")
        return await handle.result(), results

    old, forks = on_an_engine(program)
    assert old[-2:] == [True, "to one"]
    for name, new in zip(("two", "three", "four"), forks, strict=True):
        assert new[:2] == old[:2], "steps were recorded, and their arguments are as they were"
        assert f" {name} " in new[2]
        assert new[3:] == [True, f"to {name}"]
    assert len({each[2].split()[-1] for each in (old, *forks)}) == 4, "each draws uuids of its own"


@workflow
async def child_of_fork(n: int) -> int:
    return int(await keepstep.receive("answer", int)) + n


@workflow
async def parent_of_fork() -> list[int]:
    await price_before_fork(1)
    return [await child_of_fork(10), (await price_before_fork(2)).amount]


def test_a_fork_that_waits_for_a_child_hears_of_its_end_or_is_refused_while_it_is_open() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(parent_of_fork, id="parent")
        await until_shown(engine, Condition.WAITING, "parent")
        with pytest.raises(InvalidInput, match=r"still open.*fork at an event before 3"):
            await handle.fork(at=3)
        before = await handle.fork(at=2, id="before")
        for parent in ("parent", "before"):
            await until_shown(engine, Condition.WAITING, parent)
            await engine.signal(f"{parent}/child_of_fork", "answer", len(parent))
        results = [await handle.result(), await before.result()]
        after = await handle.fork(at=3)
        replaced = await handle.fork(replace={"child_of_fork": 99})
        return [*results, await after.result(), await replaced.result()]

    assert on_an_engine(program) == [[16, 2], [16, 2], [16, 2], [99, 2]]


def test_a_human_task_that_was_copied_is_offered_again_with_a_token_of_the_fork() -> None:
    @workflow(name="ask_before_fork")
    async def code() -> int:
        return int(await keepstep.human_task("How many?", int))

    async def program(engine: Engine) -> Any:
        handle = await engine.start(code, id="asked")
        info = await until_shown(engine, Condition.WAITING, "asked")
        forked = await handle.fork(at=info.events)
        await until_shown(engine, Condition.WAITING, forked.id)
        tasks = [task async for task in engine.human_tasks()]
        for n, task in enumerate(tasks):
            await engine.complete_callback(task.token, n)
        return sorted([await handle.result(), await forked.result()])

    assert on_an_engine(program) == [0, 1]


def test_a_fork_may_take_the_id_of_a_closed_run_and_not_that_of_an_open_one() -> None:
    async def program(engine: Engine) -> Any:
        handle = await bought(engine)
        forked = await handle.fork(at=3, id="bought")
        with pytest.raises(AlreadyStarted):
            await handle.fork(at=3, id="bought")
        newest = await engine.get("bought").describe()
        return newest.run_id == forked.run_id, newest.status

    assert on_an_engine(program) == (True, "running")


def test_code_that_was_patched_since_takes_the_new_way_from_the_fork_on() -> None:
    @workflow(name="patched_fork")
    async def old() -> list[str]:
        first = await spend_in_fork(1)
        return [first, await spend_in_fork(2)]

    async def program(engine: Engine) -> Any:
        handle = await engine.start(old, id="old")
        await handle.result()

        @workflow(name="patched_fork", guard=False)
        async def new() -> list[str]:
            if keepstep.patched("before"):
                await price_before_fork(0)
            first = await spend_in_fork(1)
            return [first, await spend_in_fork(3 if keepstep.patched("after") else 2)]

        forked = await handle.fork(at=2)
        return await forked.result(), [key for _, type_, key in await history_of(forked) if type_ == "version_marked"]

    assert on_an_engine(program) == (["spent 1", "spent 3"], ["@version/after"])


def test_a_long_history_is_copied_in_parts_and_a_copy_that_was_cut_off_is_blocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forking, "CHUNK_EVENTS", 2)

    async def main() -> Any:
        world = World()
        engine = await world.open()
        handle = await bought(engine)
        whole = await handle.fork(at=4, id="whole")
        commits = engine.journal.commit
        made = 0

        async def commit_once(*args: Any) -> Any:
            nonlocal made
            made += 1
            if made > 1:
                raise StoreUnavailable("the copier was killed")
            return await commits(*args)

        monkeypatch.setattr(engine.journal, "commit", commit_once)
        with pytest.raises(StoreUnavailable):
            await handle.fork(at=5, id="cut")
        monkeypatch.setattr(engine.journal, "commit", commits)
        assert (await engine.get("cut").describe()).events == 4
        await engine.journal.rebuild()  # whoever looks at all runs finds it
        blocked = await until_shown(engine, Condition.BLOCKED, "cut")
        result = await whole.result()
        await world.close()
        return result, blocked.error

    result, error = run(main)
    assert result == ["spent 5", "hello", "spent 6"]
    assert "whoever copied them was cut off" in error
