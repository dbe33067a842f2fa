"""What Prometheus reads at ``/metrics`` is what has happened."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.journal import StoreUnavailable
from keepstep.server.callbacks import callback_app
from keepstep.telemetry.metrics import PrometheusMetrics
from keepstep.testing import run
from keepstep.worker.observer import Observer
from tests.cli.command import Command, free_port
from tests.runtime.crashing import World

ROOT = Path(__file__).parents[2]


@step(retry=Retry(max_attempts=2, initial=0.01))
async def count_me(fails: int) -> int:
    if keepstep.step_info().attempt <= fails:
        raise OSError("counted")
    return fails


@step(queue="counted")
async def count_on_a_queue() -> None:
    return None


@step(once=True, timeout=0.05)
async def count_in_doubt() -> None:
    await asyncio.sleep(60)


called: list[int] = []


@step
async def count_for_long() -> None:
    called.append(1)
    await asyncio.sleep(30)


@workflow
async def counted(fails: int) -> None:
    await count_me(fails)
    await count_on_a_queue()


@workflow
async def counted_in_doubt() -> None:
    await count_in_doubt()


@workflow
async def counted_for_long() -> None:
    await count_for_long()


@workflow
async def counted_while_waiting() -> None:
    await keepstep.receive("never")


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of labels, of which Prometheus sorts the names backwards to how they are said."""
    return {
        (each.name, *reversed(each.labels.values())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


async def scraped(engine: Engine) -> dict[tuple[str, ...], float]:
    transport = httpx2.ASGITransport(app=callback_app(engine))
    async with httpx2.AsyncClient(transport=transport, base_url="http://keepstep") as web:
        answer = await web.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


async def test_runs_steps_attempts_and_commits_are_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, queues=("default", "counted"), observers=[PrometheusMetrics()]) as engine:
        await engine.run(counted, 0, id="whole")
        await engine.run(counted, 1, id="retried")
        with pytest.raises(keepstep.WorkflowFailed):
            await engine.run(counted, 2, id="failed")
        doubtful = await engine.start(counted_in_doubt, id="doubtful")
        await engine.start(counted_while_waiting, id="waiting")
        async with asyncio.timeout(20):
            while not (await scraped(engine))["keepstep_runs_open", "uncertain"]:
                await asyncio.sleep(0.05)
            while not (await scraped(engine))["keepstep_runs_open", "waiting"]:
                await asyncio.sleep(0.05)
        seen = await scraped(engine)
        await doubtful.terminate()
    assert seen["keepstep_runs_begun_total", "counted"] == 3
    assert seen["keepstep_runs_closed_total", "counted", "completed"] == 2
    assert seen["keepstep_runs_closed_total", "counted", "failed"] == 1
    assert seen["keepstep_attempts_total", "count_me", "completed"] == 2
    assert seen["keepstep_attempts_total", "count_me", "retried"] == 2
    assert seen["keepstep_attempts_total", "count_me", "failed"] == 1
    assert seen["keepstep_attempts_total", "count_on_a_queue", "completed"] == 2
    assert seen["keepstep_attempts_total", "count_in_doubt", "parked"] == 1
    assert seen["keepstep_step_seconds_count", "count_me"] == 5
    assert seen["keepstep_step_seconds_sum", "count_in_doubt"] >= 0.05
    assert seen["keepstep_task_schedule_to_start_seconds_count", "counted"] == 2
    assert seen["keepstep_run_schedule_to_start_seconds_count", "counted"] == 3
    assert seen["keepstep_attempts_running",] == 0
    assert seen["keepstep_commit_seconds_count",] >= 10
    assert seen["keepstep_runs_open", "uncertain"] == seen["keepstep_runs_open", "waiting"] == 1
    assert seen["keepstep_runs_open", "blocked"] == seen["keepstep_runs_open", "advancing"] == 0
    assert seen["keepstep_leases",] == 1


def test_what_the_dead_had_in_hand_is_counted_by_who_takes_it_over_and_replay_counts_nothing() -> None:
    async def main() -> Any:
        world = World()
        metrics = PrometheusMetrics()
        first = await world.open(lease_seconds=1.0)
        await first.start(counted_for_long, id="long")
        while not called:
            await asyncio.sleep(0.1)
        world.kill(first)
        second = await world.open(lease_seconds=1.0, observers=[metrics])
        await second.get("long").result(timeout=120)
        seen = samples((await metrics.read(second.journal, "default")).decode())
        await world.close()
        return seen

    seen = run(main)
    assert seen["keepstep_runs_replayed_total", "counted_for_long"] == 1
    assert seen["keepstep_attempts_lost_total", "count_for_long"] == 1
    assert seen["keepstep_attempts_total", "count_for_long", "completed"] == 1
    assert seen["keepstep_runs_closed_total", "counted_for_long", "completed"] == 1
    assert ("keepstep_runs_begun_total", "counted_for_long") not in seen


class Clumsy(Observer):
    """Raises at every moment that it hears of."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("run_", "attempt_", "committed", "lease_")):
            raise ArithmeticError(name)
        return super().__getattribute__(name)


async def test_an_observer_that_raises_harms_neither_runs_nor_other_observers(tmp_path: Path) -> None:
    metrics = PrometheusMetrics()
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, queues=("default", "counted"), observers=[Clumsy(), metrics]) as engine:
        await engine.run(counted, 1, id="whole")
        seen = await scraped(engine)
    assert seen["keepstep_runs_closed_total", "counted", "completed"] == 1
    assert seen["keepstep_attempts_total", "count_me", "retried"] == 1


async def test_without_metrics_there_is_no_such_address_and_a_lost_store_is_told(tmp_path: Path) -> None:
    async with Engine(f"sqlite:///{tmp_path}/runs.db") as engine:
        transport = httpx2.ASGITransport(app=callback_app(engine))
        async with httpx2.AsyncClient(transport=transport, base_url="http://keepstep") as web:
            assert (await web.get("/metrics")).status_code == 404
    async with Engine(f"sqlite:///{tmp_path}/runs.db", observers=[PrometheusMetrics()]) as engine:

        async def lost(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("the disk is gone")

        engine.journal.list_leases = lost  # type: ignore[method-assign]
        transport = httpx2.ASGITransport(app=callback_app(engine))
        async with httpx2.AsyncClient(transport=transport, base_url="http://keepstep") as web:
            assert (await web.get("/metrics")).status_code == 503


def test_keepstep_loads_no_metrics_by_itself() -> None:
    code = (
        "import sys, keepstep, keepstep.cli; print([m for m in sys.modules if m.startswith(('prometheus', 'opentel'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_a_worker_serves_its_metrics_by_http(tmp_path: Path) -> None:
    command, port = Command(tmp_path), free_port()
    refused = command("worker", "app", "--metrics")
    assert refused.returncode == 2
    assert "--http" in refused.stderr
    with command.worker("--http", str(port), "--metrics"):
        command.until(lambda: httpx2.get(f"http://127.0.0.1:{port}/metrics").status_code == 200)
        seen = samples(httpx2.get(f"http://127.0.0.1:{port}/metrics").text)
    assert seen["keepstep_leases",] == 1
