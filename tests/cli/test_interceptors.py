"""``--interceptor`` of ``keepstep worker`` and ``keepstep server``: what it names stands around what they run."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.cli.command import Command, free_port

AROUND = """
from typing import Any

import keepstep
from keepstep import Interceptor, step, workflow


@step
async def say_in_a_shell(text: str) -> str:
    return f"{text} {keepstep.step_info().headers.get('by', 'nobody')}"


@workflow
async def talk_around(text: str) -> str:
    return await say_in_a_shell(text)


class Marks(Interceptor):
    async def send(self, call: Any, call_next: Any) -> Any:
        call.headers["by"] = "the server"
        return await call_next(call)

    async def call(self, call: Any, call_next: Any) -> Any:
        call.args = [f"<{call.args[0]}>"]
        return await call_next(call)


class Shouts(Interceptor):
    async def execute(self, call: Any, call_next: Any) -> Any:
        return f"{await call_next(call)}!"


BOTH = [Marks(), Shouts()]
"""


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    keepstep = Command(tmp_path)
    (tmp_path / "around.py").write_text(AROUND)
    return keepstep


def test_what_a_worker_runs_is_surrounded_by_those_that_are_named(keepstep: Command) -> None:
    options = ("--interceptor", "around:Marks", "--interceptor", "around:Shouts")
    worker = keepstep.start_worker(*options, module="around")
    try:
        ran = keepstep("start", "talk_around", "--input", '"hello"', "--wait")
        assert ran.stdout.splitlines()[-1] == '"<hello> nobody!"', ran  # a command is no call of yours: no send
    finally:
        worker.kill()
        worker.communicate()
    refused = keepstep("worker", "around", "--interceptor", "around:talk_around")
    assert (refused.returncode, "is no keepstep.Interceptor" in refused.stderr) == (2, True)


def test_what_a_server_starts_and_runs_is_surrounded_by_those_that_are_named(keepstep: Command) -> None:
    base = f"http://127.0.0.1:{(port := free_port())}"
    keepstep.environment["PYTHONUNBUFFERED"] = "1"
    server = keepstep.begin("server", "--http", str(port), "--app", "around", "--interceptor", "around:BOTH")
    try:
        assert server.stdout is not None
        assert base in server.stdout.readline()
        with httpx2.Client(base_url=base, timeout=20) as web:
            body = {"type": "talk_around", "input": ["hello"], "id": "r"}
            assert web.post("/api/v1/runs", json=body).status_code == 201
            keepstep.until(lambda: web.get("/api/v1/runs/r").json()["status"] == "completed")
            assert web.get("/api/v1/runs/r").json()["result"] == "<hello> the server!"
    finally:
        server.kill()
        server.communicate()
    refused = keepstep("server", "--http", str(port), "--interceptor", "around")
    assert (refused.returncode, "takes MODULE:NAME" in refused.stderr) == (2, True)
