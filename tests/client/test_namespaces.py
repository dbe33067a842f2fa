"""What lies in one namespace is not there for another, on every store, and keeps nobody of another waiting."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

import keepstep
from keepstep import Engine, InvalidInput, NotFound, Retry, RunHandle, step, workflow
from keepstep.journal import AlreadyStarted, Commit, Hint, Journal, NewMessage, SystemClock, narrowed_journal
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.journal.namespace import SEPARATOR
from keepstep.journal.narrowed import PASSED_ON, NarrowedJournal
from keepstep.journal.postgres import migration as postgres_migration
from keepstep.journal.postgres import statements as postgres_statements
from keepstep.journal.queue import Queue
from keepstep.journal.sqlite import opening as sqlite_opening
from keepstep.journal.sqlite import statements as sqlite_statements
from tests.client.dweller import Dweller

at_work: Counter[str] = Counter()
most_at_work: Counter[str] = Counter()
"""By namespace: steps of the queue ``lathe`` at a time."""


gates: dict[str, asyncio.Event] = {}


@step(queue="lathe")
async def turn_on_the_lathe(where: str) -> str:
    at_work[where] += 1
    most_at_work[where] = max(most_at_work[where], at_work[where])
    try:
        await asyncio.wait_for(gates[where].wait(), 20)
    finally:
        at_work[where] -= 1
    return where


@step(retry=Retry(max_attempts=1))
async def say_where_it_is_done() -> str:
    return "here"


@workflow
async def dwell(word: str = "") -> str:
    keepstep.set_attributes(size=word)
    cb = keepstep.callback()
    keepstep.set_status(cb.token)
    said = await keepstep.receive("go", str)
    return f"{word} {said} {await say_where_it_is_done()}"


@workflow
async def work_at_the_lathe(where: str) -> str:
    return await turn_on_the_lathe(where)


@workflow
async def ask_a_dweller(title: str) -> str:
    return await keepstep.human_task(title, form=str)


@workflow
async def have_a_child_here(where: str) -> list[str]:
    """A child, a step elsewhere and a continuation, all of the same namespace."""
    if not where.endswith("!"):
        keepstep.continue_as_new(f"{where}!")
    return [where, await work_at_the_lathe(where[:-1])]


@workflow
async def end_at_once() -> str:
    return "done"


class Town:
    """One store, and engines of several namespaces on it."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self._disk = MemoryDisk()
        self._stack = stack

    async def open(self, namespace: str, **options: Any) -> Engine:
        engine = Engine(**self.options(namespace), **{"poll_seconds": 0.2, "callback_url": "http://here", **options})
        return await self._stack.enter_async_context(engine)

    def options(self, namespace: str) -> dict[str, Any]:
        journal = MemoryJournal(self._disk, clock=SystemClock()) if self.url == "memory:" else None
        return {"url": self.url, "namespace": namespace, "journal": journal}


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def town(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Town]:
    for each in (at_work, most_at_work, gates):
        each.clear()
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/town.db"}.get(request.param)
    async with AsyncExitStack() as stack:
        yield Town(url or request.getfixturevalue("postgres_url"), stack)


async def until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.01)


async def listed(engine: Engine, filter: str | None = None) -> list[str]:
    return [run.id async for run in engine.list(filter)]


def test_every_method_of_the_port_is_narrowed_or_is_known_to_belong_to_the_whole_store() -> None:
    port = {name for name in dir(Journal) if not name.startswith("_")} | {"clock", "performs_deeds", "value_bytes_max"}
    narrowed = {name for name in vars(NarrowedJournal) if not name.startswith("_")}
    assert port - narrowed == PASSED_ON
    assert not narrowed & PASSED_ON


# runs


SPEAK: dict[str, Callable[[RunHandle[Any]], Awaitable[Any]]] = {
    "describe": lambda run: run.describe(),
    "signal": lambda run: run.signal("hear", "word"),
    "query": lambda run: run.query("so_far", timeout=1),
    "update": lambda run: run.update("add", "word", timeout=1),
    "cancel": lambda run: run.cancel(),
    "terminate": lambda run: run.terminate(),
    "pause": lambda run: run.pause(),
    "resume": lambda run: run.resume(),
    "retry": lambda run: run.retry(),
    "fork": lambda run: run.fork(),
    "resolve": lambda run: run.resolve("key", 1),
    "result": lambda run: run.result(1),
    "history": lambda run: anext(aiter(run.history())),
}


