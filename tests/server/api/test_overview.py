"""The overview, queues as a page shows them, and which versions are needed, over HTTP."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, WorkflowFailed, step, workflow
from keepstep.journal import Definition
from keepstep.journal.flow import COUNTED_MAX, Count, Ended, Sampled, Stretch, Window
from keepstep.journal.run import Status
from keepstep.runtime.code_version import pinned_queue
from keepstep.server.overview import STRETCHES_OF_POINT, failing_types, latency_of
from tests.journal.scene import new_run
from tests.server.asking import Api, until


@step(retry=Retry(max_attempts=1))
async def break_overseen() -> None:
    raise ValueError("broken")


@workflow
async def do_overseen(n: int) -> int:
    return n


@workflow
async def fail_overseen() -> None:
    await break_overseen()


@workflow
async def wait_overseen() -> Any:
    return await keepstep.receive("go")


@step(queue="press")
async def print_overseen() -> None:
    pass


@workflow
async def print_all_overseen() -> None:
    await print_overseen()


async def test_what_has_happened_is_told_as_curves_and_what_failed_by_type(engine: Engine, api: Api) -> None:
    for n in range(5):
        await engine.run(do_overseen, n)
    for _ in range(2):
        with contextlib.suppress(WorkflowFailed):
            await engine.run(fail_overseen)
    told = await api.get("/overview", since="1h")
    last = told["points"][-1]
    assert (len(told["points"]), told["point_seconds"]) == (48, 75.0)
    assert (last["started"], last["ended"], last["is_estimated"]) == (7, {"completed": 5, "failed": 2}, False)
    assert told["latency"]["sampled"] == 5
    assert 0 <= told["latency"]["p50"] <= told["latency"]["p95"] <= told["latency"]["p99"] < 30
    [failing] = told["failures"]
    assert (failing["type"], failing["total"], failing["points"][-1]) == ("fail_overseen", 2, 2)
    [failed] = [each for each in told["concerns"] if each["kind"] == "failed"]
    assert failed["count"] == 2
    assert (await api.get("/runs/count", filter=failed["filter"].partition(" ORDER")[0]))["count"] == 2
    assert len((await api.get("/runs", filter=failed["filter"]))["runs"]) == 2
    assert (await api.refusal("GET", "/overview", params={"since": "1y"}))[:2] == (400, "invalid_input")


async def test_a_queue_that_nobody_serves_is_a_concern_and_says_since_when(engine: Engine, api: Api) -> None:
    run = await engine.start(print_all_overseen, id="poster")

    async def sent() -> Any:
        found = {each["name"]: each for each in (await api.get("/queues"))["queues"]}
        return found if found.get("press", {}).get("oldest_since") else None  # told when the run has come to rest

    press = (await until(sent))["press"]
    assert (press["workers"], press["oldest_run"], press["oldest_run_id"]) == (0, "poster", run.run_id)
    assert (press["is_kept"], press["limits"]) == (False, {})
    describing = await run.describe()
    assert press["waiting"] == 1
    assert press["oldest_since"] >= describing.started_at.isoformat().replace("+00:00", "Z")[:19]
    default = await api.get("/queues/default")
    assert (default["workers"], default["waiting"], default["due"]) == (1, 0, 0)
    [concern] = [each for each in (await api.get("/overview"))["concerns"] if each["kind"] == "unserved"]
    assert (concern["what"], concern["count"]) == ("press", 1)


async def test_runs_that_no_worker_takes_up_wait_on_their_queue(engine: Engine, api: Api) -> None:
    await engine.start(do_overseen, 1, id="one", queue="far away")
    shown = await api.get("/queues/far%20away")
    assert (shown["due"], shown["workers"], shown["waiting"], shown["oldest_run"]) == (1, 0, 0, "")
    assert shown["oldest_since"] is not None
    [concern] = [each for each in (await api.get("/overview"))["concerns"] if each["kind"] == "unserved"]
    assert (await api.get("/runs", filter=concern["filter"]))["runs"][0]["id"] == "one"


def published(name: str, version: str) -> Definition:
    """As a worker would have told it that has a pinned version. None does in this process, where it would serve all."""
    schema = b'{"version": "%s", "pinned": true}' % version.encode()
    return Definition(
        namespace="default", language="python", kind="workflow", name=name, queue="default", schema=schema,
        code="c", published_at=1,
    )  # fmt: skip


async def test_a_version_is_needed_while_open_runs_stay_with_it(engine: Engine, api: Api) -> None:
    await engine.start(wait_overseen)
    await engine.journal.publish([published("stay", "10")])
    for version in ("9", "9", "10"):
        queue = pinned_queue("default", "stay", version)
        await engine.journal.start(new_run(engine.new_id(), type="stay", queue=queue))
    told = (await api.get("/versions"))["versions"]
    found = {(each["type"], each["version"]): each for each in told}
    old, new, wait = found["stay", "9"], found["stay", "10"], found["wait_overseen", ""]
    assert (old["open_runs"], old["is_newest"], old["workers"], old["is_needed"]) == (2, False, 0, True)
    assert (new["open_runs"], new["is_newest"], new["is_needed"]) == (1, True, True)
    assert (wait["open_runs"], wait["is_newest"], wait["workers"]) == (1, True, 1)
    assert [each["version"] for each in told if each["type"] == "stay"] == ["10", "9"]


def test_types_of_a_full_stretch_are_taken_to_be_mixed_as_in_its_sample() -> None:
    sample = [Sampled("a", 1), Sampled("a", 1), Sampled("a", 1), Sampled("b", 1)]
    full = Stretch(Count(), {Status.FAILED: Ended(Count(COUNTED_MAX, 499), sample)})
    few = Stretch(Count(), {Status.TIMED_OUT: Ended(Count(1, 1_500), [Sampled("b", 1)])})
    parts = [[full, *[Stretch(Count(), {})] * (STRETCHES_OF_POINT - 1)], [few]]
    told = {each.type: each.points for each in failing_types(parts, Window(0, 1_000, 4))}
    whole = COUNTED_MAX * 1_000 / 499
    assert told == {"a": [pytest.approx(whole * 3 / 4), 0], "b": [pytest.approx(whole / 4), 1]}


def test_beyond_eight_types_the_others_are_told_together() -> None:
    sample = [Sampled(f"t{n}", 1) for n in range(10)]
    told = failing_types([[Stretch(Count(), {Status.FAILED: Ended(Count(10, 9), sample)})]], Window(0, 1_000, 1))
    assert [each.type for each in told] == [*(f"t{n}" for n in range(8)), ""]
    assert told[-1].total == 2


def test_percentiles_are_times_that_a_run_took() -> None:
    told = latency_of(n * 1_000_000 for n in range(1, 101))
    assert (told.p50, told.p95, told.p99, told.sampled) == (51, 96, 100, 100)
    assert latency_of([]).p50 is None
