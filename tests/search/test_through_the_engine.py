"""Runs are found by what they are and by what they say of themselves, at once, across crashes and changes of code."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

import keepstep
from keepstep import AttributeRefused, Engine, FilterError, InvalidInput, step, workflow
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit


@step
async def look_up_the_price(item: str) -> float:
    return len(item) * 1.5


@workflow
async def sell(item: str) -> float:
    keepstep.set_attributes(item=item, stage="priced", sold_at=datetime(2026, 11, 27, tzinfo=UTC))
    price = await look_up_the_price(item)
    keepstep.set_attributes(price=price, stage="waiting")
    await keepstep.receive("paid")
    keepstep.set_attributes(stage=None, tags=["paid", "new"])
    return price


@workflow
async def sell_in_rounds(n: int) -> int:
    keepstep.set_attributes(round=n, last=n == 2)
    if n < 2:
        keepstep.continue_as_new(n + 1)
    return n


@workflow
async def say_price(price: Any) -> None:
    keepstep.set_attributes(price=price)
    await keepstep.sleep(1)


@workflow
async def say_price_at_the_end(price: Any) -> None:
    keepstep.set_attributes(price=price)


@workflow
async def take_a_name(name: str) -> None:
    keepstep.set_attributes(**{name: "x"})


async def ids(engine: Engine, filter: str | None = None, limit: int | None = None) -> list[str]:
    return [info.id async for info in engine.list(filter, limit)]


async def sell_and_look(engine: Engine) -> list[Any]:
    await engine.attributes.register(stage="keyword")
    handle = await engine.start(sell, "lamp", id="lamp", attributes={"customer": "c7"})
    while not await ids(engine, "stage = 'waiting' OR Status != 'running'"):
        await asyncio.sleep(0.01)
    if (await handle.describe()).status == "running":
        await handle.signal("paid", id="paid-once")
    await handle.result()
    assert await ids(engine, "stage IS NOT NULL") == []
    assert await ids(engine, "tags = 'paid' AND price > 5 AND customer = 'c7' AND item = 'lamp'") == ["lamp"]
    assert await ids(engine, "sold_at = '2026-11-27' AND Status = 'completed' AND WorkflowType = 'sell'") == ["lamp"]
    assert await engine.count("customer = 'c7'") == 1
    return [(await handle.describe()).attributes, await engine.attributes.list()]


def test_a_crash_at_any_commit_leaves_a_run_that_is_found_by_what_it_said_last() -> None:
    def check(result: list[Any], _: int) -> None:
        attributes, types = result
        assert attributes == {
            "customer": "c7", "item": "lamp", "price": 6.0, "sold_at": "2026-11-27T00:00:00Z", "tags": ["paid", "new"],
        }  # fmt: skip
        assert types == {
            "customer": "keyword", "item": "keyword", "price": "double", "sold_at": "datetime", "stage": "keyword",
            "tags": "keyword_list",
        }  # fmt: skip

    assert crash_at_every_commit(sell_and_look, check) >= 4


def test_a_run_that_continues_is_found_by_what_each_of_its_runs_said() -> None:
    async def program() -> None:
        async with Engine("memory:") as engine:
            handle = await engine.start(sell_in_rounds, 0, id="rounds", attributes={"customer": "c7"})
            assert await handle.result() == 2
            assert await ids(engine, "customer = 'c7' ORDER BY round") == ["rounds"] * 3
            [last] = [info async for info in engine.list("last = TRUE")]
            assert (last.attributes["round"], last.status) == (2, "completed")
            assert await engine.count("round < 2 AND Status = 'continued'") == 2

    run(program)


def test_a_value_that_does_not_fit_blocks_the_run_which_says_why_and_goes_on_with_fitting_code() -> None:
    async def program() -> None:
        world = World()
        engine = await world.open()
        await engine.start(say_price, 5, id="first")
        handle = await engine.start(say_price, "dear", id="second")
        while (info := await handle.describe()).condition != "blocked":
            await asyncio.sleep(0.1)
        assert "attribute 'price' is registered as double, which 'dear' does not fit" in (info.error or "")
        assert await ids(engine, "price IS NULL AND Condition = 'blocked'") == ["second"]
        await world.close()

    run(program)


def test_a_value_that_does_not_fit_blocks_a_run_that_ends_with_it() -> None:
    async def program() -> None:
        world = World()
        engine = await world.open()
        await engine.run(say_price_at_the_end, 5, id="first")
        handle = await engine.start(say_price_at_the_end, "dear", id="second")
        async with asyncio.timeout(60):
            while (info := await handle.describe()).condition != "blocked":
                await asyncio.sleep(0.1)
        assert "attribute 'price' is registered as double, which 'dear' does not fit" in (info.error or "")
        await world.close()

    run(program)


def test_a_start_with_a_value_that_does_not_fit_is_refused() -> None:
    async def program() -> None:
        async with Engine("memory:") as engine:
            await engine.attributes.register(items="int", due="datetime")
            with pytest.raises(AttributeRefused, match="'items' is registered as int, which 'many' does not fit"):
                await engine.start(say_price, 5, attributes={"items": "many"})
            with pytest.raises(AttributeRefused, match="an attribute cannot be named 'WorkflowType'"):
                await engine.start(say_price, 5, attributes={"WorkflowType": "x"})
            with pytest.raises(AttributeRefused, match="'items' is registered as int, and keeps that type"):
                await engine.attributes.register(items="keyword")
            with pytest.raises(InvalidInput, match="cannot be of type 'text'; the types are keyword, int, double"):
                await engine.attributes.register(note="text")
            assert await engine.attributes.list() == {"due": "datetime", "items": "int"}
            assert await ids(engine) == []

    run(program)


def test_a_name_that_every_run_has_fails_the_workflow_that_takes_it() -> None:
    async def program() -> None:
        async with Engine("memory:") as engine:
            with pytest.raises(keepstep.WorkflowFailed) as failed:
                await engine.run(take_a_name, "StartTime")
            assert isinstance(failed.value.__cause__, AttributeRefused)

    run(program)


def test_a_fork_has_the_attributes_of_its_origin() -> None:
    async def program() -> None:
        async with Engine("memory:") as engine:
            handle = await engine.start(say_price, 7, id="origin", attributes={"customer": "c7"})
            await handle.result()
            fork = await handle.fork(at=1)
            await fork.result()
            assert sorted(await ids(engine, "customer = 'c7' AND price = 7")) == sorted(["origin", fork.id])

    run(program)


def test_listing_goes_on_from_page_to_page_up_to_a_limit() -> None:
    async def program() -> None:
        async with Engine("memory:", workers=False) as engine:
            for n in range(450):
                await engine.start("anything", id=f"run-{n:03}", attributes={"n": n})
            assert await ids(engine, "n >= 0 ORDER BY n") == [f"run-{n:03}" for n in range(450)]
            assert await ids(engine, "ORDER BY n DESC", 3) == ["run-449", "run-448", "run-447"]
            assert await ids(engine, "n < 0") == await ids(engine, limit=0) == []
            for limit in (-1, "2"):
                with pytest.raises(keepstep.InvalidInput, match="limit is how many runs are listed at most"):
                    await ids(engine, limit=limit)  # type: ignore[arg-type]

    run(program)


def test_runs_are_counted_by_what_they_say_of_themselves() -> None:
    async def whole() -> None:
        world = World()
        engine = await world.open()
        for item in ("tea", "tea", "cup"):
            await engine.start(sell, item)
        for n in (1, 2):
            await engine.run(sell_in_rounds, n, id=f"rounds-{n}")
        while await engine.count("stage = 'waiting'") < 3:
            await asyncio.sleep(0.1)
        assert await engine.count_by("Status") == {"running": 3, "completed": 2, "continued": 1}
        assert await engine.count_by("item", "Status = 'running'") == {"tea": 2, "cup": 1}
        assert await engine.count_by("last") == {None: 3, True: 2, False: 1}
        assert await engine.count_by("Queue") == {"default": 6}
        for field, expected in (
            ("Statsu", r"did you mean Status\?"),
            ("StartTime", "by whose values runs can be counted"),
            ("RunId", "by whose values runs can be counted"),
            ("price", "by whose values runs can be counted"),
        ):
            with pytest.raises(FilterError, match=expected):
                await engine.count_by(field)
        with pytest.raises(FilterError, match="position 1 of 'nothing = 1'"):
            await engine.count_by("Status", "nothing = 1")
        with pytest.raises(InvalidInput, match="the name of a field"):
            await engine.count_by(None)  # type: ignore[arg-type]
        await world.close()

    run(whole)


def test_a_bad_filter_is_refused_when_runs_tasks_or_numbers_are_asked_for() -> None:
    async def program() -> None:
        async with Engine("memory:", workers=False) as engine:
            misspelt = r"position 1 .* expected one of the fields .* found 'Statu' .did you mean Status"
            with pytest.raises(FilterError, match=misspelt):
                await engine.count("Statu = 'failed'")
            with pytest.raises(FilterError, match=misspelt):
                await ids(engine, "Statu = 'failed'")
            with pytest.raises(FilterError, match="expected one of the fields Assignee, Title, Due"):
                [task async for task in engine.human_tasks("Status = 'failed'")]
            with pytest.raises(InvalidInput, match="leave ORDER BY out"):
                [task async for task in engine.human_tasks("ORDER BY Due")]

    run(program)


def test_a_schedule_is_refused_whose_runs_could_not_have_their_attributes() -> None:
    async def program() -> None:
        world = World()
        engine = await world.open()
        await engine.start(say_price, 5, id="first", attributes={"amount": 1})
        with pytest.raises(AttributeRefused, match="'amount' is registered as double"):
            await engine.schedule("hourly", say_price, 5, every="1h", attributes={"amount": "much"})
        schedule = await engine.schedule("hourly", say_price, 5, every="1h", attributes={"shop": "north"})
        with pytest.raises(AttributeRefused, match="'amount' is registered as double"):
            await schedule.update(attributes={"amount": "much"})
        with pytest.raises(AttributeRefused, match="'shop' is registered as keyword"):
            await engine.start(say_price, 5, attributes={"shop": 7})
        await asyncio.sleep(2 * 3600 + 60)
        assert await engine.count("shop = 'north' AND price = 5") == 2
        await world.close()

    run(program)
