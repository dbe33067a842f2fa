"""DBOS's side of the benchmarks: the same workloads on its SQLite database, and on PostgreSQL.

A program of its own: it runs in ``.venv-peers``, where Keepstep is not installed. One process measures one trial and
prints one line of JSON for each thing it has to say. DBOS runs with its defaults, but for room for as many threads as
there are runs; its workflows and steps are sync functions, with which it is faster than with coroutines.

    python benchmarks/dbos_app.py ROLE URL SIZE
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

if sqlite3.sqlite_version_info < (3, 42):  # DBOS needs unixepoch('subsec')
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

import itertools

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, SetWorkflowID, WorkflowHandle

STEPS_A_RUN = 10
QUEUE = "parcels"
THREADS_MAX = 1100
MONTH_SECONDS = 30 * 24 * 3600
IDLE_SECONDS = 4.0

step_times: list[float] = []
delays: list[float] = []
entered = threading.Semaphore(0)
finished = threading.Semaphore(0)
began_replay = 0.0
replayed = threading.Event()
is_victim = False


@DBOS.step()
def touch(number: int, order: int) -> dict[str, Any]:
    step_times.append(time.perf_counter())
    return {"order": order, "step": number, "note": "a parcel on its way"}


@DBOS.workflow()
def many_steps(order: int, steps: int) -> int:
    for number in range(steps):
        touch(number, order)
    return order


@DBOS.workflow()
def empty(order: int) -> int:
    return order


@DBOS.workflow()
async def wait_for_go(order: int) -> int:
    entered.release()
    await DBOS.recv_async("go", timeout_seconds=3600)
    return order


@DBOS.workflow()
async def sleeper(order: int) -> int:
    """A coroutine, because a sync function would hold a thread for as long as it sleeps."""
    entered.release()
    await DBOS.sleep_async(MONTH_SECONDS)
    return order


@DBOS.step()
def hang_in_victim(order: int) -> int:
    if is_victim:
        entered.release()
        threading.Event().wait()
    return order


@DBOS.step()
def finish(order: int) -> int:
    finished.release()
    return order


@DBOS.workflow()
def interrupted(order: int) -> int:
    touch(0, order)
    hang_in_victim(order)
    return int(finish(order))


@DBOS.workflow()
def long_history(order: int, steps: int) -> int:
    global began_replay
    began_replay = time.perf_counter()
    for number in range(steps):
        touch(number, order)
    replayed.set()
    DBOS.recv("go", timeout_seconds=3600)
    return order


@DBOS.workflow()
def note_pickup(began: float) -> None:
    delays.append(time.monotonic() - began)


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def acquire(semaphore: threading.Semaphore, count: int) -> None:
    for _ in range(count):
        semaphore.acquire()


def measure_w1(runs: int) -> None:
    began = time.perf_counter()
    handles = [DBOS.start_workflow(many_steps, order, STEPS_A_RUN) for order in range(runs)]
    for handle in handles:
        handle.get_result()
    say(row="w1.steps", value=runs * STEPS_A_RUN / (time.perf_counter() - began))


def measure_w2(steps: int) -> None:
    many_steps(1, steps)
    gaps = [after - before for before, after in itertools.pairwise(step_times)]
    say(row="w2.step_p50", value=median(gaps) * 1000)


def measure_w2_empty(runs: int) -> None:
    took = []
    for order in range(runs):
        began = time.perf_counter()
        empty(order)
        took.append(time.perf_counter() - began)
    say(row="w2.empty_p50", value=median(took) * 1000)


async def measure_w3(runs: int) -> None:
    handles = [await DBOS.start_workflow_async(wait_for_go, order) for order in range(runs)]
    await asyncio.to_thread(acquire, entered, runs)
    began = time.perf_counter()
    for handle in handles:
        await DBOS.send_async(handle.get_workflow_id(), "now", "go")
    for handle in handles:
        await handle.get_result()
    say(row="w3.signals", value=runs / (time.perf_counter() - began))


def count_sleeps(engine: sqlalchemy.Engine) -> int:
    """How many sleeps are in the journal."""
    table = "operation_outputs" if engine.dialect.name == "sqlite" else "dbos.operation_outputs"
    with engine.connect() as connection:
        return int(connection.execute(sqlalchemy.text(f"SELECT count(*) FROM {table}")).scalar_one())


async def become_sleepers(runs: int) -> None:
    for order in range(runs):
        await DBOS.start_workflow_async(sleeper, order)
    engine = sqlalchemy.create_engine(sys.argv[2].replace("postgresql://", "postgresql+psycopg://", 1))
    while await asyncio.to_thread(count_sleeps, engine) < runs:
        await asyncio.sleep(0.1)
    say(ready=True)
    await asyncio.Event().wait()


def be_idle(runs: int) -> None:
    """Has recovered the runs of a process that is gone, which sleep on in this one."""
    acquire(entered, runs)
    time.sleep(IDLE_SECONDS)
    say(ready=True)
    sys.stdin.readline()


def become_victim(runs: int) -> None:
    handles: list[WorkflowHandle[int]] = []
    for order in range(runs):
        with SetWorkflowID(f"run-{order}"):
            handles.append(DBOS.start_workflow(interrupted, order))
    acquire(entered, runs)
    say(ready=True)
    threading.Event().wait()


def become_heir(runs: int) -> None:
    """Goes on with the victim's runs; launched by a line on standard input, so that imports do not count."""
    acquire(finished, runs)
    while len(DBOS.list_workflows(status="SUCCESS", limit=runs)) < runs:
        time.sleep(0.01)
    say(done=True)


