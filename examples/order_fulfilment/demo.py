"""The demo: real orders, a world that fails on purpose, workers that are killed again and again, and an audit.

It starts the outside world and two workers, places the orders little by little, kills workers at random moments and
restarts them, waits until every order is finished one way or the other, and then asks the world's books what happened.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx2
from rich.console import Console

import keepstep

from .audit import audit
from .killing import Killer, kill_moments
from .model import Order, Patience, Receipt
from .orders import BadOrdersFile, read_orders
from .processes import NotRunning, Process, free_ports, worker_process, world_process
from .progress import Screen, Standing
from .report import show_audit
from .task_screen import TaskScreen
from .workflow import fulfil_order
from .world.plan import Plan

WORKERS = 2
PATIENCE = Patience(payment=60.0, picking=60.0, reminder=4.0, cancellation=4.0)
"""Days, in the demo's time."""

STOCK_SHARE = 0.8
"""How much of what customers want there is."""

ORDERS_OPEN_MAX = 500
ORDERS_PER_SECOND = (15.0, 60.0)
KILLS = 10
ORDERS_PER_KILL_MIN = 2
"""With fewer orders a kill, there may be no busy worker left to kill."""

KILL_SECONDS_MIN = 1.2
STANDSTILL_SECONDS = 40.0
STANDSTILL_SECONDS_SABOTAGED = 8.0
"""So long after anything has happened to any order, the demo gives up. One order alone needs half a minute at worst."""


