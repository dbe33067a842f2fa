"""The load of a server: all of it runs, at a size that says nothing of speed, and its page tells what fell short."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.load.__main__ import Size, load
from benchmarks.load.report import Line, page, table
from benchmarks.store import SqliteStore

TINY = Size(runs=2_000, reads=100, watchers=20, changes=2, starts=100, pace_seconds=0.5)


@pytest.mark.stress
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the server is given a core, which needs Linux")
def test_a_server_is_read_watched_and_asked_to_start_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{os.getcwd()}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.chdir(tmp_path)
    lines = load(SqliteStore(), TINY)
    assert all(line.value >= 0 for line in lines)
    floors = [line.what for line in lines if line.floor and "browser" not in line.what]
    assert floors == [
        "the same page of 100 runs, read by 32 callers",
        "four pages of 100 runs by other filters",
        "20 watchers told of a change, p99",
        "runs started over HTTP by 64 callers",
        "a start, of 300 a second, p99",
    ]
    assert "watchers told" in capsys.readouterr().out


def test_a_figure_below_its_floor_or_above_its_limit_falls_short() -> None:
    enough, few = Line("reads", "/s", 1_000, 1_000), Line("reads", "/s", 999, 1_000)
    quick, slow = Line("told", "ms", 300, 300, True), Line("told", "ms", 301, 300, True)
    assert [each.holds for each in (enough, few, quick, slow, Line("memory", "KiB", 7))] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert table([few, slow]).count("falls short") == 2
    told = page(1_000_000, {"commit": "abc"}, {"SQLite": [enough]})
    assert "| reads | /s | 1,000 | ≥ 1,000 | holds |" in told
    assert "1,000,000 runs" in told
