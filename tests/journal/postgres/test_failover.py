"""A failover to a synchronous standby: what was acknowledged is there, and what was in flight goes on by itself."""

from __future__ import annotations

import asyncio

from keepstep.journal import Commit
from keepstep.journal.postgres import open_postgres
from keepstep.testing.postgres import PostgresCluster
from tests.journal.scene import event, lease, new_run, wait_until

RUNS = 4


async def test_nothing_that_was_acknowledged_is_lost_when_the_standby_takes_over() -> None:
    cluster = await asyncio.to_thread(PostgresCluster().__enter__)
    try:
        journal = await open_postgres(f"{cluster.url}&shards=2")
        await journal.open_lease(lease())
        ids = [(await journal.start(new_run(f"w{n}", lease_id="L"))).run_id for n in range(RUNS)]
        is_over, done = False, dict.fromkeys(ids, 1)

        async def step(run_id: str) -> None:
            while not is_over:
                seq = done[run_id] + 1
                commit = Commit(run_id=run_id, epoch=1, first_seq=seq, events=(event(f"{seq}"),))
                done[run_id] = (await journal.commit(commit)).last_seq

        steps = [asyncio.ensure_future(step(run_id)) for run_id in ids]
        await wait_until(lambda: min(done.values()) > 5)
        await asyncio.to_thread(cluster.fail_over)
        reached = dict(done)
        await wait_until(lambda: all(done[run_id] > reached[run_id] + 5 for run_id in ids))
        is_over = True
        await asyncio.gather(*steps)
        for run_id in ids:
            events = await journal.read_events(run_id)
            assert [each.type for each in events[1:]] == [f"{seq}" for seq in range(2, done[run_id] + 1)]
        await journal.close()
    finally:
        await asyncio.to_thread(cluster.close)
