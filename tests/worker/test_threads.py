"""Sync steps: they wait for a thread without losing time, and one that never ends holds up nobody else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from keepstep import Engine, Retry, StepFailed, step, workflow
from keepstep.worker.threads import Threads

let_go = threading.Event()
begun: list[str] = []


@step(timeout=2, retry=Retry(max_attempts=1))
def take_a_while(n: int) -> int:
    time.sleep(0.25)
    return n


@workflow
async def take_many_whiles(count: int) -> list[int]:
    return list(await asyncio.gather(*(take_a_while(n) for n in range(count))))


async def test_the_time_of_a_step_begins_when_there_is_a_thread_for_it(tmp_path: Path) -> None:
    async with Engine(f"sqlite:///{tmp_path}/k.db", step_threads_max=2) as engine:
        assert await engine.run(take_many_whiles, 20) == list(range(20))


@step(timeout=0.2, retry=Retry(max_attempts=1))
def never_end() -> None:
    let_go.wait(60)


@step
def answer() -> int:
    return 42


@workflow
async def give_up_and_go_on() -> int:
    for _ in range(3):
        with pytest.raises(StepFailed, match="did not end within"):
            await never_end()
    return await answer()


async def test_threads_whose_steps_were_given_up_keep_no_place_from_others(tmp_path: Path) -> None:
    let_go.clear()
    try:
        async with Engine(f"sqlite:///{tmp_path}/k.db", step_threads_max=1) as engine:
            assert await (await engine.start(give_up_and_go_on)).result(timeout=60) == 42
    finally:
        let_go.set()


HANGING = """
import asyncio, sys, threading
from keepstep import Engine, step, workflow

begun = threading.Event()

@step
def hang() -> None:
    begun.set()
    threading.Event().wait()

@workflow
async def use_it() -> None:
    await hang()

async def main() -> None:
    engine = Engine(sys.argv[1])
    await engine.__aenter__()
    await engine.start(use_it)
    while not begun.is_set():
        await asyncio.sleep(0.01)
    await engine.close(grace_seconds=0.1)
    print("closed")

asyncio.run(main())
"""


def test_a_process_ends_although_a_step_on_a_thread_does_not(tmp_path: Path) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(HANGING)
    ran = subprocess.run(
        [sys.executable, script, f"sqlite:///{tmp_path}/k.db"], capture_output=True, text=True, timeout=90, check=False
    )
    assert (ran.stdout, ran.returncode) == ("closed\n", 0), ran.stderr


def test_threads_are_used_again_and_no_more_are_started_than_allowed() -> None:
    threads = Threads(2, "few")
    gate = threading.Barrier(2)
    names = {threads.submit(lambda: threading.current_thread().name).result(5) for _ in range(20)}
    pair = [threads.submit(gate.wait, 5) for _ in range(2)]
    assert sorted(each.result(5) for each in pair) == [0, 1]
    blocked = [threads.submit(gate.wait) for _ in range(4)]
    assert sorted(each.result(5) for each in blocked) == [0, 0, 1, 1]
    assert len(names) <= 2
    threads.shutdown()
    with pytest.raises(RuntimeError, match="has ended"):
        threads.submit(print)


def test_what_waits_for_a_thread_can_be_given_up() -> None:
    threads = Threads(1, "one")
    entered, leave = threading.Event(), threading.Event()

    def hold() -> str:
        entered.set()
        leave.wait(10)
        raise SystemExit(3)

    held, waiting = threads.submit(hold), threads.submit(print)
    assert entered.wait(5)
    threads.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        waiting.result(5)
    leave.set()
    with pytest.raises(SystemExit):
        held.result(5)


def test_a_call_that_is_given_up_while_it_waits_is_not_made_and_the_next_one_is() -> None:
    threads = Threads(1, "one")
    entered, leave = threading.Event(), threading.Event()
    made: list[str] = []

    def hold() -> None:
        entered.set()
        leave.wait(10)

    held, given_up, next_one = (threads.submit(call) for call in (hold, lambda: made.append("a"), lambda: "b"))
    assert entered.wait(5)
    assert given_up.cancel()
    leave.set()
    assert next_one.result(5) == "b"
    assert held.result(5) is None
    assert made == []
    threads.shutdown()
