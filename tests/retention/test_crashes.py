"""Wherever a sweep dies, each run is in the database, in the archive, or in both; and the next one ends the work."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keepstep import Engine, NotFound, WorkflowFailed, step, workflow
from keepstep.archive import Archive, Place, decode_recording, place_at
from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.journal import sealed_journal
from keepstep.codecs.keys import new_key
from keepstep.codecs.sweeping import sweep as sweep_blobs
from keepstep.journal import ClosedRun, Commit, Journal, Loaded, Status
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.retention import sweep
from keepstep.retention.policy import Rule
from keepstep.retention.sweep import Sweeping
from keepstep.testing import run
from tests.journal.scene import ManualClock, event, new_run
from tests.runtime.crashing import crash_at_every_commit

CALLS = ("list_closed", "load", "read_audit", "remove_runs", "put")
KEY = new_key()
RULES = {status: Rule(0, "archive") for status in (Status.COMPLETED, Status.FAILED)}


class Death(BaseException):
    """The process is gone: nothing catches it."""


class Doom:
    """Counts the calls of a store and of an archive, and dies at one of them, before it or after it has happened."""

    def __init__(self, dies_at: tuple[int, str] | None) -> None:
        self._dies_at = dies_at
        self.calls: list[str] = []

    def before(self, name: str) -> None:
        self.calls.append(name)
        self._die("before")

    def after(self) -> None:
        self._die("after")

    def _die(self, side: str) -> None:
        if self._dies_at == (len(self.calls), side):
            raise Death


class DoomedJournal:
    def __init__(self, journal: Journal, doom: Doom) -> None:
        self._journal = journal
        self._doom = doom

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)
        if name not in CALLS:
            return method

        async def call(*args: Any) -> Any:
            self._doom.before(name)
            result = await method(*args)
            self._doom.after()
            return result

        return call


class DoomedPlace:
    def __init__(self, place: Place, doom: Doom) -> None:
        self.url = place.url
        self._place = place
        self._doom = doom

    def put(self, name: str, data: bytes) -> None:
        self._doom.before("put")
        self._place.put(name, data)
        self._doom.after()

    def get(self, name: str) -> bytes:
        return self._place.get(name)

    def names(self) -> list[str]:
        return self._place.names()


async def close(journal: Journal, name: str, status: Status) -> None:
    started = await journal.start(new_run(name))
    await journal.commit(Commit(run_id=started.run_id, version=1, events=(event("ended"),), status=status))


async def sweep_all(journal: Journal, folder: Path, doom: Doom) -> None:
    ids = iter(f"{n}-{len(doom.calls)}" for n in range(100))
    sweeping = Sweeping(
        DoomedJournal(journal, doom),
        Codec(),
        "default",
        RULES,
        lambda: next(ids),
        lambda _: DoomedPlace(place_at(str(folder)), doom),
    )
    while not (await sweeping.sweep_batch({})).is_last:
        pass


async def _die_once(folder: Path, dies_at: tuple[int, str] | None) -> list[str]:
    """Sweep with that death, look, and sweep again; the calls that were made until then."""
    clock = ManualClock()
    journal = MemoryJournal(MemoryDisk(), clock=clock)
    names = {f"w{n}" for n in range(5)}
    for n, name in enumerate(sorted(names)):
        await close(journal, name, Status.FAILED if n % 2 else Status.COMPLETED)
    await journal.start(new_run("open"))
    clock.time += 1
    doom = Doom(dies_at)
    try:
        await sweep_all(journal, folder, doom)
        assert dies_at is None
    except Death:
        assert dies_at is not None
    archive = Archive(place_at(str(folder)))
    there = {run.workflow_id for run in await journal.list_runs("default")}
    assert there | {each.run.workflow_id for each in archive.list()} == names | {"open"}
    await sweep_all(journal, folder, Doom(None))
    assert [run.workflow_id for run in await journal.list_runs("default")] == ["open"]
    listed = archive.list()
    assert sorted(each.run.workflow_id for each in listed) == sorted(names)
    assert archive.troubles == []
    for _, line in archive.read(listed):
        assert [each.type for each in decode_recording(line, "").loaded.events] == ["started", "ended"]
    return doom.calls


def test_no_run_is_lost_whatever_call_of_the_store_or_the_archive_a_sweep_dies_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "BATCH_RUNS", 2)
    calls = run(lambda: _die_once(tmp_path / "undisturbed", None))
    assert set(calls) == set(CALLS)
    for n in range(1, len(calls) + 1):
        for side in ("before", "after"):
            folder = tmp_path / f"{n}-{side}"
            assert len(run(lambda folder=folder, n=n, side=side: _die_once(folder, (n, side)))) == n  # type: ignore[misc]


async def two_that_failed() -> tuple[ManualClock, MemoryJournal]:
    clock = ManualClock()
    journal = MemoryJournal(MemoryDisk(), clock=clock)
    await close(journal, "a", Status.FAILED)
    await close(journal, "b", Status.FAILED)
    clock.time += 1
    return clock, journal


def test_the_order_is_archive_then_removal_and_only_of_what_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is reopened, and ends once more, between the two is not the one that was written: it stays."""

    async def play() -> None:
        clock, journal = await two_that_failed()
        removing = journal.remove_runs

        async def retry_before(seen: list[ClosedRun]) -> list[str]:
            assert [each.run.workflow_id for each in Archive(place_at(str(tmp_path))).list()] == ["a", "b"]
            run_id = seen[0].run_id
            await journal.commit(Commit(run_id=run_id, version=2, status=Status.RUNNING))
            await journal.commit(Commit(run_id=run_id, version=3, events=(event("ended"),), status=Status.COMPLETED))
            return await removing(seen)

        monkeypatch.setattr(journal, "remove_runs", retry_before)
        rules = {Status.FAILED: Rule(0, str(tmp_path))}
        batch = await Sweeping(journal, Codec(), "default", rules, lambda: "1").sweep_batch({})
        assert (batch.removed, batch.archived) == (1, 2)
        [left] = await journal.list_runs("default")
        assert (left.workflow_id, left.status, left.version) == ("a", Status.COMPLETED, 4)
        monkeypatch.setattr(journal, "remove_runs", removing)
        clock.time += 1
        rules = {Status.COMPLETED: Rule(0, str(tmp_path))}
        await Sweeping(journal, Codec(), "default", rules, lambda: "2").sweep_batch({})
        statuses = {each.run.workflow_id: each.run.status for each in Archive(place_at(str(tmp_path))).list()}
        assert statuses == {"a": Status.COMPLETED, "b": Status.FAILED}

    run(play)


