"""``python -m examples.remote SERVER``: orders tea at a server that ``keepstep server --app`` runs the orders of.

The key is in ``KEEPSTEP_KEY``, if the server asks for one.
"""

from __future__ import annotations

import asyncio
import sys

from keepstep import BlockingEngine, Engine, WorkflowFailed

from .orders import OutOfTea, TeaOrder, order_tea


async def main(server: str) -> None:
    async with Engine(server) as engine:
        run = await engine.start(order_tea, TeaOrder("oolong", 250), id="tea-1")
        await run.signal("packed", "Ada", id="packed-1")
        receipt = await run.result()
        print(f"{receipt.order.tea}: {receipt.price}, packed by {receipt.packed_by}")
        try:
            await engine.run(order_tea, TeaOrder("silver needle", 50), id="tea-2")
        except WorkflowFailed as failed:
            print(f"tea-2: {reason_of(failed)}")
        found = [each.id async for each in engine.list("Status = 'failed'")]
        print(f"failed: {found}")


def reason_of(failed: WorkflowFailed) -> str:
    """The error that the step has raised is the error here, too."""
    step = failed.__cause__
    reason = None if step is None else step.__cause__
    return str(reason) if isinstance(reason, OutOfTea) else f"something else: {failed}"


def look(server: str) -> None:
    """A sync program is a client, too."""
    with BlockingEngine(server) as engine:
        print(f"tea-1 is {engine.get('tea-1').describe().status}, of {engine.count()} orders")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    look(sys.argv[1])
