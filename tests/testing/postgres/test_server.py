"""A throw-away server is a real one: durable, killed for real, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keepstep.testing.postgres import Access, PostgresServer, ServerFailed

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def started() -> Iterator[PostgresServer]:
    with PostgresServer() as made:
        yield made


@pytest.fixture
def server(started: PostgresServer) -> PostgresServer:
    """A server that may be ill-treated: whatever the test before did to it, it runs."""
    started.start()
    return started


def _session(server: Access) -> subprocess.Popen[str]:
    """A client that is connected, and stays."""
    client = subprocess.Popen(
        [server.binaries.path("psql"), "--no-psqlrc", "--tuples-only", "--no-align", server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("SELECT 'here';\n")
    client.stdin.flush()
    assert client.stdout.readline() == "here\n"
    return client


def test_what_it_acknowledges_is_on_disk(server: PostgresServer) -> None:
    names = ("fsync", "synchronous_commit", "full_page_writes")
    assert [server.query(f"SHOW {name}") for name in names] == ["on", "on", "on"]


def test_it_is_not_run_by_root(server: PostgresServer) -> None:
    asked = subprocess.run(["ps", "-o", "uid=", "-p", str(server.pid)], capture_output=True, text=True, check=True)
    assert int(asked.stdout) != 0


def test_nobody_enters_without_the_password(server: PostgresServer) -> None:
    stranger = Access(server.binaries, server.account, server.ports, "guessed")
    with pytest.raises(ServerFailed, match="password authentication failed"):
        stranger.query("SELECT 1")


def test_a_commit_survives_the_kill_of_all_its_processes(server: PostgresServer) -> None:
    server.query("CREATE TABLE kept AS SELECT 42 AS answer")
    server.kill()
    assert not server.is_running
    with pytest.raises(ServerFailed, match="Connection refused"):
        server.query("SELECT 1")
    server.start()
    assert server.query("SELECT answer FROM kept") == "42"
    assert "was not properly shut down" in server.log.read_text()


def test_clients_find_it_at_the_same_place_after_a_restart(server: PostgresServer) -> None:
    url, pid = server.url, server.pid
    server.restart()
    assert server.url == url
    assert server.pid != pid
    assert server.query("SELECT 1") == "1"


def test_sessions_are_cut_off(server: PostgresServer) -> None:
    client = _session(server)
    assert server.terminate_backends() == 1
    assert "terminating connection" in client.communicate("SELECT 'still here';\n")[0]


def test_sessions_of_other_databases_are_left_alone(server: PostgresServer) -> None:
    server.create_database("elsewhere")
    client = _session(server)
    assert server.terminate_backends("elsewhere") == 0
    assert client.communicate("SELECT 'still here';\n")[0] == "still here\n"


def test_a_smart_stop_waits_for_sessions_and_a_fast_one_does_not(server: PostgresServer) -> None:
    client = _session(server)
    os.kill(server.pid, signal.SIGTERM)  # what stop("smart") begins with
    assert client.communicate("SELECT 'still here';\n")[0] == "still here\n"
    server.stop("smart")
    server.start()
    client = _session(server)
    server.stop("fast")
    assert "still here" not in client.communicate("SELECT 'still here';\n")[0]


def test_changed_settings_hold_for_new_sessions_and_across_restarts(server: PostgresServer) -> None:
    server.set_config({"work_mem": "7MB"})
    assert server.query("SHOW work_mem") == "7MB"
    server.set_config({"max_connections": "31"})
    server.restart()
    assert server.query("SHOW max_connections") == "31"
    assert server.query("SHOW work_mem") == "7MB"


def test_a_server_that_does_not_start_says_why(server: PostgresServer) -> None:
    server.stop()
    server.set_config({"max_connections": "none"})
    with pytest.raises(ServerFailed, match="invalid value for parameter"):
        server.start()
    server.set_config({"max_connections": "31"})


def test_a_server_that_is_closed_leaves_nothing() -> None:
    with PostgresServer() as server:
        folder, pid = server.folder, server.pid
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


OWNER = """
import os, signal
from keepstep.testing.postgres import PostgresServer
with PostgresServer() as server:
    print(server.folder, server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_does_not_outlive_an_owner_that_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    owner = subprocess.run([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment)
    folder, pid = owner.stdout.split()
    _wait_until(lambda: not Path(folder).exists())
    _wait_until(lambda: not _lives(int(pid)))


def _lives(pid: int) -> bool:
    asked = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(asked.stdout.strip()) and not asked.stdout.startswith("Z")


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_each_test_has_an_empty_database_of_a_server_that_is_shared(postgres_server: Access, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    assert postgres_server.query("SELECT count(*) FROM pg_class WHERE relname = 'only_here'", database=name) == "0"
    postgres_server.query("CREATE TABLE only_here (id int)", database=name)


def test_the_next_test_does_not_see_it(postgres_server: Access, postgres_url: str) -> None:
    test_each_test_has_an_empty_database_of_a_server_that_is_shared(postgres_server, postgres_url)
