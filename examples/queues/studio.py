"""The queues, the steps and runs that wait on them, and a book of what was at work at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import keepstep
from keepstep import step, workflow

gpu = keepstep.queue("gpu", concurrency=2, weights={"gold": 2})
mail = keepstep.queue("mail", rate="3/s", rate_per_key="2/s")
orders = keepstep.queue("orders", per_key=1)

at_work: Counter[str] = Counter()
most: Counter[str] = Counter()
mailed: dict[str, list[float]] = {}


@step(queue=gpu)
async def render(picture: str) -> str:
    at_work["gpu"] += 1
    most["gpu"] = max(most["gpu"], at_work["gpu"])
    await asyncio.sleep(0.05)
    at_work["gpu"] -= 1
    return f"{picture}.png"


@step(queue=mail)
async def send(customer: str, picture: str) -> None:
    most["mails"] += 1
    mailed.setdefault(customer, []).append(time.monotonic())


@workflow(queue=orders)
async def fulfil(customer: str, pictures: list[str]) -> list[str]:
    """One order. Those of one customer follow each other; those of others run beside them."""
    at_work[customer] += 1
    most[customer] = max(most[customer], at_work[customer])
    rendered = await asyncio.gather(*[render.options(fairness_key=customer)(each) for each in pictures])
    await send.options(fairness_key=customer)(customer, rendered[0])
    at_work[customer] -= 1
    return list(rendered)
