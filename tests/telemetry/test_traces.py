"""A run is one trace with a span for each attempt, whichever processes it goes through; replay adds nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, StatusCode

import keepstep
from keepstep import InvalidInput, Retry, step, workflow
from keepstep.telemetry.traces import RunTraces, root_of
from keepstep.testing import run
from tests.runtime.crashing import World

running: list[int] = []


@step(retry=Retry(max_attempts=2, initial=0.1))
async def be_traced() -> str:
    with trace.get_tracer("user", tracer_provider=PROVIDER).start_as_current_span("inside"):
        if keepstep.step_info().attempt == 1:
            raise OSError("first attempt")
    return "traced"


@step
def be_traced_on_a_thread() -> str:
    with trace.get_tracer("user", tracer_provider=PROVIDER).start_as_current_span("on a thread"):
        return "thread"


@step(queue="traced")
async def be_traced_on_a_queue() -> str:
    return "queue"


@step
async def be_traced_for_long() -> None:
    running.append(1)
    await asyncio.sleep(30)


@workflow
async def traced_child() -> str:
    return await be_traced_on_a_queue()


@workflow
async def traced(rounds: int) -> str:
    await be_traced()
    await be_traced_on_a_thread()
    if rounds > 1:
        await traced_child()
        keepstep.continue_as_new(rounds - 1)
    return "over"


@workflow
async def traced_failing() -> None:
    await be_traced()
    await be_traced_for_long()
    raise LookupError("nothing found")


PROVIDER = TracerProvider()
EXPORTER = InMemorySpanExporter()
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))


@pytest.fixture(autouse=True)
def nothing_was_sent() -> None:
    EXPORTER.clear()
    running.clear()


def sent(run_id: str | None) -> list[Any]:
    """The spans of a run's trace."""
    assert run_id is not None
    finished: Any = EXPORTER.get_finished_spans()
    return [each for each in finished if each.context.trace_id == root_of(run_id).trace_id]


def facts(spans: list[Any]) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.attributes["keepstep.attempt"], each.attributes["keepstep.outcome"])
            for each in spans if each.name.startswith("step ")]  # fmt: skip


def test_attempts_are_spans_below_the_run_and_its_relatives_are_linked() -> None:
    async def main() -> Any:
        world = World()
        engine = await world.open(queues=("default", "traced"), observers=[RunTraces(PROVIDER)])
        with PROVIDER.get_tracer("user").start_as_current_span("request") as request:
            handle = await engine.start(traced, 2, id="traced")
        assert await handle.result(timeout=60) == "over"
        runs = [info async for info in engine.list("ORDER BY StartTime")]
        await world.close()
        return handle.run_id, runs, request

    first, runs, request = run(main)
    spans = sent(first)
    [root] = [each for each in spans if each.parent is None]
    assert (root.name, root.context.span_id) == ("workflow traced", root_of(first).span_id)
    assert facts(spans) == [
        ("step be_traced", 1, "retried"),
        ("step be_traced", 2, "completed"),
        ("step be_traced_on_a_thread", 1, "completed"),
    ]  # fmt: skip
    steps = {each.context.span_id: each for each in spans if each.name.startswith("step ")}
    assert {each.parent.span_id for each in steps.values() if each.parent} == {root.context.span_id}
    inner = [
        (each.name, steps[each.parent.span_id].name) for each in spans if each.parent and each.parent.span_id in steps
    ]
    assert inner == [("inside", "step be_traced")] * 2 + [("on a thread", "step be_traced_on_a_thread")]
    failed = next(iter(steps.values()))
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.events[0].name == "exception"
    finished: Any = EXPORTER.get_finished_spans()
    [start] = [each for each in finished if each.name == "start traced"]
    assert start.context.trace_id == request.get_span_context().trace_id
    assert start.links[0].context.span_id == root.context.span_id
    by_type = {(each.type, each.parent_run_id): each.run_id for each in runs}
    child = sent(by_type["traced_child", first])
    assert facts(child) == [("step be_traced_on_a_queue", 1, "completed")]
    assert child[-1].links[0].context == root_of(first)
    [again] = [each.run_id for each in runs if each.type == "traced" and each.run_id != first]
    assert sent(again)[-1].links[0].context == root_of(first)
    assert sent(again)[-1].links[0].attributes == {"keepstep.relation": "continues"}


def test_who_takes_over_closes_the_span_of_the_dead_and_sends_nothing_that_was_sent() -> None:
    async def main() -> Any:
        world = World()
        first = await world.open(lease_seconds=1.0, observers=[RunTraces(PROVIDER)])
        handle = await first.start(traced_failing, id="taken over")
        while not running:
            await asyncio.sleep(0.1)
        assert [each.name for each in sent(handle.run_id)].count("step be_traced") == 2
        world.kill(first)
        EXPORTER.clear()
        second = await world.open(lease_seconds=1.0, observers=[RunTraces(PROVIDER)])
        with pytest.raises(keepstep.WorkflowFailed):
            await second.get("taken over").result(timeout=120)
        await world.close()
        return handle.run_id

    run_id = run(main)
    spans = sent(run_id)
    assert facts(spans) == [("step be_traced_for_long", 1, "lost"), ("step be_traced_for_long", 1, "completed")]
    assert len({each.context.span_id for each in spans}) == 3
    assert spans[-1].name == "workflow traced_failing"
    assert spans[-1].status.status_code is StatusCode.ERROR
    assert spans[-1].end_time - spans[-1].start_time >= 30e9


def test_an_attempt_that_a_stopping_worker_cuts_off_is_one_span_closed_by_its_successor() -> None:
    async def main() -> Any:
        world = World()
        first = await world.open(observers=[RunTraces(PROVIDER)])
        handle = await first.start(traced_failing, id="handed over")
        while not running:
            await asyncio.sleep(0.1)
        await first.close(grace_seconds=0)
        world.engines.remove(first)
        second = await world.open(observers=[RunTraces(PROVIDER)])
        with pytest.raises(keepstep.WorkflowFailed):
            await second.get("handed over").result(timeout=120)
        await world.close()
        return handle.run_id

    spans = sent(run(main))
    assert [outcome for name, _, outcome in facts(spans) if "long" in name] == ["lost", "completed"]
    assert len({each.context.span_id for each in spans}) == len(spans)


def test_traces_need_a_provider_and_one_that_is_switched_off_sends_nothing() -> None:
    with pytest.raises(InvalidInput, match="needs a tracer provider"):
        RunTraces()

    async def main() -> None:
        world = World()
        engine = await world.open(queues=("default", "traced"), observers=[RunTraces(NoOpTracerProvider())])
        assert await (await engine.start(traced, 1, id="off")).result(timeout=60) == "over"
        await world.close()

    run(main)
    assert {each.name for each in EXPORTER.get_finished_spans()} <= {"inside", "on a thread"}
