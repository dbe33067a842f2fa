"""What was said to a run is seen in its trace and counted, once, and a run that is ended from outside is whole, too."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import keepstep
from keepstep import (
    Engine,
    Retry,
    RunClosed,
    Terminated,
    TimedOut,
    UpdateFailed,
    UpdateRejected,
    WorkflowFailed,
    step,
    workflow,
)
from keepstep.journal import Commit, Event, Run
from keepstep.runtime import history
from keepstep.runtime.history import pack
from keepstep.telemetry.metrics import PrometheusMetrics
from keepstep.telemetry.traces import RunTraces, root_of
from keepstep.testing import run
from keepstep.worker.said import SAID_MAX, Hearing
from tests.runtime.crashing import World, crash_at_every_commit

PROVIDER = TracerProvider()
EXPORTER = InMemorySpanExporter()
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))


@pytest.fixture(autouse=True)
def nothing_was_sent() -> None:
    EXPORTER.clear()


@step
async def be_seen_for_long() -> None:
    await asyncio.sleep(30)


@workflow
class SpokenTo:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_over = False

    async def run(self) -> list[str]:
        await keepstep.wait_for(lambda: self.is_over)
        return self.heard

    @keepstep.signal
    def say(self, what: str) -> None:
        self.heard.append(what)

    @keepstep.signal
    def close(self) -> None:
        self.is_over = True

    @keepstep.update
    async def ask_for(self, what: str) -> str:
        await keepstep.sleep(2)
        if what == "the moon":
            raise LookupError("out of reach")
        self.heard.append(what)
        return what

    @ask_for.validator
    def check_ask_for(self, what: str) -> None:
        if not what:
            raise ValueError("for what?")

    @keepstep.query
    def heard_so_far(self) -> list[str]:
        return self.heard

    @keepstep.query
    def wrong(self) -> None:
        raise ArithmeticError("wrong")


fixed: list[bool] = []


@step(retry=Retry(max_attempts=1))
async def fail_until_fixed() -> None:
    if not fixed:
        raise LookupError("not yet")


@workflow
async def fail_until_told() -> None:
    await keepstep.receive("before", int)
    await fail_until_fixed()
    await keepstep.receive("go", int)


@workflow
async def be_debounced_and_seen(n: int) -> int:
    return n


@workflow(timeout="10s")
async def run_out_of_time_unseen() -> None:
    await keepstep.receive("never", str)


@workflow
async def at_work_when_it_ends() -> None:
    await be_seen_for_long()
    await be_seen_for_long()


@workflow
async def at_rest_when_it_ends() -> None:
    await keepstep.receive("never", str)


async def talk(engine: Engine, round: int) -> None:
    handle = engine.get("spoken to")
    await handle.signal("say", f"word {round}", id=f"w{round}")
    await handle.signal("say", f"word {round}", id=f"w{round}")
    assert await handle.update("ask_for", f"tea {round}", id=f"u{round}") == f"tea {round}"
    with pytest.raises(UpdateFailed):
        await handle.update("ask_for", "the moon", id=f"m{round}")
    with pytest.raises(UpdateRejected):
        await handle.update("ask_for", "", id=f"r{round}")
    await handle.query("heard_so_far")
    with suppress(keepstep.QueryFailed):
        await handle.query("wrong")


def observers() -> list[Any]:
    return [RunTraces(PROVIDER), PrometheusMetrics()]


async def counts(engine: Engine) -> Counter[tuple[str, str]]:
    """Of all kinds and outcomes, how many one engine has counted."""
    metrics = engine.observers[1]
    assert isinstance(metrics, PrometheusMetrics)
    return Counter(
        {
            (sample.labels["kind"], sample.labels["outcome"]): round(sample.value)
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "keepstep_messages_total"
        }
    )


def sent(run_id: str | None) -> tuple[Any, list[Any]]:
    """The root span of a run, and the others of its trace."""
    assert run_id is not None
    finished: Any = EXPORTER.get_finished_spans()
    spans = [each for each in finished if each.context.trace_id == root_of(run_id).trace_id]
    [root] = [each for each in spans if each.parent is None]
    assert len({each.context.span_id for each in spans}) == len(spans)
    return root, [each for each in spans if each is not root]


IN_A_ROUND = Counter(
    {
        ("signal", "received"): 1,
        ("update", "accepted"): 2,
        ("update", "completed"): 1,
        ("update", "failed"): 1,
        ("update", "rejected"): 1,
        ("query", "answered"): 1,
        ("query", "failed"): 1,
    }
)


def test_what_was_said_to_a_run_through_two_processes_is_in_its_trace_and_counted_once() -> None:
    async def main() -> Any:
        world = World()
        first = await world.open(lease_seconds=1.0, observers=observers())
        handle = await first.start(SpokenTo, id="spoken to")
        await talk(first, 1)
        assert await counts(first) == IN_A_ROUND
        world.kill(first)
        second = await world.open(lease_seconds=1.0, observers=observers())
        await talk(second, 2)
        await second.get("spoken to").signal("close")
        await second.get("spoken to").result(timeout=60)
        await second.get("spoken to").query("heard_so_far")  # closed, it is replayed for that
        closed = {("signal", "received"): 1, ("query", "answered"): 1}
        assert await counts(second) == IN_A_ROUND + Counter(closed)
        await world.close()
        return handle.run_id

    root, others = sent(run(main))
    assert root.attributes["keepstep.status"] == "completed"
    said = [(each.name, each.attributes["keepstep.message"], each.attributes.get("keepstep.message_id")) for each in
            root.events]  # fmt: skip
    assert said == [
        *(
            (name, message, f"{id}{round}")
            for round in (1, 2)
            for name, message, id in (
                ("signal received", "say", "w"),
                ("update accepted", "ask_for", "u"),
                ("update completed", "ask_for", "u"),
                ("update accepted", "ask_for", "m"),
                ("update failed", "ask_for", "m"),
            )
        ),
        ("signal received", "close", None),
    ]
    times = [each.timestamp for each in root.events]
    assert times == sorted(times)
    assert root.start_time <= times[0] <= times[-1] <= root.end_time
    assert times[2] - times[1] >= 2e9
    assert Counter(each.name for each in others) == {
        "query heard_so_far": 3,
        "query wrong": 2,
        "update ask_for": 2,
    }
    assert {each.parent.span_id for each in others} == {root.context.span_id}
    wrong = {each.name for each in others if each.status.status_code is StatusCode.ERROR}
    assert wrong == {"query wrong", "update ask_for"}


async def be_spoken_to_and_ended(engine: Engine) -> str:
    """Bears being called again after a crash at any moment of it."""
    handle = await engine.start(SpokenTo, id="crashing")
    with suppress(RunClosed):
        await handle.signal("say", "word", id="w")
    assert await handle.update("ask_for", "tea", id="u") == "tea"
    with suppress(RunClosed):
        await handle.signal("close", id="c")
    await handle.result()
    ended = await engine.start(at_work_when_it_ends, id="crashing and ended")
    await asyncio.sleep(1)
    with suppress(RunClosed):
        await ended.terminate("enough")
    await asyncio.sleep(40)  # whoever was at work has found out
    assert handle.run_id is not None
    assert ended.run_id is not None
    return f"{handle.run_id} {ended.run_id}"


def test_no_span_is_sent_twice_and_none_tells_less_whatever_commit_the_process_dies_at() -> None:
    without_root = list[int]()

    def check(run_ids: str, crashes: int) -> None:
        finished: Any = EXPORTER.get_finished_spans()
        ids = [each.context.span_id for each in finished]
        assert len(set(ids)) == len(ids)
        for run_id, events in zip(run_ids.split(), (4, 0), strict=True):
            roots = [each for each in finished if each.context.span_id == root_of(run_id).span_id]
            assert [len(each.events) for each in roots] in ([], [events])
            if not roots:
                assert crashes
                without_root.append(crashes)
        EXPORTER.clear()

    assert crash_at_every_commit(be_spoken_to_and_ended, check, make_observers=observers) >= 20
    assert len(without_root) == 2  # who has ended a run, and dies before it hears of that, tells nobody


@pytest.mark.parametrize("how", ["terminate", "bulk", "restart"])
def test_who_terminates_a_run_sends_its_root_span_and_its_owner_does_not(how: str) -> None:
    async def main() -> Any:
        world = World()
        owner = await world.open(observers=observers())
        handle = await owner.start(at_work_when_it_ends, id="ended")
        await handle.signal("unread", 1)
        await asyncio.sleep(5)
        other = await world.open(workers=False, observers=observers())
        if how == "terminate":
            await other.get("ended").terminate("enough")
        elif how == "bulk":
            await other.bulk.terminate("WorkflowId = 'ended'", reason="enough")
        else:
            await other.start(at_rest_when_it_ends, id="ended", if_running="restart")
        ended_at = world.loop.time()
        await asyncio.sleep(60)
        await world.close()
        return handle.run_id, ended_at

    run_id, ended_at = run(main)
    root, others = sent(run_id)
    assert others == []  # the step was at work, and nothing came of it
    assert (root.attributes["keepstep.status"], root.status.status_code) == ("terminated", StatusCode.ERROR)
    assert (root.end_time - root.start_time) / 1e9 == pytest.approx(ended_at, abs=1)
    assert [each.name for each in root.events] == ["signal received"]


def slowly(read: Callable[[str], Awaitable[Run | None]]) -> Callable[[str], Awaitable[Run | None]]:
    """A store that takes its time."""

    async def read_slowly(run_id: str) -> Run | None:
        await asyncio.sleep(0.3)
        return await read(run_id)

    return read_slowly


@pytest.mark.parametrize("flow", [at_work_when_it_ends, at_rest_when_it_ends])
def test_of_a_run_that_is_terminated_unobserved_its_owner_sends_the_root_span(flow: Any) -> None:
    async def main() -> Any:
        world = World()
        owner = await world.open(observers=observers())
        handle = await owner.start(flow, id="ended unseen")
        await handle.signal("unread", 1)
        await asyncio.sleep(5)
        bystander = await world.open(observers=observers())
        owner.journal.read_run = slowly(owner.journal.read_run)  # type: ignore[method-assign, assignment]
        await (await world.open(workers=False)).get("ended unseen").terminate("enough")
        if flow is at_work_when_it_ends:
            await asyncio.sleep(60)  # until it wants to record the step
            assert sent(handle.run_id)
        with pytest.raises(Terminated):
            await bystander.get("ended unseen").result(timeout=60)
        await world.close()  # at the latest when it is given back
        return handle.run_id

    root, _ = sent(run(main))
    assert (root.attributes["keepstep.status"], root.status.status_code) == ("terminated", StatusCode.ERROR)
    assert 4e9 < root.end_time - root.start_time < 6e9
    assert [each.name for each in root.events] == ["signal received"]


def test_a_run_that_was_taken_over_before_it_was_terminated_has_one_root_span() -> None:
    async def main() -> Any:
        world = World()
        first = await world.open(observers=observers())
        handle = await first.start(at_work_when_it_ends, id="passed on")
        await asyncio.sleep(2)
        second = await world.open(observers=observers())
        owners = await take_away(first, handle.run_id or "")
        await asyncio.sleep(10)
        assert await owners() == second.worker.lease_id  # type: ignore[union-attr]
        await (await world.open(workers=False)).get("passed on").terminate("enough")
        await asyncio.sleep(15)
        before = [each.name for each in EXPORTER.get_finished_spans()].count("workflow at_work_when_it_ends")
        assert before == 0  # the first one has found out that it has lost the run, and is not meant
        await asyncio.sleep(60)
        await world.close()
        return handle.run_id

    root, _ = sent(run(main))
    assert root.attributes["keepstep.status"] == "terminated"


async def take_away(engine: Engine, run_id: str) -> Callable[[], Awaitable[str | None]]:
    """Let everybody but that engine, which does not notice, have the run; tells who has it."""
    worker, journal = engine.worker, engine.journal
    assert worker is not None
    for loop in worker._loops:
        if "claim" in loop.get_name():
            loop.cancel()

    async def owner() -> str | None:
        run = await journal.read_run(run_id)
        assert run is not None
        return run.owner

    run = await journal.read_run(run_id)
    assert run is not None
    await journal.commit(Commit(run_id=run_id, version=run.version, seize=True, wake_at=0))
    return owner


def test_a_failed_run_that_is_retried_has_a_second_span_below_its_root() -> None:
    async def main() -> Any:
        world = World()
        engine = await world.open(observers=observers())
        handle = await engine.start(fail_until_told, id="again")
        await handle.signal("before", 1)
        with pytest.raises(WorkflowFailed):
            await handle.result(timeout=60)
        await asyncio.sleep(5)
        fixed.append(True)
        await handle.retry()
        await asyncio.sleep(1)
        await handle.signal("go", 1)
        await handle.result(timeout=60)
        await world.close()
        fixed.clear()
        return handle.run_id

    root, others = sent(run(main))
    [again] = [each for each in others if each.name.startswith("workflow")]
    assert (root.attributes["keepstep.status"], again.attributes["keepstep.status"]) == ("failed", "completed")
    assert again.name == "workflow fail_until_told again"
    assert again.parent.span_id == root.context.span_id
    assert again.start_time >= root.end_time + 5e9
    assert [[each.attributes["keepstep.message"] for each in span.events] for span in (root, again)] == [
        ["before"],
        ["go"],
    ]


def test_every_run_that_a_debounced_start_went_through_has_the_root_span_that_the_next_is_linked_to() -> None:
    async def main() -> Any:
        world = World()
        engine = await world.open(observers=observers())
        for n in range(3):
            handle = await engine.debounce(be_debounced_and_seen, n, key="k", delay="5s")
            await asyncio.sleep(1)
        assert await handle.result(timeout=60) == 2
        runs = [each.run_id async for each in engine.list("ORDER BY StartTime, RunId")]
        await world.close()
        return runs

    runs = run(main)
    roots = [sent(run_id)[0] for run_id in runs]
    assert sorted(each.attributes["keepstep.status"] for each in roots) == ["completed", *["continued"] * 3]
    linked = {link.context.span_id for each in roots for link in each.links}
    assert linked == {each.context.span_id for each in roots if each.attributes["keepstep.status"] == "continued"}


def test_a_run_whose_time_runs_out_while_nobody_has_it_has_its_root_span_and_one() -> None:
    async def main() -> Any:
        world = World()
        first = await world.open(observers=observers())
        handle = await first.start(run_out_of_time_unseen, id="late")
        await asyncio.sleep(2)
        world.kill(first)
        await asyncio.sleep(60)
        second = await world.open(observers=observers())
        third = await world.open(observers=observers())
        with pytest.raises(TimedOut):
            await second.get("late").result(timeout=60)
        await asyncio.sleep(20)
        assert third.worker is not None
        await world.close()
        return handle.run_id

    root, _ = sent(run(main))
    assert (root.attributes["keepstep.status"], root.status.status_code) == ("timed_out", StatusCode.ERROR)


def test_a_fork_does_not_tell_what_was_said_to_the_run_that_it_was_copied_from() -> None:
    signal = pack(history.SignalReceived("say", b"", "1"))
    forked = pack(history.Forked("r", "w", 1, b"", history.KnownAs("r", "w", "q", 0)))
    events = [
        Event(1, history.SIGNAL_RECEIVED, 1, None, signal),
        Event(2, history.FORKED, 2, None, forked),
        Event(3, history.SIGNAL_RECEIVED, 3, None, signal),
    ]
    assert [each.at for each in Hearing(events).said] == [3]


def test_of_very_many_messages_the_last_are_remembered_and_a_damaged_one_harms_nothing() -> None:
    signal = pack(history.SignalReceived("say", b""))
    events = [Event(n, history.SIGNAL_RECEIVED, n, None, signal) for n in range(1, SAID_MAX + 3)]
    damaged = Event(SAID_MAX + 3, history.SIGNAL_RECEIVED, SAID_MAX + 3, None, b"\xc1")
    hearing = Hearing([*events, damaged])
    assert [each.at for each in hearing.said] == list(range(3, SAID_MAX + 3))
