"""The example of docs/data.md does what the page says."""

from __future__ import annotations

import base64
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue

from examples.data.messages import Reading, measure
from keepstep import Engine
from tests.runtime.programs import on_an_engine

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "2 events under first",
    "1 scan is kept beside the database",
    "2 events under second",
    "the letter to Ada Moor is signed by Dr. Fox, with 300,000 bytes of scan",
    "the letter to Ben Cole goes back: no date",
]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_the_program_runs_from_the_command_line(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = [request.getfixturevalue("postgres_url")] if store == "postgres" else []
    command = [sys.executable, "-m", "examples.data", *url]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")


def test_messages_of_protobuf_and_other_classes_are_taught_once() -> None:
    async def program(engine: Engine) -> None:
        reading = Reading(Timestamp(seconds=100), Fraction(2, 3))
        run = await engine.start(measure, reading, [StringValue(value="ada"), StringValue(value="ben")], id="m")
        assert await run.result() == Reading(Timestamp(seconds=102), Fraction(1, 3))
        [_, renamed, closed] = [each.data["payload"] async for each in run.history()]
        assert [StringValue.FromString(base64.b64decode(each)).value for each in renamed] == ["Ada", "Ben"]
        assert closed["share"] == "1/3"

    on_an_engine(program)
