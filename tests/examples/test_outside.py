"""How a step asks the world, and what it makes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import httpx2
import pytest

from examples.order_fulfilment import outside
from examples.order_fulfilment.model import AlreadyCollected, Order, OutOfStock
from examples.order_fulfilment.outside import WorldTrouble, ask
from keepstep.worker.attempt import StepInfo, enter_step

ORDER = Order("order-00001", "00001", date(1997, 1, 1), 1, Decimal("11.77"))
Answering = Callable[[int, object], list[httpx2.Request]]


@pytest.fixture
async def answering() -> Answering:
    """Makes the world answer with a status and a body; returns the requests that it will have got."""
    enter_step(StepInfo("run", "order-00001", "charge_payment", 2, b"", lambda _: None))

    def answer(status: int, body: object) -> list[httpx2.Request]:
        got: list[httpx2.Request] = []

        def receive(request: httpx2.Request) -> httpx2.Response:
            got.append(request)
            return httpx2.Response(status, json=body)

        client = httpx2.AsyncClient(transport=httpx2.MockTransport(receive), base_url="http://world")
        outside._clients[asyncio.get_running_loop()] = client
        return got

    return answer


async def test_a_request_carries_the_steps_idempotency_key_and_attempt(answering: Answering) -> None:
    got = answering(202, {"state": "pending"})
    assert await ask("/payments/charges", ORDER, amount="11.77") == {"state": "pending"}
    assert got[0].headers["Idempotency-Key"] == "run/charge_payment"
    assert got[0].headers["Attempt"] == "2"
    assert got[0].content == b'{"order":"order-00001","amount":"11.77"}'


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, {}, WorldTrouble),
        (404, {}, WorldTrouble),
        (409, {"error": "out_of_stock"}, OutOfStock),
        (409, {"error": "already_collected"}, AlreadyCollected),
        (409, {"error": "called_off"}, WorldTrouble),
    ],
)
async def test_trouble_is_worth_another_attempt_and_a_refusal_is_not(
    answering: Answering, status: int, body: object, error: type[Exception]
) -> None:
    answering(status, body)
    with pytest.raises(error, match="order-00001"):
        await ask("/warehouse/reservations", ORDER, quantity=1)
