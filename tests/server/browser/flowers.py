"""A flower shop, whose runs are seen in the pictures of the documents."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from enum import Enum

import keepstep
from keepstep import Retry, WorkflowFailed, saga, step, workflow

from .served import Served


class CardDeclined(Exception):
    """The customer has to pay in another way."""


@step
async def pick_flowers(bouquet: str) -> list[str]:
    await asyncio.sleep(0.12)
    return bouquet.split(" and ")


@step
async def bind_bouquet(flowers: list[str], ribbon: str = "white") -> str:
    await asyncio.sleep(0.2)
    return f"{len(flowers)} kinds, {ribbon} ribbon"


@step
async def print_card(text: str) -> str:
    await asyncio.sleep(0.08)
    return text


@step(retry=Retry(max_attempts=3, initial=0.3, non_retryable=(CardDeclined,)))
async def charge_for_flowers(customer: str, cents: int) -> str:
    await asyncio.sleep(0.1)
    if cents > 20_000:
        raise CardDeclined(f"{customer}: over the limit of the card")
    if keepstep.step_info().attempt == 1:
        raise ConnectionError("the payment provider does not answer")
    return f"paid {cents / 100:.2f}"


@step
async def give_money_back(customer: str, cents: int, outcome: object = None) -> None:
    await asyncio.sleep(0.05)


@step(queue="couriers")
async def call_courier(street: str) -> str:
    return f"courier for {street}"


@workflow
async def deliver_flowers(customer: str, bouquet: str, cents: int) -> str:
    """Binds, charges, and waits for the courier; what was charged is given back if nobody comes."""
    keepstep.set_attributes(customer=customer, cents=cents)
    async with saga() as undoing:
        flowers, _ = await asyncio.gather(pick_flowers(bouquet), print_card(f"for {customer}"))
        await undoing.run(charge_for_flowers, customer, cents, undo=give_money_back)
        bound = await bind_bouquet(flowers)
        keepstep.set_status("ready, waits for its courier")
        return f"{bound}, with {await keepstep.receive('collected', str, timeout='4h')}"


class Decision(Enum):
    REFUND = "refund"
    NEW_BOUQUET = "new bouquet"
    NOTHING = "nothing"


@dataclass
class Answer:
    decision: Decision
    note: str = ""


@workflow
async def answer_complaint(customer: str) -> str:
    answer: Answer = await keepstep.human_task(f"{customer}: the roses have faded", form=Answer, assignee="mara")
    return answer.decision.value


@workflow
async def remind_of_birthday(name: str) -> str:
    await keepstep.sleep("12d")
    return name


@workflow
async def send_far(street: str) -> str:
    return await call_courier(street)


CUSTOMERS = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hedy")


async def open_shop(shop: Served) -> None:
    """A day of it: some delivered, some waiting, some that somebody has to look at."""
    engine = shop.engine
    delivered = [
        await engine.start(deliver_flowers, name, "roses and ferns", 2_400 + 100 * place, id=f"order-{100 + place}")
        for place, name in enumerate(CUSTOMERS)
    ]
    for run in delivered[:6]:
        await run.signal("collected", "Jo on the red bicycle")
        await run.result()
    with contextlib.suppress(WorkflowFailed):
        await engine.run(deliver_flowers, "Ida", "orchids", 48_000, id="order-108")
    await engine.start(answer_complaint, "Cleo", id="complaint-17")
    for name in CUSTOMERS[:3]:
        await engine.start(remind_of_birthday, name, id=f"birthday-{name.lower()}")
    for number in (3, 5):
        await engine.start(send_far, f"Elm Street {number}", id=f"far-{number}")
    paused = await engine.start(remind_of_birthday, "Gus", id="birthday-gus")
    await paused.pause()
