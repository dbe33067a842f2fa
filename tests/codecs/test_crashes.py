"""A process that dies at any commit, under every chain of codecs, leaves a run that ends as if it had not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Outcome, step, workflow
from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.keys import new_key
from tests.runtime.crashing import crash_at_every_commit

KEY = new_key()


@step
async def crashing_sealed(word: str) -> str:
    return word * 100


@step
async def crashing_sealed_undo(word: str, outcome: Outcome) -> None:
    assert word


@workflow
async def crashing_sealed_child(word: str) -> str:
    return word + await crashing_sealed("c")


@workflow
async def crashing_sealed_run(word: str) -> list[Any]:
    got = list(await asyncio.gather(crashing_sealed(word), crashing_sealed("b" * 50), keepstep.sleep(1)))
    async with keepstep.saga() as saga:
        got.append(await saga.run(crashing_sealed, "d", undo=crashing_sealed_undo))
        got.append(await crashing_sealed_child("child"))
    got.append(await keepstep.receive("news", str))
    return [len(each or "") for each in got]


async def play(engine: Engine) -> list[int]:
    handle = await engine.start(crashing_sealed_run, "a", id="crashing-sealed")
    try:
        await handle.signal("news", "n" * 500, id="once")
    except keepstep.RunClosed:
        pass
    result: list[int] = await handle.result()
    return result


@pytest.mark.parametrize("chain", ["keys", "all"])
def test_a_crash_at_every_commit_changes_nothing(tmp_path: Path, chain: str) -> None:
    def make() -> Codec:
        keys = Keys({"k1": KEY})
        if chain == "keys":
            return Codec(keys=keys)
        return Codec(keys=keys, compression="zlib", blobs=FileBlobs(tmp_path), inline_bytes_max=60)

    def check(result: list[int], crashes: int) -> None:
        assert result == [100, 5000, 0, 100, 105, 500]

    assert crash_at_every_commit(play, check, make_codec=make) >= 16
