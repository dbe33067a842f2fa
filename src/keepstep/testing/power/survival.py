"""Survival: what a disk holds after its power was cut.

What a file held at its last successful sync is there. Of every write since then, in the order in which they were made,
any part may be there or not, in units of a sector of 512 bytes: nothing, everything, the first few, some of them, some
sectors of some of them; a sector that was being written may hold garbage. Sectors that were not written since are not
touched (SQLite's "power-safe overwrite", which disks of today keep). Names are kept by syncs of the folder in the same
way: a file whose name was not synced may be gone, one that was deleted may be back. Shared memory is lost.

A sync that failed makes nothing durable, and what it should have made durable is forgotten by the kernel: a later sync
that succeeds does not bring it back (as Linux does since 4.13, see PostgreSQL's "fsyncgate"). Which part of it reached
the disk before the failure is drawn.

Not modelled: disks that lie about a sync, sectors that decay, writes that go astray.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from .trace import Create, Delete, FailedSync, Operation, Sync, SyncFolder, Trace, Truncate, Write

SECTOR_BYTES = 512

Change = Write | Truncate
Survive = Callable[[Change], Iterable[Change]]
"""What of one unsynced change is on the disk, in order."""


class Disk:
    """Follows a trace, place by place, and draws what would be left if power failed there."""

    def __init__(self, trace: Trace, files: dict[str, bytes], seed: str) -> None:
        """``files`` is what the folder held, durably, before the trace began. Their file numbers are 0, 1, …"""
        self._trace = trace
        self._seed = seed
        self._names = {name: number for number, name in enumerate(files)}
        self._durable = {number: bytearray(data) for number, data in enumerate(files.values())}
        self._unsynced: dict[int, list[Change]] = {number: [] for number in self._durable}
        self._unsynced_names: list[Create | Delete] = []
        self.place = 0

    def advance(self) -> bool:
        """One operation further; False at the end of the trace."""
        if self.place == len(self._trace.operations):
            return False
        operation = self._trace.operations[self.place]
        self.place += 1
        match operation:
            case Write() | Truncate():
                self._unsynced[operation.file].append(operation)
            case Sync(file):
                _apply(self._durable[file], self._unsynced[file])
                self._unsynced[file] = []
            case FailedSync(file):
                chance = random.Random(f"{self._seed}:failed:{self.place}")
                survive = _draw_manner(chance)
                _apply(self._durable[file], [part for one in self._unsynced[file] for part in survive(one)])
                self._unsynced[file] = []
            case Create(_, file):
                self._durable[file], self._unsynced[file] = bytearray(), []
                self._unsynced_names.append(operation)
            case Delete():
                self._unsynced_names.append(operation)
            case SyncFolder():
                _rename(self._names, self._unsynced_names)
                self._unsynced_names = []
        return True

    def advance_to(self, place: int) -> None:
        """Follow the trace up to a place, or to its end."""
        while self.place < place and self.advance():
            """One operation after the other."""

    @property
    def last(self) -> Operation | None:
        """The operation that was just done."""
        return self._trace.operations[self.place - 1] if self.place else None

    def remains(self, file: int) -> tuple[bytes, list[Change]]:
        """What a file surely holds, and what was written to it since."""
        return bytes(self._durable[file]), list(self._unsynced[file])

    def draw(self, draw: int) -> dict[str, bytes]:
        """The folder after a cut at this place. Draw 0 is the worst: nothing that was not synced is there."""
        chance = random.Random(f"{self._seed}:{self.place}:{draw}")
        names = dict(self._names)
        if draw:
            _rename(names, [one for one in self._unsynced_names if chance.random() < 0.5])
        found = {}
        for name, file in names.items():
            content = self._durable[file]
            if draw and self._unsynced[file]:
                survive = _draw_manner(chance)
                content = bytearray(content)
                _apply(content, [part for one in self._unsynced[file] for part in survive(one)])
            found[name] = bytes(content)
        return found


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Make a folder hold just these files."""
    for old in folder.iterdir():
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _rename(names: dict[str, int], changes: Iterable[Create | Delete]) -> None:
    for change in changes:
        if isinstance(change, Create):
            names[change.name] = change.file
        else:
            names.pop(change.name, None)


def _apply(content: bytearray, changes: Iterable[Change]) -> None:
    for change in changes:
        end = change.size if isinstance(change, Truncate) else change.offset + len(change.data)
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        if isinstance(change, Truncate):
            del content[end:]
        else:
            content[change.offset : end] = change.data


def _draw_manner(chance: random.Random) -> Survive:
    """In which manner the changes of one file survive."""
    manner = chance.choice((_nothing, _everything, _prefix, _some, _some_sectors, _some_garbage))
    return manner(chance)


def _nothing(chance: random.Random) -> Survive:
    return lambda change: ()


def _everything(chance: random.Random) -> Survive:
    return lambda change: (change,)


def _prefix(chance: random.Random) -> Survive:
    """Everything up to a point, at which a write may be torn."""
    stops = 1 / chance.randint(1, 40)
    stopped = False

    def survive(change: Change) -> Iterable[Change]:
        nonlocal stopped
        if stopped:
            return ()
        stopped = chance.random() < stops
        return _sectors(change, chance, 0.5) if stopped else (change,)

    return survive


def _some(chance: random.Random) -> Survive:
    likely = chance.choice((0.1, 0.5, 0.9))
    return lambda change: (change,) if chance.random() < likely else ()


def _some_sectors(chance: random.Random) -> Survive:
    likely = chance.choice((0.1, 0.5, 0.9))
    return lambda change: _sectors(change, chance, likely)


def _some_garbage(chance: random.Random) -> Survive:
    return lambda change: _sectors(change, chance, 0.7, 0.2)


def _sectors(change: Change, chance: random.Random, likely: float, garbage: float = 0.0) -> list[Change]:
    """The sectors of one change that are on the disk."""
    if isinstance(change, Truncate):
        return [change] if chance.random() < likely else []
    found: list[Change] = []
    begin, end = change.offset, change.offset + len(change.data)
    while begin < end:
        stop = min(end, (begin // SECTOR_BYTES + 1) * SECTOR_BYTES)
        data = change.data[begin - change.offset : stop - change.offset]
        if chance.random() < garbage:
            found.append(Write(change.file, begin, chance.randbytes(len(data))))
        elif chance.random() < likely:
            found.append(Write(change.file, begin, data))
        begin = stop
    return found
