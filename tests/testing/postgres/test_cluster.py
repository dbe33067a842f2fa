"""A commit that a cluster has acknowledged survives the loss of its primary, again and again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from keepstep.testing.postgres import Access, PostgresCluster, ServerFailed
from keepstep.testing.postgres.cluster import Way
from keepstep.testing.postgres.server import wait_until

IN_LIMBO = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def started() -> Iterator[PostgresCluster]:
    with PostgresCluster() as made:
        made.primary.query("CREATE TABLE kept (n int PRIMARY KEY)")
        yield made


@pytest.fixture
def cluster(started: PostgresCluster) -> PostgresCluster:
    """Whatever the test before did to it, it is whole and empty."""
    if not started.standby.is_running or not started.is_synchronous():
        started.rebuild("copy")
    started.primary.query("TRUNCATE kept")
    return started


def _insert_through(access: Access, url: str, n: int) -> subprocess.Popen[str]:
    """A client that inserts a row, and says so when that is acknowledged."""
    return subprocess.Popen(
        [access.binaries.path("psql"), "--no-psqlrc", url, "--command", f"INSERT INTO kept VALUES ({n})"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _rows(cluster: PostgresCluster) -> str:
    return cluster.primary.query("SELECT string_agg(n::text, ',' ORDER BY n) FROM kept")


@pytest.mark.parametrize("way", ["rewind", "copy"])
def test_rows_survive_failovers_in_a_row_and_clients_find_the_primary(cluster: PostgresCluster, way: Way) -> None:
    url = cluster.url
    for n in range(3):
        client = _insert_through(cluster.primary, url, n)
        assert client.communicate()[0] == "INSERT 0 1\n"
        cluster.fail_over()
        assert cluster.url == url
        assert _rows(cluster) == ",".join(map(str, range(n + 1)))
        cluster.rebuild(way)


def test_nothing_is_acknowledged_that_the_standby_does_not_have(cluster: PostgresCluster) -> None:
    cluster.standby.stop()
    client = _insert_through(cluster.primary, cluster.primary.url, 1)
    wait_until(lambda: cluster.primary.query(IN_LIMBO) == "1", 20, "the client does not wait for the standby")
    assert client.poll() is None
    cluster.standby.start()
    assert client.communicate()[0] == "INSERT 0 1\n"


def test_an_old_primary_that_lives_on_acknowledges_nothing(cluster: PostgresCluster) -> None:
    cluster.promote()
    old, new = cluster.standby, cluster.primary
    client = _insert_through(old, old.url, 1)
    wait_until(lambda: old.query(IN_LIMBO) == "1", 20, "the client does not wait for the standby")
    new.query("INSERT INTO kept VALUES (2)")
    cluster.rebuild()
    assert "INSERT" not in client.communicate()[0]
    assert _rows(cluster) == "2"


def test_a_standby_that_does_not_have_everything_is_not_promoted(cluster: PostgresCluster) -> None:
    cluster.standby.stop()
    with pytest.raises(ServerFailed, match="not synchronous"):
        cluster.fail_over()
    assert cluster.primary.query("SELECT 1") == "1"
