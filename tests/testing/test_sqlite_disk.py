"""What simulations can rely on when they run over real SQLite: time, deaths, trouble, and the same again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepstep.journal import Commit, Fenced, HintKind, Lease, Overloaded, Position, ProcessIdentity, limits
from keepstep.testing import VirtualClock, VirtualLoop, run
from keepstep.testing.simulation.sqlite_disk import SimulatedJournal, SqliteDisk
from keepstep.testing.simulation.sqlite_faults import FlushFault, Moment, Trouble
from tests.journal.scene import PROCESS, Ears, event, get, lease, new_run

Open = Callable[..., Awaitable[SimulatedJournal]]

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@contextlib.contextmanager
def world() -> Iterator[tuple[SqliteDisk, Open]]:
    """A disk, and what opens handles on it, under the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        disk = SqliteDisk(Path(folder))
        yield disk, lambda **options: disk.open(clock=VirtualClock(loop), **options)
        disk.close()
        assert list(Path(folder).iterdir()) == []


def in_virtual_time(test: Callable[[SqliteDisk, Open], Awaitable[None]]) -> None:
    async def main() -> None:
        with world() as (disk, open_handle):
            await test(disk, open_handle)

    run(main)


def short_lease(lease_id: str = "L") -> Lease:
    return lease(lease_id, lease_seconds=9.0)


async def written(disk: SqliteDisk, commit_id: str) -> None:
    """Let the loop go on, callback by callback, until a commit is in the file."""
    db = sqlite3.connect(disk.path)
    while not db.execute("SELECT count(*) FROM commit_ids WHERE id = ?", (commit_id,)).fetchone()[0]:
        await asyncio.sleep(0)
    db.close()


def test_a_pending_operation_of_a_dead_process_neither_happens_nor_returns() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        dying, other = await open_handle(flush_delay=lambda: 1.0), await open_handle()
        pending = asyncio.create_task(dying.start(new_run()))
        await asyncio.sleep(0.5)
        dying.crash()
        await asyncio.sleep(1000)
        assert not pending.done()
        assert await other.find_run("default", "order-1") is None

    in_virtual_time(test)


def test_what_was_flushed_as_the_process_died_has_happened_though_nobody_was_told() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        dying, other = await open_handle(), await open_handle()
        started = await dying.start(new_run())
        pending = dying.submit(Commit(run_id=started.run_id, version=1, events=(event("done"),), id="commit-1"))
        await written(disk, "commit-1")
        dying.crash()
        await asyncio.sleep(1000)
        assert await other.was_committed("commit-1")
        assert not pending.done()
        assert (await get(other, started.run_id)).last_seq == 2

    in_virtual_time(test)


def test_a_dead_process_reads_and_writes_nothing_more() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        dying, other = await open_handle(), await open_handle()
        ears = Ears(dying)
        begun = asyncio.create_task(dying.read_run("any"))
        await asyncio.sleep(0)
        dying.crash()
        dying.crash()
        attempts = [
            begun,
            asyncio.create_task(dying.start(new_run())),
            asyncio.create_task(dying.read_run("any")),
            asyncio.create_task(dying.reap()),
        ]
        await dying.close()
        await other.start(new_run("other"))
        await asyncio.sleep(1000)
        assert not [attempt for attempt in attempts if attempt.done()]
        assert ears.hints == []

    in_virtual_time(test)


def test_a_lease_of_a_noticed_death_is_over_at_once() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        dying, other = await open_handle(), await open_handle()
        await dying.open_lease(short_lease())
        dying.crash()
        assert await other.reap() == ["L"]

    in_virtual_time(test)


def test_a_lease_of_an_unnoticed_death_is_over_after_its_length_of_silence() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        dying, other = await open_handle(), await open_handle()
        await dying.open_lease(short_lease())
        started = await dying.start(new_run(lease_id="L"))
        await asyncio.sleep(60)
        assert await other.reap() == []
        dying.crash(noticed=False)
        assert await other.reap() == []
        await asyncio.sleep(8.9)
        assert await other.reap() == []
        await asyncio.sleep(0.2)
        assert await other.reap() == ["L"]
        assert (await get(other, started.run_id)).owner is None

    in_virtual_time(test)


