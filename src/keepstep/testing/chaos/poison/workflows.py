"""Workflows: the sleepers that are poisoned, the errands that must not notice, and code that is poison itself."""

from __future__ import annotations

import asyncio
import os
import signal

import keepstep
from keepstep import Retry, step, workflow

WAKE = "wake"
PATIENT = Retry(max_attempts=None, initial=3600.0, max_interval=3600.0)


@step(name="poison_note")
async def note(n: int) -> str:
    return f"noted {n}"


@step(name="poison_limp", retry=PATIENT)
async def limp() -> None:
    raise ConnectionError("not in this hour")


@workflow(name="poison_sleeper")
async def sleeper(n: int) -> list[str]:
    """Notes something, sleeps until it is woken, and notes something again; meanwhile a step backs off for an hour."""
    limping = limp.start()
    said = [await note(n)]
    said.append(await keepstep.receive(WAKE, str))
    said.append(await note(n + 1))
    limping.cancel()
    return said


@workflow(name="poison_errand")
async def errand(n: int) -> str:
    """Two steps that take a moment each."""
    return await walk(n) + await walk(n + 1)


@step(name="poison_walk")
async def walk(n: int) -> str:
    await asyncio.sleep(0.001)
    return str(n)


@workflow(name="poison_killer", guard=False)
async def kill_in_workflow() -> None:
    """As a crash in native code would."""
    await note(0)
    os.kill(os.getpid(), signal.SIGKILL)


@step(name="poison_kill")
def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@workflow(name="poison_step_killer")
async def kill_in_step() -> None:
    """The same in a step, on a thread."""
    await note(0)
    await kill()


@workflow(name="poison_spinner", guard=False)
async def spin() -> None:
    """Never yields."""
    await note(0)
    while True:
        pass
