"""The order process, from the charge to the carrier's van. Read it from the top: it says what happens.

It runs for days, through crashes and deploys. Every ``await`` is durable: after a crash the function continues
where it was, on whichever worker is alive.
"""

from __future__ import annotations

import asyncio

import keepstep
from keepstep import workflow

from .model import (
    IN_DAYS,
    CardDeclined,
    Collected,
    Label,
    NotCollected,
    Order,
    Patience,
    PaymentVerdict,
    Picked,
    Receipt,
)
from .steps import (
    book_pickup,
    cancel_pickup,
    charge_payment,
    create_label,
    hand_out_goods,
    refund_payment,
    release_inventory,
    remind_carrier,
    reserve_inventory,
    send_confirmation,
    void_label,
)


@workflow
async def fulfil_order(order: Order, patience: Patience = IN_DAYS) -> Receipt:
    """Charge, reserve, label, pick, confirm, hand over. What fails on the way is undone, last things first."""
    async with keepstep.saga() as saga:
        payment = await take_payment(saga, order, patience)
        if payment.approved:
            await saga.run(reserve_inventory, order, undo=release_inventory)
            label = await saga.run(create_label, order, undo=void_label)
            picked = await wait_for_picker(order, patience)
            await send_confirmation(order, label)
            collected = await wait_for_carrier(order, label, patience)

    if not payment.approved:  # No money has moved, so this is raised where there is nothing left to undo.
        raise CardDeclined(f"{order.id}: {payment.reason}")

    await hand_out_goods(order)  # The parcel is on its way: from here on there is no undoing, only finishing.
    return Receipt(order.id, label.number, picked.by, collected.van)


async def take_payment(saga: keepstep.Saga, order: Order, patience: Patience) -> PaymentVerdict:
    """Asks for the money. The gateway answers later, by calling back."""
    verdict = keepstep.callback()
    await saga.run(charge_payment, order, verdict.url, undo=refund_payment)
    return await verdict.result(PaymentVerdict, timeout=patience.payment)


async def wait_for_picker(order: Order, patience: Patience) -> Picked:
    """Puts a task on the warehouse's list, and waits until a person has fetched the item from its shelf."""
    async with asyncio.timeout(patience.picking):
        return await keepstep.human_task(f"{order.id}: fetch {order.quantity} CDs", form=Picked)


async def wait_for_carrier(order: Order, label: Label, patience: Patience) -> Collected:
    """Waits for the carrier's van: reminds it after a while, and gives up after a longer one."""
    collected = keepstep.callback()
    await book_pickup(order, label, collected.url)
    try:
        return await collected.result(Collected, timeout=patience.reminder)
    except keepstep.TimedOut:
        await remind_carrier(order, label)
    try:
        return await collected.result(Collected, timeout=patience.cancellation)
    except keepstep.TimedOut:
        if await cancel_pickup(order, label):
            raise NotCollected(f"{order.id}: nobody came for label {label.number}") from None
    return await collected.result(Collected)  # The van was faster than our cancellation: its word is on the way.
