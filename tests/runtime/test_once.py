"""A ``once`` step is never repeated blindly: a crash, a timeout or a stop in the middle makes it uncertain."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import keepstep
import keepstep.testing
from keepstep import Engine, Outcome, StepFailed, Uncertain, step, workflow
from keepstep.journal import Condition
from tests.runtime.crashing import World, crash_at_every_commit

effects: Counter[str] = Counter()
bank: dict[str, str] = {}
asked: list[str] = []


@step(once=True)
async def pay(what: str) -> str:
    effects[what] += 1
    if what == "hang":
        await asyncio.Event().wait()
    if what == "give up":
        raise asyncio.CancelledError
    return f"paid {what}"


def ask_the_bank(what: str) -> Any:
    said = bank.get(what)
    if said == "nobody knows":
        raise Uncertain("the bank is closed")
    if said == "out of order":
        asked.append(what)
        if len(asked) < 3:
            raise ConnectionError("the line is dead")
    if said == "always out of order":
        asked.append(what)
        raise ConnectionError("the line is dead")
    if said == "unfit":
        return object()
    if said == "exit":
        raise SystemExit(1)
    if said == "outcome failed":
        return Outcome("failed", error="it says no")
    if said == "outcome uncertain":
        return Outcome("uncertain")
    if said == "later":
        return ask_later(what)
    if said == "outcome succeeded":
        return Outcome("succeeded", result="looked up")
    return f"{effects[what]} times {said}"


async def ask_later(what: str) -> str:
    return f"{effects[what]} times asked later"


@step(once=True, resolver=ask_the_bank)
async def pay_and_look(what: str) -> str:
    effects[what] += 1
    await asyncio.Event().wait()
    return "never"


@workflow
async def pay_once(what: str) -> str:
    try:
        return await pay(what)
    except StepFailed as error:
        return f"failed: {error.__cause__}"


@workflow
async def pay_with_resolver(what: str) -> str:
    try:
        return await pay_and_look(what)
    except StepFailed as error:
        return f"failed: {error.__cause__}"


async def until_uncertain(engine: Engine, id: str) -> keepstep.RunInfo:
    while True:
        info = await engine.get(id).describe()
        if info.condition is Condition.UNCERTAIN and any(each.parked == "uncertain" for each in info.waiting_for):
            return info
        await asyncio.sleep(0.2)


def dies_while_paying(program: Any, what: str, judge: Any) -> Any:
    """Kill the worker in the middle of the payment; let ``judge`` look at it from another one."""

    async def main() -> Any:
        effects.clear()
        world = World()
        first = await world.open()
        await first.start(program, what, id="p")
        while not effects[what]:
            await asyncio.sleep(0.1)
        world.kill(first)
        second = await world.open()
        judged = await judge(second)
        await world.close()
        assert effects[what] == 1
        return judged

    return keepstep.testing.run(main)


def test_a_crash_in_the_middle_parks_the_run_until_a_person_says_what_happened() -> None:
    async def judge(engine: Engine) -> str:
        info = await until_uncertain(engine, "p")
        assert info.waiting_for[0].key == "pay"
        assert "never recorded" in info.waiting_for[0].error
        await engine.resolve("p", "pay", value="it was paid")
        result: str = await engine.get("p").result(timeout=60)
        return result

    assert dies_while_paying(pay_once, "hang", judge) == "it was paid"


def test_a_person_may_also_say_that_it_failed() -> None:
    async def judge(engine: Engine) -> str:
        await until_uncertain(engine, "p")
        await engine.resolve("p", "pay", error="it was not paid")
        result: str = await engine.get("p").result(timeout=60)
        return result

    assert dies_while_paying(pay_once, "hang", judge) == "failed: it was not paid"


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ("yes", "1 times yes"),
        ("out of order", "1 times out of order"),
        ("outcome failed", "failed: it says no"),
        ("outcome succeeded", "looked up"),
        ("later", "1 times asked later"),
    ],
)
def test_a_resolver_is_asked_what_became_of_a_payment_that_was_cut_off(said: str, result: str) -> None:
    async def judge(engine: Engine) -> str:
        answer: str = await engine.get("p").result(timeout=60)
        return answer

    bank["r"] = said
    asked.clear()
    assert dies_while_paying(pay_with_resolver, "r", judge) == result


@pytest.mark.parametrize("said", ["nobody knows", "outcome uncertain", "always out of order", "unfit", "exit"])
def test_a_resolver_that_does_not_know_leaves_it_to_a_person(said: str) -> None:
    async def judge(engine: Engine) -> str:
        await until_uncertain(engine, "p")
        await engine.resolve("p", "pay_and_look", value="a person knew")
        answer: str = await engine.get("p").result(timeout=60)
        return answer

    bank["r"] = said
    asked.clear()
    assert dies_while_paying(pay_with_resolver, "r", judge) == "a person knew"


def test_a_graceful_stop_in_the_middle_makes_it_uncertain_too() -> None:
    async def main() -> None:
        effects.clear()
        world = World()
        first = await world.open()
        await first.start(pay_once, "hang", id="p")
        while not effects["hang"]:
            await asyncio.sleep(0.1)
        await first.close(grace_seconds=5)
        world.engines.remove(first)
        second = await world.open()
        await until_uncertain(second, "p")
        await second.resolve("p", "pay", value="yes")
        assert await second.get("p").result(timeout=60) == "yes"
        await world.close()

    keepstep.testing.run(main)
    assert effects["hang"] == 1


def test_a_step_that_cancels_itself_is_uncertain() -> None:
    async def main() -> None:
        world = World()
        engine = await world.open()
        await engine.start(pay_once, "give up", id="p")
        await until_uncertain(engine, "p")
        await engine.resolve("p", "pay", value="yes")
        assert await engine.get("p").result(timeout=60) == "yes"
        await world.close()

    keepstep.testing.run(main)


def test_a_crash_at_any_commit_never_makes_it_happen_twice() -> None:
    async def program(engine: Engine) -> str:
        handle = await engine.start(pay_once, "tea", id="p")
        while True:
            try:
                return str(await handle.result(timeout=2))
            except keepstep.TimedOut:
                info = await handle.describe()
                if info.condition is Condition.UNCERTAIN:
                    await engine.resolve("p", "pay", value="paid tea")

    def check(result: str, _: int) -> None:
        assert result == "paid tea"
        assert effects["tea"] <= 1
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(program, check) >= 4
