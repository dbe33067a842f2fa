"""PostgresCluster: a primary and a synchronous standby, and failing over from one to the other.

While both run, a commit is acknowledged only when both have it on disk, so that promoting the standby loses nothing.
After a failover the new primary is alone and acknowledges what it has itself; ``rebuild`` makes the old one its
standby, and returns only when it is synchronous in fact: not when the setting was read, but when every commit that was
acknowledged before has arrived, and no later one can be acknowledged without it.

There is nobody that decides to fail over, and no address that moves: the test does it, and clients name both hosts in
``url`` and look for the one that takes writes.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self

from .access import COMMAND_SECONDS_MAX, USER, Access, ServerFailed
from .server import PostgresServer, wait_until

Way = Literal["rewind", "copy"]
"""How an old primary comes back: what it has beyond the new one is rewound, or all is copied anew."""

SETTINGS = {
    "wal_level": "replica",
    "hot_standby": "on",
    "wal_log_hints": "on",  # for pg_rewind
    "wal_keep_size": "256MB",  # so that pg_rewind finds where they parted
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "100ms",
}

SLOT = "standby"

_CREATE_SLOT = f"""
SELECT pg_create_physical_replication_slot('{SLOT}', true)
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{SLOT}')
"""

_IS_STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"

_IS_SYNCHRONOUS = f"{_IS_STREAMING} AND sync_state = 'sync'"

_HAS_FLUSHED = "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= '{position}'"


class PostgresCluster:
    """``with PostgresCluster() as cluster: connect(cluster.url)``. All calls block."""

    def __init__(self, *, settings: Mapping[str, str] | None = None, is_synchronous: bool = True) -> None:
        """
        :param settings: for both servers, beyond what replication needs.
        :param is_synchronous: False for a cluster that loses commits, to see whether that is noticed.
        """
        password = secrets.token_hex(16)
        wanted = {**SETTINGS, **(settings or {})}
        self._servers = [PostgresServer(settings=wanted, password=password) for _ in range(2)]
        self._is_meant_synchronous = is_synchronous

    def __enter__(self) -> Self:
        try:
            self.primary.initialize()
            self.primary.start()
            self._attach("copy")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def primary(self) -> PostgresServer:
        """The server that takes writes, or is to take them."""
        return self._servers[0]

    @property
    def standby(self) -> PostgresServer:
        """The other one; after a failover the old primary, until it is rebuilt."""
        return self._servers[1]

    @property
    def access(self) -> Access:
        """To whichever of the two takes writes. For clients that know both, as they should."""
        primary = self.primary
        ports = sorted(server.port for server in self._servers)
        return Access(primary.binaries, primary.account, ports, primary.password)

    @property
    def url(self) -> str:
        """For clients: both hosts, of which the one is wanted that takes writes. It never changes."""
        return self.access.url

    def is_synchronous(self) -> bool:
        """Would the standby have every commit that is acknowledged now?"""
        return self.primary.query(_IS_SYNCHRONOUS) == "1"

    def _is_streaming(self) -> bool:
        return self.primary.query(_IS_STREAMING) == "1"

    def part(self) -> None:
        """The standby listens to the primary no more, which goes on alone if it is not synchronous."""
        self.standby.set_config({"primary_conninfo": ""})
        complaint = f"the standby in {self.standby.folder} still listens"
        wait_until(lambda: not self._is_streaming(), COMMAND_SECONDS_MAX, complaint)

    def promote(self) -> None:
        """Make the standby the primary. The old primary is left as it is: dead, or alive and alone.

        Where it lives, it acknowledges nothing any more: its standby has left it.
        """
        self.standby.set_config({"synchronous_standby_names": ""})
        self.standby.query("SELECT pg_promote(true)")
        self._servers.reverse()

    def fail_over(self) -> None:
        """Kill the primary and promote the standby, which must be synchronous where the cluster is."""
        if self._is_meant_synchronous and not self.is_synchronous():
            raise ServerFailed("the standby is not synchronous: promoting it would lose what it does not have")
        self.primary.kill()
        self.promote()

    def rebuild(self, way: Way = "rewind") -> None:
        """Make the old primary the synchronous standby of the new one."""
        if self.standby.is_running:
            self.standby.stop("immediate")
        self._attach(way)

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def _attach(self, way: Way) -> None:
        self.primary.query(_CREATE_SLOT)
        if way == "copy":
            self._copy()
        else:
            self._rewind()
        (self.standby.data / "standby.signal").touch()
        self.standby.account.own(self.standby.data / "standby.signal")
        self.standby.set_config({"primary_conninfo": self._conninfo(), "primary_slot_name": SLOT})
        self.standby.start()
        wait_until(self._is_streaming, COMMAND_SECONDS_MAX, f"the standby in {self.standby.folder} does not listen")
        if self._is_meant_synchronous:
            self._make_synchronous()

    def _copy(self) -> None:
        shutil.rmtree(self.standby.data, ignore_errors=True)
        self.standby.run(
            "pg_basebackup", "--dbname", self.primary.url, "--pgdata", str(self.standby.data),
            "--checkpoint", "fast", "--no-sync",
        )  # fmt: skip

    def _rewind(self) -> None:
        """A new timeline is known to its control file only after a checkpoint, which ``pg_rewind`` looks at."""
        self.primary.query("CHECKPOINT")
        self.standby.run(
            "pg_rewind", "--target-pgdata", str(self.standby.data), "--source-server", self.primary.url, "--no-sync"
        )

    def _conninfo(self) -> str:
        primary = self.primary
        return f"host=127.0.0.1 port={primary.port} user={USER} password={primary.password} application_name={SLOT}"

    def _make_synchronous(self) -> None:
        """See the module. A checkpoint ends only after the checkpointer, which tells all, has read the setting."""
        primary = self.primary
        primary.set_config({"synchronous_standby_names": SLOT})
        primary.query("CHECKPOINT")
        wait_until(self.is_synchronous, COMMAND_SECONDS_MAX, f"the standby in {self.standby.folder} is not synchronous")
        position = primary.query("SELECT pg_current_wal_flush_lsn()")
        wait_until(
            lambda: primary.query(_HAS_FLUSHED.format(position=position)) == "1",
            COMMAND_SECONDS_MAX,
            f"the standby in {self.standby.folder} does not catch up",
        )
