"""Deeds on SQLite: how a step's own work is done within a flush (see ``keepstep.journal.deed``).

``Sandbox`` puts a savepoint around it and bounds what it may take; a ``Guard`` says which statements it may execute; it
gets a ``DeedConnection``, which ends with it; a ``Hand`` is the thread that does it.
"""

from .hand import Hand, Performer
from .sandbox import Sandbox

__all__ = ["Hand", "Performer", "Sandbox"]
