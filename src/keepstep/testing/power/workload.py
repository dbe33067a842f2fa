"""Workload: a seeded life of a journal, from the making of its file on.

Several handles come and go, as processes do; runs are started, advanced in groups, told things, given over, closed and
purged; some commits are too large for a page. At times everybody leaves, so that SQLite folds its log in and removes
it, and the next one begins with a new log. All that is acknowledged is entered into a ``Ledger``.

Whoever finds the store unavailable while opening it tries again, as an operator would. What a group is made of is
decided before any of it is asked for, so that a disk in trouble changes nothing but when it happens.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial

from keepstep.journal import (
    Commit,
    Definition,
    Lease,
    Message,
    NewEvent,
    NewMessage,
    NewRun,
    NewTask,
    Position,
    StateChange,
    Status,
    Timer,
)
from keepstep.journal.sqlite import SqliteJournal

from .ledger import Entry, Ledger, Letter
from .store import EPOCH_MICROSECONDS, PROCESS, Rig

HANDLES_MAX = 3


@dataclass
class Owned:
    """A run that a handle owns."""

    run_id: str
    epoch: int


@dataclass
class Handle:
    """A process: its journal, its lease, and what it owns."""

    journal: SqliteJournal
    lease_id: str
    runs: list[Owned]


class Workload:
    """One life. ``steps`` is its length; all choices come from ``seed``.

    ``prefix`` begins the names of all that it makes. A life that stays ``apart`` touches nothing else.
    """

    def __init__(self, rig: Rig, *, seed: str, steps: int, prefix: str = "", apart: bool = False) -> None:
        self.ledger = Ledger()
        self._rig = rig
        self._chance = random.Random(seed)
        self._steps = steps
        self._prefix = prefix
        self._apart = apart
        self._handles: list[Handle] = []
        self._numbers = 0
        self._closed: list[str] = []

    async def live(self) -> None:
        """To the end, at which everybody closes."""
        await self._enter()
        for _ in range(self._steps):
            await self._step()
        while self._handles:
            await self._leave()

    async def _step(self) -> None:
        choice = self._chance.random()
        if choice < 0.55:
            await self._advance()
        elif choice < 0.70:
            await self._start(self._chance.randint(1, 3))
        elif choice < 0.78:
            await self._keep_house()
        elif choice < 0.86 and len(self._handles) < HANDLES_MAX:
            await self._enter()
        elif choice < 0.95:
            await self._leave()
        else:
            while self._handles:
                await self._leave()
        if not self._handles:
            await self._enter()

    # -- coming and going

    async def _enter(self) -> None:
        journal = await self._rig.open_patiently()
        lease_id = f"{self._prefix}lease-{self._next()}"
        await journal.open_lease(
            Lease(
                lease_id=lease_id, lease_seconds=1e6, process=PROCESS, queues=("q",), languages=("python",), code="code"
            )
        )
        handle = Handle(journal, lease_id, [])
        self._handles.append(handle)
        await self._claim(handle)
        await self._start(1)

    async def _leave(self) -> None:
        handle = self._handles.pop(self._chance.randrange(len(self._handles)))
        await handle.journal.close()
        if self._handles:
            await self._claim(self._chance.choice(self._handles))

    async def _claim(self, handle: Handle) -> None:
        if not self._apart:
            claimed = await handle.journal.claim_runs(handle.lease_id, 4)
            handle.runs += [Owned(run.run_id, run.epoch) for run in claimed]

    # -- working

    async def _start(self, count: int) -> None:
        handle = self._chance.choice(self._handles)
        await asyncio.gather(*[self._start_one(handle) for _ in range(count)])

    async def _start_one(self, handle: Handle) -> None:
        number = self._next()
        run_id, event = f"{self._prefix}run-{number}", self._event()
        entry = Entry(asked_at=self._place, events=(event.data,))
        self.ledger.account(run_id).entries.append(entry)
        started = await handle.journal.start(
            NewRun(
                run_id=run_id,
                workflow_id=f"{self._prefix}order-{number}",
                namespace="default",
                language="python",
                format=1,
                type="fulfil",
                queue="q",
                events=(event,),
                started_at=EPOCH_MICROSECONDS + number,
                input_digest=b"digest",
                attributes={"number": number},
                lease_id=handle.lease_id,
            )
        )
        entry.acknowledged_at = self._place
        handle.runs.append(Owned(run_id, started.epoch))

    async def _advance(self) -> None:
        """Many things at once, which travel in one group."""
        handle = self._chance.choice(self._handles)
        chosen = self._chance.sample(handle.runs, min(len(handle.runs), self._chance.randint(1, 4)))
        inboxes = [
            await self._rig.read_patiently(partial(handle.journal.read_messages, owned.run_id)) for owned in chosen
        ]
        work: list[Awaitable[None]] = []
        closing = []
        for owned, waiting in zip(chosen, inboxes, strict=True):
            for _ in range(self._chance.randint(0, 2)):
                work.append(self._append(handle, owned))
            if self._chance.random() < 0.5:
                work.append(self._change(handle, owned, waiting))
            if self._chance.random() < 0.12:
                closing.append(owned)
        others = [run.run_id for each in self._handles for run in each.runs if run not in closing]
        for run_id in self._chance.sample(others, min(len(others), self._chance.randint(0, 3))):
            work.append(self._send(handle, run_id))
        await asyncio.gather(*work)
        for owned in closing:
            await self._close_run(handle, owned)

    def _append(self, handle: Handle, owned: Owned) -> Awaitable[None]:
        events = tuple(self._event() for _ in range(self._chance.randint(1, 3)))
        return self._commit(handle, Commit(run_id=owned.run_id, epoch=owned.epoch, events=events))

    def _change(self, handle: Handle, owned: Owned, waiting: Sequence[Message]) -> Awaitable[None]:
        """A commit of many parts."""
        chance, number = self._chance, self._next()
        taken = waiting[: chance.randint(0, 3)]
        state = tuple(
            StateChange("attempt", f"key-{chance.randrange(5)}", None if chance.random() < 0.3 else b"%d" % number)
            for _ in range(chance.randint(0, 2))
        )
        commit = Commit(
            run_id=owned.run_id,
            epoch=owned.epoch,
            id=f"{self._prefix}commit-{number}",
            events=(self._event(),) if chance.random() < 0.5 else (),
            state=state,
            consume=tuple(message.n for message in taken),
            timers=(Timer(f"timer-{number}", EPOCH_MICROSECONDS + number),) if chance.random() < 0.3 else None,
            tasks=(NewTask(kind="step", key=f"step-{number}", queue="q", data=b"task"),) if number % 3 == 0 else (),
            status_text=f"at {number}",
            attributes={"at": number},
            audit=f"somebody did {number}" if number % 4 == 0 else None,
        )
        return self._commit(handle, commit, consumed=tuple(message.data for message in taken))

    async def _close_run(self, handle: Handle, owned: Owned) -> None:
        commit = Commit(run_id=owned.run_id, epoch=owned.epoch, events=(self._event(),), status=Status.COMPLETED)
        await self._commit(handle, commit)
        handle.runs.remove(owned)
        self._closed.append(owned.run_id)

    async def _commit(self, handle: Handle, commit: Commit, consumed: tuple[bytes, ...] = ()) -> None:
        entry = Entry(
            asked_at=self._place,
            events=tuple(event.data for event in commit.events),
            state=commit.state,
            consumed=consumed,
        )
        self.ledger.account(commit.run_id).entries.append(entry)
        await handle.journal.commit(commit)
        entry.acknowledged_at = self._place

    def _send(self, handle: Handle, run_id: str) -> Awaitable[None]:
        return self._post(handle, run_id, f"{self._prefix}letter-{self._next()}")

    async def _post(self, handle: Handle, run_id: str, words: str) -> None:
        letter = Letter(asked_at=self._place, data=words.encode())
        self.ledger.account(run_id).letters.append(letter)
        await handle.journal.send(NewMessage(run_id=run_id, kind="signal", name="news", data=letter.data, id=words))
        letter.acknowledged_at = self._place

    async def _keep_house(self) -> None:
        journal = self._chance.choice(self._handles).journal
        number = self._next()
        definition = Definition(
            namespace="default",
            language="python",
            kind="workflow",
            name=f"workflow-{number % 3}",
            queue="q",
            schema=b"{}",
            code="code",
            published_at=number,
        )
        await asyncio.gather(journal.publish([definition]), journal.save_cursor("reader", Position(0, 0)))
        if self._chance.random() < 0.3 and not self._apart:
            await journal.save_cursor("reader", Position(0, 1_000_000))
            for run_id in self._closed:
                self.ledger.account(run_id).purge_asked_at = self._place
            await journal.purge("default", EPOCH_MICROSECONDS + 1)

    # -- making things up

    @property
    def _place(self) -> int:
        return self._rig.system.trace.place

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _event(self) -> NewEvent:
        number = self._next()
        size = self._chance.choice((0, 20, 200, 200, 2000, 30_000) if number % 7 == 0 else (0, 20, 200, 600))
        data = f"{self._prefix}event {number}|".encode() + self._chance.randbytes(size)
        return NewEvent("step_completed", EPOCH_MICROSECONDS + number, f"key-{number}", data)
