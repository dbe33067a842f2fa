"""``keepstep query`` and ``update``: real processes on one file that ask each other, and are killed meanwhile."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from keepstep import Engine
from keepstep.journal import Loaded
from tests.cli.command import Command


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    return Command(tmp_path)


def loaded(keepstep: Command, id: str) -> Loaded:
    """All that the database has of a run."""

    async def load() -> Loaded:
        async with Engine(f"sqlite:///{keepstep.folder}/runs.db", workers=False) as engine:
            run = await engine.journal.find_run("default", id)
            assert run is not None
            return await engine.journal.load(run.run_id)

    return asyncio.run(load())


def events_of(keepstep: Command, id: str) -> list[str]:
    return [event["type"] for event in keepstep.json("history", id)]


def test_a_run_in_another_process_is_asked_and_updated(keepstep: Command) -> None:
    with keepstep.worker():
        assert keepstep("start", "Scales", "--input", "100", "--id", "s").returncode == 0
        assert keepstep("update", "s", "put", '"disc"').stdout == "4\n"
        assert keepstep("update", "s", "put", '"tape"', "0.1").stdout == "8\n"
        assert keepstep("query", "s", "reads").stdout == "8\n"
        assert keepstep("query", "s", "reads", "3").stdout == "24\n"
        for arguments, code, said in (
            (("update", "s", "put", '""'), 1, "rejected: ValueError: nothing weighs nothing"),
            (("update", "s", "take", "9"), 1, "failed: LookupError: there is not so much on them"),
            (("update", "s", "lift"), 2, "has no update 'lift'; it has: put, take"),
            (("update", "s", "put", "5"), 2, "expected string, found 5"),
            (("query", "s", "reads", "x"), 2, "argument 1"),
            (("query", "nobody", "reads"), 2, "there is no run 'nobody'"),
        ):
            ran = keepstep(*arguments)
            assert (ran.returncode, ran.stdout) == (code, ""), (arguments, ran)
            assert said in ran.stderr, (arguments, ran.stderr)
        assert events_of(keepstep, "s").count("update_accepted") == 3


def test_an_update_outlives_the_workers_that_are_killed_over_it(keepstep: Command) -> None:
    with keepstep.worker() as first:
        keepstep("start", "Scales", "--input", "10", "--id", "s")
        asking = keepstep.begin("update", "s", "put", '"teapot"', "2", "--update-id", "u1")
        keepstep.until(lambda: "update_accepted" in events_of(keepstep, "s"))
        os.kill(first.pid, 9)
        first.wait()
    with keepstep.worker():
        told, complaint = asking.communicate(timeout=40)
        assert told == "6\n", complaint
        assert keepstep("update", "s", "put", '"teapot"', "2", "--update-id", "u1").stdout == "6\n"
        assert keepstep("query", "s", "reads").stdout == "6\n"
        assert keepstep("update", "s", "put", '"disc"', "--update-id", "u2").stdout == "10\n"
        keepstep.until(lambda: keepstep.json("show", "s")["status"] == "completed")
        before = loaded(keepstep, "s")
        assert keepstep("query", "s", "reads").stdout == "10\n"
        assert keepstep("update", "s", "put", '"teapot"', "2", "--update-id", "u1").stdout == "6\n"
        late = keepstep("update", "s", "put", '"tape"')
        assert late.returncode == 1
        assert "completed" in late.stderr
        assert loaded(keepstep, "s") == before
    types = events_of(keepstep, "s")
    assert (types.count("update_accepted"), types.count("update_completed")) == (2, 2)


def test_a_query_without_a_worker_says_that_none_is_there(keepstep: Command) -> None:
    keepstep("start", "Scales", "--input", "10", "--id", "s")
    ran = keepstep("query", "s", "reads")
    assert ran.returncode == 2
    assert "no worker serves queue 'default'" in ran.stderr
    waited: Any = keepstep("update", "s", "take", "1", "--timeout", "2")
    assert waited.returncode == 1
    assert "has no outcome after 2 s" in waited.stderr