async def test_a_run_of_another_namespace_is_reached_neither_by_its_workflow_id_nor_by_its_run_id(town: Town) -> None:
    mine, other = await town.open("mine"), await town.open("other")
    run = await mine.start(Dweller, id="dweller")
    assert await run.query(Dweller.so_far) == []
    before = [event async for event in run.history()]
    for name, speak in SPEAK.items():
        for handle in (other.get("dweller"), other.get("dweller", run.run_id)):
            with pytest.raises(NotFound):
                await speak(handle)
                raise AssertionError(f"{name} reached {handle}")
    assert await listed(other) == []
    assert (await other.count(), await other.count("WorkflowId = 'dweller'")) == (0, 0)
    for bulk in (other.bulk.cancel, other.bulk.terminate, other.bulk.retry):
        assert (await bulk(None, everything=True)).total == 0
    assert (await other.bulk.signal(None, "hear", "word", everything=True)).total == 0
    await asyncio.sleep(0.3)
    assert [event async for event in run.history()] == before
    assert (await run.describe()).status == "running"


async def test_whoever_holds_the_journal_of_a_namespace_cannot_name_runs_of_another(town: Town) -> None:
    mine, other = await town.open("mine"), await town.open("other", workers=False)
    run = await mine.start(dwell, "x", id="one")
    run_id = run.run_id or ""
    journal = other.journal
    assert await journal.read_run(run_id) is None
    assert await journal.find_place(run_id) is None
    assert [await journal.read_events(run_id), await journal.read_messages(run_id)] == [[], []]
    assert (await journal.read_state(run_id), await journal.read_audit(run_id)) == ({}, [])
    by_run_id: list[Callable[[], Awaitable[Any]]] = [
        lambda: journal.load(run_id),
        lambda: journal.send(NewMessage(run_id=run_id, kind="cancel")),
        lambda: journal.ask(run_id, "query", "x", b"", 0.1),
        lambda: journal.commit(Commit(run_id=run_id, version=1, audit="nothing")),
    ]
    for call in by_run_id:
        with pytest.raises(NotFound):
            await call()
    by_name: list[Callable[[], Awaitable[Any]]] = [
        lambda: journal.find_run("mine", "one"),
        lambda: journal.list_runs("mine"),
        lambda: journal.count_runs("mine"),
        lambda: journal.list_attributes("mine"),
        lambda: journal.list_definitions("mine"),
        lambda: journal.list_state("mine", "x"),
        lambda: journal.purge("mine", 1 << 62),
        lambda: journal.send(NewMessage(namespace="mine", workflow_id="one", kind="cancel")),
    ]
    for call in by_name:
        with pytest.raises(InvalidInput, match="cannot be reached"):
            await call()
    await run.signal("go", "now")
    assert await run.result(20) == "x now here"


async def test_the_same_id_is_another_run_in_each_namespace(town: Town) -> None:
    engines = [await town.open(name) for name in ("default", "mine", "other")]
    runs = [await each.start(dwell, each.namespace, id="same") for each in engines]
    assert len({run.run_id for run in runs}) == 3
    await engines[1].signal("same", "go", "first")
    assert await runs[1].result(20) == "mine first here"
    assert [(await run.describe()).status for run in runs] == ["running", "completed", "running"]
    with pytest.raises(AlreadyStarted):
        await engines[0].start(dwell, "something else", id="same")
    for engine, run in zip(engines[::2], runs[::2], strict=True):
        await engine.signal("same", "go", "second")
        assert await run.result(20) == f"{engine.namespace} second here"


