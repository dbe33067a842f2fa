"""Opening, closing and listing: what an engine is asked to be, and what it says of runs and tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, NotFound, step, workflow
from keepstep.client.address import sqlite_path
from keepstep.journal import StoreUnavailable


@step(once=True)
def cut_off_by_itself() -> str:
    raise asyncio.CancelledError


@workflow
async def pay_and_be_cut_off() -> str:
    return await cut_off_by_itself()


@workflow
async def ask_for(title: str, who: str) -> str:
    return await keepstep.human_task(title, form=str, assignee=who)


@workflow
async def wait_for_three_things() -> None:
    async def others() -> None:
        await keepstep.receive("b")
        await keepstep.receive("c")
        await keepstep.receive("d")

    await asyncio.gather(keepstep.receive("a"), keepstep.wait_for(lambda: False), keepstep.sleep("1h"), others())


@workflow
async def wait_for_many() -> None:
    sleeps = [keepstep.sleep(f"{n + 1}h") for n in range(30)]
    await asyncio.gather(*sleeps, *(keepstep.receive(f"s{n}") for n in range(15)))


@workflow
async def wait_for_many_and_be_cut_off() -> None:
    await asyncio.gather(*(keepstep.sleep("1h") for _ in range(30)), cut_off_by_itself())


@workflow
async def tell_badly(what: str) -> None:
    if what == "attribute":
        keepstep.set_attributes(size=object())
    keepstep.set_status(3 if what == "status" else "\ud800")  # type: ignore[arg-type]
    await keepstep.sleep("1h")


@step
async def do_nothing() -> None:
    return None


@step(retry=keepstep.Retry(max_attempts=1))
async def undo_nothing() -> None:
    raise OSError("no way")


@workflow
async def undo_in_vain(what: str) -> None:
    async with keepstep.saga() as saga:
        await saga.run(do_nothing, undo=undo_nothing)
        if what == "fail":
            raise ValueError("no label")
        await keepstep.receive("never")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(30):
        yield engine


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lease_seconds": 0}, "lease_seconds must be more than 0, not 0"),
        ({"lease_seconds": -1}, "lease_seconds must be more than 0, not -1"),
        ({"queues": "default"}, "queues is a tuple of names"),
        ({"queues": ()}, "queues is a tuple of names"),
        ({"queues": ("a", 3)}, "queues is a tuple of names"),
        ({"callback_url": "example.org"}, "callback_url must begin with http"),
        ({"callback_url": 8710}, "callback_url must begin with http"),
    ],
)
def test_options_that_could_not_work_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Engine("memory:", **options)


@pytest.mark.parametrize(
    "url",
    [
        "orders.db",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/x.db",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "sqlite:///a#b.db",
        3,
    ],
)
def test_a_url_that_names_no_database_is_refused_with_those_that_would(url: Any) -> None:
    with pytest.raises(InvalidInput, match="write sqlite:///"):
        sqlite_path(url)


async def test_an_engine_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(StoreUnavailable, match="async with Engine"):
        await Engine("memory:").start(pay_and_be_cut_off)


async def test_an_engine_is_opened_once_at_a_time(tmp_path: Path) -> None:
    engine = Engine(f"sqlite:///{tmp_path / 'runs.db'}")
    for _ in range(2):
        async with engine:
            with pytest.raises(InvalidInput, match="open already"):
                await engine.__aenter__()
            assert await engine.count() == 0
        await engine.close()


async def test_an_engine_whose_worker_cannot_start_leaves_no_thread_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise StoreUnavailable("no lease today")

    monkeypatch.setattr("keepstep.journal.sqlite.journal.SqliteJournal.open_lease", refuse)
    before = set(threading.enumerate())
    with pytest.raises(StoreUnavailable, match="no lease today"):
        async with Engine(f"sqlite:///{tmp_path / 'runs.db'}"):
            pass
    assert not [each for each in set(threading.enumerate()) - before if "keepstep" in each.name]


@workflow
async def sleep_in_a_step() -> None:
    await sleep_an_hour()


@step
async def sleep_an_hour() -> None:
    await asyncio.sleep(3600)


async def test_a_close_that_is_cancelled_gives_everything_back_all_the_same(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    before = set(threading.enumerate())
    engine = await Engine(url).__aenter__()
    run = await engine.start(sleep_in_a_step)
    while "step" not in {wait.kind for wait in (await run.describe()).waiting_for}:
        await asyncio.sleep(0.01)
    closing = asyncio.create_task(engine.close(grace_seconds=600))
    while engine.worker is not None and not engine.worker.steps.is_stopping:
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not [each for each in set(threading.enumerate()) - before if "keepstep" in each.name]
    async with Engine(url, workers=False) as client, asyncio.timeout(30):
        assert await client.journal.list_leases() == []
        found = await client.journal.read_run(str(run.run_id))
        assert found is not None
        assert found.owner is None


async def test_a_listing_says_why_a_run_was_terminated(engine: Engine) -> None:
    run = await engine.start(ask_for, "Pick it", "anna")
    await run.terminate("enough")
    assert [info.error async for info in engine.list("Status = 'terminated'")] == ["terminated: enough"]


async def test_what_is_told_of_a_wait_begins_when_the_code_began_to_wait(engine: Engine) -> None:
    run = await engine.start(wait_for_three_things)
    for other in ("b", "c"):
        while (info := await run.describe()).condition != "waiting":
            await asyncio.sleep(0)
        since = {wait.name or wait.kind: wait.since for wait in info.waiting_for}
        assert since["a"] == since["condition"] == since["timer"] <= int(info.started_at.timestamp() * 1e6) + 1
        await run.signal(other)
        events = info.events
        while (await run.describe()).events == events:
            await asyncio.sleep(0)


@pytest.mark.parametrize("url", ["memory:", None])
async def test_what_a_run_tells_of_itself_must_be_such_that_it_can_be_kept(url: str | None, tmp_path: Path) -> None:
    async with Engine(url or f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(30):
        for what, said in (("attribute", "the attributes"), ("status", "must be text, not 3"), ("text", "the status")):
            run = await engine.start(tell_badly, what)
            with pytest.raises(keepstep.WorkflowFailed, match=said):
                await run.result()


async def test_among_many_things_the_one_that_needs_a_person_is_shown(engine: Engine) -> None:
    run = await engine.start(wait_for_many_and_be_cut_off)
    await until_uncertain(run)
    first, *others = (await run.describe()).waiting_for
    assert (first.name, first.parked) == ("cut_off_by_itself", "uncertain")
    assert {wait.kind for wait in others} == {"timer"}


async def test_a_run_that_waits_for_more_than_can_be_shown_says_how_much_more(engine: Engine) -> None:
    run = await engine.start(wait_for_many)
    while (info := await run.describe()).condition != "waiting":
        await asyncio.sleep(0)
    assert len(info.waiting_for) + info.detail.more == 45


async def test_a_run_that_undoes_tells_why(engine: Engine) -> None:
    failed = await engine.start(undo_in_vain, "fail")
    cancelled = await engine.start(undo_in_vain, "wait")
    await cancelled.cancel("changed my mind")
    for run, why in ((failed, "ValueError: no label"), (cancelled, "it was cancelled: changed my mind")):
        while not (info := await run.describe()).detail.because:
            await asyncio.sleep(0)
        assert (info.condition, info.detail.because) == ("compensating", why)


async def test_tasks_are_filtered_by_whom_they_are_for(engine: Engine) -> None:
    for title, who in (("Pick it", "anna"), ("Pack it", "ben"), ("Pick it", "ben")):
        await engine.start(ask_for, title, who)
    while len([task async for task in engine.human_tasks()]) < 3:
        await asyncio.sleep(0)
    for wanted, found in (
        ("Assignee = 'ben'", {("Pack it", "ben"), ("Pick it", "ben")}),
        ("Title = 'Pick it' AND Assignee IN ('anna', 'carl')", {("Pick it", "anna")}),
        ("Assignee = 'carl'", set()),
    ):
        assert {(task.title, task.assignee) async for task in engine.human_tasks(wanted)} == found
    assert len([task async for task in engine.human_tasks("Assignee = 'ben'", limit=1)]) == 1
    with pytest.raises(InvalidInput, match=r"position 1 .* expected one of the fields Assignee, Title"):
        engine.human_tasks("Status = 'open'")


async def until_uncertain(run: keepstep.RunHandle[Any]) -> None:
    while (await run.describe()).condition != "uncertain":
        await asyncio.sleep(0)


async def test_a_step_is_resolved_only_where_it_is_uncertain_and_only_by_what_it_could_return(engine: Engine) -> None:
    run = await engine.start(pay_and_be_cut_off, id="p")
    await until_uncertain(run)
    with pytest.raises(InvalidInput, match="no uncertain step with the key 'other'; parked are: cut_off_by_itself"):
        await engine.resolve("p", "other", "yes")
    with pytest.raises(
        InvalidInput, match="'cut_off_by_itself' could not have returned this: expected string, found 3"
    ):
        await engine.resolve("p", "cut_off_by_itself", 3)
    for both_or_neither in ({}, {"value": "yes", "error": "no"}):
        with pytest.raises(InvalidInput, match="either a value or an error"):
            await engine.resolve("p", "cut_off_by_itself", **both_or_neither)
    await engine.resolve("p", "cut_off_by_itself", "yes")
    assert await run.result() == "yes"
    with pytest.raises(keepstep.RunClosed):
        await engine.resolve("p", "cut_off_by_itself", "yes")


async def test_what_a_client_without_the_schema_says_of_a_step_cannot_block_the_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await engine.start(pay_and_be_cut_off, id="p")
    await until_uncertain(run)

    async def nothing(*_: Any) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(engine.published, "find_step", nothing)
        await engine.resolve("p", "cut_off_by_itself", 3)
    await engine.resolve("p", "cut_off_by_itself", "yes")
    assert await run.result() == "yes"
    assert "step_failed" not in [event.type async for event in run.history()]


async def test_two_ids_that_do_not_belong_together_are_told_apart_at_the_first_use(engine: Engine) -> None:
    one = await engine.start(ask_for, "who goes first?", "ann", id="one")
    two = await engine.start(ask_for, "who goes first?", "ann", id="two")
    wrong = engine.get("one", two.run_id)
    said = f"run {two.run_id} is one of 'two', not of 'one'"
    for use in (wrong.describe, wrong.cancel, wrong.terminate, wrong.result, wrong.pause, wrong.retry):
        with pytest.raises(NotFound, match=said):
            await use()
    with pytest.raises(NotFound, match=said):
        await wrong.signal("go")
    with pytest.raises(NotFound, match=said):
        await wrong.query("anything")
    with pytest.raises(NotFound, match="no run with the id 'one', run nobody, in namespace 'default'"):
        await engine.get("one", "nobody").describe()
    assert (await engine.get("one", one.run_id).describe()).status == "running"
    for run in (one, two):
        await engine.get(run.id, run.run_id).terminate()