def test_a_run_that_ends_otherwise_after_it_was_listed_is_not_kept_by_the_rule_of_its_former_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        _, journal = await two_that_failed()
        loading, versions = journal.load, iter([2])

        async def retry_before(run_id: str) -> Loaded:
            for version in versions:
                await journal.commit(Commit(run_id=run_id, version=version, status=Status.RUNNING))
                await journal.commit(Commit(run_id=run_id, version=version + 1, status=Status.COMPLETED))
            return await loading(run_id)

        monkeypatch.setattr(journal, "load", retry_before)
        rules = {Status.FAILED: Rule(0, str(tmp_path))}
        batch = await Sweeping(journal, Codec(), "default", rules, lambda: "1").sweep_batch({})
        assert (batch.removed, batch.archived) == (1, 1)
        assert [each.run.workflow_id for each in Archive(place_at(str(tmp_path))).list()] == ["b"]
        assert [run.workflow_id for run in await journal.list_runs("default")] == ["a"]

    run(play)


def test_a_sweep_that_can_remove_nothing_comes_to_an_end_and_writes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        clock = ManualClock()
        journal = MemoryJournal(MemoryDisk(), clock=clock)
        for n, status in enumerate((Status.COMPLETED, Status.FAILED, Status.FAILED)):
            await close(journal, f"w{n}", status)
        clock.time += 1

        async def refuse(seen: list[ClosedRun]) -> list[str]:
            return []

        monkeypatch.setattr(journal, "remove_runs", refuse)
        rules = {status: Rule(0, str(tmp_path)) for status in RULES}
        ids = iter("12345678")
        sweeping = Sweeping(journal, Codec(), "default", rules, lambda: next(ids))
        ends = [(await sweeping.sweep_batch({})).is_last for _ in range(3)]
        assert ends == [False, False, True]
        assert len(place_at(str(tmp_path)).names()) == 2

    run(play)


