"""W10: how many statements a second does a worker process send that has nothing to do?

Counted by the server (``pg_stat_statements``, transaction control included), on a server of its own that has this
extension loaded; from a while after the worker is there, so that its beginning does not count.

    python -m benchmarks.w10_idle URL     the idle worker
"""

from __future__ import annotations

import asyncio
import sys
import time

from keepstep import Engine

from . import shop
from .bench import Bench
from .child import Child, say
from .peer import Peer
from .postgres_store import PostgresDatabase, PostgresStore

SETTLING_SECONDS = 5.0

_COUNT = """
SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_statements%'
"""


async def be_idle(url: str) -> None:
    assert shop.many_steps is not None  # a worker that could do something, had it something to do
    async with Engine(url):
        say(ready=True)
        await asyncio.Event().wait()


def statements_per_second(database: PostgresDatabase, seconds: float) -> float:
    time.sleep(SETTLING_SECONDS)
    before, began = int(database.query(_COUNT)), time.monotonic()
    time.sleep(seconds)
    return (int(database.query(_COUNT)) - before) / (time.monotonic() - began)


def measure_all(bench: Bench, peers: list[Peer]) -> None:
    with PostgresStore({"shared_preload_libraries": "pg_stat_statements"}) as store:
        store.server.query("CREATE EXTENSION pg_stat_statements", database="template1")
        with store.postgres_database() as database, Child.of_module("w10_idle", database.url) as worker:
            worker.hear()
            bench.add("w10.statements", statements_per_second(database, bench.scale.w10_seconds))
        for peer in peers if bench.scale.peer_waits else ():
            with store.postgres_database() as database:
                peer.prepare(database)
                with peer.play(database, "worker", 0) as worker:
                    worker.hear()
                    rate = statements_per_second(database, bench.scale.w10_seconds)
                    bench.add("w10.statements", rate, peer.system)


if __name__ == "__main__":
    asyncio.run(be_idle(sys.argv[1]))