def become_historian(steps: int) -> None:
    with SetWorkflowID("long"):
        DBOS.start_workflow(long_history, 1, steps)
    replayed.wait()
    say(ready=True)
    threading.Event().wait()


def measure_replay(_steps: int) -> None:
    replayed.wait()
    say(row="w6.replay", value=time.perf_counter() - began_replay)


def work_quietly(_size: int) -> None:
    """A worker of a queue, with its default poll of a second."""
    DBOS.register_queue(QUEUE)
    say(ready=True)
    sys.stdin.readline()
    say(delays=delays)


def hand_in(runs: int) -> None:
    client = DBOSClient(system_database_url=sys.argv[2])
    options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": "note_pickup"}
    handles = []
    for order in range(runs):
        time.sleep(0.07 + 0.001 * (order * 37 % 61))  # not in step with anybody's poll
        handles.append(client.enqueue(options, time.monotonic()))
    for handle in handles:
        handle.get_result()
    say(done=True)


def hand_in_crowd(runs: int) -> None:
    client = DBOSClient(system_database_url=sys.argv[2])
    options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": "many_steps"}
    began = time.perf_counter()
    handles = [client.enqueue(options, order, STEPS_A_RUN) for order in range(runs)]
    for handle in handles:
        handle.get_result()
    say(value=runs * STEPS_A_RUN / (time.perf_counter() - began))


ROLES: dict[str, Callable[[int], Coroutine[Any, Any, None] | None]] = {
    "w1": measure_w1,
    "w2": measure_w2,
    "w2-empty": measure_w2_empty,
    "w3": measure_w3,
    "w4-sleepers": become_sleepers,
    "w4-idle": be_idle,
    "w5-victim": become_victim,
    "w5-heir": become_heir,
    "w6-historian": become_historian,
    "w6": measure_replay,
    "worker": work_quietly,
    "client": hand_in,
    "crowd": hand_in_crowd,
}


CLIENTS = ("client", "crowd")


def main() -> None:
    """Launch DBOS on the database and play the role."""
    global is_victim
    role, url, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    is_victim = role == "w5-victim"
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": url,
        "application_version": "1",
        "executor_id": f"worker-{os.getpid()}" if role == "worker" else "local",
        "max_executor_threads": THREADS_MAX,
        "log_level": "CRITICAL",
        "run_admin_server": False,
    }
    DBOS(config=config)
    if role == "w5-heir":
        say(ready=True)
        sys.stdin.readline()
    if role not in CLIENTS:
        DBOS.launch()
    played = ROLES[role](size)
    if played is not None:
        asyncio.run(played)
    sys.stdout.flush()
    os._exit(0)  # nothing is to be tidied: the next trial has a database of its own


if __name__ == "__main__":
    main()
