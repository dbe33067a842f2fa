"""``keepstep server`` as a real process: it answers, runs a module if told so, and stops when it is told to."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
import pytest

from tests.cli.command import Command, free_port


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_it_serves_the_api_and_runs_a_module_until_it_is_told_to_stop(command: Command) -> None:
    base = f"http://127.0.0.1:{(port := free_port())}"
    command.environment["PYTHONUNBUFFERED"] = "1"
    server = command.begin("server", "--http", str(port), "--app", "app")
    try:
        assert server.stdout is not None
        assert base in server.stdout.readline()
        with httpx2.Client(base_url=base, timeout=20) as web:
            assert web.get("/readyz").text == "ok\n"
            body = {"type": "buy", "input": [{"id": 7, "item": "tea"}], "id": "b/7"}
            assert web.post("/api/v1/runs", json=body).status_code == 201
            command.until(lambda: "pick it" in web.get("/api/v1/runs/b%2F7").json()["progress"])
            elsewhere = web.get("/api/v1/runs", params={"namespace": "elsewhere"})
            assert (elsewhere.status_code, elsewhere.json()["runs"]) == (200, [])
            assert "keepstep" in web.get("/metrics").text
        server.send_signal(signal.SIGTERM)
        output, complaints = server.communicate(timeout=20)
        assert (server.returncode, "stopping" in output) == (0, True), complaints
    finally:
        server.kill()
        server.wait()
    assert [run["id"] for run in command.json("list")] == ["b/7"]


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.7", "example.org"])
def test_an_address_that_others_reach_is_refused(command: Command, host: str) -> None:
    refused = command("server", "--http", f"{host}:8710")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--allow-anonymous" in refused.stderr
    assert not (command.folder / "runs.db").exists()
