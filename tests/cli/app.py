"""What the commands are tried on."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import keepstep
from keepstep import Retry, step, workflow


@dataclass
class Order:
    id: int
    item: str


@step
async def charge_order(order: Order) -> str:
    return f"charged {order.id}"


@step(retry=Retry(max_attempts=1))
async def fail_at_once() -> None:
    raise ValueError("kaputt")


@workflow
async def buy(order: Order, note: str = "") -> str:
    charged = await charge_order(order)
    picker = await keepstep.human_task("pick it", form=str)
    pieces = await keepstep.receive("pieces", int)
    return f"{charged}, {pieces} picked by {picker}{note}"


@workflow
async def break_down() -> None:
    await fail_at_once()


@step
async def take_back() -> None:
    return None


@workflow
async def undo_all() -> None:
    async with keepstep.saga() as saga:
        saga.compensate(take_back)
        await fail_at_once()


@workflow
async def wait_for_webhook() -> str:
    callback = keepstep.callback()
    keepstep.set_status(callback.token)
    return str(await callback.result(str))


@step(once=True)
def pay() -> str:
    with open("pay-was-called", "x"):  # fails if it is called a second time
        threading.Event().wait()
    return "paid"


@workflow
async def pay_once() -> str:
    return await pay()


@workflow(queue="slow", timeout="1s")
async def never_ending() -> None:
    await keepstep.receive("never")


@step
async def weigh(thing: str) -> int:
    return len(thing)


@workflow
class Scales:
    """Weighs what is put on them, until it is enough."""

    def __init__(self) -> None:
        self.weight = 0

    async def run(self, enough: int) -> int:
        await keepstep.wait_for(lambda: self.weight >= enough)
        return self.weight

    @keepstep.update
    async def put(self, thing: str, seconds: float = 0.0) -> int:
        await keepstep.sleep(seconds)
        self.weight += await weigh(thing)
        return self.weight

    @put.validator
    def check_put(self, thing: str, seconds: float = 0.0) -> None:
        if not thing:
            raise ValueError("nothing weighs nothing")

    @keepstep.update
    def take(self, grams: int) -> int:
        if grams > self.weight:
            raise LookupError("there is not so much on them")
        self.weight -= grams
        return self.weight

    @keepstep.query
    def reads(self, times: int = 1) -> int:
        return self.weight * times
