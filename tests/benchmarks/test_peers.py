"""Peers are measured at the size that there is time for, and the tables say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench import Bench
from benchmarks.peer import START_SECONDS, Figures, Peer, Trial, Workload
from benchmarks.report import Part, plain_text
from benchmarks.row import POSTGRES_ROWS, SQLITE_ROWS, Results, System
from benchmarks.scale import FULL, FULL_POSTGRES
from benchmarks.store import Database, SqliteDatabase, Store


class NoStore(Store):
    """Databases that nobody opens."""

    prefix = "pg."

    @contextmanager
    def database(self) -> Iterator[Database]:
        yield SqliteDatabase(Path("/nowhere"))


@pytest.fixture
def bench() -> Bench:
    return Bench(replace(FULL_POSTGRES, trials=3, peer_seconds_max=30), NoStore())


@pytest.fixture
def absurd() -> Peer:
    return Peer(System.ABSURD, "absurd_app.py", lambda database: None, notes={})


def _trial(monkeypatch: pytest.MonkeyPatch, seconds_each: float) -> tuple[list[int], Trial]:
    """A trial whose time grows with its size, as a peer's would; and the sizes that it was tried at."""
    now, sizes = [0.0], list[int]()

    def measure(peer: Peer, database: Database, size: int) -> Figures:
        sizes.append(size)
        now[0] += START_SECONDS + size * seconds_each
        return (1 / seconds_each,)

    monkeypatch.setattr("benchmarks.peer.time.perf_counter", lambda: now[0])
    return sizes, measure


def test_a_peer_that_is_quick_plays_at_full_size(bench: Bench, absurd: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, trial = _trial(monkeypatch, 0.01)
    absurd.repeat(bench, Workload(("w1.steps",), 500, trial, 500))
    assert sizes == [50, 500, 500, 500]
    assert bench.results.median(System.ABSURD, "pg.w1.steps") == pytest.approx(100)
    assert bench.results.notes == {}


def test_a_peer_that_is_slow_plays_at_a_tenth_and_that_is_said(
    bench: Bench, absurd: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, trial = _trial(monkeypatch, 0.1)
    absurd.repeat(bench, Workload(("w1.steps",), 500, trial, 500))
    assert sizes == [50, 50, 50]
    assert bench.results.notes == {(System.ABSURD, "pg.w1.steps"): "at a tenth of the size (50)"}


@pytest.mark.parametrize(("seconds_each", "said"), [(0.0001, "at 1,000"), (1, "at 100")])
def test_a_peer_with_fewer_sleepers_than_keepstep_has_their_number_beside_each_figure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds_each: float, said: str
) -> None:
    _, trial = _trial(monkeypatch, seconds_each)
    peer = Peer(System.DBOS, "dbos_app.py", lambda database: None, notes={"w4.rss": "held in memory"})

    def measure(*given: Any) -> Figures:
        [figure] = trial(*given)
        return figure, 2.0

    peer.repeat(bench, Workload(("w4.disk", "w4.rss"), 1_000, measure, 20_000))
    assert bench.results.notes == {
        (System.DBOS, "pg.w4.disk"): said,
        (System.DBOS, "pg.w4.rss"): f"held in memory; {said}",
    }
    assert bench.results.median(System.DBOS, "pg.w4.rss") == 2


def test_each_store_has_its_table_its_peers_and_its_floors() -> None:
    results = Results()
    results.add(System.KEEPSTEP, "w1.steps", 20_000)
    results.add(System.KEEPSTEP, "pg.w2.step_p50", 1.5)
    results.add(System.ABSURD, "pg.w2.step_p50", 3)
    results.add(System.RAW, "pg.pgbench", 8_600)
    parts = [
        Part("SQLite", SQLITE_ROWS, (System.DBOS,), FULL),
        Part("PostgreSQL", POSTGRES_ROWS, (System.DBOS, System.ABSURD), FULL_POSTGRES),
    ]
    sqlite, postgres, _ = plain_text(results, parts).split("\n\n")
    assert "20,000" in sqlite
    assert "Absurd" not in sqlite
    assert "8,600" in postgres
    [line] = [line for line in postgres.splitlines() if "a step, p50" in line]
    assert line.split()[-6:] == ["3", "2", "≤", "1", "falls", "short"]