async def test_workers_take_up_nothing_of_another_namespace_and_what_is_there_waits_for_its_own(town: Town) -> None:
    """Also what a dead worker has left: whoever ends its lease does not get its runs."""
    other = await town.open("other", queues=("default", "lathe"))
    gates.update(mine=asyncio.Event(), other=asyncio.Event())
    gates["other"].set()
    client = await town.open("mine", workers=False)
    left = [await client.start(work_at_the_lathe, "mine", id=f"work-{n}") for n in range(3)]
    silent = await client.start(Dweller, id="silent")
    for n in range(3):
        assert await other.run(work_at_the_lathe, "other", id=f"work-{n}") == "other"
    assert [(await run.describe()).events for run in left] == [1, 1, 1]
    assert most_at_work == {"other": 1}
    with pytest.raises(keepstep.NoWorker):
        await silent.query(Dweller.so_far)
    first = await town.open("mine", queues=("default", "lathe"), lease_seconds=1.0)
    await until(lambda: _equals(at_work["mine"], 3))
    assert first.worker is not None
    await first.close(grace_seconds=0)  # its tasks and runs are given back
    for n in range(3, 6):
        assert await other.run(work_at_the_lathe, "other", id=f"work-{n}") == "other"
    gates["mine"].set()
    last = await town.open("mine", queues=("default", "lathe"))
    assert [await last.get(run.id).result(20) for run in left] == ["mine"] * 3


async def _equals(value: Any, other: Any) -> bool:
    return bool(value == other)


async def test_what_a_run_starts_is_in_its_namespace(town: Town) -> None:
    """Children, steps on queues, continuations and forks."""
    mine, other = await town.open("mine", queues=("default", "lathe")), await town.open("other")
    gates["mine"] = asyncio.Event()
    gates["mine"].set()
    run = await mine.start(have_a_child_here, "mine", id="parent")
    assert await run.result(20) == ["mine!", "mine"]
    forked = await mine.get("parent").fork()
    assert await forked.result(20) == ["mine!", "mine"]
    assert {(run.namespace, run.queue) async for run in mine.list()} == {("mine", "default")}
    assert await mine.count() == 4
    assert await other.count() == 0


async def test_nobody_hears_what_another_namespace_of_the_same_process_has_closed() -> None:
    journal = MemoryJournal(MemoryDisk(), clock=SystemClock())
    options: dict[str, Any] = {"journal": journal, "poll_seconds": 0.2}
    heard: list[Hint] = []
    async with Engine(namespace="mine", **options) as mine, Engine(namespace="other", **options) as other:
        other.journal.listen(heard.append)
        run = await mine.start(end_at_once, id="one")
        assert await run.result(20) == "done"
        assert await other.run(end_at_once, id="two") == "done"
        assert [each.run_id for hint in heard for each in hint.closings] == [(await other.get("two").describe()).run_id]
        with pytest.raises(NotFound):
            await other.get("one", run.run_id).result(5)


# queues


async def test_limits_of_a_queue_are_those_of_its_namespace(town: Town) -> None:
    queues = ("default", "lathe")
    engines = {name: await town.open(name, queues=queues) for name in ("default", "mine", "other")}
    for name in engines:
        gates[name] = asyncio.Event()
    await engines["mine"].queues.limit("lathe", concurrency=1)
    await engines["other"].queues.limit("lathe", per_key=2, rate="1000/s")
    await engines["default"].queues.pause("lathe")
    shown = {name: [each async for each in _queues(engine)] for name, engine in engines.items()}
    assert shown == {
        "default": [("lathe", True, {})],
        "mine": [("lathe", False, {"concurrency": 1})],
        "other": [("lathe", False, {"per_key": 2, "rate": "1000/s"})],
    }
    for name, engine in engines.items():
        for n in range(4):
            await engine.start(work_at_the_lathe, name, id=f"work-{n}")
    await until(lambda: _equals((at_work["mine"], at_work["other"]), (1, 2)))
    gates["other"].set()
    assert [await engines["other"].get(f"work-{n}").result(20) for n in range(4)] == ["other"] * 4
    gates["mine"].set()
    assert [await engines["mine"].get(f"work-{n}").result(20) for n in range(4)] == ["mine"] * 4
    assert (most_at_work["mine"], most_at_work["other"], most_at_work["default"]) == (1, 2, 0)
    gates["default"].set()
    await engines["default"].queues.resume("lathe")
    assert [await engines["default"].get(f"work-{n}").result(20) for n in range(4)] == ["default"] * 4


async def _queues(engine: Engine) -> AsyncIterator[tuple[str, bool, dict[str, Any]]]:
    """But for those that other tests declare."""
    for each in await engine.queues.list():
        if each.name == "lathe":
            yield each.name, each.is_paused, each.limits


