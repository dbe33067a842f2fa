"""Ten thousand children: started in bounded commits, run in bounded memory, and ended with their parent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Cancelled, Engine, workflow
from keepstep.journal import Commit, Promise
from keepstep.journal.writing.journal import GroupJournal
from keepstep.testing import run
from tests.runtime.crashing import World

CHILDREN = 10_000
ACTIVE, IDLE = 200, 500


@workflow
async def echo_number(n: int, ballast: str = "") -> int:
    if n % 10 == 0:
        await keepstep.sleep(0.001)
    return n


@workflow
async def fan_out(count: int, ballast: int = 0) -> int:
    return sum(await asyncio.gather(*(echo_number(n, "x" * ballast) for n in range(count))))


@workflow
async def wait_long() -> None:
    await keepstep.sleep("1h")


@workflow
async def fan_out_and_leave(count: int) -> None:
    for n in range(count):
        await keepstep.start_child(wait_long, id=f"left-{n}")


async def test_ten_thousand_children_run_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    submit = GroupJournal.submit

    def watched(journal: GroupJournal[Any], commit: Commit) -> Promise:
        if commit.start:
            starts.append(len(commit.start))
        return submit(journal, commit)

    monkeypatch.setattr(GroupJournal, "submit", watched)
    url = f"sqlite:///{tmp_path}/fan.db"
    async with Engine(url, active_runs_max=ACTIVE, idle_runs_max=IDLE) as engine:
        assert engine.worker is not None
        peak = 0
        result = asyncio.ensure_future(engine.run(fan_out, CHILDREN, id="fan"))
        while not result.done():
            await asyncio.wait((result,), timeout=0.02)
            peak = max(peak, len(engine.worker.residents))
        assert result.result() == CHILDREN * (CHILDREN - 1) // 2
    assert 0 < peak <= ACTIVE + IDLE + 1
    assert sum(starts) == CHILDREN
    assert max(starts) <= 500


async def fan_out_with_ballast(engine: Engine) -> int:
    total: int = await engine.run(fan_out, 60, 1024 * 1024, id="ballast")
    return total


def test_children_with_much_to_begin_with_do_not_make_a_commit_too_large() -> None:
    async def main() -> int:
        world = World()
        engine = await world.open(poll_seconds=30.0)
        total = await fan_out_with_ballast(engine)
        await world.close()
        return total

    assert run(main) == 60 * 59 // 2


def test_many_children_are_cancelled_with_their_parent() -> None:
    async def main() -> int:
        world = World()
        engine = await world.open(poll_seconds=30.0)
        await engine.run(fan_out_and_leave, 300, id="leaving")
        cancelled = 0
        for n in range(300):
            with pytest.raises(Cancelled):
                await engine.get(f"left-{n}").result()
            cancelled += 1
        await world.close()
        return cancelled

    assert run(main) == 300
