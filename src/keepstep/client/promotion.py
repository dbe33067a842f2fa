"""Promotion: a journal leaves its SQLite file for a PostgreSQL server, and its workers go on there.

The order of things makes it safe to be killed anywhere (``docs/promote.md`` has the reasons):

1. No lease is open; then the source's fence goes up, and nobody can write there any more.
2. The target's gate closes: nobody can open it.
3. Rows move, page by page. Then both stores are compared, run by run.
4. The source notes that it is handing over; the target's gate opens; the source notes that it was promoted.

To take it back is the reverse: the gate closes; if all there is still as it came, the target is emptied; the fence goes
down. In step 3 nobody can have used the target, so there it may even be out of reach.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from keepstep.journal import Clock, Error, InvalidInput, LeaseState, StoreUnavailable, SystemClock
from keepstep.journal.moving import Departure, Stage, Tell, compare, move
from keepstep.journal.process import surely_lives

from .address import sqlite_path

if TYPE_CHECKING:
    from keepstep.journal.postgres.arriving import PostgresTarget
    from keepstep.journal.sqlite.leaving import SqliteSource

LOOK_SECONDS = 0.2

JUDGING_SECONDS_MAX = 5.0
"""Beyond twice the length of a lease: in that time an owner that nobody can judge from here has shown that it lives, or
its lease is over."""

Say = Callable[[str], None]


class Differs(Error):
    """What has arrived is not what has left."""

    def __init__(self, differences: list[str], advice: str) -> None:
        super().__init__(f"{'; '.join(differences)}; {advice}")
        self.differences = differences


def promote(
    from_url: str, to_url: str, *, wait: bool, tell: Tell, say: Say, clock: Clock | None = None
) -> dict[str, int]:
    """Move everything, or go on with a move that was stopped; how many rows of each noun were moved.

    :param wait: wait until all workers have stopped; otherwise a worker that lives is an error.

    Raises ``StoreUnavailable``, ``InvalidInput``, and ``Differs`` if the comparison finds anything.
    """
    clock = clock or SystemClock()
    with _open_source(from_url) as source, _open_target(to_url, create=True) as target:
        departure = source.departure()
        if departure is None:
            departure = _leave(source, target, wait, say, clock)
        _check_same(departure, target)
        if departure.stage is Stage.PROMOTED:
            say(f"{source.path} was promoted to {departure.to} before; nothing is left to do")
            return {}
        arrival = target.begin(departure, str(source.path))
        if arrival is None:
            source.note(departure, Stage.PROMOTED)
            return {}
        if arrival.noun:
            say(f"going on with the move {departure.move}, of which {sum(arrival.moved.values())} rows are there")
        arrival = move(source, target, arrival, tell)
        if differences := compare(source, target, tell):
            raise Differs(differences, f"nothing was handed over; take it back with --abort: {source.path} is whole")
        departure = source.note(departure, Stage.HANDING_OVER)
        target.open_gate(arrival)
        source.note(departure, Stage.PROMOTED)
        return arrival.moved


def _leave(source: SqliteSource, target: PostgresTarget, wait: bool, say: Say, clock: Clock) -> Departure:
    from keepstep.journal.sqlite.leaving import LeasesOpen

    source.check_texts()
    target.check_free()
    if others := source.other_tables():
        say(f"these tables of {source.path} are not the journal's, and stay where they are: {', '.join(others)}")
    while True:
        asyncio.run(_wait_for_workers(source, wait, say))
        try:
            return source.raise_fence(target.shown, clock.now())
        except LeasesOpen:
            """One was opened since; who has it is said at the next look."""


async def _wait_for_workers(source: SqliteSource, wait: bool, say: Say) -> None:
    """Wait until no lease is open, or at least until it is known that one is alive."""
    from keepstep.journal.sqlite import open_sqlite

    journal = await open_sqlite(source.path, create=False)
    try:
        _warn_of_jump(journal.clock, say)
        begun, said = journal.clock.monotonic(), ""
        counters: dict[str, int] = {}
        while True:
            await journal.reap()
            leases = await journal.list_leases()
            if not leases:
                return
            who = "; ".join(map(_describe, leases))
            longest = max(each.lease.lease_seconds for each in leases)
            is_late = journal.clock.monotonic() - begun > 2 * longest + JUDGING_SECONDS_MAX
            if not wait and (is_late or any(_is_alive(each, counters) for each in leases)):
                raise StoreUnavailable(f"{source.path} is at work: {who}; stop it, or let --wait wait for that")
            if who != said:
                say(f"waiting for: {who}")
                said = who
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await journal.close()


def _is_alive(state: LeaseState, counters: dict[str, int]) -> bool:
    first = counters.setdefault(state.lease.lease_id, state.counter)
    return surely_lives(state.lease.process) or state.counter != first


def _describe(state: LeaseState) -> str:
    process = state.lease.process
    label = f" ({state.lease.label})" if state.lease.label else ""
    has = f"{state.runs_held} runs and {state.tasks_held} tasks"
    return f"worker {process.pid} on {process.host}{label}, queues {', '.join(state.lease.queues)}, has {has}"


def _warn_of_jump(clock: Clock, say: Say) -> None:
    jump = clock.jump() / 1e6
    if abs(jump) > 1:
        say(
            f"the wall clock of this machine is {jump:+.1f} s off engine time; workers on this machine keep "
            "engine time, those on others go by their own clocks"
        )


def take_back(from_url: str, to_url: str, *, force: bool, tell: Tell, say: Say) -> None:
    """Undo a move, as long as nobody has used the target: the source can be used again.

    :param force: without asking the target.

    Raises ``Differs`` if the target was used since.
    """
    with _open_source(from_url) as source:
        departure = source.departure()
        if departure is None:
            raise InvalidInput(f"{source.path} is not being promoted, so there is nothing to take back")
        if not force:
            _empty_target(source, departure, to_url, tell, say)
        source.lower_fence()


def _empty_target(source: SqliteSource, departure: Departure, to_url: str, tell: Tell, say: Say) -> None:
    try:
        target = _open_target(to_url, create=False)
    except StoreUnavailable as error:
        if departure.stage is not Stage.MOVING:
            raise StoreUnavailable(
                f"{error}; whether it was used cannot be told. If it is lost for good, --abort --force takes the "
                "journal back as it was when it left"
            ) from error
        say(f"{error}; nobody had been able to open it, so it does not matter")
        return
    with target:
        _check_same(departure, target)
        arrival = target.close_gate(departure)
        if arrival is None:
            return
        if departure.stage is not Stage.MOVING and (differences := compare(source, target, tell)):
            target.open_gate(arrival)
            raise Differs(differences, f"{target.shown} was used since, so the journal stays there")
        target.clear()


def _check_same(departure: Departure, target: PostgresTarget) -> None:
    if departure.to != target.shown:
        raise StoreUnavailable(
            f"this journal is on its way to {departure.to}, not to {target.shown}; name that one, or take it back from "
            "there with --abort"
        )


def _open_source(url: str) -> SqliteSource:
    from keepstep.journal.sqlite.leaving import SqliteSource

    if not url.startswith("sqlite:"):
        raise InvalidInput(
            "--from names a SQLite database, such as sqlite:///orders.db; from one PostgreSQL server to another, "
            "pg_dump and pg_restore move a journal"
        )
    return SqliteSource(sqlite_path(url))


def _open_target(url: str, *, create: bool) -> PostgresTarget:
    if not url.startswith(("postgresql:", "postgres:")):
        raise InvalidInput("--to names a PostgreSQL database, such as postgresql://user@host/database")
    if find_spec("psycopg") is None:
        raise InvalidInput("PostgreSQL needs its driver; run: pip install 'keepstep[postgres]'")
    from keepstep.journal.postgres.arriving import PostgresTarget

    return PostgresTarget(url, create=create)
