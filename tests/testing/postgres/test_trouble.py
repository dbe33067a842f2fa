"""Trouble comes, passes, and costs what it is said to cost: nothing, unless it is the kind that loses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import pytest

from keepstep.testing.postgres import Access, ServerFailed
from keepstep.testing.postgres.trouble import TROUBLES

REPOSITORY = Path(__file__).parents[3]


class Writer:
    """A client that inserts row after row, whatever happens, and remembers which were acknowledged."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.acknowledged: list[int] = []
        access.query("CREATE TABLE rows (n int)")

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _write(self) -> None:
        n = 0
        while not self._is_over.is_set():
            n += 1
            try:
                self._access.query(f"INSERT INTO rows VALUES ({n})")
                self.acknowledged.append(n)
            except (ServerFailed, subprocess.TimeoutExpired):
                """Perhaps it is there, perhaps not."""

    def lost(self) -> set[int]:
        kept = {int(n) for n in self._access.query("SELECT n FROM rows").split()}
        return set(self.acknowledged) - kept

    def wait_for_more(self) -> None:
        """Until another row is acknowledged."""
        sofar, waited = len(self.acknowledged), threading.Event()
        for _ in range(6000):
            if len(self.acknowledged) > sofar:
                return
            waited.wait(0.01)
        raise AssertionError("no row was acknowledged for a minute")


def _lose(name: str, times: int) -> set[int]:
    """Which rows a kind of trouble loses."""
    with TROUBLES[name]() as trouble:
        with Writer(trouble.access) as writer:
            dice = Random(11)
            for _ in range(times):
                writer.wait_for_more()
                trouble.strike(dice)
            writer.wait_for_more()
        return writer.lost()


@pytest.mark.parametrize(("name", "times"), [("restart", 3), ("terminate", 2), ("network", 3), ("failover", 2)])
def test_what_is_acknowledged_is_kept_and_writing_goes_on(name: str, times: int) -> None:
    assert _lose(name, times) == set()


def test_a_failover_to_a_standby_that_did_not_listen_loses_and_that_is_seen() -> None:
    assert _lose("failover-loose", 1)


def test_the_program_says_how_to_reach_the_server_and_what_befalls_it_and_leaves_nothing() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "keepstep.testing.postgres", "--trouble", "terminate", "--every", "0", "0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        access = Access.described(json.loads(program.stdout.readline())["access"])
        program.stdin.write("storm\n")
        program.stdin.flush()
        assert json.loads(program.stdout.readline())["trouble"] == "terminate"
        program.stdin.write("calm\n")
        program.stdin.flush()
        said = json.loads(program.stdout.readline())
        while "calm" not in said:
            said = json.loads(program.stdout.readline())
        assert said["troubles"] > 0
        assert access.query("SELECT 1") == "1"
        program.stdin.close()
        assert program.wait() == 0
    with pytest.raises(ServerFailed, match="Connection refused"):
        access.query("SELECT 1")
