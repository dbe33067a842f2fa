"""Whatever goes wrong around a policy, it is carried out later: by whoever can read it, and when the store is back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keepstep import workflow
from keepstep.codecs import Codec, Keys
from keepstep.codecs.keys import new_key
from keepstep.journal import Condition, Status, Unreadable
from keepstep.retention import sweep
from keepstep.retention.guest import room_of
from tests.retention.test_rules import HOUR, ids, open_engine, played
from tests.runtime.crashing import CrashingJournal, World

KEY = new_key()


@workflow
async def retained_in_trouble(name: str) -> str:
    return name


def test_a_policy_that_a_worker_has_no_key_for_is_carried_out_by_another() -> None:
    async def play(world: World) -> None:
        client = await open_engine(world, workers=False, codec=Codec(keys=Keys({"k1": KEY})))
        keyless = await open_engine(world, poll_seconds=10.0)
        await keyless.run(retained_in_trouble, "a", id="a")
        await asyncio.sleep(HOUR)
        await client.retention.set("completed", "1m")
        await asyncio.sleep(60)
        assert await ids(keyless) == ["a"]
        policy = await client.journal.find_run(room_of("default"), "policy")
        assert policy is not None
        assert policy.condition is Condition.BLOCKED
        with pytest.raises(Unreadable, match="k1"):
            await keyless.retention.describe()
        await open_engine(world, poll_seconds=10.0, codec=Codec(keys=Keys({"k1": KEY})))
        await asyncio.sleep(60)
        assert await ids(keyless) == []
        assert (await client.retention.describe()).removed == 1

    played(play)


def test_an_unexpected_error_is_told_and_the_rules_are_carried_out_later(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_batch = sweep.Sweeping.sweep_batch

    async def fail(self: Any, left: Any) -> Any:
        raise ZeroDivisionError("a mistake")

    async def play(world: World) -> None:
        engine = await open_engine(world, poll_seconds=10.0)
        await engine.run(retained_in_trouble, "a", id="a")
        monkeypatch.setattr(sweep.Sweeping, "sweep_batch", fail)
        await engine.retention.set("completed", 0)
        await asyncio.sleep(10)
        assert (await engine.retention.describe()).trouble == "ZeroDivisionError: a mistake"
        monkeypatch.setattr(sweep.Sweeping, "sweep_batch", sweep_batch)
        await asyncio.sleep(120)
        assert (await ids(engine), (await engine.retention.describe()).trouble) == ([], None)

    played(play)


@pytest.mark.parametrize("trouble", ["refused", "unknown"])
def test_a_note_whose_commit_has_failed_leaves_no_policy_in_hand(trouble: str) -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world, poll_seconds=1.0, lease_seconds=5.0)
        await engine.run(retained_in_trouble, "a", id="a")
        await asyncio.sleep(1)
        set_by = CrashingJournal.commits + 1
        CrashingJournal.troubles = {set_by + n: trouble for n in (1, 2)}
        await engine.retention.set("completed", "1m")
        await asyncio.sleep(300)
        assert CrashingJournal.troubles == {}
        assert await ids(engine) == []
        policy = await engine.journal.find_run(room_of("default"), "policy")
        assert policy is not None
        assert (policy.status, policy.owner) == (Status.RUNNING, None)

    played(play)
