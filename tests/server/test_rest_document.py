"""What docs/rest-api.md says to type does what it says, word for word, but for the port."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.cli.command import free_port, hear_interrupts

DOCUMENT = (Path(__file__).parents[2] / "docs" / "rest-api.md").read_text()
SECONDS_MAX = 30


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, flags=re.DOTALL)


class Reader:
    """Types what a document says, in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        (folder / "bin").mkdir()
        command = folder / "bin" / "keepstep"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m keepstep "$@"\n')
        command.chmod(0o755)
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "KEEPSTEP_DB": "sqlite:///runs.db", "PYTHONUNBUFFERED": "1"}

    def type(self, block: str) -> str:
        """What it prints. Fails where the shell does."""
        text = block.replace("127.0.0.1:8710", f"127.0.0.1:{self.port}").replace("curl ", "curl --silent --show-error ")
        done = subprocess.run(
            ["bash", "-eu", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, free_port())
    [code] = blocks("python")
    (tmp_path / "orders.py").write_text(code)
    server = subprocess.Popen(
        [sys.executable, "-m", "keepstep", "server", "--app", "orders.py", "--http", str(reader.port)],
        cwd=tmp_path, env=reader.environment, stdout=subprocess.PIPE, text=True, preexec_fn=hear_interrupts,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert reader.base in server.stdout.readline()
        yield reader
    finally:
        server.kill()
        server.wait()


def result_of(reader: Reader) -> str:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        run = httpx2.get(f"{reader.base}/api/v1/runs/order%2F42").json()
        if run["status"] != "running":
            return str(run["result"])
        assert time.monotonic() < deadline, run["progress"]
        time.sleep(0.05)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the document speaks of curl")
def test_every_command_of_the_document_does_what_it_says(reader: Reader) -> None:
    start, describe, history, speak, look, wrong, bulk, changes, streams, keys = map(reader.type, blocks("sh"))
    assert (json.loads(start)["id"], json.loads(start)["attributes"]) == ("order/42", {"customer": "c7"})
    assert json.loads(describe)["input"] == ["teapot", 2]
    forward, backward, timeline = map(json.loads, history.replace("}{", "}\n{").splitlines())
    assert forward["events"][0]["type"] == "workflow_started"
    assert backward["last_seq"] == backward["total"]
    assert timeline["spans"][0]["name"] == "reserve"
    update, query, signal = map(json.loads, speak.replace("}{", "}\n{").splitlines())
    assert (update["id"], query["result"], signal["id"]) == ("note-1", " (gift)", "order/42")
    assert result_of(reader) == "2 × teapot reserved, picked by Ada (gift)"
    listed, counted = map(json.loads, look.replace("}{", "}\n{").splitlines())
    assert (listed["runs"][0]["id"], counted["count"] in (0, 1)) == ("order/42", True)
    assert (json.loads(wrong)["error"]["code"], json.loads(wrong)["error"]["field"]) == ("invalid_input", "filter")
    assert json.loads(bulk)["is_complete"] is True
    assert changes.startswith("retry: ")
    page, _, live = streams.partition("retry: ")
    said = json.loads(page)
    assert [each["value"] for each in said["values"]] == ["2 × teapot reserved, waiting for a picker"]
    assert (said["has_more"], said["has_ended"]) == (False, True)
    assert f"id: {said['values'][0]['position']}\nevent: value\n" in live
    assert live.endswith("event: end\ndata: {}\n\n")
    assert '{"count":1}' in keys
    assert "counts no longer" in keys
