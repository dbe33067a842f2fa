"""Fulfils a few orders, on a database that it makes if it is missing."""

from __future__ import annotations

import asyncio
import sys
import time

from keepstep import Engine

from .studio import fulfil, gpu, mail, mailed, most, orders

QUEUES = ("default", gpu, mail, orders)


async def work_through_orders(engine: Engine) -> list[str]:
    """What came of it, in words."""
    began = time.monotonic()
    handles = []
    for n in range(4):
        for customer in ("ann", "ben"):
            pictures = [f"{customer}-{n}-{i}" for i in range(3)]
            handles.append(await engine.start(fulfil, customer, pictures, id=f"{customer}-{n}", fairness_key=customer))
    while not (waiting := await handles[-1].describe()).waiting_for[0].holder:
        await asyncio.sleep(0.01)  # no worker has looked at the queue yet
    said = [f"the last order is {waiting.condition}: it waits for {waiting.waiting_for[0].holder}"]
    for handle in handles:
        await handle.result()
    said.append(f"at most {most['gpu']} pictures at a time, and {most['ann']} order of ann's")
    said.append(f"{most['mails']} mails in no less than 2 s: {time.monotonic() - began >= 2}")
    gap = min(third - first for times in mailed.values() for first, third in zip(times, times[2:], strict=False))
    said.append(f"of one customer's no more than 2 in a second: {gap > 0.9}")
    return said


async def main(url: str) -> None:
    async with Engine(url, queues=QUEUES) as engine:
        for line in await work_through_orders(engine):
            print(line)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory:"))
