"""What is cut off between a client, its worker and the store is found again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.journal import Commit, Lease, NewRun, Promise, Run, Started, StoreUnavailable
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.testing import VirtualClock, VirtualLoop, run
from tests.runtime.crashing import World

calls: list[str] = []


@step
async def note_call(what: str) -> str:
    calls.append(what)
    return what


@workflow
async def call_five_times(name: str) -> str:
    return "".join([await note_call(f"{name}{n} ") for n in range(5)])


class TroubledJournal(MemoryJournal):
    """A store that fails commits, loads and starts, before or after doing what was asked."""

    troubles: list[str]
    """What happens to the next commits, in their order: "" (nothing), "before" or "after"."""
    loads_to_fail = 0
    looks_to_fail = 0
    start_trouble = ""
    leases_to_fail = 0

    def submit(self, commit: Commit) -> Promise:
        trouble = self.troubles.pop(0) if self.troubles else ""
        if not trouble:
            return super().submit(commit)
        failed = Promise(loop=asyncio.get_running_loop())
        error = StoreUnavailable(f"the disk is gone {trouble} the commit")
        if trouble == "before":
            failed.get_loop().call_soon(failed.settle, None, error)
        else:
            super().submit(commit).add_done_callback(lambda _: failed.settle(None, error))
        return failed

    async def load(self, run_id: str) -> Any:
        if self.loads_to_fail:
            self.loads_to_fail -= 1
            raise StoreUnavailable("the disk is gone")
        return await super().load(run_id)

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        if self.looks_to_fail:
            self.looks_to_fail -= 1
            raise StoreUnavailable("the disk is gone")
        return await super().find_run(namespace, workflow_id)

    async def start(self, new: NewRun) -> Started:
        started = await super().start(new)
        if self.start_trouble == "raise":
            raise StoreUnavailable("nobody knows")
        if self.start_trouble == "hang":
            await asyncio.Event().wait()
        return started

    async def open_lease(self, lease: Lease) -> None:
        if self.leases_to_fail:
            self.leases_to_fail -= 1
            raise StoreUnavailable("the disk is gone")
        await super().open_lease(lease)


def in_trouble(program: Any, **options: Any) -> Any:
    """Run a program with an engine and its troubled store in virtual time."""

    async def main() -> Any:
        calls.clear()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        journal = TroubledJournal(MemoryDisk(), clock=VirtualClock(loop))
        journal.troubles = []
        async with Engine(journal=journal, **options) as engine, asyncio.timeout(300):
            return await program(engine, journal)

    return run(main)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("n", range(6))
def test_a_commit_that_failed_is_made_good_from_the_journal(side: str, n: int) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        journal.troubles = [""] * n + [side]
        return await engine.run(call_five_times, "a", id="r")

    assert in_trouble(program) == "a0 a1 a2 a3 a4 "
    assert len(calls) == 5 + (side == "before" and n < 5)


def test_a_store_that_fails_every_other_commit_slows_runs_down_and_loses_none() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> list[str]:
        journal.troubles = ["before", "", "after"] * 10
        journal.loads_to_fail = 3
        return await asyncio.gather(*(engine.run(call_five_times, name, id=name) for name in "abc"))

    assert in_trouble(program) == ["".join(f"{name}{n} " for n in range(5)) for name in "abc"]


@pytest.mark.parametrize("trouble", ["raise", "hang"])
def test_a_run_whose_start_was_cut_off_but_happened_is_advanced(trouble: str) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        journal.start_trouble = trouble
        with pytest.raises((StoreUnavailable, TimeoutError)):
            async with asyncio.timeout(5):
                await engine.start(call_five_times, "a", id="r")
        result: str = await engine.get("r").result(timeout=60)
        return result

    assert in_trouble(program) == "a0 a1 a2 a3 a4 "


def test_a_start_that_was_cancelled_before_it_was_written_is_found_all_the_same() -> None:
    async def program(engine: Engine, _: TroubledJournal) -> str:
        starting = asyncio.ensure_future(engine.start(call_five_times, "a", id="r"))
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait((starting,))
        assert starting.cancelled()
        result: str = await engine.get("r").result(timeout=60)
        return result

    assert in_trouble(program) == "a0 a1 a2 a3 a4 "


@workflow
async def have_a_named_child() -> str:
    handle = await keepstep.start_child(call_five_times, "kid", id="kid")
    return await handle


def test_a_named_child_is_started_though_looking_for_its_id_failed_at_first() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        handle = await engine.start(have_a_named_child, id="p")
        journal.looks_to_fail = 1
        result: str = await handle.result(timeout=60)
        return result

    assert in_trouble(program).startswith("kid0 ")


@workflow
async def wait_then_call() -> str:
    await keepstep.receive("go")
    return await note_call("gone")


def test_a_worker_whose_lease_was_taken_begins_anew_though_the_store_is_in_trouble() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> tuple[str, bool]:
        handle = await engine.start(wait_then_call, id="r")
        assert engine.worker is not None
        old = engine.worker.lease_id
        journal.leases_to_fail = 3
        other = MemoryJournal(journal.disk, clock=journal.clock, is_surely_dead=lambda _: True)
        assert await other.reap() == [old]
        await handle.signal("go")
        result: str = await handle.result(timeout=60)
        return result, engine.worker.lease_id == old

    assert in_trouble(program) == ("gone", False)
    assert calls == ["gone"]


def test_a_lease_that_was_opened_unheard_is_closed_and_holds_nothing_for_ever() -> None:
    """A worker that is taken for dead opens another lease; the answer is lost, and so it opens yet another."""

    async def main() -> tuple[list[str], list[str]]:
        world = World()
        worker = (first := await world.open(lease_seconds=2.0)).worker
        second = await world.open(lease_seconds=2.0)
        assert worker is not None
        assert second.worker is not None
        journal, elsewhere, before = first._given_journal, second._given_journal, worker.lease_id
        assert isinstance(journal, MemoryJournal)
        assert isinstance(elsewhere, MemoryJournal)
        open_lease, opened = journal.open_lease, list[str]()

        async def open_unheard(lease: Lease) -> None:
            await open_lease(lease)
            opened.append(lease.lease_id)
            if len(opened) == 1:
                raise StoreUnavailable("the answer was lost")

        journal.open_lease = open_unheard  # type: ignore[method-assign]
        dead = [journal.process]
        elsewhere._watch._is_surely_dead = lambda process: process in dead
        while worker.lease_id == before:
            await asyncio.sleep(0.01)
        dead.clear()
        while len(opened) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        there = [each.lease.lease_id for each in await second.journal.list_leases()]
        wanted = [second.worker.lease_id, worker.lease_id]
        await world.close()
        return sorted(there), sorted(wanted)

    there, wanted = run(main)
    assert there == wanted
