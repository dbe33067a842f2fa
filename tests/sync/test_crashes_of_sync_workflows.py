"""Sync workflows survive a crash at every commit, as async ones do, and leave the same history."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import keepstep
from keepstep import Cancelled, Engine, Outcome, RunClosed, sync
from tests.runtime.both_colours import (
    expect_all_undone,
    expect_only_what_was_in_flight_twice,
    have_it_fail,
    tell_the_news,
)
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine

effects: Counter[str] = Counter()


@sync.step
def sync_do(what: str) -> str:
    effects[what] += 1
    return f"{what} done"


@sync.step
async def sync_do_async(what: str) -> str:
    effects[what] += 1
    return f"{what} done"


@sync.step(retry=keepstep.Retry(max_attempts=3, initial=0.2, jitter=0.0))
def sync_do_at_the_third_attempt(what: str) -> int:
    effects[what] += 1
    attempt = keepstep.step_info().attempt
    if attempt < 3:
        raise ConnectionError("not yet")
    return attempt


@sync.step(retry=keepstep.Retry(max_attempts=1))
def sync_refuse(what: str) -> str:
    effects[what] += 1
    raise ValueError(f"{what} refused")


@sync.step
def sync_undo(what: str, outcome: Outcome) -> None:
    effects[f"undo {what}, {outcome.status}"] += 1


def walk(n: int) -> str:
    sync.sleep(n)
    return sync_do(f"walk {n}")


@sync.workflow
def go_through_everything_in_sync(name: str) -> list[Any]:
    got: list[Any] = [sync_do("first"), sync_do_async("async")]
    stubborn = sync_do_at_the_third_attempt.start("stubborn")
    got += sync.gather(sync_do.start("left"), sync_do_async.start("right"))
    got.append(stubborn.result())
    sync.sleep("1m")
    got.append(sync.receive("news", str))
    callback = sync.callback()
    got.append(callback.token[:4] != "")
    branches = [sync.start(walk, n) for n in range(3)]
    got += [branch.result() for branch in branches]
    got.append(str(sync.uuid4()) == str(sync.uuid4()))
    try:
        with sync.timeout("5s"):
            sync.receive("never")
    except TimeoutError:
        got.append("late")
    return got


def test_a_crash_at_any_commit_changes_nothing_but_what_was_in_flight() -> None:
    def check(result: list[Any], crashes: int) -> None:
        assert result == [
            "first done", "async done", "left done", "right done", 3, "good", True,
            "walk 0 done", "walk 1 done", "walk 2 done", False, "late",
        ]  # fmt: skip
        expect_only_what_was_in_flight_twice(effects, crashes)
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(lambda engine: tell_the_news(engine, go_through_everything_in_sync), check) >= 30


@sync.workflow
def do_and_undo_in_sync() -> None:
    with sync.saga() as saga:
        saga.run(sync_do, "charge", undo=sync_undo)
        saga.run(sync_do_async, "reserve", undo=sync_undo)
        saga.run(sync_refuse, "ship", undo=sync_undo)


def test_a_crash_in_the_middle_of_undoing_goes_on_undoing() -> None:
    def check(result: str, crashes: int) -> None:
        assert result == "ship refused"
        expect_all_undone(effects, crashes)
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(lambda engine: have_it_fail(engine, do_and_undo_in_sync), check) >= 14


@sync.workflow
def sync_child(n: int) -> int:
    sync_do(f"child {n}")
    if n == 1:
        sync.receive("never")
    return n * 2 + (sync.receive("hello", int) if n == 0 else 0)


@sync.workflow
def sync_parent() -> list[int]:
    handles = [sync.start_child(sync_child, n, id=f"sync-child-{n}") for n in range(2)]
    sync.get_run("sync-child-0").signal("hello", 1)
    first = handles[0].result()
    try:
        handles[1].result(timeout=5)
    except keepstep.TimedOut:  # it goes on
        sync.get_run("sync-child-1").cancel("enough")
    try:
        second = handles[1].result()
    except Cancelled:
        second = -1
    return [first, second, sync_child(10)]


async def run_parent(engine: Engine) -> list[int]:
    return await engine.run(sync_parent, id="parent")


def test_children_are_started_once_and_answer_once_whatever_crashes() -> None:
    def check(result: list[int], crashes: int) -> None:
        assert result == [1, -1, 20]
        assert set(effects) == {"child 0", "child 1", "child 10"}
        assert sum(effects.values()) <= 3 + 3 * crashes
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(run_parent, check) >= 16


@sync.workflow
def be_cancelled_in_sync() -> None:
    with sync.saga() as saga:
        saga.run(sync_do, "charge", undo=sync_undo)
        try:
            sync.sleep("30d")
        finally:
            sync_do("clean up")


async def run_and_cancel(engine: Engine) -> str:
    handle = await engine.start(be_cancelled_in_sync, id="cancelled")
    while (await handle.describe()).status == "running" and effects["charge"] == 0:
        await asyncio.sleep(0.01)
    if (await handle.describe()).status == "running":
        await handle.cancel("enough")
    try:
        await handle.result()
    except Cancelled:
        return "cancelled"
    return "completed"


def test_a_cancelled_run_cleans_up_and_undoes_whatever_crashes() -> None:
    def check(result: str, crashes: int) -> None:
        assert result == "cancelled"
        assert effects["clean up"] in (0, 1, 1 + crashes)
        undone = [what for what in effects if what.startswith("undo")]
        assert undone in (["undo charge, succeeded"], ["undo charge, uncertain"])
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(run_and_cancel, check) >= 8


@sync.workflow
class SyncCart:
    """Every kind of handler, sync: they wait as the run's own function does."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.is_paid = False

    def run(self, customer: str) -> list[str]:
        sync.wait_for(lambda: self.is_paid)
        return [customer, *self.items]

    @sync.signal
    def pay(self, amount: int) -> None:
        sync.sleep(1)
        self.is_paid = sync_do(f"take {amount}") != ""

    @sync.query
    def count(self) -> int:
        return len(self.items)

    @sync.update
    def add(self, item: str) -> str:
        reserved = sync_do(f"reserve {item}")
        self.items.append(item)
        return reserved

    @add.validator
    def check(self, item: str) -> None:
        if item in self.items:
            raise ValueError(f"{item} is there already")


