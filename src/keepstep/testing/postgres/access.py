"""Access: what whoever knows a server's ports and password can do to it as superuser, through ``psql``.

It is plain data, so that another process than the server's owner can have it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from .account import Account
from .binaries import Binaries

USER = "postgres"

COMMAND_SECONDS_MAX = 60.0

_PSQL = ("--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set", "ON_ERROR_STOP=1")

_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() {condition}
"""


class ServerFailed(RuntimeError):
    """The server, or a command given to it, failed. The text has what it said."""


class Access:
    """See the module. All calls block. With several ports it is about the one server of them that takes writes."""

    def __init__(self, binaries: Binaries, account: Account, ports: Sequence[int], password: str) -> None:
        self.binaries = binaries
        self.account = account
        self.ports = tuple(ports)
        self.password = password

    @property
    def port(self) -> int:
        """On loopback; the first of several."""
        return self.ports[0]

    @property
    def url(self) -> str:
        """Of the database ``postgres``, as superuser, over loopback."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        wanted = "?target_session_attrs=read-write" if len(self.ports) > 1 else ""
        return f"postgresql://{USER}:{self.password}@{hosts}/{quote(database)}{wanted}"

    def query(self, statement: str, *, database: str = "postgres") -> str:
        """Execute one statement; its rows, a line each, columns parted by ``|``."""
        return self.run("psql", *_PSQL, "--dbname", self.url_of(database), "--command", statement).strip()

    def create_database(self, name: str) -> str:
        """A new database; its URL."""
        self.query(f'CREATE DATABASE "{name}"')
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Whoever is connected to it is cut off."""
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def terminate_backends(self, database: str | None = None) -> int:
        """Cut off all client sessions, or those of one database; how many."""
        condition = f"AND datname = '{database}'" if database else ""
        return int(self.query(_TERMINATE.format(condition=condition)))

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the server's account; what it printed. Raises ``ServerFailed``."""
        done = self.account.run(self.binaries.path(program), *arguments, timeout_seconds=COMMAND_SECONDS_MAX)
        if done.returncode != 0:
            raise ServerFailed(f"{program} failed: {done.stderr.strip()}")
        return done.stdout

    def describe(self) -> dict[str, str]:
        """What another process needs for ``Access.described``."""
        account = f"{self.account.uid}:{self.account.gid}" if self.account.uid is not None else ""
        folder, version = str(self.binaries.folder), self.binaries.version
        return {
            "folder": folder,
            "version": version,
            "account": account,
            "ports": ",".join(map(str, self.ports)),
            "password": self.password,
        }

    @classmethod
    def described(cls, facts: dict[str, str]) -> Access:
        uid, _, gid = facts["account"].partition(":")
        account = Account(int(uid), int(gid)) if uid else Account()
        binaries = Binaries(Path(facts["folder"]), facts["version"])
        return cls(binaries, account, list(map(int, facts["ports"].split(","))), facts["password"])
