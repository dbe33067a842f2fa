"""A process that is cut off in the middle of a flush holds what it has locked, but not for as long as a lease lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from keepstep.journal import Fenced, NewMessage
from keepstep.journal.postgres import open_postgres
from keepstep.journal.postgres.wire import Wire
from keepstep.testing.postgres import PostgresServer, Proxy
from tests.journal.postgres.conftest import once
from tests.journal.scene import advance, claim_one, event, get, lease, new_run, settle, wait_until

LEASE_SECONDS = 10.0
"""By default. From the first second of the cut on nobody renews it, so that others take over after that."""

_MIDWAY = """
SELECT count(*) FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)
WHERE a.datname = 'stall_{name}' AND a.state = 'active' AND a.wait_event = 'ClientRead'
    AND l.mode = 'RowShareLock' AND l.granted
"""
"""Somebody has locked rows, and the server has heard half of what he wants."""


class Cut:
    """The next flush is cut off: ``answered``: the server waits for COMMIT; else it has heard half of the flush."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, server: PostgresServer, proxy: Proxy, when: str) -> None:
        self._server, self._proxy, self._when = server, proxy, when
        self.at = 0.0
        once(monkeypatch, Wire, "commit", self._cut)

    def _cut(self, commit: Callable[[Wire], Any], wire: Wire) -> Any:
        results = wire.exchange() if self._when == "answered" else self._say_half(wire)
        self._proxy.silence()
        self.at = time.monotonic()
        return [*results, *commit(wire)]

    def _say_half(self, wire: Wire) -> list[Any]:
        wire._flush()
        deadline = time.monotonic() + 20
        while self._server.query(_MIDWAY.format(name=self._when)) == "0":
            assert time.monotonic() < deadline
        return []


@pytest.mark.parametrize("when", ["answered", "midway"])
async def test_what_a_process_holds_that_is_cut_off_in_a_flush_is_free_before_its_lease_is_over(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The network's ends look alive to the server, as behind a balancer or a pooler."""
    url = own_server.create_database(f"stall_{when}")
    with Proxy(own_server.port) as proxy:
        cut_off = await open_postgres(f"{url.replace(str(own_server.port), str(proxy.port))}?shards=1")
        other = await open_postgres(f"{url}?shards=1")
        await cut_off.open_lease(lease("A", mortal=True))
        run = await get(cut_off, (await cut_off.start(new_run(lease_id="A"))).run_id)
        cut = Cut(monkeypatch, own_server, proxy, when)
        lost = asyncio.ensure_future(advance(cut_off, run, events=(event("lost"),)))
        await wait_until(lambda: cut.at)
        assert await other.send(NewMessage(run_id=run.run_id, kind="signal"))  # waits for the run's row
        assert await other.reap() == ["A"]
        assert time.monotonic() - cut.at < LEASE_SECONDS - 1
        await other.open_lease(lease("B"))
        taken = await claim_one(other, "B")
        assert (await advance(other, taken, events=(event("taken over"),))).last_seq == 2
        proxy.heal()
        assert isinstance((await settle(lost))[0], Fenced)
        assert [each.type for each in await other.read_events(run.run_id)] == ["started", "taken over"]
        await cut_off.close()
        await other.close()


async def test_one_who_takes_over_does_not_wait_for_what_has_stood_still_for_long(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own_server.create_database("stall_late")
    with Proxy(own_server.port) as proxy:
        cut_off = await open_postgres(f"{url.replace(str(own_server.port), str(proxy.port))}?shards=1")
        other = await open_postgres(f"{url}?shards=1")
        await cut_off.open_lease(lease("A", mortal=True))
        run = await get(cut_off, (await cut_off.start(new_run(lease_id="A"))).run_id)
        cut = Cut(monkeypatch, own_server, proxy, "late")
        lost = asyncio.ensure_future(advance(cut_off, run, events=(event("lost"),)))
        await wait_until(lambda: cut.at and time.monotonic() - cut.at > 5.5)
        began = time.monotonic()
        assert await other.reap() == ["A"]
        assert time.monotonic() - began < 1.5  # less than a lock is waited for
        proxy.heal()
        assert isinstance((await settle(lost))[0], Fenced)
        await cut_off.close()
        await other.close()
