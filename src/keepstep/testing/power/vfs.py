"""File system: what SQLite calls instead of the operating system. Everything is done on real files, and written down.

The real files are what the kernel would show; the ``Trace`` is what a disk would get to see, and when. Only databases,
write-ahead logs and rollback journals are of interest; shared memory and temporary files do not outlive a power cut.
All handles of a folder share one ``FileSystem``, as processes share a kernel.

A ``Trouble`` makes calls fail. What a failed sync should have made durable is forgotten (see ``survival``); if the
trouble says so, the kernel's cache forgets it as well, so that a later read finds what the disk has.
"""

from __future__ import annotations

import errno
import itertools
import random
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import apsw

from .survival import Change, Disk
from .trace import Create, Delete, FailedSync, Sync, SyncFolder, Trace, Truncate, Write

_RECORDED = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
_SYNCS_ITS_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL

NO_SYNC = "no-sync"
NO_FOLDER_SYNC = "no-folder-sync"
PLANTS = {
    NO_SYNC: "a disk that does not keep its word",
    NO_FOLDER_SYNC: "a library that forgets that a file's name must be durable, too",
}

_numbers = itertools.count(1)


class Call(StrEnum):
    """What SQLite may ask for that can go wrong."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"


@dataclass(frozen=True)
class Manner:
    """One way to fail."""

    name: str
    calls: tuple[Call, ...]
    code: int
    """SQLite's extended result code."""
    is_short: bool = False
    """Of a write: the first half of it is done."""
    evicts: bool = False
    """Of a sync: the kernel's cache forgets what was not written."""


class Trouble(Protocol):
    """Decides which calls fail."""

    def strike(self, call: Call) -> Manner | None:
        """Asked before every call."""
        ...


class NoTrouble:
    """Every call works."""

    def strike(self, call: Call) -> None:
        """It works."""


Remains = dict[str, tuple[bytes, list[Change]]]
"""Of each file what is durable, and what has not been synced since."""


