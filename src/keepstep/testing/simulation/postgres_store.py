"""PostgresStore: one real PostgreSQL server, and simulated processes that have the real store open on it.

What is real: the server, every statement, transactions, locks and who waits for them, pipelines, LISTEN and NOTIFY,
group commit and what becomes of it where a connection breaks, the writer's rounds, readers and their retries,
transactional steps. What would bring in other clocks than the loop's has stand-ins: threads are tracks (``track``,
``postgres_loop``, ``postgres_driver``), and the server executes one exchange at a time (``postgres_bench``). What goes
wrong between them is said in ``postgres_faults`` and, once more for what goes wrong anyhow, in ``trouble``.

What differs from the simulation on SQLite: there a flush is one moment, here it is several exchanges in whose midst
others go on, with locks that are waited for, and a process can die or be frozen in there. Not the file fails, but the
way to it, and the server. The server's own clock decides nothing; where statements ask for no order, rows have none.

``crash`` is the death of a simulated process, at any point at which one of its threads waits: before an exchange has
reached the server, behind it, while it waits there for a lock, between two of one transaction. The server ends its
sessions at once; or, if nobody notices, a while later, and until then their locks are held. What a session is waiting
to execute is executed all the same.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import random
from collections.abc import Callable, Sequence
from functools import cache, partial

import msgspec

from keepstep.journal import Hint, Lease, ProcessIdentity
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.postgres import PostgresJournal
from keepstep.journal.postgres.flush import Flusher
from keepstep.journal.postgres.opening import enter, try_patiently
from keepstep.journal.postgres.query import Queries
from keepstep.journal.writing.renewal import Renewals
from keepstep.journal.writing.writer import Writer
from keepstep.testing.virtual import VirtualClock

from .postgres_bench import PostgresBench
from .postgres_driver import Hold, LentSessions
from .postgres_faults import OUTAGE_BEGINS_SECONDS_MAX, OUTAGE_SECONDS_MAX, OUTAGES_SHARE, Line, drawn
from .postgres_loop import TrackDrive, TrackHerald, TrackReader
from .postgres_wire import LentWire, connect
from .scheduler import fate
from .track import TrackPace, Tracks

SHOWN = "the simulated server"

SHARDS = 1
"""So that there is one log, of all that happens."""

UNNOTICED_SECONDS_MAX = 3.0
"""After so long the server gives up the sessions of a process that is gone without a word."""

CREATE_EFFECTS = "CREATE TABLE effects (run_id TEXT, key TEXT, receipt TEXT)"


class Life:
    """What a process has that dies with it."""

    def __init__(self, bench: PostgresBench, tracks: Tracks, line: Line) -> None:
        self.tracks = tracks
        self.line = line
        self._bench = bench
        self._wires: dict[LentWire, None] = {}
        self._holds: dict[Hold, None] = {}

    def connect(self, kind: str) -> LentWire:
        wire = connect(self._bench, self.line, kind)
        self._wires = {each: None for each in self._wires if not each.is_lost}
        self._wires[wire] = None
        return wire

    def hold(self) -> Hold:
        """A session for work of a step's own."""
        hold = Hold.get(self._bench, self.line)
        self._holds = {each: None for each in self._holds if not each.is_lost}
        self._holds[hold] = None
        return hold

    def _lent(self) -> list[LentWire | Hold]:
        return [*self._wires, *self._holds]

    def cut_off(self) -> None:
        """The server is away."""
        self.line.disturb()
        for each in self._lent():
            each.close()

    def end(self, *, noticed: bool) -> None:
        for each in self._lent():
            session = each.detach()
            if session is not None and noticed:
                self._bench.leave(session)
            elif session is not None:
                self._bench.leave_later(session, self.line.chance.random() * UNNOTICED_SECONDS_MAX)
        self.tracks.kill()


class SimulatedPostgresJournal(PostgresJournal):
    """The real journal in a simulated process, which can crash."""

    def seat(self, process: ProcessIdentity, drive: TrackDrive, end: Callable[[bool], None]) -> None:
        """``end`` is told that the process has ended, and whether others notice."""
        self._process = process
        self._track_drive = drive
        self._end = end
        self._crashed = False

    def crash(self, *, noticed: bool = True) -> None:
        """Die: nothing more is sent, pending operations never return, renewals and hints stop."""
        if self._crashed:
            return
        self._crashed = True
        self._track_drive.crash()
        self._peers.close()
        self._listeners.clear()
        self._waiting.clear()
        self._end(noticed)

    async def close(self) -> None:
        if not self._crashed:
            await super().close()

    async def open_lease(self, lease: Lease) -> None:
        """The lease is this simulated process's, whatever real process makes it."""
        await super().open_lease(msgspec.structs.replace(lease, process=self._process))

    def _resolve(self, group: Sequence[Operation], hints: Sequence[Hint]) -> None:
        if not self._crashed:
            super()._resolve(group, hints)