def test_a_living_lease_is_renewed_every_third_of_its_length_and_never_reaped() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        journal, other = await open_handle(), await open_handle()
        await journal.open_lease(short_lease())
        for n in range(1, 50):
            await asyncio.sleep(3.0)
            [state] = await other.list_leases()
            assert n - 1 <= state.counter <= n
            assert await other.reap() == []

    in_virtual_time(test)


def test_a_renewal_that_was_rolled_back_is_made_up_for_at_the_next_try() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        def every_other_try_fails(number: int) -> FlushFault | None:
            return FlushFault(Moment.BEFORE_COMMIT) if number % 2 else None

        journal, other = await open_handle(fail_flush=every_other_try_fails), await open_handle()
        await journal.open_lease(short_lease())
        for _ in range(100):
            await asyncio.sleep(1.0)
            assert await other.reap() == []

    in_virtual_time(test)


def test_who_is_dead_can_be_judged_from_outside_and_a_lost_lease_is_noticed() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        gone: list[ProcessIdentity] = []
        owner = await open_handle(process=PROCESS)
        judge = await open_handle(
            process=msgspec.structs.replace(PROCESS, pid=PROCESS.pid + 1), is_surely_dead=gone.__contains__
        )
        ears = Ears(owner)
        await owner.open_lease(short_lease())
        assert await judge.reap() == []
        gone.append(PROCESS)
        assert await judge.reap() == ["L"]
        await ears.wait_for(HintKind.LEASE_LOST)
        with pytest.raises(Fenced):
            await owner.claim_runs("L", 1)

    in_virtual_time(test)


def test_operations_of_one_loop_iteration_travel_in_one_flush_that_takes_its_time() -> None:
    flushes: list[float] = []

    def delay() -> float:
        flushes.append(asyncio.get_running_loop().time())
        return 0.005

    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        journal = await open_handle(flush_delay=delay)
        for n in range(1, 3):
            await asyncio.gather(*(journal.start(new_run(f"w{n}/{i}")) for i in range(100)))
            assert len(flushes) == n
            assert asyncio.get_running_loop().time() == pytest.approx(0.005 * n)

    in_virtual_time(test)


def test_what_is_queued_when_a_journal_closes_is_written_first() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        journal, other = await open_handle(flush_delay=lambda: 0.5), await open_handle()
        await journal.open_lease(short_lease())
        starting = asyncio.create_task(journal.start(new_run()))
        await asyncio.sleep(0)
        await journal.close()
        assert (await starting).created
        assert await other.count_runs("default") == 1
        assert await other.list_leases() == []

    in_virtual_time(test)


TROUBLES = [FlushFault(moment, trouble) for moment in Moment for trouble in Trouble]


@pytest.mark.parametrize("fault", TROUBLES, ids=lambda fault: f"{fault.moment.name}-{fault.trouble.name}")
def test_whichever_flush_fails_every_operation_happens_exactly_once(fault: FlushFault) -> None:
    failed_flushes = 0

    async def program(disk: SqliteDisk, open_handle: Open, failing: int) -> list[Any]:
        tries: list[int] = []

        def fail(number: int) -> FlushFault | None:
            tries.append(number)
            return fault if number == failing else None

        journal = await open_handle(fail_flush=fail)
        await journal.open_lease(lease("L"))
        started = await journal.start(new_run(run_id="r", lease_id="L"))
        answers = [
            await asyncio.gather(
                *(journal.commit(Commit(run_id=started.run_id, epoch=1, events=(event(),))) for _ in range(3)),
                journal.start(new_run(f"o{n}", run_id=f"r{n}")),
            )
            for n in range(3)
        ]
        nonlocal failed_flushes
        failed_flushes += failing in tries
        seqs = [each.seq for each in await journal.read_events("r")]
        return [answers, seqs, [entry.position.n for entry in await journal.read_log(Position(0, 0))]]

    outcomes: list[list[Any]] = []

    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        outcomes.append(await program(disk, open_handle, len(outcomes)))

    for _ in range(6):
        in_virtual_time(test)
    assert failed_flushes == 5
    assert outcomes == [outcomes[0]] * 6
    assert outcomes[0][1:] == [list(range(1, 11)), list(range(1, 14))]


