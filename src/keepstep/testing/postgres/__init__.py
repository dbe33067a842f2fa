"""Real PostgreSQL servers to throw away: for tests, benchmarks and demonstrations.

``PostgresServer`` is one server in a temporary folder, with the settings of a server that matters: what it has
acknowledged is on disk. It can be stopped, killed, restarted, and its sessions can be cut off. It needs no driver.
"""

from .access import Access, ServerFailed
from .binaries import Binaries, NoPostgres, find_binaries
from .server import PostgresServer, StopMode

__all__ = ["Access", "Binaries", "NoPostgres", "PostgresServer", "ServerFailed", "StopMode", "find_binaries"]
