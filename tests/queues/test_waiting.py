"""Runs and steps that wait on queues, through the engine, in virtual time; and across a crash at every commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

import keepstep
from keepstep import AlreadyStarted, Cancelled, Engine, InvalidInput, Terminated, step, workflow
from keepstep.client.info import moment
from keepstep.journal import Condition, Declaration, Limits
from keepstep.queues.declaration import forget
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit

at_work: Counter[str] = Counter()
most: Counter[str] = Counter()
order: list[str] = []


def _begin(what: str) -> None:
    order.append(what)
    at_work[what[0]] += 1
    most[what[0]] = max(most[what[0]], at_work[what[0]])


def _end(what: str) -> None:
    at_work[what[0]] -= 1


@step(queue="lane")
async def ride(what: str) -> str:
    _begin(what)
    try:
        await asyncio.sleep(1)
    finally:
        _end(what)
    return what


@workflow
async def ride_all(whats: list[str]) -> list[str]:
    return list(await asyncio.gather(*[ride(what) for what in whats]))


@workflow
async def ride_by_turns(whats: list[tuple[str, int, str]]) -> None:
    calls = [ride.options(priority=priority, fairness_key=key)(what) for what, priority, key in whats]
    await asyncio.gather(*calls)


@workflow(queue="lane")
async def pass_through(what: str) -> str:
    order.append(what)
    await keepstep.sleep(10)
    return what


@workflow(queue="lane")
async def wait_in_the_lane(what: str) -> str:
    order.append(what)
    return str(await keepstep.receive("go", str))


Program = Callable[[World], Awaitable[Any]]


def play(program: Program) -> Any:
    async def whole() -> Any:
        for each in (at_work, most, order):
            each.clear()
        world = World()
        try:
            return await program(world)
        finally:
            await world.close()

    return run(whole)


async def declare(engine: Engine, name: str = "lane", **limits: Any) -> None:
    await engine.journal.declare_queues([Declaration(name=name, limits=Limits(**limits))])


QUEUES = ("default", "lane")


def test_no_more_steps_are_at_work_than_the_limit_over_all_workers() -> None:
    async def program(world: World) -> list[str]:
        engines = [await world.open(queues=QUEUES) for _ in range(3)]
        await declare(engines[0], concurrency=2)
        handles = [await engines[n % 3].start(ride_all, [f"a{n}", f"a{n}'"], id=f"r{n}") for n in range(6)]
        return [what for handle in handles for what in await handle.result(timeout=60)]

    assert len(play(program)) == 12
    assert most["a"] == 2


def test_steps_go_by_priority_and_then_keys_take_turns() -> None:
    async def program(world: World) -> None:
        engine = await world.open(queues=QUEUES)
        await declare(engine, concurrency=1)
        many = [(f"b{n}", 0, "big") for n in range(5)]
        await engine.run(ride_by_turns, [*many, ("s0", 0, "small"), ("s1", 0, "small"), ("u", -1, "big")], id="turns")

    play(program)
    assert order == ["u", "b0", "s0", "b1", "s1", "b2", "b3", "b4"]


def test_runs_on_a_limited_queue_begin_when_others_close_and_say_where_they_wait() -> None:
    async def program(world: World) -> list[Any]:
        engine = await world.open(queues=QUEUES)
        await declare(engine, concurrency=1)
        handles = [await engine.start(pass_through, name, id=name) for name in ("one", "two", "three")]
        await asyncio.sleep(1)
        info = await handles[2].describe()
        [wait] = info.waiting_for
        assert (info.condition, wait.kind, wait.name, wait.before) == (Condition.QUEUED, "queue", "lane", 1)
        assert await engine.count("Condition = 'queued'") == 2
        return [await handle.result(timeout=60) for handle in handles]

    assert play(program) == ["one", "two", "three"]
    assert order == ["one", "two", "three"]


def test_a_small_number_of_priority_goes_first() -> None:
    async def program(world: World) -> None:
        engine = await world.open(queues=QUEUES)
        await declare(engine, concurrency=1)
        handles = [
            await engine.start(pass_through, name, id=name, priority=priority)
            for name, priority in (("first", 5), ("last", 9), ("soon", 1))
        ]
        for handle in handles:
            await handle.result(timeout=60)

    play(program)
    assert order == ["first", "soon", "last"]


def test_runs_of_one_key_follow_each_other_and_name_who_keeps_them_waiting() -> None:
    async def program(world: World) -> None:
        engine = await world.open(queues=QUEUES)
        await declare(engine, per_key=1)
        start = [("a1", "a"), ("a2", "a"), ("b1", "b")]
        handles = [await engine.start(pass_through, name, id=name, fairness_key=key) for name, key in start]
        await asyncio.sleep(1)
        [wait] = (await handles[1].describe()).waiting_for
        assert (wait.key, wait.holder) == ("a", "a1")
        for handle in handles:
            await handle.result(timeout=60)

    play(program)
    assert order == ["a1", "b1", "a2"]


def test_a_delayed_run_begins_at_its_time_and_its_first_moment_is_that() -> None:
    async def program(world: World) -> tuple[float, float, Any]:
        engine = await world.open()
        began = world.loop.time()
        handle = await engine.start(tell_the_time, id="later", delay="1h", queue="default")
        await handle.signal("hello", 1)
        info = await handle.describe()
        at = await handle.result(timeout="2h")
        return world.loop.time() - began, (at - info.started_at).total_seconds(), info.waiting_for[0].kind

    elapsed, difference, kind = play(program)
    assert 3600 <= elapsed < 3602
    assert 0 <= difference < 2
    assert kind == "queue"


@workflow(timeout="10m")
async def tell_the_time() -> datetime:
    return keepstep.now()


def test_start_at_says_a_moment() -> None:
    async def program(world: World) -> float:
        engine = await world.open()
        at = moment(engine.journal.clock.now()) + timedelta(minutes=5)
        began = world.loop.time()
        await engine.run(tell_the_time, id="at", start_at=at)
        return world.loop.time() - began

    assert 300 <= play(program) < 302


def test_a_second_start_of_a_dedup_key_attaches_while_the_first_is_open() -> None:
    async def program(world: World) -> list[str]:
        engine = await world.open(queues=QUEUES)
        first = await engine.start(pass_through, "first", dedup="k")
        second = await engine.start(pass_through, "second", dedup="k")
        assert second.run_id == first.run_id
        with pytest.raises(AlreadyStarted):
            await engine.start(pass_through, "third", dedup="k", if_running="reject")
        with pytest.raises(InvalidInput, match="give id= or dedup="):
            await engine.start(pass_through, "fourth", dedup="k", id="own")
        said = [await second.result(timeout=60)]
        again = await engine.start(pass_through, "fifth", dedup="k")
        return [*said, await again.result(timeout=60)]

    assert play(program) == ["first", "fifth"]


def test_a_rate_lets_runs_begin_no_faster_and_as_soon_as_it_allows() -> None:
    moments: list[float] = []

    async def program(world: World) -> None:
        engine = await world.open(queues=QUEUES)
        await engine.queues.limit("lane", rate="2/10s")
        began = world.loop.time()
        handles = [await engine.start(pass_through, f"r{n}", id=f"r{n}") for n in range(6)]
        for handle in handles:
            await handle.result(timeout=120)
            info = [event async for event in handle.history()]
            moments.append(world.loop.time() - began)
            assert info

    play(program)
    assert 30 <= moments[-1] < 31.5


def test_a_paused_queue_begins_nothing_and_what_runs_goes_on() -> None:
    async def program(world: World) -> None:
        engine = await world.open(queues=QUEUES)
        running = await engine.start(pass_through, "running", id="running")
        await asyncio.sleep(1)
        await engine.queues.pause("lane")
        waiting = await engine.start(pass_through, "waiting", id="waiting")
        await running.result(timeout=30)
        await asyncio.sleep(60)
        [wait] = (await waiting.describe()).waiting_for
        assert wait.is_paused
        assert order == ["running"]
        await engine.queues.resume("lane")
        await waiting.result(timeout=15)

    play(program)


def test_a_run_that_is_terminated_or_paused_while_it_waits_never_begins() -> None:
    async def program(world: World) -> None:
        engine = await world.open(queues=QUEUES)
        await declare(engine, concurrency=1)
        first = await engine.start(pass_through, "first", id="first")
        ended = await engine.start(pass_through, "ended", id="ended")
        cancelled = await engine.start(pass_through, "cancelled", id="cancelled")
        paused = await engine.start(pass_through, "paused", id="paused")
        await ended.terminate("not wanted")
        with pytest.raises(Terminated, match="not wanted"):
            await ended.result(timeout=1)
        await paused.pause()
        await cancelled.cancel("changed my mind")
        await first.result(timeout=30)
        with pytest.raises(Cancelled, match="changed my mind"):
            await cancelled.result(timeout=2)
        await asyncio.sleep(5)
        assert order == ["first", "cancelled"]
        assert (await paused.describe()).condition is Condition.PAUSED
        await paused.resume()
        assert await paused.result(timeout=30) == "paused"

    play(program)


def test_what_is_declared_in_code_is_published_by_workers_and_an_operators_word_counts_above_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keepstep.queue("published lane", concurrency=4, rate="100/m")

    async def program(world: World) -> Any:
        engine = await world.open()
        await engine.queues.limit("published lane", concurrency=2)
        info = await engine.queues.get("published lane")
        await engine.queues.reset("published lane")
        again = await engine.queues.get("published lane")
        keepstep.queue("published lane", concurrency=5)
        await world.open()
        last = await engine.queues.get("published lane")
        return info, again.limits, last.limits

    try:
        info, again, last = play(program)
    finally:
        forget("published lane")
    assert info.limits == {"concurrency": 2, "rate": "100/m"}
    assert (info.declared, info.changed) == ({"concurrency": 4, "rate": "100/m"}, ("concurrency",))
    assert (again, last) == ({"concurrency": 4, "rate": "100/m"}, {"concurrency": 5})
    assert "was declared with concurrency 4, rate 100/m by other code" in caplog.text


async def _lane(engine: Engine) -> list[str]:
    await engine.journal.declare_queues([Declaration(name="default", limits=Limits(concurrency=2, per_key=1))])
    handles = [
        await engine.start(lead_a_step, name, id=name, fairness_key=name[0], priority=-int(name[1]))
        for name in ("a1", "a2", "b1", "b2")
    ]
    return sorted([await handle.result(timeout=120) for handle in handles])


@step
async def hold_the_lane(what: str) -> str:
    for counted in (what[0], "all"):
        at_work[counted] += 1
        most[counted] = max(most[counted], at_work[counted])
    try:
        await asyncio.sleep(1)
    finally:
        for counted in (what[0], "all"):
            at_work[counted] -= 1
    return what


@workflow
async def lead_a_step(what: str) -> str:
    return await hold_the_lane(what)


def test_limits_hold_and_nothing_is_stranded_whatever_commit_a_process_dies_at() -> None:
    def check(result: list[str], crashes: int) -> None:
        assert result == ["a1", "a2", "b1", "b2"]
        assert (most["all"], most["a"], most["b"]) == (2, 1, 1), crashes
        at_work.clear()
        most.clear()

    at_work.clear()
    most.clear()
    assert crash_at_every_commit(_lane, check) >= 8


# debouncing


@workflow
async def index_pages(pages: list[str]) -> list[str]:
    order.append(pages[-1])
    await keepstep.sleep(5)
    return [*pages, str(await keepstep.receive("more", str)) if pages[0] == "listen" else ""]


def test_of_many_starts_in_a_row_one_runs_with_what_the_last_one_said() -> None:
    async def program(world: World) -> tuple[float, list[list[str]]]:
        engine = await world.open()
        began = world.loop.time()
        handles = []
        for n in range(5):
            handles.append(await engine.debounce(index_pages, [f"p{n}"], key="shop", delay=10))
            await asyncio.sleep(4)
        results = [await handle.result(timeout=60) for handle in handles]
        return world.loop.time() - began, results

    elapsed, results = play(program)
    assert results == [["p4", ""]] * 5
    assert order == ["p4"]
    assert 31 <= elapsed < 33.5


def test_calls_that_never_end_push_the_start_out_no_further_than_at_most() -> None:
    async def program(world: World) -> float:
        engine = await world.open()
        began = world.loop.time()
        handles = []
        for n in range(12):
            handles.append(await engine.debounce(index_pages, [f"p{n}"], key="shop", delay="10s", at_most="30s"))
            await asyncio.sleep(4)
        await handles[0].result(timeout=60)
        first = world.loop.time() - began
        await handles[-1].result(timeout=60)
        return first

    assert 48 <= play(program) < 49
    assert order == ["p7", "p11"]


def test_keys_are_debounced_apart_and_what_is_said_to_a_waiting_run_reaches_the_one_that_runs() -> None:
    async def program(world: World) -> list[list[str]]:
        engine = await world.open()
        first = await engine.debounce(index_pages, ["listen"], key="a", delay=10)
        await first.signal("more", "said early")
        again = await engine.debounce(index_pages, ["listen"], key="a", delay=10)
        other = await engine.debounce(index_pages, ["b"], key="b", delay=10)
        return [await each.result(timeout=60) for each in (first, again, other)]

    assert play(program) == [["listen", "said early"], ["listen", "said early"], ["b", ""]]


def test_a_debounced_run_holds_the_slot_of_its_key_from_its_beginning_to_its_end() -> None:
    async def program(world: World) -> tuple[float, int]:
        engine = await world.open(queues=QUEUES)
        await declare(engine, per_key=1)
        began = world.loop.time()
        say: dict[str, Any] = {"queue": "lane", "fairness_key": "k", "delay": 1}
        first = await engine.debounce(index_pages, ["a"], key="a", **say)
        second = await engine.debounce(index_pages, ["b"], key="b", **say)
        await first.result(timeout=60)
        await second.result(timeout=60)
        return world.loop.time() - began, (await engine.queues.get("lane")).held

    elapsed, held = play(program)
    assert 11 <= elapsed < 13
    assert held == 0


@step
async def write_index(page: str) -> str:
    effects[page] += 1
    return page


effects: Counter[str] = Counter()


@workflow
async def index_once(page: str) -> str:
    return await write_index(page)


async def _debounced(engine: Engine) -> list[str]:
    handles = [await engine.debounce(index_once, page, key="shop", delay=2) for page in ("one", "two")]
    return [await handle.result(timeout=120) for handle in handles]


def test_the_last_input_runs_and_no_earlier_one_does_whatever_commit_a_process_dies_at() -> None:
    """The process that calls dies as well, and calls again: where the run has begun by then, that is another one."""

    def check(result: list[str], crashes: int) -> None:
        assert result[0] == result[1] == "two"
        assert effects["one"] == 0
        assert 1 <= effects["two"] <= 2 + crashes
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(_debounced, check) >= 3
