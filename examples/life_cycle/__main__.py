"""Sells, archives what was sold, and reads it again: without the database, and in another one."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from keepstep import Engine, WorkflowFailed
from keepstep.testing.kit import replay

from .orders import sell

ORDERS = (("order-1", "ann", 39.5), ("order-2", "ben", 4000.0), ("order-3", "cleo", 61.0))


async def sell_all(engine: Engine) -> None:
    for id, customer, amount in ORDERS:
        try:
            await engine.run(sell, customer, amount, id=id)
        except WorkflowFailed:
            print(f"{id} has failed")


async def clear_up(engine: Engine, archive: str) -> None:
    """What has failed is kept for a year; what was sold goes to the archive at once, as if a month had passed."""
    await engine.retention.set("failed", "365d")
    await engine.retention.set("completed", 0, archive=archive)
    dry = await engine.retention.sweep(dry_run=True)
    print(f"due: {dry.removed}")
    await engine.retention.sweep()
    while await engine.count("Status = 'completed'"):  # a worker may be at it, too
        await asyncio.sleep(0.01)
    print("in the database:", ", ".join([run.id async for run in engine.list("ORDER BY WorkflowId")]))
    await engine.retention.set("completed", "30d", archive=archive)


async def look_back(engine: Engine, archive: str) -> None:
    """An archive needs no database; what is wanted again is imported into one."""
    found = engine.archive(archive)
    for run in await found.list():
        print(f"archived: {run.id}, {run.type}, {run.status}")
    restored = await found.restore("order-1")
    print(f"{restored.id}: {await restored.result()}")
    print("of ann:", ", ".join([run.id async for run in engine.list("customer = 'ann'")]))


async def main(folder: Path) -> None:
    archive = str(folder / "archive")
    async with Engine(f"sqlite:///{folder}/shop.db") as shop:
        await sell_all(shop)
        await clear_up(shop, archive)
        failed = await shop.export("order-2")
    async with Engine(f"sqlite:///{folder}/office.db", workers=False) as office:
        await look_back(office, archive)
        await office.import_(failed)
        print(f"order-2 is {(await office.get('order-2').describe()).status} in the office, too")
    replay(archive)
    print("today's code replays what is archived")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made)))
