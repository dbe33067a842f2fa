"""What a client does is the same, whether its engine stands on a database or is the client of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import (
    AlreadyStarted,
    AttributeRefused,
    BlockingEngine,
    Cancelled,
    Engine,
    FilterError,
    InvalidInput,
    NotFound,
    QueryFailed,
    Retry,
    RunClosed,
    RunHandle,
    StepFailed,
    Terminated,
    TimedOut,
    TooLarge,
    UpdateFailed,
    UpdateRejected,
    WorkflowFailed,
    step,
    workflow,
)
from keepstep.journal import Status
from tests.client.remote.house import house_of


@dataclass(frozen=True)
class FarOrder:
    item: str
    price: Decimal


class FarDeclined(Exception):
    pass


@step(retry=Retry(max_attempts=1))
async def far_charge(order: FarOrder) -> Decimal:
    if order.item == "nothing":
        raise FarDeclined(f"no {order.item}")
    return order.price * 2


@workflow
async def far_order(order: FarOrder) -> FarOrder:
    return FarOrder(order.item, await far_charge(order))


@workflow
async def far_parent(item: str) -> FarOrder:
    return await far_order(FarOrder(item, Decimal(1)))


@workflow
async def far_asking(title: str) -> str:
    return await keepstep.human_task(title, form=str, assignee="ada")


@workflow
async def far_rounds(left: int) -> str:
    await keepstep.receive("next")
    if left:
        await keepstep.continue_as_new(left - 1)
    return "the last round"


@workflow
class FarCart:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.is_paid = False

    async def run(self, first: str) -> list[str]:
        self.items.append(first)
        await keepstep.wait_for(lambda: self.is_paid)
        return self.items

    @keepstep.signal
    async def pay(self) -> None:
        self.is_paid = True

    @keepstep.query
    def count_items(self, word: str = "") -> int:
        if word == "?":
            raise FarDeclined("not like that")
        return len(self.items)

    @keepstep.update
    async def add(self, item: str) -> int:
        if item == "bomb":
            raise FarDeclined("it went off")
        self.items.append(item)
        return len(self.items)

    @add.validator
    def check_item(self, item: str) -> None:
        if not item:
            raise ValueError("an item has a name")


@workflow
async def far_streaming() -> str:
    for word in ("a", "b"):
        await keepstep.write_stream("words", word)
    await keepstep.receive("go")
    await keepstep.write_stream("words", "c")
    return "said"


@workflow
async def far_stopping() -> None:
    try:
        await keepstep.receive("never")
    finally:
        keepstep.set_status("stopped")


@pytest.fixture(params=["library", "server"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    url = f"sqlite:///{tmp_path}/runs.db"
    async with asyncio.timeout(60):
        if request.param == "library":
            async with Engine(url) as library:
                yield library
        else:
            async with house_of(url) as house, house.client() as client:
                yield client


async def until_waiting(run: RunHandle[Any]) -> None:
    while not (await run.describe()).waiting_for:
        await asyncio.sleep(0.005)


async def until(status: str, run: RunHandle[Any]) -> None:
    while (await run.describe()).condition != status:
        await asyncio.sleep(0.005)


async def test_a_run_takes_and_gives_typed_values(engine: Engine) -> None:
    order = FarOrder("teapot", Decimal("1.10"))
    run = await engine.start(far_order, order, id="typed")
    assert await run.result() == FarOrder("teapot", Decimal("2.20"))
    assert await engine.run("far_order", order, id="by name") == FarOrder("teapot", Decimal("2.20"))
    again = await engine.start(far_order, order, id="typed")
    assert (run.is_new, again.is_new, again.run_id) == (True, False, run.run_id)


async def test_an_id_stands_for_one_input_unless_said_otherwise(engine: Engine) -> None:
    first = await engine.start(far_rounds, 0, id="taken")
    with pytest.raises(AlreadyStarted, match="another type or input"):
        await engine.start(far_rounds, 1, id="taken")
    with pytest.raises(AlreadyStarted):
        await engine.start(far_rounds, 0, id="taken", if_running="reject")
    second = await engine.start(far_rounds, 0, id="taken", if_running="restart")
    assert second.run_id != first.run_id
    waiting = asyncio.create_task(first.result())  # it follows to what took its place
    await engine.signal("taken", "next")
    assert await waiting == "the last round"


async def test_an_error_is_what_it_was_with_what_caused_it(engine: Engine) -> None:
    with pytest.raises(WorkflowFailed) as caught:
        await engine.run(far_order, FarOrder("nothing", Decimal(1)), id="fails")
    assert isinstance(caught.value.__cause__, StepFailed)
    assert isinstance(caught.value.__cause__.__cause__, FarDeclined)
    assert (await engine.get("fails").describe()).error is not None


async def test_what_does_not_fit_is_refused_by_the_same_errors(engine: Engine) -> None:
    with pytest.raises(NotFound):
        await engine.get("nobody").describe()
    with pytest.raises(NotFound):
        await engine.get("nobody").result()
    with pytest.raises(NotFound):
        await engine.signal("nobody", "go")
    with pytest.raises(InvalidInput, match="no worker has published"):
        await engine.start("far_unknown")
    with pytest.raises(FilterError) as caught:
        [run async for run in engine.list("Status == 7")]
    assert caught.value.position > 0
    with pytest.raises(TooLarge):
        await engine.start(far_asking, "x" * 3_000_000)
    await engine.start(far_rounds, 0, id="counted", attributes={"rank": 7})
    with pytest.raises(AttributeRefused):
        await engine.start(far_rounds, 0, id="uncounted", attributes={"rank": "seven"})
    await engine.get("counted").terminate("enough")
    with pytest.raises(RunClosed):
        await engine.signal("counted", "next")
    with pytest.raises(Terminated, match="enough"):
        await engine.get("counted").result()


async def test_a_result_follows_rounds_and_waiting_may_end_before(engine: Engine) -> None:
    run = await engine.start(far_rounds, 2, id="rounds")
    with pytest.raises(TimedOut):
        await run.result(timeout=0.05)
    waiting = asyncio.create_task(run.result())
    for _ in range(3):
        newest = engine.get("rounds")
        await until_waiting(newest)
        seen = (await newest.describe()).run_id
        await newest.signal("next")
        while (await newest.describe()).run_id == seen and not waiting.done():
            await asyncio.sleep(0.005)
    assert await waiting == "the last round"


async def test_handlers_are_asked_and_told(engine: Engine) -> None:
    run = await engine.start(FarCart, "cup", id="cart")
    assert await run.update(FarCart.add, "pot") == 2
    assert await run.update("add", "jug", id="once") == 3
    assert await run.update("add", "jug", id="once") == 3
    assert await run.query(FarCart.count_items) == 3
    with pytest.raises(QueryFailed) as asked:
        await run.query("count_items", "?")
    assert isinstance(asked.value.__cause__, FarDeclined)
    with pytest.raises(UpdateRejected, match="an item has a name"):
        await run.update("add", "")
    with pytest.raises(UpdateFailed) as failed:
        await run.update("add", "bomb")
    assert isinstance(failed.value.__cause__, FarDeclined)
    with pytest.raises(InvalidInput):
        await run.query("no_such")
    await run.signal(FarCart.pay)
    assert await run.result() == ["cup", "pot", "jug"]
    assert await run.query("count_items") == 3


async def test_speaking_to_a_run_starts_it_before_if_there_is_none(engine: Engine) -> None:
    assert await engine.update_with_start(FarCart, "cup", id="w", update="add", update_args=["pot"]) == 2
    assert await engine.update_with_start(FarCart, "cup", id="w", update=FarCart.add, update_args=["jug"]) == 3
    run = await engine.signal_with_start(FarCart, "cup", id="w", signal=FarCart.pay, signal_id="s")
    assert await run.result() == ["cup", "pot", "jug"]


async def test_operators_pause_resume_cancel_and_terminate(engine: Engine) -> None:
    run = await engine.start(far_stopping, id="stopping")
    await until_waiting(run)
    await run.pause()
    await until("paused", run)
    await run.resume()
    await until("waiting", run)
    await run.cancel("over")
    with pytest.raises(Cancelled):
        await run.result()
    assert (await run.describe()).status_text == "stopped"
    other = await engine.start(far_stopping, id="terminated")
    await other.terminate("by force")
    assert (await other.describe()).error == "terminated: by force"


async def test_a_failed_run_goes_on_and_a_run_is_forked(engine: Engine) -> None:
    with pytest.raises(WorkflowFailed):
        await engine.run(far_order, FarOrder("nothing", Decimal(1)), id="broken")
    run = engine.get("broken")
    await run.retry()
    with pytest.raises(WorkflowFailed):
        await run.result()
    assert [e.type async for e in run.history()].count("workflow_reopened") == 1
    with pytest.raises(WorkflowFailed):
        await engine.run(far_parent, "nothing", id="parent")
    parent = engine.get("parent")
    await parent.retry()
    with pytest.raises(WorkflowFailed):
        await parent.result()
    forked = await run.fork(replace={"far_charge": Decimal(9)}, id="forked")
    assert await forked.result() == FarOrder("nothing", Decimal(9))
    with pytest.raises(InvalidInput, match="no result with the key"):
        await run.fork(replace={"nobody": 1})
    with pytest.raises(InvalidInput, match="no uncertain step"):
        await engine.resolve((await engine.start(far_rounds, 0, id="open")).id, "x", 1)


async def test_tasks_for_people_are_listed_and_completed(engine: Engine) -> None:
    run = await engine.start(far_asking, "look at it", id="asking")
    await until_waiting(run)
    while not (tasks := [each async for each in engine.human_tasks("Assignee = 'ada'")]):
        await asyncio.sleep(0.005)
    assert tasks[0].title == "look at it"
    with pytest.raises(InvalidInput, match="form"):
        await engine.complete_callback(tasks[0].token, 7)
    await engine.complete_callback(tasks[0].token, "fine", by="Ada")
    assert await run.result() == "fine"
    assert [each.data["by"] async for each in run.history() if each.type == "callback_completed"] == ["Ada"]
    await engine.complete_callback(tasks[0].token, "again")  # has no effect
    other = await engine.start(far_asking, "and this", id="failing")
    await until_waiting(other)
    while not (tasks := [each async for each in engine.human_tasks()]):
        await asyncio.sleep(0.005)
    await engine.fail_callback(tasks[0].token, "nobody is there")
    with pytest.raises(WorkflowFailed, match="nobody is there"):
        await other.result()
    with pytest.raises(NotFound):
        await engine.complete_callback(tasks[0].token[:-4] + "AAAA", "forged")


async def test_runs_are_listed_counted_and_paged(engine: Engine) -> None:
    for n in range(5):
        await engine.start(far_rounds, 0, id=f"r{n}", attributes={"even": n % 2 == 0, "n": float(n)})
    assert [run.id async for run in engine.list("even = TRUE ORDER BY n DESC")] == ["r4", "r2", "r0"]
    assert [run.id async for run in engine.list("n >= 1 AND NOT (n = 3) ORDER BY n ASC", 2)] == ["r1", "r2"]
    assert await engine.count("WorkflowType = 'far_rounds' AND StartTime > NOW - '1h'") == 5
    assert await engine.count_by("even") == {True: 3, False: 2}
    first, cursor = await engine.page("ORDER BY n ASC", limit=3)
    rest, end = await engine.page("ORDER BY n ASC", cursor, limit=3)
    assert ([run.id for run in (*first, *rest)], end) == ([f"r{n}" for n in range(5)], None)
    assert (await engine.attributes.list())["even"] == "bool"
    await engine.attributes.register(due="datetime")
    with pytest.raises(AttributeRefused):
        await engine.attributes.register(due="int")


async def test_a_history_is_read_followed_and_streamed(engine: Engine) -> None:
    run = await engine.start(far_streaming, id="speaking")
    await until_waiting(run)
    followed = asyncio.create_task(_types(run))
    heard = asyncio.create_task(_words(run))
    await run.signal("go")
    assert await run.result() == "said"
    assert await heard == ["a", "b", "c"]
    assert await followed == [each.type async for each in run.history()]
    assert [each.value async for each in run.stream("words", str, after=0)] == ["a", "b", "c"]


async def _types(run: RunHandle[Any]) -> list[str]:
    return [each.type async for each in run.follow()]


async def _words(run: RunHandle[Any]) -> list[str]:
    return [each.value async for each in run.stream("words", str)]


async def test_schedules_are_made_changed_and_fired(engine: Engine) -> None:
    plan = await engine.schedule("nightly", far_order, FarOrder("x", Decimal(1)), cron="0 3 * * *")
    assert (await plan.describe()).workflow == "far_order"
    with pytest.raises(AlreadyStarted):
        await engine.schedule("nightly", far_order, FarOrder("y", Decimal(1)), cron="0 3 * * *")
    await plan.update(cron="0 4 * * *")
    await plan.pause("not now")
    assert (await plan.describe()).paused
    id = await plan.trigger(id="by-hand")
    while not await engine.count(f"WorkflowId = '{id}'"):
        await asyncio.sleep(0.02)
    assert await engine.get(id).result() == FarOrder("x", Decimal(2))
    await plan.resume()
    assert [each.id async for each in engine.list_schedules()] == ["nightly"]
    assert "updated" in [each.kind async for each in plan.history()]
    await plan.delete()
    with pytest.raises(NotFound):
        await plan.describe()


async def test_queues_are_paused_and_limited(engine: Engine) -> None:
    await engine.queues.pause("slow-far")
    run = await engine.start(far_rounds, 0, id="queued", queue="slow-far", priority=1)
    assert [wait.kind for wait in (await run.describe()).waiting_for] == ["queue"]
    await engine.queues.limit("slow-far", concurrency=2, rate="5/s")
    info = await engine.queues.get("slow-far")
    assert (info.is_paused, info.waiting, info.limits) == (True, 1, {"concurrency": 2, "rate": "5/s"})
    await engine.queues.reset("slow-far")
    await engine.queues.resume("slow-far")
    assert (await engine.queues.get("slow-far")).limits == {}
    with pytest.raises(InvalidInput):
        await engine.queues.limit("slow-far", concurrency=0)


async def test_starts_wait_debounce_and_deduplicate(engine: Engine) -> None:
    later = await engine.start(far_rounds, 0, id="later", start_at=datetime.now(UTC) + timedelta(hours=1))
    assert (await later.describe()).condition == "queued"
    await later.start_now()
    moved = engine.get("later")
    while (await moved.describe()).condition != "waiting":
        await asyncio.sleep(0.005)
    await moved.signal("next")
    assert await later.result() == "the last round"
    first = await engine.start(far_rounds, 0, dedup="key")
    assert (await engine.start(far_rounds, 5, dedup="key")).run_id == first.run_id
    for n in range(3):
        calm = await engine.debounce(far_order, FarOrder("calm", Decimal(n)), key="k", delay=0.2)
    assert await calm.result() == FarOrder("calm", Decimal(4))
    assert await engine.count("WorkflowType = 'far_order' AND Status = 'completed'") == 1


async def test_a_bulk_reaches_all_runs_that_fit(engine: Engine) -> None:
    for n in range(12):
        await engine.start(far_rounds, 0, id=f"many-{n}")
    told: list[int] = []
    report = await engine.bulk.signal(None, "next", everything=True, on_progress=lambda each: told.append(each.done))
    assert (report.done, report.refused) == (12, 0)
    for n in range(12):
        assert await engine.get(f"many-{n}").result() == "the last round"
    assert (await engine.bulk.terminate("Status = 'running'", dry_run=True)).total == 0


async def test_a_closed_run_is_exported(engine: Engine) -> None:
    await engine.run(far_order, FarOrder("kept", Decimal(1)), id="kept")
    assert b"far_order" in await engine.export("kept")
    await engine.retention.set("completed", "30d")
    assert (await engine.retention.describe()).rules[Status.COMPLETED].keep == timedelta(days=30)


async def test_a_sync_program_says_the_same(engine: Engine) -> None:
    if not engine.is_remote:
        return

    def work() -> tuple[Any, list[str], int]:
        with BlockingEngine(engine.url) as blocking:
            done = blocking.run(far_order, FarOrder("sync", Decimal(1)), id="sync")
            types = [each.type for each in blocking.get("sync").history()]
            return done, types, blocking.count()

    done, types, count = await asyncio.to_thread(work)
    assert (done, types[-1], count) == (FarOrder("sync", Decimal(2)), "workflow_completed", 1)
