"""A run's timeline over HTTP: when each thing was asked for, began and ended, live and afterwards."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, step, workflow
from tests.server.asking import Api, until

gates: dict[str, asyncio.Event] = {}
trouble: list[str] = []


@step
async def pass_for_timeline(gate: str) -> str:
    await gates[gate].wait()
    return gate


@step(retry=Retry(max_attempts=2, initial=600, max_interval=600, jitter=0))
async def stumble_for_timeline() -> None:
    raise ValueError("not yet")


@step(retry=Retry(max_attempts=1))
async def maybe_for_timeline() -> str:
    if trouble:
        raise ValueError(trouble[0])
    return "well"


@step
async def undo_for_timeline(gate: str) -> None:
    pass


@workflow
async def side_by_side_for_timeline() -> None:
    await asyncio.gather(pass_for_timeline("a"), pass_for_timeline("b"))
    await pass_for_timeline("c")


@workflow
async def child_for_timeline() -> str:
    return "grown"


@workflow
class ManyKindsForTimeline:
    async def run(self) -> None:
        await asyncio.sleep(0.001)
        await child_for_timeline()
        await keepstep.receive("go")
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(3600)
        except TimeoutError:
            pass
        await keepstep.human_task("look at it", form=str)

    @keepstep.update
    async def change(self, what: str) -> str:
        if what == "wrong":
            raise ValueError("it is wrong")
        return what


@workflow
async def stumbling_for_timeline() -> None:
    await stumble_for_timeline()


@workflow
async def maybe_run_for_timeline() -> str:
    return await maybe_for_timeline()


@workflow
async def undoing_for_timeline() -> None:
    async with keepstep.saga() as saga:
        await saga.run(pass_for_timeline, "a", undo=undo_for_timeline)
        await maybe_for_timeline()


@pytest.fixture(autouse=True)
async def closed_gates() -> None:
    gates.update({name: asyncio.Event() for name in "abc"})


async def spans_of(api: Api, id: str, **params: Any) -> dict[str, dict[str, Any]]:
    """By their keys."""
    return {each["key"]: each for each in (await api.get(f"/runs/{id}/timeline", **params))["spans"]}


async def once(api: Api, id: str, key: str, outcome: str) -> dict[str, dict[str, Any]]:
    async def look() -> Any:
        spans = await spans_of(api, id)
        return spans if spans.get(key, {}).get("outcome") == outcome else None

    found: dict[str, dict[str, Any]] = await until(look)
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_steps_side_by_side_were_asked_for_at_the_same_time_and_the_one_behind_them_later(
    engine: Engine, api: Api
) -> None:
    await api.post("/runs", {"type": "side_by_side_for_timeline", "id": "s"})
    live = await once(api, "s", "pass_for_timeline", "open")
    assert (live["pass_for_timeline"]["attempts"], live["pass_for_timeline"]["ended_at"]) == (1, None)
    gates["b"].set()
    await once(api, "s", "pass_for_timeline#2", "completed")
    gates["a"].set()
    gates["c"].set()
    await engine.get("s").result()
    spans = await spans_of(api, "s")
    a, b, c = (spans[key] for key in ("pass_for_timeline", "pass_for_timeline#2", "pass_for_timeline#3"))
    assert (a["asked_at"], a["asked_seq"]) == (b["asked_at"], b["asked_seq"])
    assert at(a["asked_at"]) <= at(b["ended_at"]) <= at(a["ended_at"])
    assert (c["asked_at"], c["asked_seq"]) == (a["ended_at"], a["seq"])
    assert {each["outcome"] for each in (a, b, c)} == {"completed"}
    assert {each["name"] for each in (a, b, c)} == {"pass_for_timeline"}
    [late] = (await api.get("/runs/s/timeline", after=c["seq"] - 1, limit=1))["spans"]
    assert (late["asked_at"], late["seq"]) == (c["asked_at"], c["seq"])  # asked for before this page begins


async def test_each_kind_has_its_span_with_its_beginning_its_end_and_its_outcome(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "ManyKindsForTimeline", "id": "m"})
    waiting = await once(api, "m", "signal/go", "open")
    assert waiting["signal/go"]["kind"] == "signal"
    await api.post("/runs/m/updates/change", {"args": ["well"], "id": "u1"})
    await api.refusal("POST", "/runs/m/updates/change", json={"args": ["wrong"], "id": "u2"})
    await api.post("/runs/m/signals/go")

    async def asked() -> Any:
        return [each for each in (await spans_of(api, "m")).values() if each["kind"] == "task"]

    [task] = await until(asked)
    assert (task["name"], task["outcome"], task["ended_at"]) == ("look at it", "open", None)
    spans = await spans_of(api, "m")
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for span in spans.values():
        by_kind.setdefault(span["kind"], []).append(span)
    [child] = by_kind["child"]
    assert (child["name"], child["outcome"]) == ("child_for_timeline", "completed")
    assert (await api.get(f"/runs/{child['run_id']}"))["result"] == "grown"
    assert [(each["name"], each["outcome"], each["error"]) for each in by_kind["update"]] == [
        ("change", "completed", None),
        ("change", "failed", "ValueError: it is wrong"),
    ]
    [signal] = by_kind["signal"]
    assert (signal["name"], signal["outcome"], signal["asked_at"]) == ("go", "completed", signal["ended_at"])
    outcomes = sorted(each["outcome"] for each in by_kind["timer"])
    assert outcomes == ["abandoned", "completed", "completed"]
    fired = next(each for each in by_kind["timer"] if each["outcome"] == "completed")
    assert at(fired["asked_at"]) <= at(fired["until"]) <= at(fired["ended_at"])
    first = next(each for each in by_kind["timer"] if each["asked_seq"] == 1)
    assert child["asked_seq"] == first["seq"]  # the code asked for it when the timer had fired


async def test_a_step_that_is_tried_again_says_when_and_why(api: Api) -> None:
    await api.post("/runs", {"type": "stumbling_for_timeline", "id": "s"})

    async def stumbled() -> Any:
        span = (await spans_of(api, "s")).get("stumble_for_timeline", {})
        return span if span.get("next_attempt_at") else None

    span = await until(stumbled)
    assert (span["outcome"], span["attempts"], span["error"]) == ("open", 2, "ValueError: not yet")
    now = at((await api.get("/runs/s/timeline"))["now"])
    assert 500 < (at(span["next_attempt_at"]) - now).total_seconds() < 700


async def test_what_a_retried_run_had_failed_at_is_superseded(engine: Engine, api: Api) -> None:
    trouble.append("no")
    try:
        await api.post("/runs", {"type": "maybe_run_for_timeline", "id": "f"})
        failed = await once(api, "f", "maybe_for_timeline", "failed")
        assert (failed["maybe_for_timeline"]["error"], failed["maybe_for_timeline"]["superseded"]) == (
            "ValueError: no",
            False,
        )
    finally:
        trouble.clear()
    await api.post("/runs/f/retry")
    assert await engine.get("f").result() == "well"
    before, after = (await api.get("/runs/f/timeline"))["spans"]
    assert (before["outcome"], before["superseded"]) == ("failed", True)
    assert (after["outcome"], after["superseded"]) == ("completed", False)


async def test_an_undo_is_shown_as_one(engine: Engine, api: Api) -> None:
    gates["a"].set()
    trouble.append("no")
    try:
        await api.post("/runs", {"type": "undoing_for_timeline", "id": "u"})
        with pytest.raises(keepstep.WorkflowFailed):
            await engine.get("u").result()
    finally:
        trouble.clear()
    kinds = [(each["kind"], each["name"]) for each in (await api.get("/runs/u/timeline"))["spans"]]
    assert kinds == [("step", "pass_for_timeline"), ("step", "maybe_for_timeline"), ("undo", "undo_for_timeline")]


async def test_what_a_run_had_begun_when_it_was_ended_is_abandoned(api: Api) -> None:
    await api.post("/runs", {"type": "ManyKindsForTimeline", "id": "m"})
    await once(api, "m", "signal/go", "open")
    await api.post("/runs/m/signals/go")

    async def asked() -> Any:
        return [each for each in (await spans_of(api, "m")).values() if each["kind"] == "task"]

    await until(asked)
    await api.post("/runs/m/terminate")
    [task] = await asked()
    assert (task["outcome"], task["ended_at"]) == ("abandoned", None)
