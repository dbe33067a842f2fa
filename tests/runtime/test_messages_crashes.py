"""Whatever commit a process dies at, what was said to a run is handled once, in order, and updates are answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

import keepstep
from keepstep import Engine, RunClosed, UpdateFailed, UpdateRejected, step, workflow
from tests.runtime.crashing import crash_at_every_commit

effects: Counter[str] = Counter()


@step
async def ring_up(what: str) -> int:
    effects[what] += 1
    return len(what)


@workflow
class Till:
    """Rings up what it is told, until it is closed."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.said: list[str] = []
        self.is_over = False

    async def run(self) -> list[str]:
        await ring_up("open")
        self.said.append(await keepstep.receive("motto", str))
        await keepstep.wait_for(lambda: self.is_over)
        await ring_up("close")
        return [*self.rung, *self.said]

    @keepstep.signal
    def say(self, what: str) -> None:
        self.said.append(what)

    @keepstep.signal
    async def ring(self, what: str) -> None:
        await ring_up(f"signal {what}")
        self.rung.append(what)

    @keepstep.signal
    def close(self) -> None:
        self.is_over = True

    @keepstep.update
    async def sell(self, what: str) -> int:
        price = await ring_up(f"sell {what}")
        await keepstep.sleep(1)
        self.rung.append(f"sold {what}")
        return price

    @sell.validator
    def check_sell(self, what: str) -> None:
        if f"sold {what}" in self.rung:
            raise ValueError(f"{what} was sold")

    @keepstep.update
    def count(self) -> int:
        if not self.rung:
            raise LookupError("nothing yet")
        return len(self.rung)

    @keepstep.query
    def so_far(self) -> list[str]:
        return self.rung


async def keep_till(engine: Engine) -> dict[str, Any]:
    handle = await engine.start(Till, id="till")
    seen: dict[str, Any] = {}
    with suppress(RunClosed):
        await handle.signal("say", "one", id="1")
        await handle.signal("ring", "bell", id="2")
        await handle.signal("say", "two", id="3")
        await handle.signal("motto", "honest", id="4")
    seen["sold"] = await asyncio.gather(
        handle.update("sell", "pot", id="u1"), handle.update(Till.sell, "teapot", id="u2")
    )
    try:
        seen["counted"] = await handle.update("count", id="u3")
    except UpdateFailed as error:
        seen["counted"] = str(error.__cause__)
    with pytest.raises((UpdateRejected, RunClosed)):
        await handle.update("sell", "pot", id="u4")
    with suppress(RunClosed):
        await handle.signal(Till.close, id="5")
    seen["result"] = await handle.result()
    seen["query"] = await handle.query(Till.so_far)
    seen["types"] = Counter([event.type async for event in handle.history()])
    return seen


def test_signals_and_updates_are_handled_once_and_in_order_whatever_crashes() -> None:
    def check(seen: dict[str, Any], crashes: int) -> None:
        assert seen["sold"] == [8, 11]
        assert seen["counted"] == 3
        assert sorted(seen["query"]) == ["bell", "sold pot", "sold teapot"]
        assert seen["result"] == [*seen["query"], "one", "two", "honest"]
        assert seen["types"]["update_accepted"] == 3
        assert seen["types"]["update_completed"] == 3
        assert seen["types"]["update_failed"] == 0
        assert seen["types"]["signal_received"] == 5
        assert set(effects) == {"open", "signal bell", "sell pot", "sell teapot", "close"}
        assert sum(effects.values()) <= 5 + 3 * crashes
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(keep_till, check) >= 30