class PostgresStore:
    """A ``process.Store``."""

    has_transactions = True
    insert_effect = "INSERT INTO effects VALUES (%s, %s, %s)"

    def __init__(self, seed: str) -> None:
        self._bench = bench_of_this_process()
        self._seed = seed
        self._chance = random.Random(f"{seed}/server")
        self._lives: dict[int, Life] = {}
        """By the number of the process."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def _begin(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._bench.begin(self._loop)
            if self._chance.random() < OUTAGES_SHARE:
                self._bench.call_later(self._chance.random() * OUTAGE_BEGINS_SECONDS_MAX, self._go_away)
        return self._loop

    async def open(
        self,
        *,
        clock: VirtualClock,
        process: ProcessIdentity,
        flush_delay: Callable[[], float],
        is_surely_dead: Callable[[ProcessIdentity], bool],
        ids: Callable[[], str],
        disturb: Callable[[], None],
    ) -> SimulatedPostgresJournal:
        loop, number = self._begin(), process.pid
        chance = random.Random(f"{self._seed}/line {number}")
        tracks = Tracks(loop, contextvars.copy_context())
        line = Line(lambda: flush_delay() / 2, chance, drawn(chance), disturb)
        its = fate.get()
        assert its is not None
        its.threads = tracks
        life = self._lives[number] = Life(self._bench, tracks, line)
        pace = TrackPace(loop, chance)

        def try_to_enter() -> tuple[Flusher, Renewals]:
            writer = partial(life.connect, "writer")
            return enter(writer, SHOWN, SHARDS, number, process, clock, is_surely_dead, pace)

        flusher, renewals = await tracks.call(lambda: try_patiently(try_to_enter, SHOWN, pace))
        journal = self._assemble(life, pace, clock, ids, process, is_surely_dead)
        driven = Writer(flusher, renewals, clock, journal.resolve, pace.monotonic)
        drive = TrackDrive(tracks, driven)
        journal.attach(driven, drive)
        journal.seat(process, drive, lambda noticed: life.end(noticed=noticed))
        return journal

    def _assemble(
        self,
        life: Life,
        pace: TrackPace,
        clock: VirtualClock,
        ids: Callable[[], str],
        process: ProcessIdentity,
        is_surely_dead: Callable[[ProcessIdentity], bool],
    ) -> SimulatedPostgresJournal:
        address = self._bench.address
        reader = TrackReader(life.tracks, lambda: life.connect("reader"), pace)
        channel, name = f"keepstep_{address.schema}", f"{process.pid:016x}"
        herald = TrackHerald(life.tracks, lambda: life.connect("herald"), channel, name, pace)
        queries = Queries(SHARDS, pace.monotonic)
        sessions = LentSessions(self._bench, life.hold, address, SHARDS, clock.now)
        return SimulatedPostgresJournal(clock, ids, reader, queries, herald, sessions, is_surely_dead, address.schema)

    def bury(self, process: ProcessIdentity) -> None:
        life = self._lives.get(process.pid)
        if life is not None:
            life.end(noticed=True)

    def _go_away(self) -> None:
        self._bench.is_away = True
        for life in self._lives.values():
            life.cut_off()
        self._bench.break_off()
        self._bench.call_later(self._chance.random() * OUTAGE_SECONDS_MAX, self._come_back)

    def _come_back(self) -> None:
        self._bench.is_away = False
        for life in self._lives.values():
            life.line.disturb()

    def read_effects(self) -> list[tuple[str, str, str]]:
        return [(run_id, key, receipt) for run_id, key, receipt in self._bench.rows("SELECT * FROM public.effects")]

    def close(self) -> None:
        for life in self._lives.values():
            life.end(noticed=True)
        self._bench.clear()


@cache
def bench_of_this_process() -> PostgresBench:
    """One for all stories of a process; it ends with it."""
    from .stores import MEMORY

    bench = PostgresBench(MEMORY, CREATE_EFFECTS)
    atexit.register(bench.close)
    return bench
