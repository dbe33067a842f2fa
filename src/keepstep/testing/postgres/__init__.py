"""Real PostgreSQL servers to throw away: for tests, benchmarks and demonstrations.

``PostgresServer`` is one server in a temporary folder, with the settings of a server that matters: what it has
acknowledged is on disk. It can be stopped, killed, restarted, and its sessions can be cut off. ``PostgresCluster`` is
a primary with a synchronous standby, which fail over as often as one likes. ``Proxy`` is a network between a client
and a server, which can be cut, silent or slow; ``Pooler`` is a PgBouncer in front of a server; ``Host`` is another
machine whose cable can be pulled out. None of them needs a driver.
"""

from .access import Access, ServerFailed
from .binaries import Binaries, NoPostgres, find_binaries
from .cluster import PostgresCluster
from .host import Host, why_no_hosts
from .pooler import NoPooler, Pooler, find_pooler, why_no_pooler
from .proxy import Proxy
from .server import PostgresServer, StopMode

__all__ = [
    "Access",
    "Binaries",
    "Host",
    "NoPooler",
    "NoPostgres",
    "Pooler",
    "PostgresCluster",
    "PostgresServer",
    "Proxy",
    "ServerFailed",
    "StopMode",
    "find_binaries",
    "find_pooler",
    "why_no_hosts",
    "why_no_pooler",
]
