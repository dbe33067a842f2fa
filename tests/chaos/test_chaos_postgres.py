"""The kill loop on real PostgreSQL: workers are killed; the server is restarted, cut off and failed over."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.test_chaos import play

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(sys.platform == "win32", reason="it forks"),
]

PATIENT = ("--store", "postgres", "--kills", "0", "--lease-seconds", "3", "--seed", "7")


@pytest.mark.timeout(240)
async def test_kills_lose_nothing_on_postgresql(tmp_path: Path) -> None:
    code, output, score = await play(tmp_path / "rounds", "--store", "postgres", "--kills", "40", "--seed", "7")
    assert code == 0, output
    assert score.tried >= 40
    assert score.lost == 0
    for what in ("acknowledged starts", "acknowledged letters", "freezes", "runs", "steps"):
        assert score.counts[what] > 0, what


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("trouble", "times"), [("restart", 3), ("terminate", 5), ("network", 3), ("failover", 2)])
async def test_a_server_in_trouble_loses_nothing(trouble: str, times: int, tmp_path: Path) -> None:
    options = ("--trouble", trouble, "--troubles", str(times), "--every", "0.5", "1.5")
    code, output, score = await play(tmp_path / "rounds", *PATIENT, *options)
    assert code == 0, output
    assert score.lost == 0
    assert score.counts["troubles"] >= times
    assert score.counts["runs"] > 20
    assert list((tmp_path / "rounds").iterdir()) == []


@pytest.mark.timeout(240)
async def test_commits_that_a_failover_loses_are_found(tmp_path: Path) -> None:
    options = ("--trouble", "failover-loose", "--troubles", "1", "--every", "3", "3", "--ending-seconds", "10")
    code, output, score = await play(tmp_path / "rounds", *PATIENT, *options)
    assert code == 1
    assert score.lost > 0
    assert "is gone" in output
    assert "--trouble failover-loose" in score.replay[0]
    assert (tmp_path / "rounds" / "round-7" / "database.sql").exists()
