"""Pooler: PgBouncer in transaction mode in front of a server, as many fleets have one: for tests, to throw away.

Each transaction is given to another of its sessions with the server, in turn (``server_round_robin``), so that whatever
is left in a session for a later transaction is missed at once. It lets in whoever has the server's password, and passes
on to any of its databases.

The program is looked for under the name that ``PGBOUNCER`` gives, among the system's, and in the environment of the
Python that asks, where ``scripts/pgbouncer.sh`` unpacks Debian's package without installing it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from .access import USER, Access, ServerFailed
from .guardian import guard
from .server import find_free_port, wait_until

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0

SESSIONS_MAX = 20
"""With the server, of each database."""

_SYSTEM = "/usr/sbin/pgbouncer"
"""Debian puts it where the path of ordinary accounts does not lead."""

_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pidfile = {pidfile}
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 1000
server_round_robin = 1
log_connections = 0
log_disconnections = 0
"""


class NoPooler(RuntimeError):
    """No PgBouncer can be started here."""


def find_pooler() -> Path:
    """The program. Raises ``NoPooler``, which says what to install."""
    named = os.environ.get("PGBOUNCER")
    if named:
        if not Path(named).is_file():
            raise NoPooler(f"PGBOUNCER={named} is no program")
        return Path(named)
    unpacked = Path(sys.prefix) / "pgbouncer" / _SYSTEM.removeprefix("/")
    for place in (shutil.which("pgbouncer"), _SYSTEM, unpacked):
        if place is not None and Path(place).is_file():
            return Path(place)
    raise NoPooler("PgBouncer was not found; on Debian: apt-get install pgbouncer, or name the program in PGBOUNCER")


def why_no_pooler() -> str | None:
    """Why none can be started here, or None where one can."""
    try:
        find_pooler()
    except NoPooler as error:
        return str(error)
    return None


class Pooler(Access):
    """``with Pooler(server) as pooler: connect(pooler.url)``. All calls block."""

    def __init__(self, server: Access) -> None:
        super().__init__(server.binaries, server.account, [find_free_port()], server.password)
        self._program = find_pooler()
        self._server_port = server.port
        self._folder = Path(tempfile.mkdtemp(prefix="keepstep-pooler-")).resolve()
        self._guardian = guard(os.getpid(), self._folder)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it, whoever is connected, and remove all that it had. Can be called again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS_MAX)
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)
        self._guardian.terminate()
        self._guardian.wait()

    def _start(self) -> None:
        settings = self._write_settings()
        log_path = self._folder / "log"
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._program), *self._as_whom(), str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=os.environ | self._libraries(),
                start_new_session=True,
            )
        wait_until(self._is_ready_or_over, START_SECONDS_MAX, f"PgBouncer in {self._folder} is not ready")
        if self._process.poll() is not None:
            raise ServerFailed(f"PgBouncer did not start; it said:\n{log_path.read_text(errors='replace')}")

    def _write_settings(self) -> Path:
        room = self._folder / "pooler"  # its process number lies where the guardian looks for one
        room.mkdir()
        users, settings = room / "users", room / "settings"
        users.write_text(f'"{USER}" "{self.password}"\n')
        settings.write_text(
            _SETTINGS.format(
                server_port=self._server_port,
                port=self.port,
                pidfile=room / "postmaster.pid",
                users=users,
                sessions=SESSIONS_MAX,
            )
        )
        for path in (self._folder, room, users, settings):
            self.account.own(path)
        return settings

    def _as_whom(self) -> list[str]:
        """It does not run as root either; what root may read to start it, that account need not."""
        return [] if self.account.uid is None else ["-u", pwd.getpwuid(self.account.uid).pw_name]

    def _libraries(self) -> dict[str, str]:
        """Where a program that was only unpacked finds the libraries that were unpacked with it."""
        beside = self._program.parent.parent / "lib"
        folders = ":".join(str(folder) for folder in sorted(beside.glob("*-linux-gnu*")))
        return {} if self._program.parent == Path(_SYSTEM).parent or not folders else {"LD_LIBRARY_PATH": folders}

    def _is_ready_or_over(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return True
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