class FileSystem(apsw.VFS):
    """See the module. A ``plant`` (see ``PLANTS``) is a defect that must be found."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: str,
        trouble: Trouble | None = None,
        plant: str | None = None,
        remains: Remains | None = None,
    ) -> None:
        """``remains`` tells what of the files that are there is durable; all of them is, if nothing is said."""
        _seed_sqlite(seed)
        self.name = f"keepstep-power-{next(_numbers)}"
        super().__init__(self.name, "")
        self.folder = folder
        self.seed = seed
        self.trace = Trace()
        self.trouble: Trouble = trouble or NoTrouble()
        self.syncs = plant != NO_SYNC
        """Whether a sync makes anything durable."""
        self.syncs_names = self.syncs and plant != NO_FOLDER_SYNC
        self.is_powered = True
        """Whether what happens is still written down; a process that is dead may still let go of its files."""
        found = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if _is_recorded(path)}
        self.before = found if remains is None else {name: remains.get(name, (b"", []))[0] for name in found}
        """What the disk holds when the trace begins."""
        self.disk = Disk(self.trace, self.before, seed)
        self.numbers = {name: number for number, name in enumerate(found)}
        for name, (_, unsynced) in (remains or {}).items():
            for change in unsynced:
                self.trace.add(change._replace(file=self.numbers[name]))
        self._next_number = len(found)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if name is None or not flags[0] & _RECORDED:
            return apsw.VFSFile("", name, flags)
        path = Path(name if isinstance(name, str) else name.filename())
        is_new = not path.exists()
        if is_new:
            self.check(Call.OPEN)
        file = RecordedFile(self, name, path.name, flags)
        if is_new and path.exists():
            self._create(path.name)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.check(Call.DELETE)
        super().xDelete(filename, syncdir)
        name = Path(filename).name
        if self.is_powered and name in self.numbers:
            self.trace.add(Delete(name))
            del self.numbers[name]
            if syncdir and self.syncs_names:
                self.trace.add(SyncFolder())

    def check(self, call: Call) -> None:
        """Raise if the call is to fail."""
        manner = self.trouble.strike(call) if self.is_powered else None
        if manner is not None:
            raise failure(manner)

    def remains(self) -> Remains:
        """What is durable of the files that have a name now, and what the kernel has still to write."""
        self.disk.advance_to(self.trace.place)
        return {name: self.disk.remains(number) for name, number in self.numbers.items()}

    def sync_and_evict(self, name: str) -> None:
        """Somebody has synced a file, past SQLite, and had the kernel forget it. Raises ``OSError``."""
        number = self.numbers.get(name)
        if number is None:
            return
        if self.trouble.strike(Call.SYNC) is not None:
            self.trace.add(FailedSync(number))
            raise OSError(errno.EIO, "Input/output error")
        if not self.syncs:
            return
        self.trace.add(Sync(number))
        path = self.folder / name
        shown, held = path.read_bytes(), self.held(number, path.stat().st_size)
        if shown != held:
            path.write_bytes(held)

    def held(self, file: int, size: int) -> bytes:
        """What the disk holds of a file that is so large."""
        self.disk.advance_to(self.trace.place)
        content, _ = self.disk.remains(file)
        return content + bytes(max(0, size - len(content)))

    def _create(self, name: str) -> None:
        if self.is_powered:
            self.numbers[name] = self._next_number
            self.trace.add(Create(name, self._next_number))
            self._next_number += 1


class RecordedFile(apsw.VFSFile):
    """One open file. It keeps its number although its name may come to mean another file."""

    def __init__(self, system: FileSystem, filename: str | apsw.URIFilename, name: str, flags: list[int]) -> None:
        super().__init__("", filename, flags)
        self._system = system
        self._name = name
        self._number: int | None = None
        # SQLite's own file system does this for every journal or log that it may have created.
        self._syncs_folder = bool(flags[0] & _SYNCS_ITS_FOLDER) and bool(flags[0] & apsw.SQLITE_OPEN_CREATE)

    @property
    def number(self) -> int:
        if self._number is None:
            self._number = self._system.numbers[self._name]
        return self._number

    def xRead(self, amount: int, offset: int) -> bytes:
        self._system.check(Call.READ)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        system = self._system
        if not system.is_powered:
            super().xWrite(data, offset)
            return
        manner = system.trouble.strike(Call.WRITE)
        if manner is not None:
            data = bytes(data)[: len(data) // 2 if manner.is_short else 0]
        if data:
            super().xWrite(data, offset)
            system.trace.add(Write(self.number, offset, bytes(data)))
        if manner is not None:
            raise failure(manner)

    def xTruncate(self, newsize: int) -> None:
        self._system.check(Call.TRUNCATE)
        super().xTruncate(newsize)
        if self._system.is_powered:
            self._system.trace.add(Truncate(self.number, newsize))

    def xSync(self, flags: int) -> None:
        system = self._system
        if not system.is_powered:
            return
        manner = system.trouble.strike(Call.SYNC)
        if manner is not None:
            system.trace.add(FailedSync(self.number))
            if manner.evicts:
                self._evict()
            raise failure(manner)
        if system.syncs:
            system.trace.add(Sync(self.number))
            if self._syncs_folder and system.syncs_names:
                system.trace.add(SyncFolder())
        self._syncs_folder = False

    def _evict(self) -> None:
        """The file shows again what the disk holds; its size is kept."""
        super().xWrite(self._system.held(self.number, self.xFileSize()), 0)


class _Seed(apsw.VFS):
    """Where SQLite gets the seed of its random numbers from, which it puts into logs and journals."""

    def __init__(self, seed: str) -> None:
        super().__init__("keepstep-power-seed", "", makedefault=True)
        self._chance = random.Random(seed)

    def xRandomness(self, numbytes: int) -> bytes:
        return self._chance.randbytes(numbytes)


def _seed_sqlite(seed: str) -> None:
    """From now on the random numbers of this process's APSW follow from the seed."""
    source = _Seed(seed)
    apsw.randomness(0)
    apsw.randomness(1)
    source.unregister()


def failure(manner: Manner) -> apsw.Error:
    """What SQLite is told."""
    error = apsw.exception_for(manner.code)
    assert isinstance(error, apsw.Error)
    error.args = (f"planned: {manner.name}",)
    return error


def _is_recorded(path: Path) -> bool:
    return path.name.endswith((".db", "-wal", "-journal"))
