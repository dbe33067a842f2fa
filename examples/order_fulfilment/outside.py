"""One request to the outside world, under the step's idempotency key."""

from __future__ import annotations

import asyncio
import os
from typing import Any
from weakref import WeakKeyDictionary

import httpx2

import keepstep

from .model import AlreadyCollected, Order, OutOfStock

WORLD_URL = "WORLD_URL"
WORKER_NAME = "WORKER_NAME"

REFUSALS: dict[str, type[Exception]] = {"out_of_stock": OutOfStock, "already_collected": AlreadyCollected}
"""What the world says no to, once and for all."""

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()


class WorldTrouble(Exception):
    """The other side could not do it this time."""


async def ask(path: str, order: Order, **details: Any) -> dict[str, Any]:
    """Posts to the world and returns its answer.

    :raises WorldTrouble: if the other side failed: worth another attempt.
    :raises OutOfStock, AlreadyCollected: if it refused: not worth one.
    """
    me = keepstep.step_info()
    answer = await _client().post(
        path,
        json={"order": order.id, **details},
        headers={
            "Idempotency-Key": me.idempotency_key,
            "Attempt": str(me.attempt),
            "Worker": os.environ.get(WORKER_NAME, ""),
        },
    )
    if answer.is_success:
        return dict(answer.json())
    if answer.status_code == 409:
        refusal = answer.json()["error"]
        raise REFUSALS.get(refusal, WorldTrouble)(f"{order.id}: {refusal}")
    raise WorldTrouble(f"{path} answered {answer.status_code} for {order.id}")


def _client() -> httpx2.AsyncClient:
    """The event loop's client: connections are kept open between steps. The step's own time-out bounds a request."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
        url = os.environ.get(WORLD_URL, "http://127.0.0.1:8700")
        _clients[loop] = httpx2.AsyncClient(base_url=url, timeout=None, limits=limits)
    return _clients[loop]