async def test_a_run_that_waits_is_shown_its_place_among_those_of_its_namespace(town: Town) -> None:
    mine, other = [await town.open(name, workers=False) for name in ("mine", "other")]
    for engine, count in ((mine, 2), (other, 5)):
        await engine.queues.limit("gate", concurrency=1)
        for n in range(count):
            await engine.start("anything", id=f"run-{n}", queue="gate", fairness_key="k")
    [wait] = (await mine.get("run-1").describe()).waiting_for
    assert (wait.kind, wait.queue, wait.before) == ("queue", "gate", 1)
    assert [(each.name, each.waiting) for each in await mine.queues.list()] == [("gate", 2)]
    assert await listed(mine, "Queue = 'gate' AND Condition = 'queued' ORDER BY WorkflowId") == ["run-0", "run-1"]
    assert await mine.count("Queue STARTS_WITH 'ga' AND NOT Queue = 'default'") == 2
    assert await mine.count("Queue > 'gate' OR Queue < 'gate'") == 0
    assert await mine.count_by("Queue", "Queue = 'gate'") == {"gate": 2}
    assert await mine.count_by("Queue", "Queue = 'default'") == {}
    assert await listed(mine, "Status = 'running' ORDER BY Queue, WorkflowId DESC") == ["run-1", "run-0"]


async def test_turns_are_counted_without_what_others_have_in_hand(town: Town) -> None:
    """Another namespace holds a dozen steps of a key; that key's turn here does not come later for it."""
    mine, other = [await town.open(name, workers=False) for name in ("mine", "other")]
    for engine, keys in ((other, ["gold"] * 6), (mine, ["gold", "lead", "lead"])):
        for n, key in enumerate(keys):
            task = keepstep.journal.NewTask(kind="step", key=f"k{n}", queue="plain", fairness_key=key)
            started: RunHandle[Any] = await engine.start("anything", id=f"run-{n}", queue="nobody")
            run = await engine.journal.read_run(started.run_id or "")
            assert run is not None
            await engine.journal.commit(Commit(run_id=run.run_id, version=run.version, tasks=(task,)))
    held = await _claimed(other, "hers", 6)
    assert len(held) == 6
    assert await _claimed(mine, "his", 1) == ["gold"]


async def _claimed(engine: Engine, lease_id: str, limit: int) -> list[str]:
    """What a lease on the queue ``plain`` gets, by its keys."""
    from tests.journal.scene import lease

    made = lease(lease_id, queues=("plain",))
    await engine.journal.open_lease(made)
    tasks = await engine.journal.claim_tasks(lease_id, ("plain",), ("step",), limit)
    assert {(task.namespace, task.queue) for task in tasks} == {(engine.namespace, "plain")}
    names = {"k0": "gold", "k1": "lead", "k2": "lead"} if engine.namespace == "mine" else {}
    return [names.get(task.key, "gold") for task in tasks]


