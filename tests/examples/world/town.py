"""A world in a test's hands: time passes when the test says so, and what is called back is written down."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from examples.order_fulfilment.world.books import Books
from examples.order_fulfilment.world.carrier import Carrier
from examples.order_fulfilment.world.front_door import Caller, FrontDoor
from examples.order_fulfilment.world.mailer import Mailer
from examples.order_fulfilment.world.mischief import Fate, Fault, Mischief
from examples.order_fulfilment.world.payment import PaymentGateway
from examples.order_fulfilment.world.pickers import Pickers
from examples.order_fulfilment.world.plan import Plan
from examples.order_fulfilment.world.request import Answer, Asked
from examples.order_fulfilment.world.warehouse import Warehouse

STOCK = 10


class Arranged(Mischief):
    """Mischief that does what the test wants, and nothing else."""

    def __init__(self, fate: Fate = Fate.SMOOTH, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(seed=0)
        self._fate = fate
        self._faults = faults
        self.twice = False

    def fate(self, order: str) -> Fate:
        return self._fate

    def fault(self, endpoint: str, order: str, nth: int) -> Fault:
        return self._faults[nth - 1] if nth <= len(self._faults) else Fault.NONE

    def says_it_twice(self, what: str, order: str) -> bool:
        return self.twice


class Town:
    """All departments behind the front door."""

    def __init__(self, path: Path, mischief: Mischief) -> None:
        self.path = path
        self.books = Books(path, STOCK)
        self.due: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        self.called: list[tuple[str, str, str, dict[str, Any]]] = []
        self.slept: list[float] = []
        plan = Plan(seed=0, stock=STOCK)
        departments = {
            **PaymentGateway(self.books, mischief, plan, self.later, self.callback).doors(),
            **Warehouse(self.books).doors(),
            **Carrier(self.books, mischief, plan, self.later, self.callback).doors(),
            **Pickers(self.books, mischief, plan, self.later, self.callback).doors(),
            **Mailer(self.books).doors(),
        }
        self.front_door = FrontDoor(self.books, mischief, plan, departments, self.sleep)

    def later(self, seconds: float, doing: Callable[[], Awaitable[None]]) -> None:
        self.due.append((seconds, doing))

    async def callback(self, order: str, what: str, url: str, news: dict[str, Any]) -> None:
        self.called.append((order, what, url, news))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def time_passes(self) -> None:
        """Lets everything happen that is due, and what follows from it."""
        while self.due:
            _, doing = self.due.pop(0)
            await doing()

    async def ask(self, endpoint: str, key: str, order: str = "a", **details: Any) -> Answer:
        asked = Asked(order=order, reply_to="http://worker/callbacks/token", **details)
        return await self.front_door.handle(endpoint, asked, Caller(key, worker="worker-1"))

    def ledger(self, order: str = "a") -> list[str]:
        """What the ledger says of an order, in the order of writing."""
        with sqlite3.connect(self.path) as db:
            return [what for (what,) in db.execute("SELECT what FROM ledger WHERE order_id = ? ORDER BY id", (order,))]

    def requests(self) -> list[dict[str, Any]]:
        """Every request in the books."""
        with sqlite3.connect(self.path) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM requests ORDER BY id")]

    def on_shelf(self) -> int:
        with sqlite3.connect(self.path) as db:
            return int(db.execute("SELECT on_shelf FROM stock").fetchone()[0])