@pytest.mark.parametrize("moment", [Moment.AFTER_COMMIT, Moment.AT_COMMIT])
def test_a_process_that_is_taken_for_dead_still_knows_what_it_has_written(moment: Moment) -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        journal = await open_handle(fail_flush=lambda number: FlushFault(moment) if number == 3 else None)
        await journal.open_lease(lease("L"))
        started = await journal.start(new_run(lease_id="L"))
        await open_handle(is_surely_dead=lambda process: process == journal.process)
        committed = await journal.commit(Commit(run_id=started.run_id, epoch=1, events=(event(),)))
        assert committed.last_seq == 2
        assert len(await journal.read_events(started.run_id)) == 2

    in_virtual_time(test)


def test_a_disk_that_stays_full_is_tried_again_in_virtual_time_while_the_queue_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "QUEUE_OPERATIONS_MAX", 5)

    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        loop = asyncio.get_running_loop()
        tries: list[float] = []

        def is_full(_: int) -> FlushFault | None:
            tries.append(loop.time())
            return FlushFault(Moment.BEFORE_COMMIT, Trouble.DISK_FULL) if loop.time() < 100 else None

        journal, reader = await open_handle(fail_flush=is_full), await open_handle()
        starting = [asyncio.create_task(journal.start(new_run("first")))]
        await asyncio.sleep(1)
        starting += [asyncio.create_task(journal.start(new_run(f"w{n}"))) for n in range(6)]
        await asyncio.sleep(90)
        assert [task.done() for task in starting] == [False] * 6 + [True]
        assert isinstance(starting[-1].exception(), Overloaded)
        assert await reader.count_runs("default") == 0
        await asyncio.gather(*starting[:-1])
        assert await reader.count_runs("default") == 6
        assert 100 <= loop.time() <= 102
        assert max(then - now for now, then in itertools.pairwise(tries)) == pytest.approx(1.0)

    in_virtual_time(test)


def test_a_process_that_dies_between_two_tries_leaves_what_its_commit_left() -> None:
    async def test(disk: SqliteDisk, open_handle: Open) -> None:
        for moment, there in ((Moment.AT_COMMIT, 0), (Moment.IN_DOUBT, 1)):
            dying = await open_handle(fail_flush=lambda _, moment=moment: FlushFault(moment))
            pending = asyncio.create_task(dying.start(new_run(f"{moment}")))
            await asyncio.sleep(0.01)
            dying.crash()
            await asyncio.sleep(1000)
            assert not pending.done()
            other = await open_handle()
            assert await other.count_runs("default") == there

    in_virtual_time(test)


async def labour() -> list[Any]:
    """Three processes that compete for runs, with trouble and a death; all that they see, and when."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    chance = loop.random
    seen: list[Any] = []

    def trouble(_: int) -> FlushFault | None:
        return FlushFault(chance.choice(list(Moment)), chance.choice(list(Trouble))) if chance.random() < 0.1 else None

    with world() as (_, open_handle):
        journals = [
            await open_handle(flush_delay=lambda: chance.uniform(0.001, 0.01), fail_flush=trouble) for _ in range(4)
        ]
        witness = await open_handle()
        witness.listen(lambda hint: seen.append((loop.time(), hint.kind)))

        async def work(n: int) -> None:
            for lease_id in (f"L{n}", f"M{n}"):
                await journals[n].open_lease(short_lease(lease_id))
            for i in range(10):
                await journals[n].start(new_run(f"w{chance.randrange(12)}", run_id=f"{n}/{i}"))
                for claimed in await journals[n].claim_runs(f"L{n}", 2):
                    await asyncio.sleep(chance.random())
                    with contextlib.suppress(Fenced):
                        await journals[n].commit(
                            Commit(
                                run_id=claimed.run_id, epoch=claimed.epoch, events=(event(),), release=True, wake_at=0
                            )
                        )
                seen.append((loop.time(), await journals[n].reap(), await journals[n].next_wake(f"L{n}")))

        working = [asyncio.create_task(work(n)) for n in range(4)]
        await asyncio.sleep(chance.random())
        journals[3].crash()
        await asyncio.wait(working[:3])
        log = await witness.read_log(Position(0, 0))
        return [[(entry.run_id, entry.event.seq) for entry in log], seen, loop.time()]


def history(seed: int) -> str:
    return hashlib.sha256(repr(run(labour, seed=seed)).encode()).hexdigest()


def test_the_same_seed_makes_the_same_history_in_every_process() -> None:
    here = [history(seed) for seed in (1, 1, 2)]
    assert here[0] == here[1]
    assert here[0] != here[2]
    asked = "from tests.testing.test_sqlite_disk import history; print(history(1))"
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", asked],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == here[0]
