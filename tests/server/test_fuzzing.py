"""Whatever is sent to the API, right or wrong by its own document, is answered as the document says, and never by a
server error.

In `make test` a few cases of each call are tried; `make fuzz` tries as many as KEEPSTEP_FUZZ_CASES says, of each call
and each kind.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import hypothesis
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from keepstep.server.api import BASE, ROUTES
from keepstep.server.document import describe_api
from tests.cli.command import free_port

CASES = int(os.environ.get("KEEPSTEP_FUZZ_CASES", "3"))
SEED = int(os.environ.get("KEEPSTEP_FUZZ_SEED", "0"))

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

ENDLESS = (f"{BASE}/changes", f"{BASE}/runs/{{id}}/streams/{{name}}/live")
"""Answers that go on until the caller has enough."""


APP = """
import keepstep
from keepstep import step, workflow

@workflow
class Fuzzed:
    async def run(self, size: int = 3):
        return await keepstep.receive("go")

    @keepstep.query
    def total(self, least: int = 0) -> int:
        return least

    @keepstep.update
    async def add(self, item: str) -> str:
        return item

@step(retry=keepstep.Retry(max_attempts=1))
async def break_fuzzed():
    raise ValueError("broken")

@workflow
async def broken_fuzzed():
    await break_fuzzed()

@workflow
async def asking_fuzzed():
    await keepstep.human_task("look", form=str)
"""

THERE = {
    "id": ("open", "closed", "failed", "asking", "nightly"),
    "name": ("go", "total", "add", "q"),
    "token": ("made-up",),
}
"""What there is of what stands in paths."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with runs of all kinds."""
    folder = tmp_path_factory.mktemp("fuzzing")
    (folder / "fuzzed.py").write_text(APP)
    port = free_port()
    command = [sys.executable, "-m", "keepstep", "server", "--app", "fuzzed", "--http", str(port)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "KEEPSTEP_DB": "sqlite:///runs.db"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--log-level", "warning"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}{BASE}", timeout=20) as web:
            for id, type_ in (
                ("open", "Fuzzed"), ("closed", "Fuzzed"), ("failed", "broken_fuzzed"), ("asking", "asking_fuzzed"),
            ):  # fmt: skip
                web.post("/runs", json={"type": type_, "id": id}).raise_for_status()
            web.post("/runs/closed/terminate").raise_for_status()
            web.post("/queues/q/pause").raise_for_status()
            web.post("/schedules", json={"id": "nightly", "type": "Fuzzed", "cron": "0 3 * * *"}).raise_for_status()
        yield f"http://127.0.0.1:{port}"
        assert server.poll() is None
        assert "not foreseen" not in (folder / "log").read_text()
    finally:
        server.kill()
        server.wait()


def operations() -> Iterator[Any]:
    document = msgspec.json.decode(msgspec.json.encode(describe_api(ROUTES, BASE)))
    schema = schemathesis.openapi.from_dict(document)
    for found in schema.get_all_operations():
        assert not isinstance(found, Err), found
        operation = found.ok()
        if operation.path not in ENDLESS:
            yield operation


@pytest.mark.parametrize("operation", list(operations()), ids=lambda operation: operation.label)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_every_call_is_answered_as_the_document_says(address: str, operation: Any, mode: GenerationMode) -> None:
    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        if mode is GenerationMode.POSITIVE and data.draw(st.integers(0, 3)):
            meet_what_is_there(case, data)
        case.call_and_validate(base_url=address, checks=CHECKS, timeout=30)

    ask()


def meet_what_is_there(case: Any, data: st.DataObject) -> None:
    """So that a call comes further than to "there is no such run"."""
    if case.query:
        case.query.pop("namespace", None)
        case.query.pop("run_id", None)
    for name in case.path_parameters or ():
        case.path_parameters[name] = data.draw(st.sampled_from(THERE[name]))
    if isinstance(case.body, dict) and "type" in case.body:
        case.body["type"] = "Fuzzed"
    if isinstance(case.body, dict) and "timeout" in case.body:
        case.body["timeout"] = 0.1
