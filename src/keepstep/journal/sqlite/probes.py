"""Probes: which suspect each lease's process runs just now, in a small file a lease, beside the database.

A note must be there before the suspect's code runs and be gone as soon as it has run: who dies in between died of it.
Were a note a transaction, it would stand for as long as the disk takes to sync, so that a busy worker killed from
outside would nearly always leave one behind, and with it blame on a run that did nothing. What is written to a file
outlives its process at once; it need not outlive the machine, and one of an earlier boot says nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from keepstep.journal.errors import StoreUnavailable
from keepstep.journal.process import boot_id

NOTE_BYTES_MAX = 4096


class Probes(Protocol):
    """The notes of all leases of one database."""

    def note(self, lease_id: str, run_id: str | None) -> None:
        """Note which run this process runs for its lease. Raises ``StoreUnavailable`` if it cannot be noted."""
        ...

    def read(self, lease_id: str) -> str | None:
        """The run that a lease's process ran when it last said something."""
        ...

    def drop(self, lease_id: str) -> None:
        """The lease is over, whoever owned it: forget what it noted."""
        ...

    def close(self) -> None:
        """This process notes nothing any more."""
        ...


class FileProbes:
    """See the module."""

    def __init__(self, database: Path) -> None:
        self._prefix = f"{database.name}-probe-"
        self._folder = database.parent
        self._boot = boot_id()
        self._open: dict[str, int] = {}
        """Descriptors of the files of this process's leases; most leases never probe anything and have none."""

    def note(self, lease_id: str, run_id: str | None) -> None:
        try:
            descriptor = self._descriptor(lease_id)
            os.ftruncate(descriptor, 0)
            if run_id is not None:
                os.pwrite(descriptor, f"{self._boot} {run_id}".encode(), 0)
        except OSError as error:
            raise StoreUnavailable(f"{self._file(lease_id)} cannot be written: {error.strerror}") from error

    def read(self, lease_id: str) -> str | None:
        try:
            with self._file(lease_id).open("rb") as file:
                noted = file.read(NOTE_BYTES_MAX).decode(errors="replace")
        except OSError:
            return None
        boot, _, run_id = noted.partition(" ")
        return run_id if run_id and boot == self._boot else None

    def drop(self, lease_id: str) -> None:
        self._close(lease_id)
        with contextlib.suppress(OSError):
            self._file(lease_id).unlink()

    def close(self) -> None:
        """This process notes nothing any more."""
        for lease_id in list(self._open):
            self._close(lease_id)

    def sweep(self, list_open_leases: Callable[[], Iterable[str]]) -> None:
        """Remove the files of leases that are over: somebody may note something after others have ended his lease."""
        found = [self._folder / name for name in os.listdir(self._folder) if name.startswith(self._prefix)]
        if not found:
            return
        kept = {
            self._file(lease_id) for lease_id in list_open_leases()
        }  # in this order: a file is made after its lease
        for file in found:
            if file not in kept:
                file.unlink(missing_ok=True)

    def _file(self, lease_id: str) -> Path:
        return self._folder / (self._prefix + hashlib.sha256(lease_id.encode()).hexdigest()[:16])

    def _descriptor(self, lease_id: str) -> int:
        descriptor = self._open.get(lease_id)
        if descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            descriptor = self._open[lease_id] = os.open(self._file(lease_id), flags, 0o666)
        return descriptor

    def _close(self, lease_id: str) -> None:
        descriptor = self._open.pop(lease_id, None)
        if descriptor is not None:
            os.close(descriptor)
