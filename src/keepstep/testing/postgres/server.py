"""PostgresServer: one real server in a temporary folder, from ``initdb`` to the removal of its data.

Its settings are those of a server that matters (``DURABLE``): a commit that it has acknowledged survives ``kill()``.
It listens on loopback and on a Unix socket in its folder, to those who have its password, and runs as an account
without rights where we are root. It does not outlive the process that owns it (``guardian.py``).

All calls block; from a coroutine use ``asyncio.to_thread``. One thread at a time may start, stop and kill it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from .access import COMMAND_SECONDS_MAX, USER, Access, ServerFailed
from .account import choose_account, make_reachable
from .binaries import Binaries, find_binaries
from .guardian import guard
from .processes import children_of, kill_family, wait_until_gone

StopMode = Literal["smart", "fast", "immediate"]
"""Wait for sessions to end, cut them off, or crash: recovery follows at the next start."""

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

START_SECONDS_MAX = 60.0
"""Recovery after a kill included."""

_INITDB = ("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
"""What ``initdb`` makes need not survive a power cut, what the server writes must."""

_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def find_free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds_max: float, complaint: str) -> None:
    """Ask until it is so. Raises ``ServerFailed`` with the complaint after ``seconds_max``."""
    deadline = time.monotonic() + seconds_max
    while not is_so():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{complaint} after {seconds_max:g} s")
        time.sleep(0.01)


class PostgresServer(Access):
    """A context manager: ``with PostgresServer() as server: connect(server.url)``."""

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        binaries: Binaries | None = None,
        owner_pid: int | None = None,
        port: int | None = None,
        password: str | None = None,
        parent: Path | None = None,
    ) -> None:
        """
        :param settings: for ``postgresql.conf``, beyond ``DURABLE``.
        :param owner_pid: the server ends with this process; ours by default.
        :param port: on loopback; a free one by default. It stays the same across restarts.
        :param password: of the superuser; a random one by default.
        :param parent: the folder to make its folder in, which its account must be able to reach; by default that of
            temporary files, which may be memory.
        """
        account = choose_account()
        binaries = make_reachable(binaries or find_binaries(), account)
        super().__init__(binaries, account, [port or find_free_port()], password or secrets.token_hex(16))
        self.folder = Path(tempfile.mkdtemp(prefix="keepstep-pg-", dir=parent)).resolve()
        self.account.own(self.folder)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._settings: dict[str, str] = {**DURABLE, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._guardian = guard(owner_pid or os.getpid(), self.folder)

    def __enter__(self) -> Self:
        try:
            self.initialize()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the postmaster, which must be running."""
        if self._process is None:
            raise ServerFailed(f"the PostgreSQL server in {self.folder} is not running; start() it first")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def initialize(self) -> None:
        """Make the data folder."""
        secret = self.folder / "password"
        secret.write_text(self.password)
        self.account.own(secret)
        self.run("initdb", "--pgdata", str(self.data), "--username", USER, "--pwfile", str(secret), *_INITDB)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("include '../settings.conf'\n")  # relative, so that a standby's copy of it reads the standby's

    def start(self) -> None:
        """Start and wait until it answers, after recovery where it was killed. Raises ``ServerFailed``."""
        if self.is_running:
            return
        self._write_settings()
        with self.log.open("ab") as log:
            self._process = self.account.spawn(self.binaries.path("postgres"), "-D", str(self.data), log=log)
        self._wait_until_ready()

    def stop(self, mode: StopMode = "fast") -> None:
        """Shut down, and wait until it has. What is not running stays so."""
        if not self.is_running:
            self._process = None
            return
        pid, family = self.pid, children_of(self.pid)
        os.kill(pid, _SIGNALS[mode])
        self._reap()
        wait_until_gone(family)

    def kill(self) -> None:
        """SIGKILL all of its processes at once: nobody says farewell, nothing is written any more."""
        kill_family(self.pid)
        self._reap()

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start, on the same port and with all settings."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """End the server and remove all that it had. Can be called again."""
        if self.is_running:
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)
        self._guardian.terminate()
        self._guardian.wait()

    def set_config(self, settings: Mapping[str, str]) -> None:
        """Change settings; new sessions have them at once, those that need a restart after ``restart()``."""
        if settings.items() <= self._settings.items():
            return
        self._settings.update(settings)
        self._write_settings()
        if self.is_running:
            self._reload()

    def _reload(self) -> None:
        """Returns when new sessions have the new settings: the postmaster reads them some time after it was told."""
        before = self.query("SELECT pg_conf_load_time()")
        os.kill(self.pid, signal.SIGHUP)
        wait_until(
            lambda: self.query("SELECT pg_conf_load_time()") != before,
            COMMAND_SECONDS_MAX,
            f"the PostgreSQL server in {self.folder} has not read its new settings",
        )

    def _write_settings(self) -> None:
        place = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        quoted = {name: value.replace("'", "''") for name, value in {**place, **self._settings}.items()}
        target = self.folder / "settings.conf"
        target.write_text("".join(f"{name} = '{value}'\n" for name, value in quoted.items()))
        self.account.own(target)

    def _wait_until_ready(self) -> None:
        """``postmaster.pid`` tells in its eighth line how far the server is; ``pg_ctl`` waits for that too."""
        wait_until(self._is_ready_or_over, START_SECONDS_MAX, f"the PostgreSQL server in {self.folder} is not ready")
        if not self.is_running:
            self._process = None
            raise ServerFailed(f"the PostgreSQL server did not start; its log ends with:\n{self.log_tail()}")

    def _is_ready_or_over(self) -> bool:
        return not self.is_running or self._is_ready()

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() in ("ready", "standby")

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(COMMAND_SECONDS_MAX)
        self._process = None

    def log_tail(self, lines_max: int = 20) -> str:
        """The end of what the server has said."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines_max:])
        except FileNotFoundError:
            return ""
