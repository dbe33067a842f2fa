"""The workflows and steps that are measured. Parent and child processes of the benchmarks import this same module."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any

import keepstep
from keepstep import Retry, step, workflow

STEPS_A_RUN = 10


class Watch:
    """What the steps of this process have seen; plain memory, read by the measurement beside them."""

    def __init__(self) -> None:
        self.step_times: list[float] = []
        self.hanging = 0
        self.finished = 0
        self.delays: list[float] = []
        self.is_victim = False
        self.ledger: int | None = None


watch = Watch()


def receipt(order: int, number: int) -> dict[str, Any]:
    """A step's result: of the size of a payment gateway's short answer."""
    return {"id": f"ch_{order:010d}", "amount": 4200, "currency": "eur", "status": "succeeded", "attempt": number}


@step
async def touch(order: int, number: int) -> dict[str, Any]:
    watch.step_times.append(time.perf_counter())
    return receipt(order, number)


@workflow
async def many_steps(order: int, steps: int) -> int:
    for number in range(steps):
        await touch(order, number)
    return order


@workflow
async def steps_at_once(order: int, steps: int) -> int:
    return len(await asyncio.gather(*(touch(order, number) for number in range(steps))))


@workflow
async def empty(order: int) -> int:
    return order


@workflow
async def wait_for_go(order: int) -> int:
    await keepstep.receive("go")
    return order


@workflow
async def sleeper(order: int) -> int:
    await keepstep.sleep("30d")
    return order


@step
async def hang_in_victim(order: int) -> int:
    if watch.is_victim:
        watch.hanging += 1
        await asyncio.Event().wait()
    return order


@step
async def finish(order: int) -> int:
    watch.finished += 1
    return order


@workflow
async def interrupted(order: int) -> int:
    await touch(order, 0)
    await hang_in_victim(order)
    return await finish(order)


@workflow
async def long_history(order: int, steps: int) -> int:
    for number in range(steps):
        await touch(order, number)
    await keepstep.receive("go")
    return order


@step
async def note_pickup(began: float) -> None:
    watch.delays.append(time.monotonic() - began)


@workflow
async def picked_up(began: float) -> None:
    await note_pickup(began)


# The six steps that a CDNOW order takes. Each writes a line into its process's ledger when it is done, so that what
# happened can be judged from outside of the journal.


@dataclass(frozen=True)
class CdnowOrder:
    """One line of the public CDNOW data set, under its line number."""

    number: int
    customer: int
    date: str
    quantity: int
    cents: int


def write_ledger(order: CdnowOrder, name: str) -> None:
    if watch.ledger is not None:
        os.write(watch.ledger, f"{order.number} {name}\n".encode())


@step(retry=Retry(max_attempts=3))
async def charge(order: CdnowOrder) -> str:
    write_ledger(order, "charge")
    return f"ch-{order.customer}-{order.cents}"


@step
async def reserve(order: CdnowOrder) -> int:
    write_ledger(order, "reserve")
    return order.quantity


@step
async def label(order: CdnowOrder, payment: str) -> str:
    write_ledger(order, "label")
    return f"label-{payment}"


@step
async def pack(order: CdnowOrder, quantity: int, paper: str) -> str:
    write_ledger(order, "pack")
    return f"parcel-{quantity}-{paper}"


@step
async def hand_over(order: CdnowOrder, parcel: str) -> str:
    write_ledger(order, "hand_over")
    return f"{parcel}-{order.date}"


@step
async def confirm(order: CdnowOrder, parcel: str) -> str:
    write_ledger(order, "confirm")
    return f"confirmed-{parcel}"


FULFILMENT = ("charge", "reserve", "label", "pack", "hand_over", "confirm")


@workflow
async def fulfil_cdnow(order: CdnowOrder) -> str:
    payment = await charge(order)
    quantity = await reserve(order)
    paper = await label(order, payment)
    parcel = await pack(order, quantity, paper)
    shipped = await hand_over(order, parcel)
    return await confirm(order, shipped)


def expected_result(order: CdnowOrder) -> str:
    """What ``fulfil_cdnow`` must return if every step's result is the one that was used."""
    return f"confirmed-parcel-{order.quantity}-label-ch-{order.customer}-{order.cents}-{order.date}"
