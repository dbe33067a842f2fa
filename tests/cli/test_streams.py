"""``keepstep stream``: what a run says, in a shell, while another process runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Command

TALKING = """
import keepstep
from keepstep import workflow


@workflow
async def talk_in_a_shell() -> None:
    while (word := await keepstep.receive("say", str)) != "goodbye":
        keepstep.write_stream("said", {"word": word})
"""


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    keepstep = Command(tmp_path)
    (tmp_path / "talking.py").write_text(TALKING)
    return keepstep


def test_a_stream_is_printed_followed_and_gone_on_with(keepstep: Command) -> None:
    worker = keepstep.start_worker(module="talking")
    try:
        assert keepstep("start", "talk_in_a_shell", "--id", "t").returncode == 0
        assert keepstep("signal", "t", "say", '"one"').returncode == 0
        keepstep.until(lambda: '{"word":"one"}' in keepstep("stream", "t", "said").stdout)
        [first] = keepstep.json("stream", "t", "said")
        assert (first["value"], first["step"], first["attempt"]) == ({"word": "one"}, None, 0)
        following = keepstep.begin("stream", "t", "said", "--follow", "--json", "--after", str(first["position"]))
        for word in ("two", "three", "goodbye"):
            assert keepstep("signal", "t", "say", f'"{word}"').returncode == 0
        said, complaints = following.communicate(timeout=30)
        assert (following.returncode, complaints) == (0, "")
        assert [json.loads(line)["value"]["word"] for line in said.splitlines()] == ["two", "three"]
        printed = keepstep("stream", "t", "said", "--follow").stdout.splitlines()
        assert [line.split()[-1] for line in printed] == [f'{{"word":"{each}"}}' for each in ("one", "two", "three")]
        assert keepstep("stream", "t", "other").stdout == ""
        assert keepstep.json("stream", "t", "other") == []
    finally:
        worker.kill()
        worker.communicate()


def test_what_cannot_be_read_is_one_line(keepstep: Command) -> None:
    missing = keepstep("stream", "t", "said")
    assert (missing.returncode, "does not exist" in missing.stderr) == (2, True)
    with keepstep.worker():
        ran = keepstep("stream", "nobody", "said", "--follow")
    assert (ran.returncode, "there is no run 'nobody'" in ran.stderr) == (2, True)
