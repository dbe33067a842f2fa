"""What the death of a simulated process does, and does not do, on the memory store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from keepstep.journal import Commit, Lease, ProcessIdentity
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.testing import VirtualClock, VirtualLoop, run
from tests.journal.scene import PROCESS, Ears, event, get, lease, new_run


def world(**options: Any) -> tuple[MemoryDisk, Callable[[], MemoryJournal]]:
    """A disk, and what opens handles on it, under the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    disk = MemoryDisk()
    return disk, lambda: MemoryJournal(disk, clock=VirtualClock(loop), **options)


def short_lease(lease_id: str = "L") -> Lease:
    return lease(lease_id, lease_seconds=9.0)


def in_virtual_time(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    run(main)


def test_a_pending_operation_of_a_dead_process_neither_happens_nor_returns() -> None:
    async def test() -> None:
        _, open_handle = world(flush_delay=lambda: 1.0)
        dying, other = open_handle(), open_handle()
        pending = asyncio.create_task(dying.start(new_run()))
        await asyncio.sleep(0.5)
        dying.crash()
        await asyncio.sleep(1000)
        assert not pending.done()
        assert await other.find_run("default", "order-1") is None

    in_virtual_time(test)


def test_what_was_flushed_as_the_process_died_has_happened_though_nobody_was_told() -> None:
    async def test() -> None:
        disk, open_handle = world()
        dying, other = open_handle(), open_handle()
        started = await dying.start(new_run())
        pending = dying.submit(Commit(run_id=started.run_id, version=1, events=(event("done"),), id="commit-1"))
        while "commit-1" not in disk.commits:
            await asyncio.sleep(0)
        dying.crash()
        await asyncio.sleep(1000)
        assert await other.was_committed("commit-1")
        assert not pending.done()
        assert (await get(other, started.run_id)).last_seq == 2

    in_virtual_time(test)


def test_a_dead_process_reads_and_writes_nothing_more() -> None:
    async def test() -> None:
        _, open_handle = world()
        dying = open_handle()
        ears = Ears(dying)
        dying.crash()
        attempts = [
            asyncio.create_task(dying.start(new_run())),
            asyncio.create_task(dying.read_run("any")),
            asyncio.create_task(dying.reap()),
        ]
        await open_handle().start(new_run("other"))
        await asyncio.sleep(1000)
        assert not [attempt for attempt in attempts if attempt.done()]
        assert ears.hints == []

    in_virtual_time(test)


def test_a_lease_of_a_noticed_death_is_over_at_once() -> None:
    async def test() -> None:
        _, open_handle = world()
        dying, other = open_handle(), open_handle()
        await dying.open_lease(short_lease())
        dying.crash()
        assert await other.reap() == ["L"]

    in_virtual_time(test)


def test_a_lease_of_an_unnoticed_death_is_over_after_its_length_of_silence() -> None:
    async def test() -> None:
        _, open_handle = world()
        dying, other = open_handle(), open_handle()
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
    async def test() -> None:
        _, open_handle = world()
        journal, other = open_handle(), open_handle()
        await journal.open_lease(short_lease())
        for n in range(1, 50):
            await asyncio.sleep(3.0)
            [state] = await other.list_leases()
            assert n - 1 <= state.counter <= n
            assert await other.reap() == []

    in_virtual_time(test)


def test_who_is_dead_can_be_judged_from_outside() -> None:
    async def test() -> None:
        gone: list[ProcessIdentity] = []
        disk, _ = world()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        other_process = msgspec.structs.replace(PROCESS, pid=PROCESS.pid + 1)
        owner = MemoryJournal(disk, clock=VirtualClock(loop), process=PROCESS)
        judge = MemoryJournal(
            disk, clock=VirtualClock(loop), process=other_process, is_surely_dead=lambda process: process in gone
        )
        await owner.open_lease(short_lease())
        assert await judge.reap() == []
        gone.append(PROCESS)
        assert await judge.reap() == ["L"]

    in_virtual_time(test)


def test_operations_of_one_loop_iteration_travel_in_one_flush() -> None:
    flushes: list[float] = []

    def delay() -> float:
        flushes.append(asyncio.get_running_loop().time())
        return 0.005

    async def test() -> None:
        _, open_handle = world(flush_delay=delay)
        journal = open_handle()
        await asyncio.gather(*(journal.start(new_run(f"w{n}")) for n in range(100)))
        assert len(flushes) == 1
        await asyncio.gather(*(journal.start(new_run(f"v{n}")) for n in range(100)))
        assert len(flushes) == 2

    in_virtual_time(test)


def test_the_same_program_makes_the_same_history() -> None:
    async def program() -> list[Any]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        chance = loop.random
        disk, open_handle = world(flush_delay=lambda: chance.uniform(0.001, 0.01))
        journals = [open_handle() for _ in range(3)]

        async def work(n: int) -> None:
            await journals[n].open_lease(short_lease(f"L{n}"))
            for i in range(10):
                await journals[n].start(new_run(f"w{chance.randrange(12)}", run_id=f"{n}/{i}"))
                for claimed in await journals[n].claim_runs(f"L{n}", 2):
                    await asyncio.sleep(chance.random())
                    await journals[n].commit(
                        Commit(run_id=claimed.run_id, epoch=claimed.epoch, events=(event(),), release=True, wake_at=0)
                    )

        await asyncio.gather(*(work(n) for n in range(3)))
        return [(place.run_id, place.seq) for place in disk.log.values()] + [loop.time()]

    histories = [run(program, seed=seed) for seed in (1, 1, 2)]
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]