def run_demo(
    orders: int | None = None,
    kills: int | None = None,
    seed: int = 1,
    db: str | None = None,
    sabotage: bool = False,
    orders_file: Path | None = None,
    folder: Path | None = None,
    console: Console | None = None,
) -> int:
    """Runs the demo.

    :param orders: how many orders to take from the file; None takes all of them.
    :param kills: how often a worker is killed; None: ten times, less often where there are few orders.
    :param seed: decides all trouble, and the kills.
    :param db: where Keepstep keeps its runs; None makes a new SQLite file in ``folder``.
    :param sabotage: switches the recording of the charge off, which the audit must find.
    :param orders_file: the CDNOW data set in its original format, or a CSV like ``orders.csv``.
    :param folder: where books, logs and database go; None makes a new temporary one.
    :return: 0 if the books are clean, 1 if they are not, or an order or a kill did not come about.

    Raises ``InvalidInput`` for orders that cannot be read, and a database that other processes cannot open.
    """
    console = console or Console()
    placed = _read(orders_file, orders)
    if db is not None and db.startswith("memory:"):
        raise keepstep.InvalidInput("the workers are processes of their own: name a file, such as sqlite:///demo.db")
    if kills is None:
        kills = min(KILLS, len(placed) // ORDERS_PER_KILL_MIN)
    folder = folder or Path(tempfile.mkdtemp(prefix="keepstep-demo-"))
    demo = Demo(placed, kills, seed, db or f"sqlite:///{folder / 'keepstep.db'}", sabotage, folder, console)
    try:
        asyncio.run(demo.run())
    except NotRunning as error:
        console.print(str(error), style="red", highlight=False)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped before all orders were finished; this is where they stand.")
    return demo.conclude()


def _read(path: Path | None, limit: int | None) -> list[Order]:
    try:
        return read_orders(path, limit)
    except OSError as error:
        raise keepstep.InvalidInput(f"the orders cannot be read from {path}: {error.strerror}") from error
    except BadOrdersFile as error:
        raise keepstep.InvalidInput(f"the orders cannot be read: {error}") from error


class Demo:
    """One run of the demo."""

    def __init__(
        self, orders: list[Order], kills: int, seed: int, db: str, sabotage: bool, folder: Path, console: Console
    ) -> None:
        self._orders = orders
        self._db = db
        self._standstill_seconds = STANDSTILL_SECONDS_SABOTAGED if sabotage else STANDSTILL_SECONDS
        self._limit: asyncio.Timeout
        self._folder = folder
        self._console = console
        self._standing = Standing(orders=len(orders), kills_planned=kills)
        self._span_seconds = _span_seconds(len(orders), kills)
        dice = Random(seed)
        self._moments = kill_moments(kills, self._span_seconds, dice)
        self._dice = dice
        world_port, *self._worker_ports = free_ports(1 + WORKERS)
        doors = tuple(f"http://127.0.0.1:{port}" for port in self._worker_ports)
        stock = int(STOCK_SHARE * sum(order.quantity for order in orders))
        self._world = world_process(world_port, folder, Plan(seed=seed, stock=stock, doors=doors))
        self._workers = [
            worker_process(number, port, folder, db, self._world.url, sabotage)
            for number, port in enumerate(self._worker_ports, start=1)
        ]

    async def run(self) -> None:
        """Runs everything until all orders are finished, or nothing happens any more. SIGTERM cancels it."""
        this = asyncio.current_task()
        assert this is not None
        with suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        self._console.print(
            f"{len(self._orders)} orders, {WORKERS} workers, {self._standing.kills_planned} kills. "
            f"Books and logs: {self._folder}",
            highlight=False,
        )
        try:
            await self._start(self._world)
            async with keepstep.Engine(self._db, workers=False) as engine:
                await self._start(*self._workers)
                await self._place_and_kill(engine)
        finally:
            for process in [*self._workers, self._world]:
                process.stop()

    def conclude(self) -> int:
        """Audits the books, shows the findings, and says whether all is well."""
        found = audit(self._folder / "books.db", [order.id for order in self._orders])
        show_audit(self._console, found)
        unfinished = self._standing.orders - self._standing.finished
        missing = self._standing.kills_planned - found.kills_of_busy_workers
        if unfinished:
            self._console.print(f"{unfinished} runs have not come to an end; see {self._folder}", style="bold red")
        if missing > 0:
            self._console.print(f"{missing} kills did not take place: no worker was busy any more.", style="bold red")
        return 0 if found.is_clean and not unfinished and missing <= 0 else 1

    async def _start(self, *processes: Process) -> None:
        for process in processes:
            process.start()
        for process in processes:
            await process.listening()

    async def _place_and_kill(self, engine: keepstep.Engine) -> None:
        async with httpx2.AsyncClient(base_url=self._world.url, timeout=10.0) as world, asyncio.TaskGroup() as beside:
            killer = Killer(self._workers, lambda: _open_requests(world), lambda *kill: _note(world, *kill), self._dice)
            screens = [
                beside.create_task(self._watch(world, killer)),
                beside.create_task(TaskScreen(engine, world, {order.id for order in self._orders}).run()),
            ]
            try:
                await self._until_all_are_finished(engine, killer)
            finally:
                for screen in screens:
                    screen.cancel()

    async def _until_all_are_finished(self, engine: keepstep.Engine, killer: Killer) -> None:
        try:
            async with asyncio.timeout(self._standstill_seconds) as self._limit, asyncio.TaskGroup() as beside:
                killing = beside.create_task(killer.run(self._moments))
                async with asyncio.TaskGroup() as group:
                    await self._place(engine, group)
                killing.cancel()  # no worker is busy any more
        except TimeoutError:
            self._console.print("Nothing happens any more, and some orders are not finished.", style="bold red")

    def _go_on(self) -> None:
        """Something has happened: the wait for the next thing begins anew."""
        self._limit.reschedule(asyncio.get_running_loop().time() + self._standstill_seconds)

    async def _place(self, engine: keepstep.Engine, group: asyncio.TaskGroup) -> None:
        """Places the orders one after the other, never more than ``ORDERS_OPEN_MAX`` at a time."""
        room = asyncio.Semaphore(ORDERS_OPEN_MAX)
        began = time.monotonic()
        for order, moment in zip(self._orders, _moments(len(self._orders), self._span_seconds), strict=True):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            await room.acquire()
            run = await engine.start(
                fulfil_order, order, PATIENCE, id=order.id, if_running="restart", if_closed="restart"
            )
            self._standing.placed += 1
            self._go_on()
            group.create_task(self._follow(run, room))

    async def _follow(self, run: keepstep.RunHandle[Receipt], room: asyncio.Semaphore) -> None:
        """Waits for the end of one order. Whether it is a good one is for the books to say."""
        with suppress(keepstep.Error):
            await run.result()
        self._standing.finished += 1
        self._go_on()
        room.release()

    async def _watch(self, world: httpx2.AsyncClient, killer: Killer) -> None:
        """Shows how things stand, and ends it all if a worker dies of something else than the killer."""
        with Screen(self._console) as screen:
            try:
                while all(worker.is_running for worker in self._workers):
                    self._standing.ledger = (await world.get("/watch")).json()["totals"]
                    self._standing.kills, self._standing.last_killed = killer.kills, killer.last_killed
                    screen.show(self._standing)
                    await asyncio.sleep(0.25)
            finally:
                screen.show(self._standing)
        for worker in self._workers:
            if not worker.is_running:
                self._console.print(worker.obituary(), style="red", highlight=False)
        self._limit.reschedule(0.0)


def _span_seconds(orders: int, kills: int) -> float:
    """Over how long a time the orders come in: at a rate that two workers manage, and long enough for all kills."""
    slowest, fastest = ORDERS_PER_SECOND
    rate = max(slowest, min(fastest, orders / 30))
    return max(orders / rate, kills * KILL_SECONDS_MIN)


def _moments(count: int, span_seconds: float) -> Iterable[float]:
    return (span_seconds * number / count for number in range(count))


async def _open_requests(world: httpx2.AsyncClient) -> dict[str, int]:
    return dict((await world.get("/watch")).json()["requests_open"])


async def _note(world: httpx2.AsyncClient, worker: str, requests_open: int) -> None:
    await world.post("/kills", json={"worker": worker, "requests_open": requests_open})
