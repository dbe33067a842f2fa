"""The process itself, every way it can go, over a real engine and an in-process world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

import keepstep
from examples.order_fulfilment import outside
from examples.order_fulfilment.audit import Audit, audit
from examples.order_fulfilment.model import Order, Patience, Receipt
from examples.order_fulfilment.task_screen import TaskScreen
from examples.order_fulfilment.workflow import fulfil_order
from examples.order_fulfilment.world.front_door import Caller
from examples.order_fulfilment.world.mischief import Fate, Fault
from examples.order_fulfilment.world.request import Asked

from .world.town import STOCK, Arranged, Town

HURRY = Patience(payment=30.0, picking=30.0, reminder=0.2, cancellation=0.2)
LEISURE = Patience(payment=30.0, picking=30.0, reminder=30.0, cancellation=30.0)


class LiveTown(Town):
    """A town where things happen at once, and which calls the engine back."""

    def __init__(self, path: Path, mischief: Arranged, engine: keepstep.Engine) -> None:
        super().__init__(path, mischief)
        self.engine = engine
        self.happening: set[asyncio.Future[None]] = set()
        self.pickup_booked = asyncio.Event()

    def later(self, seconds: float, doing: Callable[[], Awaitable[None]]) -> None:
        self.happening.add(asyncio.ensure_future(doing()))

    async def callback(self, order: str, what: str, url: str, news: dict[str, Any]) -> None:
        await super().callback(order, what, url, news)
        await self.engine.complete_callback(url.rsplit("/", 1)[1], news)

    async def receive(self, request: httpx2.Request) -> httpx2.Response:
        """Takes a request off the wire."""
        asked = msgspec.json.decode(request.content, type=Asked)
        caller = Caller(request.headers["Idempotency-Key"])
        answer = await self.front_door.handle(request.url.path, asked, caller)
        if request.url.path == "/carrier/pickups":
            self.pickup_booked.set()
        return httpx2.Response(answer.status, json=answer.body)


class Shop:
    """Places one order in a town of some fate, and looks at the books afterwards."""

    def __init__(self, folder: Path, engine: keepstep.Engine) -> None:
        self.folder = folder
        self.engine = engine

    async def sell(
        self, fate: Fate, quantity: int = 2, patience: Patience = LEISURE, faults: tuple[Fault, ...] = ()
    ) -> keepstep.RunHandle[Receipt]:
        town = LiveTown(self.folder / "books.db", Arranged(fate, faults), self.engine)
        transport = httpx2.MockTransport(town.receive)
        client = httpx2.AsyncClient(transport=transport, base_url="http://world")
        outside._clients[asyncio.get_running_loop()] = client
        self.town = town
        self.screen = asyncio.create_task(TaskScreen(self.engine, client, {"a"}).run())
        order = Order("a", "00001", date(1997, 1, 1), quantity, Decimal("11.77"))
        return await self.engine.start(fulfil_order, order, patience, id="a")

    def audited(self) -> Audit:
        return audit(self.folder / "books.db", ["a"])


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    url = f"sqlite:///{tmp_path / 'keepstep.db'}"
    async with keepstep.Engine(url, callback_url="http://here") as engine:
        shop = Shop(tmp_path, engine)
        yield shop
        shop.screen.cancel()
    shop.town.books.close()


async def test_an_order_goes_all_the_way(shop: Shop) -> None:
    run = await shop.sell(Fate.SMOOTH)
    receipt = await run.result()
    assert isinstance(receipt, Receipt)
    assert (receipt.order, receipt.label) == ("a", "PX-a-1")
    assert shop.audited().completed == 1
    assert shop.audited().is_clean


async def test_faults_on_the_way_are_retried_under_the_same_key(shop: Shop) -> None:
    run = await shop.sell(Fate.SMOOTH, faults=(Fault.ERROR, Fault.BROKEN))
    await run.result()
    found = shop.audited()
    assert (found.completed, found.is_clean) == (1, True)
    repeats = [each["endpoint"] for each in shop.town.requests() if each["repeated"]]
    assert repeats.count("/payments/charges") == 2
    assert len([each for each in repeats if each != "/pickers/tasks"]) == 2 * 6


async def test_a_declined_card_ends_the_order_without_a_refund(shop: Shop) -> None:
    run = await shop.sell(Fate.DECLINED)
    with pytest.raises(keepstep.WorkflowFailed, match="insufficient funds"):
        await run.result()
    assert shop.town.ledger() == ["charge asked for", "declined"]
    assert {request["endpoint"] for request in shop.town.requests()} == {"/payments/charges"}


async def test_without_stock_the_money_goes_back(shop: Shop) -> None:
    run = await shop.sell(Fate.SMOOTH, quantity=STOCK + 1)
    with pytest.raises(keepstep.WorkflowFailed, match="out_of_stock"):
        await run.result()
    assert shop.town.ledger()[:3] == ["charge asked for", "charged", "reservation called off"]
    assert shop.town.ledger()[3:] == ["refunded"]
    assert shop.audited().compensated == 1


async def test_a_forgetful_carrier_is_reminded(shop: Shop) -> None:
    run = await shop.sell(Fate.CARRIER_FORGETS, patience=HURRY)
    await run.result()
    assert "carrier reminded" in shop.town.ledger()
    assert shop.audited().completed == 1


async def test_when_the_carrier_never_comes_everything_is_undone_last_things_first(shop: Shop) -> None:
    run = await shop.sell(Fate.CARRIER_NEVER_COMES, patience=HURRY)
    with pytest.raises(keepstep.WorkflowFailed, match="nobody came"):
        await run.result()
    assert shop.town.ledger()[-5:] == ["carrier reminded", "pickup cancelled", "label voided", "released", "refunded"]
    assert shop.audited().compensated == 1


async def test_a_cancelled_order_is_undone(shop: Shop) -> None:
    run = await shop.sell(Fate.CARRIER_NEVER_COMES)
    async with asyncio.timeout(30):
        await shop.town.pickup_booked.wait()
    await run.cancel()
    with pytest.raises(keepstep.Cancelled):
        await run.result()
    assert shop.town.ledger()[-3:] == ["label voided", "released", "refunded"]
    assert shop.audited().compensated == 1
