"""Client: what application code does in a life: start runs, write letters, cancel orders, wait for results.

The ledger says what was asked before it is asked, and what was acknowledged as soon as it is. Several clients work at
the same frontier: they start the same runs and send the same letters under the same ids. Whatever the engine answers
that it should not is a *surprise*, and the judge hears of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine
from itertools import count
from random import Random
from typing import Any

import msgspec

from keepstep import Cancelled, Engine, Error, NotFound, RunClosed, TimedOut, WorkflowFailed

from . import workload
from .ledger import Ledger
from .plan import MAILBOX_EVERY, Plan, plan_of, run_name

FRONTIER_WIDTH = 12
"""How far behind the newest run a client still starts runs: so many are started several times."""

PAUSE_SECONDS_MAX = 0.08
STARTS_AT_ONCE = 200
STARTER_SECONDS = 0.01

MAILBOX_SECONDS = 120.0
"""The age of a mailbox to which nobody writes any more, however long the database was away."""

RESULT_SECONDS_MAX = 0.3
BOXES = 6
"""How many of the newest mailboxes get letters."""


class Frontier(msgspec.Struct, frozen=True):
    """Which run is the newest: a matter of time, so that all clients agree on it without asking each other."""

    seed: int
    began_at: float
    runs_per_second: float
    runs_max: int = 0
    """0 for as many as there is time for."""

    def newest(self) -> int:
        """The number of the newest run."""
        number = int((time.monotonic() - self.began_at) * self.runs_per_second)
        return min(number, self.runs_max) if self.runs_max else number

    def age_seconds(self, number: int) -> float:
        """How long ago it was the newest."""
        return time.monotonic() - self.began_at - number / self.runs_per_second


def arguments_of(name: str, plan: Plan) -> tuple[Any, tuple[Any, ...]]:
    """The workflow of a plan and what to start it with."""
    links = list(plan.links)
    if plan.kind == "mailbox":
        return workload.mailbox, (name, plan.numbers[0])
    if plan.kind == "fan":
        return workload.fan, (name, links, plan.numbers[0])
    if plan.kind == "naps":
        return workload.naps, (name, links, list(plan.numbers))
    if plan.kind == "order":
        return workload.order, (name, links, plan.numbers[0], plan.raises)
    return {"chain": workload.chain, "family": workload.family, "dispenser": workload.dispenser}[plan.kind], (
        name,
        links,
    )


def digest_of(value: Any) -> str:
    """Short for a result."""
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]


class Client:
    """One client in one life."""

    def __init__(
        self, engine: Engine, ledger: Ledger, frontier: Frontier, dice: Random, has_worked: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._frontier = frontier
        self._dice = dice
        self._has_worked = has_worked
        self._letters = 0

    async def work(self) -> None:
        """Do one thing after the other, for ever."""
        deeds: list[Callable[[], Coroutine[Any, Any, None]]] = [self._start, self._send, self._cancel, self._wait]
        while True:
            (deed,) = self._dice.choices(deeds, (10, 7, 3, 6))
            await deed()
            await asyncio.sleep(PAUSE_SECONDS_MAX * self._dice.random() ** 2)

    async def start_all(self) -> None:
        """Start every run when its time comes, many at once."""
        room = asyncio.Semaphore(STARTS_AT_ONCE)
        started: set[asyncio.Task[None]] = set()
        for number in count():
            while self._frontier.newest() < number:
                await asyncio.sleep(STARTER_SECONDS)
            await room.acquire()
            task = asyncio.create_task(self._start_number(number))
            task.add_done_callback(lambda _: room.release())
            started.add(task)
            task.add_done_callback(started.discard)
            if number == self._frontier.runs_max:
                await asyncio.gather(*started)
                return

    async def dismiss_mailboxes(self) -> None:
        """Send each mailbox its last letter when nobody writes to it any more: in hours they would be thousands."""
        for number in count(0, MAILBOX_EVERY):
            while self._frontier.age_seconds(number) < MAILBOX_SECONDS:
                await asyncio.sleep(1.0)
            name = run_name(self._frontier.seed, number)
            letter = self._engine.get(name).signal("letter", workload.LAST_LETTER)
            await self._ask("dismiss", name, letter, (NotFound, RunClosed))

    async def _start(self) -> None:
        await self._start_number(max(0, self._frontier.newest() - int(FRONTIER_WIDTH * self._dice.random() ** 2)))

    async def _start_number(self, number: int) -> None:
        name = run_name(self._frontier.seed, number)
        flow, args = arguments_of(name, plan_of(name))
        handle = await self._ask("start", flow.name, self._engine.start(flow, *args, id=name))
        if handle is not None:
            self._ledger.write("started", name, handle.run_id)

    async def _send(self) -> None:
        newest = self._frontier.newest() // MAILBOX_EVERY
        name = run_name(self._frontier.seed, max(0, newest - self._dice.randrange(BOXES)) * MAILBOX_EVERY)
        if self._dice.random() < 0.4:  # one letter that several clients send; the engine must see that it is one
            letter = id = f"shared {int(time.monotonic() * 4)}"
        else:
            self._letters += 1
            letter, id = f"own {self._ledger.life} {self._letters}", None
        self._ledger.write("sending", name, letter)
        if await self._ask("send", name, self._engine.get(name).signal("letter", letter, id=id), (NotFound,)):
            self._ledger.write("sent", name, letter)

    async def _cancel(self) -> None:
        orders = [name for name in self._newest_names() if plan_of(name).kind == "order"]
        if orders:
            name = self._dice.choice(orders)
            self._ledger.write("cancelling", name)
            if await self._ask("cancel", name, self._engine.get(name).cancel(), (NotFound, RunClosed)):
                self._ledger.write("cancelled", name)

    async def _wait(self) -> None:
        name = self._dice.choice(self._newest_names())
        try:
            value = await self._engine.get(name).result(timeout=RESULT_SECONDS_MAX)
            self._ledger.write("result", name, "completed", digest_of(value))
        except Cancelled:
            self._ledger.write("result", name, "cancelled", "")
        except WorkflowFailed:
            self._ledger.write("result", name, "failed", "")
        except (NotFound, TimedOut):
            """Nobody has started it yet, or it goes on."""

    def _newest_names(self) -> list[str]:
        newest = self._frontier.newest()
        return [run_name(self._frontier.seed, number) for number in range(max(0, newest - FRONTIER_WIDTH), newest + 1)]

    async def _ask(
        self, what: str, whom: str, asked: Coroutine[Any, Any, Any], refusals: tuple[type[Error], ...] = ()
    ) -> Any:
        """What was acknowledged (True for nothing in particular), or None where the engine refused as it may."""
        try:
            answer = await asked
        except refusals:
            return None
        except Error as error:
            self._ledger.write("surprise", f"{what} {whom}: {error!r}")
            return None
        self._has_worked()
        return True if answer is None else answer
