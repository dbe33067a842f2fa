"""The world on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from examples.order_fulfilment.audit import audit
from examples.order_fulfilment.world.app import make_app
from examples.order_fulfilment.world.books import Books
from examples.order_fulfilment.world.mischief import Fault, Mischief
from examples.order_fulfilment.world.plan import Plan


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    books = Books(tmp_path / "books.db", opening_stock=5)
    transport = httpx2.ASGITransport(make_app(Plan(seed=1, stock=5, slow=(0, 0), late=0), books))
    async with httpx2.AsyncClient(transport=transport, base_url="http://world") as client:
        yield client
    books.close()


def untroubled(endpoint: str) -> str:
    dice = Mischief(1)
    return next(o for o in map(str, range(100)) if dice.fault(endpoint, o, 1) is Fault.NONE)


async def test_a_request_is_answered(wire: httpx2.AsyncClient) -> None:
    body = {"order": untroubled("/warehouse/reservations"), "quantity": 2}
    answer = await wire.post("/warehouse/reservations", json=body, headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()) == (201, {"reserved": 2})
    assert (await wire.get("/watch")).json()["totals"] == {"reserved": 1}


async def test_a_request_without_a_key_is_refused(wire: httpx2.AsyncClient) -> None:
    answer = await wire.post("/mailer/mails", json={"order": "a"})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error"]


async def test_a_request_that_names_no_order_is_refused(wire: httpx2.AsyncClient) -> None:
    answer = await wire.post("/mailer/mails", json={"to": "somebody"}, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 400
    assert "order" in answer.json()["error"]


async def test_a_kill_is_noted_in_the_books(wire: httpx2.AsyncClient, tmp_path: Path) -> None:
    await wire.post("/kills", json={"worker": "worker-1", "requests_open": 3})
    assert audit(tmp_path / "books.db", []).requests_cut_off == 3
