"""The in-memory store: the journal's promises without a disk, for simulation and tests."""

from .disk import MemoryDisk
from .journal import MemoryJournal

__all__ = ["MemoryDisk", "MemoryJournal"]
