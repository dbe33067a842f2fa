"""Peers: hints between the processes of one database, by local datagram sockets.

Every process binds a socket in a private directory that is derived from the database; whoever flushed something sends
the kinds of what changed to all sockets found there. Sending never blocks and may fail: a full or dead socket loses a
hint, and behind every hint stands a slow poll. Where such sockets cannot be had, processes just poll.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from keepstep.journal.hint import Hint, HintKind
from keepstep.journal.writing.bus import Hear

DATAGRAM_BYTES_MAX = 512
LOOK_AROUND_SECONDS = 0.5
"""How long the list of peers is trusted. A new process polls when it starts, so it misses nothing in between."""


class Peers:
    """This process's socket and those of its peers."""

    def __init__(self, database: Path, process: int) -> None:
        self._name = f"{process:016x}"
        self._directory: Path | None = None
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hear: Hear | None = None
        self._others: list[str] = []
        self._look_at = 0.0
        try:
            self._directory, self._socket = _bind(database, self._name)
        except (OSError, AttributeError):
            self.close()

    def listen(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        self._loop, self._hear = loop, hear
        if self._socket is None:
            return
        try:
            loop.add_reader(self._socket.fileno(), self._receive)
        except NotImplementedError:
            self._socket.setblocking(True)
            threading.Thread(target=self._receive_forever, name="keepstep-peers", daemon=True).start()

    def tell(self, kinds: Sequence[HintKind]) -> None:
        own, directory = self._socket, self._directory
        if own is None or directory is None:
            return
        self._look_around(directory)
        datagram = ",".join(kinds).encode()
        for name in self._others:
            path = directory / name
            try:
                own.sendto(datagram, socket.MSG_DONTWAIT, str(path))
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
                self._look_at = 0.0
            except OSError:
                continue

    def _look_around(self, directory: Path) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_AROUND_SECONDS
        try:
            self._others = [name for name in os.listdir(directory) if name != self._name]
        except OSError:
            self._others = []

    def _receive(self) -> None:
        kinds: dict[str, None] = {}
        while self._socket is not None:
            try:
                kinds.update(dict.fromkeys(self._socket.recv(DATAGRAM_BYTES_MAX).decode().split(",")))
            except (OSError, UnicodeDecodeError):
                break
        self._pass_on(kinds)

    def _pass_on(self, kinds: dict[str, None]) -> None:
        for kind in kinds:
            if self._hear is not None and kind in HintKind._value2member_map_:
                self._hear(Hint(HintKind(kind)))

    def _receive_forever(self) -> None:
        while self._socket is not None and self._loop is not None:
            try:
                kinds = dict.fromkeys(self._socket.recv(DATAGRAM_BYTES_MAX).decode().split(","))
                self._loop.call_soon_threadsafe(self._pass_on, kinds)
            except (OSError, UnicodeDecodeError, RuntimeError):
                return

    def close(self) -> None:
        own, self._socket = self._socket, None
        if own is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            try:
                self._loop.remove_reader(own.fileno())
            except NotImplementedError:
                own.shutdown(socket.SHUT_RDWR)
        own.close()
        if self._directory is not None:
            (self._directory / self._name).unlink(missing_ok=True)
            try:
                self._directory.rmdir()
            except OSError:
                """Others are still there."""


def _private_directory(database: Path) -> Path:
    """A directory that all processes of this user derive from the same file, whatever they call it."""
    found = database.stat()
    name = hashlib.sha256(f"{found.st_dev}:{found.st_ino}".encode()).hexdigest()[:16]
    uid = os.getuid()
    directory = Path(tempfile.gettempdir()) / f"keepstep-{uid}-{name}"
    directory.mkdir(mode=0o700, exist_ok=True)
    seen = directory.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != uid or seen.st_mode & 0o077:
        raise PermissionError(f"{directory} is not a private directory of this user")
    return directory


def _bind(database: Path, name: str) -> tuple[Path, socket.socket]:
    own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        own.setblocking(False)
        try:
            directory = _private_directory(database)
            own.bind(str(directory / name))
        except FileNotFoundError:  # the last of its peers has just removed the directory
            directory = _private_directory(database)
            own.bind(str(directory / name))
    except OSError:
        own.close()
        raise
    return directory, own