@step
async def retained_charge(name: str) -> str:
    return name * 300


@workflow
async def retained_crashing(name: str) -> str:
    return await retained_charge(name)


@workflow
async def retained_crashing_failure(name: str) -> str:
    raise ValueError(await retained_charge(name))


@pytest.mark.parametrize("chain", ["plain", "keys"])
def test_workers_that_die_at_any_commit_lose_no_run_and_leave_none(tmp_path: Path, chain: str) -> None:
    folders = (tmp_path / f"{n}" for n in range(1000))
    now: list[Path] = []

    def make_codec() -> Codec | None:
        return None if chain == "plain" else Codec(keys=Keys({"k1": KEY}))

    async def program(engine: Engine) -> list[tuple[str, str, str]]:
        if not now:
            now.append(next(folders))
        await engine.retention.set("all", "10s", archive=str(now[0]))
        archive = engine.archive(str(now[0]))
        there = {each.id for each in await archive.list()}
        if "good" not in there:
            with suppress(NotFound):  # it had ended before the crash, and goes just now
                await engine.run(retained_crashing, "g", id="good")
        if "bad" not in there:
            with pytest.raises((WorkflowFailed, NotFound)):
                await engine.run(retained_crashing_failure, "b", id="bad")
        while True:
            stored = [each.id async for each in engine.list()]
            listed = await archive.list()
            assert {*stored, *(each.id for each in listed)} == {"good", "bad"}
            if not stored:
                break
            await asyncio.sleep(10)
        now.clear()
        assert archive.troubles == ()
        return sorted((each.id, str(each.status), each.key_id or "") for each in listed)

    def check(result: list[tuple[str, str, str]], crashes: int) -> None:
        key = "" if chain == "plain" else "k1"
        assert result == [("bad", "failed", key), ("good", "completed", key)]

    assert crash_at_every_commit(program, check, poll_seconds=20.0, make_codec=make_codec) >= 10


def test_a_run_that_cannot_be_read_stays_and_is_named_and_the_others_go(tmp_path: Path) -> None:
    async def play() -> None:
        clock, disk = ManualClock(), MemoryDisk()
        sealed = sealed_journal(MemoryJournal(disk, clock=clock), Codec(keys=Keys({"k1": KEY})))
        other = sealed_journal(MemoryJournal(disk, clock=clock), Codec(keys=Keys({"k2": new_key()})))
        await close(other, "unreadable", Status.FAILED)
        await close(sealed, "readable", Status.FAILED)
        clock.time += 1
        rules = {Status.FAILED: Rule(0, str(tmp_path))}
        codec = Codec(keys=Keys({"k1": KEY}))
        sweeping = Sweeping(sealed, codec, "default", rules, lambda: "1")
        batch = await sweeping.sweep_batch({})
        assert (batch.removed, batch.archived) == (1, 1)
        [left] = batch.left[Status.FAILED]
        assert "key 'k2'" in left.why
        again = await sweeping.sweep_batch(batch.left)
        assert (again.removed, again.is_last) == (0, True)
        assert await sweeping.next_due(batch.left) == clock.time + 1
        assert [run.workflow_id for run in await sealed.list_runs("default")] == ["unreadable"]

    run(play)


def test_large_values_are_in_the_archive_itself_and_their_blobs_may_be_swept(tmp_path: Path) -> None:
    async def play() -> None:
        clock = ManualClock()
        blobs = FileBlobs(tmp_path / "blobs")
        codec = Codec(blobs=blobs, inline_bytes_max=10)
        journal = sealed_journal(MemoryJournal(MemoryDisk(), clock=clock), codec)
        started = await journal.start(new_run("a", events=(event("started", b"large" * 100),)))
        await journal.commit(Commit(run_id=started.run_id, version=1, status=Status.COMPLETED))
        clock.time += 1
        rules = {Status.COMPLETED: Rule(0, str(tmp_path / "archive"))}
        await Sweeping(journal, codec, "default", rules, lambda: "1").sweep_batch({})
        far_off = 4e9
        assert (await sweep_blobs(journal, blobs, now=lambda: far_off)).removed == 1
        archive = Archive(place_at(str(tmp_path / "archive")))
        [(_, line)] = archive.read(archive.list())
        assert decode_recording(line, "").loaded.events[0].data == b"large" * 100

    run(play)