async def run_cart(engine: Engine) -> tuple[list[str], str, int]:
    handle = await engine.start(SyncCart, "ann", id="cart")
    added = await handle.update(SyncCart.add, "tea", id="first")
    with suppress(keepstep.UpdateRejected, RunClosed):
        await handle.update(SyncCart.add, "tea", id="second")
    with suppress(RunClosed):
        await handle.signal(SyncCart.pay, 3, id="paid")
    result = await handle.result()
    return result, added, await handle.query(SyncCart.count)


def test_sync_handlers_of_a_class_are_durable_whatever_crashes() -> None:
    def check(result: tuple[list[str], str, int], crashes: int) -> None:
        assert result == (["ann", "tea"], "reserve tea done", 1)
        assert set(effects) == {"reserve tea", "take 3"}
        assert sum(effects.values()) <= 2 + 2 * crashes
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(run_cart, check) >= 12


@sync.workflow
def continue_in_sync(n: int) -> str:
    sync_do(f"round {n}")
    if n:
        sync.continue_as_new(n - 1)
    return "last round"


def test_a_sync_run_that_continues_as_new_goes_on_whatever_crashes() -> None:
    async def run_rounds(engine: Engine) -> str:
        return await engine.run(continue_in_sync, 2, id="rounds")

    def check(result: str, crashes: int) -> None:
        assert result == "last round"
        assert set(effects) == {"round 2", "round 1", "round 0"}
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(run_rounds, check) >= 8


@keepstep.step
async def same_step(n: int) -> int:
    return n


@keepstep.workflow
async def a_program(n: int) -> list[Any]:
    async def branch(n: int) -> int:
        await keepstep.sleep(n)
        return await same_step(n)

    got: list[Any] = [await same_step(n), keepstep.patched("greeting")]
    first, second = same_step.start(7), same_step.start(8)
    got += [await second, await first]
    tasks = [asyncio.create_task(branch(n)) for n in range(3)]
    got += await asyncio.gather(*tasks)
    try:
        async with asyncio.timeout(3):
            await keepstep.receive("x")
    except TimeoutError:
        got.append(await keepstep.receive("word", timeout=60))
    async with keepstep.saga() as saga:
        got.append(await saga.run(same_step, 5, undo=same_step))
    got.append(await keepstep.callback().result(timeout=1) if n < 0 else str(keepstep.uuid4()))
    return got


@sync.workflow
def the_same_program(n: int) -> list[Any]:
    def branch(n: int) -> int:
        sync.sleep(n)
        return same_step.start(n).result()

    got: list[Any] = [same_step.start(n).result(), sync.patched("greeting")]
    first, second = same_step.start(7), same_step.start(8)
    got += [second.result(), first.result()]
    branches = [sync.start(branch, n) for n in range(3)]
    got += sync.gather(*branches)
    try:
        with sync.timeout(3):
            sync.receive("x")
    except TimeoutError:
        got.append(sync.receive("word", timeout=60))
    with sync.saga() as saga:
        got.append(saga.run(same_step, 5, undo=same_step))
    got.append(sync.callback().result(timeout=1) if n < 0 else str(sync.uuid4()))
    return got


def test_the_same_program_in_both_colours_leaves_the_same_history() -> None:
    async def program(engine: Engine) -> None:
        histories = []
        for each in (a_program, the_same_program):
            handle = await engine.start(each, 1, id=each.name)
            await handle.signal("word", "!")
            result = await handle.result()
            assert result[:-1] == [1, True, 8, 7, 0, 1, 2, "!", 5]
            histories.append([(event.type, event.key) async for event in handle.history()])
        assert histories[0] == histories[1]
        assert ("step_completed", "branch()#2/same_step") in histories[0]

    on_an_engine(program)
