"""``python -m examples.bulk``: a bad day at a depot, on a database that it makes if it is missing."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from tempfile import TemporaryDirectory

from keepstep import BulkProgress, Engine

from .parcels import BROKEN_PRINTERS, send_parcel


async def hand_in(engine: Engine, count: int) -> None:
    """Parcels of a shop, which go by the north and the south in turn."""
    for n in range(count):
        await engine.start(send_parcel, n, ("north", "south")[n % 2], id=f"parcel-{n}")


async def until(engine: Engine, filter: str, count: int) -> None:
    while await engine.count(filter) != count:
        await asyncio.sleep(0.01)


async def have_a_bad_day(engine: Engine) -> list[str]:
    """The printer in the south breaks, then the road in the north; in the evening the shop gives up."""
    BROKEN_PRINTERS.add("south")
    await hand_in(engine, 8)
    await until(engine, "Status = 'failed'", 4)
    await until(engine, "depot = 'north' AND Status = 'running'", 4)

    would = await engine.bulk.retry("depot = 'south'", dry_run=True)
    said = [f"would retry {would.done}, the first is {would.sample[0].id}"]
    BROKEN_PRINTERS.clear()
    report = await engine.bulk.retry("depot = 'south'")
    said.append(f"retried {report.done}, {report.refused} refused")

    report = await engine.bulk.signal("depot = 'north'", "order", "south")
    again = await engine.bulk.signal(None, "order", "south", everything=True, id=report.id, began_at=report.began_at)
    said.append(f"sent {report.done} by the south, and of all only {again.done} more when told again")
    await until(engine, "depot = 'south' AND Status = 'running'", 8)

    def tell(progress: BulkProgress) -> None:
        said.append(f"{progress.runs} of {progress.total}")

    await engine.bulk.cancel("StartTime < NOW + '1h'", reason="the van does not come", on_progress=tell)
    await until(engine, "Status = 'cancelled'", 8)
    return said


async def main(url: str) -> None:
    async with Engine(url, namespace="tea-shop") as tea, Engine(url, namespace="book-shop") as books:
        await hand_in(books, 2)
        await until(books, "HistoryLength > 1", 2)  # both have their labels
        print("\n".join(await have_a_bad_day(tea)))
        print("tea:", dict(Counter([str(run.status) async for run in tea.list()])))
        print("books:", dict(Counter([str(run.status) async for run in books.list()])))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with TemporaryDirectory() as folder:
            asyncio.run(main(f"sqlite:///{folder}/parcels.db"))