@pytest.mark.parametrize("town", ["sqlite", "postgres"], indirect=True)
async def test_nobody_counts_turns_because_others_have_fairness_keys(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting them takes long where much waits."""
    mine, other = [await town.open(name, workers=False) for name in ("mine", "other")]
    for engine, key in ((other, "gold"), (mine, "")):
        task = keepstep.journal.NewTask(kind="step", key="k0", queue="plain", fairness_key=key)
        started: RunHandle[Any] = await engine.start("anything", id="run", queue="nobody")
        run = await engine.journal.read_run(started.run_id or "")
        assert run is not None
        await engine.journal.commit(Commit(run_id=run.run_id, version=run.version, tasks=(task,)))
    statements = postgres_statements if "postgres" in town.url else sqlite_statements
    by_turn = statements.CLAIMABLE_TASKS_BY_TURN
    monkeypatch.delattr(statements, "CLAIMABLE_TASKS_BY_TURN")
    assert len(await _claimed(mine, "his", 1)) == 1
    monkeypatch.setattr(statements, "CLAIMABLE_TASKS_BY_TURN", by_turn, raising=False)
    assert await _claimed(other, "hers", 1) == ["gold"]


async def test_leases_are_seen_by_those_of_their_namespace(town: Town) -> None:
    mine = await town.open("mine", label="my worker")
    other, default = await town.open("other", workers=False), await town.open("default", label="its worker")
    assert [(each.lease.label, each.lease.queues[0]) for each in await mine.journal.list_leases()] == [
        ("my worker", "default")
    ]
    assert [each.lease.label for each in await default.journal.list_leases()] == ["its worker"]
    assert await other.journal.list_leases() == []


async def test_the_name_of_a_queue_cannot_be_that_of_another_namespace(town: Town) -> None:
    mine, default = await town.open("mine", workers=False), await town.open("default", workers=False)
    for engine in (mine, default):
        with pytest.raises(InvalidInput, match="must not have the sign"):
            await engine.start("anything", queue=f"other{SEPARATOR}gate")
        with pytest.raises(InvalidInput, match="must not have the sign"):
            await engine.queues.pause(f"other{SEPARATOR}gate")


async def test_a_run_that_went_to_another_namespace_is_reached_from_there_alone(town: Town) -> None:
    mine, other = await town.open("mine", workers=False), await town.open("other", workers=False)
    run: RunHandle[Any] = await mine.start("anything", id="run")
    await run.terminate()
    data = msgspec.json.decode(await mine.export("run"))
    await mine.journal.purge("mine", 1 << 62)
    data["run"]["status"] = "failed"
    await other.import_(msgspec.json.encode(data))
    found = await other.journal.find_run("other", "run")
    assert found is not None
    reopening = Commit(run_id=found.run_id, version=found.version, status=keepstep.journal.Status.RUNNING)
    await other.journal.commit(reopening)
    for speak in (run.cancel, partial(run.signal, "go", "now")):
        with pytest.raises(NotFound):
            await speak()
    assert await other.journal.read_messages(found.run_id) == []


@pytest.mark.parametrize("namespace", ["mine", "other"])
async def test_an_imported_run_tells_no_run_of_another_namespace_how_it_ends(town: Town, namespace: str) -> None:
    """A file may say of any run that it is the parent, and a run that has failed may be tried again."""
    mine, parents = await town.open("mine", workers=False), await town.open(namespace, workers=False)
    parent: RunHandle[Any] = await parents.start("anything", id="parent")
    child: RunHandle[Any] = await mine.start("anything", id="child")
    assert parent.run_id is not None
    assert child.run_id is not None
    await child.terminate()
    data = msgspec.json.decode(await mine.export("child"))
    other_run_id = f"{child.run_id[:-4]}0000"
    data["run"] |= {"run_id": other_run_id, "status": "failed", "parent_run_id": parent.run_id, "parent_key": "pay"}
    imported = await mine.import_(msgspec.json.encode(data))
    run = await mine.journal.read_run(other_run_id)
    assert run is not None
    assert run.status == "failed"
    await mine.journal.commit(Commit(run_id=run.run_id, version=run.version, status=keepstep.journal.Status.RUNNING))
    await imported.terminate()
    told = [each.name for each in await parents.journal.read_messages(parent.run_id)]
    assert told == (["pay"] if namespace == "mine" else [])


@pytest.mark.parametrize("name", ["", "a\x1fb", "a\nb", "mine:schedules", "x" * 201, 7, "a\ud800"])
def test_what_can_be_no_namespace_is_refused(name: Any) -> None:
    with pytest.raises(InvalidInput):
        Engine("memory:", namespace=name)


# everything else that has a name


async def test_schedules_of_the_same_id_fire_in_their_namespaces(town: Town) -> None:
    mine, other = await town.open("mine"), await town.open("other")
    first = await mine.schedule("nightly", end_at_once, every="1d", paused=True)
    assert [each.id async for each in other.list_schedules()] == []
    hers = other.get_schedule("nightly")
    for speak in (hers.describe, hers.trigger, hers.pause, hers.delete):
        with pytest.raises(NotFound):
            await speak()
    second = await other.schedule("nightly", end_at_once, every="2d", note="hers")
    await first.trigger()
    await until(lambda: _counts(mine, 1))
    assert ((await second.describe()).note, (await first.describe()).note) == ("hers", "")
    assert ((await second.describe()).started, await other.count()) == (0, 0)
    await second.delete()
    assert [each.id async for each in mine.list_schedules()] == ["nightly"]


async def _counts(engine: Engine, count: int) -> bool:
    return await engine.count("Status = 'completed'") == count


async def test_attributes_and_definitions_of_the_same_name_have_nothing_in_common(town: Town) -> None:
    mine, other = await town.open("mine"), await town.open("other", workers=False)
    await mine.attributes.register(size="int")
    await mine.start(end_at_once, id="one", attributes={"size": 5}, queue="nobody")
    await other.start("anything", id="one", attributes={"size": "large", "only": True})
    assert await mine.attributes.list() == {"size": "int"}
    assert await other.attributes.list() == {"size": "keyword", "only": "bool"}
    assert (await listed(mine, "size > 4"), await listed(other, "size = 'large'")) == (["one"], ["one"])
    with pytest.raises(keepstep.FilterError):
        await mine.count("only = TRUE")
    assert "dwell" in await mine.published.workflows()
    assert await other.published.workflows() == {}


async def test_debounced_and_deduplicated_starts_meet_those_of_their_namespace(town: Town) -> None:
    mine, other = [await town.open(name, workers=False) for name in ("mine", "other")]
    runs = [await each.start(dwell, "x", dedup="k") for each in (mine, other)]
    assert runs[0].run_id != runs[1].run_id
    assert (await mine.start(dwell, "y", dedup="k")).run_id == runs[0].run_id
    for engine in (mine, other):
        await engine.debounce(dwell, engine.namespace, key="k", delay="1h")
        await engine.debounce(dwell, engine.namespace, key="k", delay="1h")
    assert await mine.count("WorkflowId STARTS_WITH 'debounced/' AND Status = 'running'") == 1
    assert await other.count("WorkflowId STARTS_WITH 'debounced/' AND Status = 'running'") == 1


async def test_callbacks_and_tasks_for_people_are_answered_in_their_namespace(town: Town) -> None:
    mine, other = await town.open("mine"), await town.open("other")
    run = await mine.start(ask_a_dweller, "mine", id="ask")
    await until(lambda: _has_tasks(mine))
    [task] = [task async for task in mine.human_tasks()]
    assert [each async for each in other.human_tasks()] == []
    for answer in (other.complete_callback(task.token, "no"), other.fail_callback(task.token, "no")):
        with pytest.raises(NotFound, match="no run has made this callback token"):
            await answer
    await mine.complete_callback(task.token, "yes")
    assert await run.result(20) == "yes"


async def _has_tasks(engine: Engine) -> bool:
    return bool([task async for task in engine.human_tasks()])


async def test_what_is_removed_is_removed_from_one_namespace(town: Town) -> None:
    mine, other = await town.open("mine"), await town.open("other")
    for engine in (mine, other):
        assert await engine.run(end_at_once, id="one") == "done"
    assert await mine.journal.purge("mine", 1 << 62) == 1
    assert (await listed(mine), await listed(other)) == ([], ["one"])
    assert await other.get("one").result(5) == "done"


@pytest.mark.parametrize("town", ["sqlite", "postgres"], indirect=True)
async def test_what_is_started_within_a_transaction_is_in_its_namespace(town: Town) -> None:
    mine, other = await town.open("mine", queues=("default", "lathe")), await town.open("other")
    theirs = await other.start(dwell, "x", id="theirs")
    with _connect(town.url) as db:
        if "postgres" in town.url:
            db.autocommit = False
        run = await mine.start(dwell, "mine", id="one", connection=db)
        with pytest.raises(NotFound):
            await mine.get("theirs").signal("go", "no", connection=db)
        with pytest.raises(NotFound):
            await mine.get("theirs", theirs.run_id).signal("go", "no", connection=db)
        db.commit()
        await mine.get("one").signal("go", "now", connection=db)
        db.commit()
    assert await run.result(20) == "mine now here"
    assert await listed(other) == ["theirs"]


async def test_a_workflow_started_by_sql_is_offered_in_its_namespace(postgres_url: str) -> None:
    async with Engine(postgres_url, namespace="mine") as mine, Engine(postgres_url) as default:
        with psycopg.connect(postgres_url, autocommit=True) as db:
            start = "SELECT keepstep.start_workflow('end_at_once', id => 'one', namespace => %s)"
            db.execute(start, ("mine",))
            assert await mine.get("one").result(20) == "done"
            assert await listed(default) == []
            db.execute(start, ("default",))
            assert await default.get("one").result(20) == "done"
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                db.execute(f"SELECT keepstep.start_workflow('end_at_once', queue => '{SEPARATOR}x')")


def test_a_journal_can_be_narrowed_to_several_namespaces_that_belong_together() -> None:
    journal = narrowed_journal(MemoryJournal(MemoryDisk(), clock=SystemClock()), "mine", "mine:schedules")
    assert isinstance(journal, NarrowedJournal)
    assert journal._check("mine:schedules") == "mine:schedules"


# databases from before


async def _fill(town: Town) -> None:
    """Everything that has a queue: runs, tickets, steps, schedules, in namespaces and in none of their own."""
    for name in ("default", "mine", "mine:s", "MINE:SCHEDULES"):
        engine = await town.open(name, workers=False)
        await engine.queues.limit("gate", concurrency=1)
        await engine.start("anything", id="plain")
        await engine.start("anything", id="ticket", queue="gate", priority=3)
        await engine.start("anything", id="later", delay="1h")
        await engine.schedule("nightly", "anything", every="1d")
        run = await engine.journal.find_run(name, "plain")
        assert run is not None
        tasks = (
            keepstep.journal.NewTask(kind="step", key="a", queue="lathe"),
            keepstep.journal.NewTask(kind="step", key="b", queue="lathe", fallback_queue="bench"),
        )
        await engine.journal.commit(Commit(run_id=run.run_id, version=run.version, tasks=tasks))


QUEUES_OF_ALL = (
    "SELECT r.namespace, r.workflow_id, r.queue, r.ticket FROM runs AS r ORDER BY 1, 2",
    "SELECT r.namespace, r.workflow_id, t.kind, t.key, t.queue, t.fallback_queue FROM tasks AS t "
    "JOIN runs AS r ON r.run = t.run ORDER BY 1, 2, 3, 4",
    "SELECT name, holds_back, body FROM queues ORDER BY name",
)


def _as_before(db: Any, behind_separator: str) -> None:
    """Every queue by its bare name, as it was kept before."""
    for table, columns in (("runs", ("queue",)), ("tasks", ("queue", "fallback_queue"))):
        for column in columns:
            db.execute(f"UPDATE {table} SET {column} = {behind_separator.format(column)}")
    db.execute(f"DELETE FROM queues WHERE name <> {behind_separator.format('name')}")
    for run, ticket in db.execute("SELECT run, ticket FROM runs WHERE ticket IS NOT NULL").fetchall():
        bare = msgspec.json.decode(ticket)
        bare["queue"] = bare["queue"].rpartition(SEPARATOR)[2]
        text = msgspec.json.encode(bare).decode()
        db.execute(f"UPDATE runs SET ticket = '{text}' WHERE run = {run}")


def _found(db: Any) -> list[Any]:
    runs, tasks, queues = (db.execute(each).fetchall() for each in QUEUES_OF_ALL)
    limited = [(name, held, msgspec.json.decode(body, type=Queue)) for name, held, body in queues]
    return [[(*run[:3], run[3] and msgspec.json.decode(run[3])) for run in runs], list(tasks), limited]


@pytest.mark.parametrize("town", ["sqlite", "postgres"], indirect=True)
async def test_queues_of_a_database_from_before_get_the_keys_that_they_have_today(town: Town) -> None:
    await _fill(town)
    is_postgres = "postgres" in town.url
    store = postgres_migration.migrations() if is_postgres else sqlite_opening.migrations()
    [text] = [each for each in store if "A queue has its namespace in its name" in each]
    with _connect(town.url) as db:
        if is_postgres:
            db.execute("SET search_path TO keepstep")
        today = _found(db)
        assert sum(SEPARATOR in str(row[2]) for row in today[0]) == 12
        assert [(row[0], row[2].limits.concurrency) for row in today[2] if row[1]] == [
            (f"MINE:SCHEDULES{SEPARATOR}gate", 1),
            ("gate", 1),
            (f"mine{SEPARATOR}gate", 1),
            (f"mine:s{SEPARATOR}gate", 1),
        ]
        _as_before(db, "split_part({0}, chr(31), -1)" if is_postgres else "substr({0}, instr({0}, char(31)) + 1)")
        assert not any(SEPARATOR in str(each) for rows in _found(db) for row in rows for each in row)
        if is_postgres:
            db.execute("DROP FUNCTION queue_key")
            db.execute(text.encode())
        else:
            db.executescript(text)
        assert _found(db) == today


def _connect(url: str) -> Any:
    if "postgres" in url:
        return psycopg.connect(url, autocommit=True)
    return closing(sqlite3.connect(url.removeprefix("sqlite:///")))
