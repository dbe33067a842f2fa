"""Account: as whom a server runs. PostgreSQL refuses to run as root, so that root hands it to somebody with less.

An account without rights may be barred from the programs, which may lie in root's home; it is then given a copy.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from .binaries import Binaries, NoPostgres

ACCOUNTS = ("postgres", "nobody")
"""The first of these that exists runs the servers of root. Both are on every Linux that has a server of its own."""


@dataclass(frozen=True)
class Account:
    """Who runs the programs. ``uid`` is None where nobody is switched to."""

    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Give this account a file or folder that we have made."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(self, *command: str, timeout_seconds: float) -> subprocess.CompletedProcess[str]:
        """Run a command as this account, to its end."""
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
            cwd="/",
            user=self.uid,
            group=self.gid,
            extra_groups=self._groups(),
        )

    def spawn(self, *command: str, log: BinaryIO) -> subprocess.Popen[bytes]:
        """Start a process as this account, in a session of its own: Ctrl-C at our terminal is not for it."""
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            user=self.uid,
            group=self.gid,
            extra_groups=self._groups(),
            start_new_session=True,
        )

    def _groups(self) -> list[int] | None:
        """No group of root's goes along."""
        return None if self.uid is None else []


def choose_account() -> Account:
    """Ourselves, or somebody without rights where we are root. Raises ``NoPostgres``."""
    if os.geteuid() != 0:
        return Account()
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NoPostgres(f"PostgreSQL does not run as root, and there is no account {' or '.join(ACCOUNTS)} to run it as")


def make_reachable(binaries: Binaries, account: Account) -> Binaries:
    """The binaries, or a copy of them where the account cannot run them where they are."""
    if account.uid is None or _can_run(binaries, account):
        return binaries
    copied = replace(binaries, folder=_copy(binaries.folder.parent) / binaries.folder.name)
    if not _can_run(copied, account):
        raise NoPostgres(f"account {account.uid} can run neither {binaries.folder} nor a copy of it, {copied.folder}")
    return copied


def _can_run(binaries: Binaries, account: Account) -> bool:
    try:
        return account.run(binaries.path("postgres"), "--version", timeout_seconds=30).returncode == 0
    except PermissionError:
        return False


def _copy(installation: Path) -> Path:
    """A copy of an installation that anybody can read; made once for each version of the package, then found again."""
    room = Path(tempfile.gettempdir()) / f"keepstep-postgres-{os.geteuid()}-{_fingerprint(installation)}"
    if not _is_ours(room):
        making = Path(tempfile.mkdtemp(prefix="keepstep-postgres-", dir=room.parent))
        # The package's programs find their libraries two folders up, beside the package itself.
        for source in (installation, *installation.parent.parent.glob(f"{installation.parent.name}.libs")):
            goal = making / source.relative_to(installation.parent.parent)
            shutil.copytree(source, goal, symlinks=True)
        making.chmod(0o755)
        try:
            making.rename(room)
        except OSError:  # another process has made it meanwhile
            shutil.rmtree(making)
    return room / installation.relative_to(installation.parent.parent)


def _is_ours(room: Path) -> bool:
    """Nobody else can have put programs there for root to start."""
    return room.is_dir() and not room.is_symlink() and room.stat().st_uid == os.geteuid()


def _fingerprint(installation: Path) -> str:
    programs = (installation / "bin" / "postgres").stat()
    return f"{programs.st_size:x}-{programs.st_mtime_ns:x}"
