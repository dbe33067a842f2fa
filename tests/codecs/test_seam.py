"""Everything of a user's passes the seam: plain to code, sealed on disk, and bound to its own place there."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, WorkflowFailed, step, workflow
from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.journal import PASSED_ON, SealedJournal
from keepstep.codecs.keys import new_key
from keepstep.codecs.reading import Reading
from keepstep.journal import Commit, Journal, StateChange, Unreadable, cell_of
from keepstep.journal.kept import KeptIn
from keepstep.journal.payload import CELL_MARK

KEY = new_key()
CANARY = "canary-7f3a9"


def codec(**options: Any) -> Codec:
    return Codec(keys=Keys({"k1": KEY}), **options)


def test_every_method_of_the_port_is_sealed_or_is_known_to_carry_nothing() -> None:
    port = {name for name in dir(Journal) if not name.startswith("_")} | {"clock", "performs_deeds"}
    sealed = {name for of in (SealedJournal, Reading) for name in vars(of) if not name.startswith("_")}
    assert port - sealed == PASSED_ON
    assert not sealed & PASSED_ON


@step(retry=Retry(max_attempts=2, initial=0.01))
async def sealed_step(word: str) -> str:
    keepstep.heartbeat({"beating": word})
    await asyncio.sleep(0)
    if keepstep.step_info().attempt == 1:
        raise ValueError(f"error of {word}")
    return f"result of {word}"


@step(queue="sealed-elsewhere")
async def sealed_remote(word: str) -> str:
    return f"remote {word}"


@step(transaction=True)
def sealed_within(connection: Any, word: str) -> str:
    connection.execute("SELECT 1")
    return f"within {word}"


@step(retry=Retry(max_attempts=1))
async def sealed_failure(word: str) -> None:
    raise RuntimeError(f"failed with {word}")


@workflow
async def sealed_child(word: str) -> str:
    return f"child of {word}"


@workflow
class SealedTalk:
    def __init__(self) -> None:
        self.said: list[str] = []

    @keepstep.signal
    def note(self, word: str) -> None:
        self.said.append(word)

    @keepstep.update
    async def add(self, word: str) -> str:
        self.said.append(word)
        return f"added {word}"

    @keepstep.query
    def heard(self, word: str) -> list[str]:
        return [word, *self.said]

    async def run(self, word: str) -> list[Any]:
        got: list[Any] = [await sealed_step(word), await sealed_remote(word), await sealed_within(word)]
        got.append(await sealed_child(word))
        try:
            await sealed_failure(word)
        except keepstep.StepFailed as error:
            got.append(str(error.__cause__))
        await keepstep.wait_for(lambda: len(self.said) >= 2)
        got.append(await keepstep.receive("last", str))
        got.append(await keepstep.callback().result(str))
        return got


async def talk(engine: Engine, id: str = "talk") -> Any:
    handle = await engine.start(SealedTalk, CANARY, id=id)
    await handle.signal("note", CANARY, id="note")
    assert await handle.update("add", CANARY) == f"added {CANARY}"
    assert await handle.query("heard", CANARY) == [CANARY, CANARY, CANARY]
    await handle.signal("last", CANARY)
    token = ""
    while not token:
        info = await handle.describe()
        assert info.status == "running", info.error
        token = next((wait.token for wait in info.waiting_for if wait.kind == "callback"), "")
        await asyncio.sleep(0.01)
    await engine.complete_callback(token, CANARY)
    return await handle.result()


EXPECTED = [
    f"result of {CANARY}",
    f"remote {CANARY}",
    f"within {CANARY}",
    f"child of {CANARY}",
    f"failed with {CANARY}",
    CANARY,
    CANARY,
]


def everything_on_disk(folder: Path) -> bytes:
    """All bytes of the database, its log included, and of whatever else is there."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def engine_on(folder: Path, **options: Any) -> Engine:
    return Engine(f"sqlite:///{folder}/a.db", queues=("default", "sealed-elsewhere"), **options)


async def test_nothing_of_a_users_is_on_disk_in_plain(tmp_path: Path) -> None:
    async with engine_on(tmp_path, codec=codec()) as engine:
        assert await talk(engine) == EXPECTED
        assert CANARY.encode() not in everything_on_disk(tmp_path)
    assert CANARY.encode() not in everything_on_disk(tmp_path)


@step(retry=Retry(max_attempts=3, initial=600.0))
async def sealed_and_waiting(word: str) -> None:
    raise ValueError(f"not yet, {word}")


@workflow
async def sealed_patience(word: str) -> None:
    await sealed_and_waiting(word)


async def test_what_a_run_waits_for_is_not_on_disk_in_plain(tmp_path: Path) -> None:
    async with engine_on(tmp_path, codec=codec()) as engine:
        handle = await engine.start(sealed_patience, CANARY, id="patient")
        while (await engine.journal.find_run("default", "patient")).detail == b"":  # type: ignore[union-attr]
            await asyncio.sleep(0.02)
        async with engine_on(tmp_path, codec=codec(), workers=False) as other:
            [wait] = (await other.get(handle.id).describe()).waiting_for
            assert CANARY in wait.error
        assert CANARY.encode() not in everything_on_disk(tmp_path)


async def test_what_other_processes_ask_and_are_answered_is_not_on_disk_in_plain(tmp_path: Path) -> None:
    async with (
        engine_on(tmp_path, codec=codec()) as engine,
        engine_on(tmp_path, codec=codec(), workers=False) as other,
    ):
        await engine.start(SealedTalk, CANARY, id="asked")
        asked = other.get("asked")
        assert await asked.query("heard", CANARY) == [CANARY]
        assert await asked.update("add", CANARY) == f"added {CANARY}"
        assert CANARY.encode() not in everything_on_disk(tmp_path)


async def test_without_a_codec_all_of_it_is_there_to_be_found(tmp_path: Path) -> None:
    """Else the test before would prove nothing."""
    async with engine_on(tmp_path) as engine:
        assert await talk(engine) == EXPECTED
        assert everything_on_disk(tmp_path).count(CANARY.encode()) > 10


async def test_nothing_of_a_users_is_on_a_server_in_plain(postgres_url: str, tmp_path: Path) -> None:
    chain = codec(blobs=FileBlobs(tmp_path), inline_bytes_max=60)
    async with Engine(postgres_url, queues=("default", "sealed-elsewhere"), codec=chain) as engine:
        assert await talk(engine) == EXPECTED
        found = [kept for where in KeptIn for kept in await engine.journal.read_kept(where)]
    assert len(found) > 15
    assert all(cell_of(kept.data) is not None for kept in found if kept.data)
    async with Engine(postgres_url, codec=chain, workers=False) as engine:
        assert await engine.get("talk").result() == EXPECTED


@pytest.mark.parametrize(
    "options", [{"compression": "zlib"}, {"inline_bytes_max": 40}, {"compression": "zlib", "inline_bytes_max": 40}]
)
async def test_a_chain_of_codecs_changes_nothing_that_code_sees(tmp_path: Path, options: dict[str, Any]) -> None:
    if "inline_bytes_max" in options:
        options = options | {"blobs": FileBlobs(tmp_path / "blobs")}
    async with engine_on(tmp_path, codec=codec(**options)) as engine:
        assert await talk(engine) == EXPECTED
    async with engine_on(tmp_path, codec=codec(**options)) as engine:
        assert await engine.get("talk").result() == EXPECTED, "read by another process"
        seen = [event async for event in engine.get("talk").history()]
        assert seen[0].data["payload"] == [CANARY]


async def test_plain_runs_of_an_older_database_go_on_under_a_codec(tmp_path: Path) -> None:
    async with engine_on(tmp_path) as engine:
        handle = await engine.start(SealedTalk, CANARY, id="old")
        await handle.signal("note", CANARY, id="note")
        await handle.query("heard", "x")
    async with engine_on(tmp_path, codec=codec()) as engine:
        assert await talk(engine, "old") == EXPECTED


async def test_a_start_that_is_repeated_is_known_by_its_sealed_digest(tmp_path: Path) -> None:
    async with engine_on(tmp_path, codec=codec()) as engine:
        first = await engine.start(sealed_child, "a", id="same")
        again = await engine.start(sealed_child, "a", id="same")
        assert (first.run_id, await again.result()) == (again.run_id, "child of a")
        with pytest.raises(keepstep.AlreadyStarted):
            await engine.start(sealed_child, "b", id="same")


async def test_equal_inputs_have_digests_that_nobody_can_tell_to_be_equal(tmp_path: Path) -> None:
    async with engine_on(tmp_path, codec=codec()) as engine:
        for n in range(2):
            await engine.run(sealed_child, "guessable", id=f"run-{n}")
    rows = sqlite3.connect(tmp_path / "a.db").execute("SELECT input_digest FROM runs").fetchall()
    assert len({digest for (digest,) in rows}) == 2
    assert all(digest[:2] == CELL_MARK for (digest,) in rows)


async def test_events_that_change_places_are_noticed(tmp_path: Path) -> None:
    async with engine_on(tmp_path, codec=codec()) as engine:
        for n in range(2):
            await engine.run(sealed_child, f"word {n}", id=f"run-{n}")
    db = sqlite3.connect(tmp_path / "a.db")
    rows = db.execute("SELECT n, data FROM events WHERE type = 'workflow_completed' ORDER BY n").fetchall()
    for (n, _), (_, data) in zip(rows, reversed(rows), strict=True):
        db.execute("UPDATE events SET data = ? WHERE n = ?", (data, n))
    db.commit()
    async with engine_on(tmp_path, codec=codec(), workers=False) as engine:
        with pytest.raises(Unreadable):
            await engine.get("run-0").result()


TRIED: list[str] = []
LARGE: Counter[int] = Counter()


@step
async def sealed_large(size: int) -> str:
    LARGE[size] += 1
    return "x" * size


@workflow
async def sealed_in_order(rounds: int) -> int:
    total = 0
    for n in range(rounds):
        small = sealed_large.start(1)
        total += len(await sealed_large(100_000 if n % 2 else 10)) + len(await small)
    return total


async def test_commits_behind_one_whose_blob_is_being_written_keep_their_order(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    async with engine_on(tmp_path, codec=Codec(blobs=blobs)) as engine:
        assert await asyncio.gather(*(engine.run(sealed_in_order, 6) for _ in range(5))) == [300_036] * 5
    assert len(list(blobs.list())) == 15


class SlowBlobs(FileBlobs):
    """A place that fails for a while."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.failures = 2

    def put(self, reference: str, data: bytes) -> None:
        if self.failures:
            self.failures -= 1
            TRIED.append(reference)
            raise keepstep.journal.StoreUnavailable("the bucket is closed for a moment")
        super().put(reference, data)


async def test_a_place_for_blobs_that_fails_for_a_while_only_delays(tmp_path: Path) -> None:
    LARGE.clear()
    async with engine_on(tmp_path, codec=Codec(blobs=SlowBlobs(tmp_path / "blobs"))) as engine:
        assert await engine.run(sealed_in_order, 2) == 100_012
    assert len(TRIED) == 2
    assert LARGE[100_000] == 1, "the step was done again"


@pytest.fixture
async def sealed_engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine_on(tmp_path, codec=codec()) as engine:
        yield engine


async def test_a_fork_is_sealed_for_its_own_place(sealed_engine: Engine, tmp_path: Path) -> None:
    handle = await sealed_engine.start(sealed_in_order, 2, id="forked")
    await handle.result()
    events = [event async for event in handle.history()]
    at = next(event.seq for event in events if event.type == "step_completed")
    fork = await handle.fork(at=at)
    assert await fork.result() == 22 + 100_000 - 10
    rows = sqlite3.connect(tmp_path / "a.db").execute("SELECT data FROM events").fetchall()
    assert all(cell_of(data) is not None for (data,) in rows)
    assert len({data for (data,) in rows}) == len(rows), "a cell was copied"


@workflow
async def sealed_continuing(n: int) -> str:
    if n:
        keepstep.continue_as_new(n - 1)
    return await keepstep.receive("word", str)


async def test_a_continuation_takes_along_what_was_said(sealed_engine: Engine) -> None:
    handle = await sealed_engine.start(sealed_continuing, 2, id="continuing")
    await handle.signal("word", CANARY)
    assert await handle.result() == CANARY


async def test_a_failed_run_is_retried_under_a_codec(sealed_engine: Engine) -> None:
    handle = await sealed_engine.start(sealed_flaky, id="flaky")
    with pytest.raises(WorkflowFailed):
        await handle.result()
    FLAKY.append("mended")
    await handle.retry()
    assert await handle.result() == "mended"


FLAKY: list[str] = []


@step(retry=Retry(max_attempts=1))
async def sealed_flaky_step() -> str:
    return FLAKY[0]


@workflow
async def sealed_flaky() -> str:
    return await sealed_flaky_step()


@workflow
async def sealed_and_large(word: str) -> str:
    got = await sealed_large(3_000_000)
    return word + got + await keepstep.receive("more", str)


async def test_with_a_place_for_blobs_values_may_be_larger_than_a_journal_takes(tmp_path: Path) -> None:
    huge = "y" * 3_000_000
    async with engine_on(tmp_path, codec=codec(blobs=FileBlobs(tmp_path / "blobs"))) as engine:
        handle = await engine.start(sealed_and_large, huge, id="large")
        await handle.signal("more", huge)
        assert len(await handle.result()) == 9_000_000
    assert (tmp_path / "a.db").stat().st_size < 1_000_000


@pytest.mark.parametrize(("place", "bytes_max"), [(False, "2,097,152"), (True, "3,000,000")])
async def test_a_value_beyond_the_limit_is_refused_with_the_limit_that_holds(
    tmp_path: Path, place: bool, bytes_max: str
) -> None:
    blobs = FileBlobs(tmp_path / "blobs") if place else None
    async with engine_on(tmp_path, codec=Codec(blobs=blobs, value_bytes_max=3_000_000)) as engine:
        with pytest.raises(keepstep.InvalidInput, match=bytes_max):
            await engine.start(sealed_and_large, "y" * 3_000_001, id="large")
        handle = await engine.start(sealed_large_result, id="result")
        with pytest.raises(WorkflowFailed, match=bytes_max):
            await handle.result()


@workflow
async def sealed_large_result() -> str:
    return await sealed_larger()


@step(retry=Retry(max_attempts=1))
async def sealed_larger() -> str:
    return "z" * 3_000_001


@workflow
async def sealed_for_a_person(word: str) -> str:
    return str(await keepstep.human_task(f"Decide on {word}", form=str))


async def test_tasks_for_people_are_listed_with_the_key_and_name_it_without(tmp_path: Path) -> None:
    async with engine_on(tmp_path, codec=codec()) as engine:
        handle = await engine.start(sealed_for_a_person, "it", id="person")
        while not (tasks := [task async for task in engine.human_tasks()]):
            await asyncio.sleep(0.02)
        async with engine_on(tmp_path, workers=False) as blind:
            with pytest.raises(Unreadable, match="'k1'"):
                [task async for task in blind.human_tasks()]
        await engine.complete_callback(tasks[0].token, "yes")
        assert await handle.result() == "yes"


class HeldBlobs(FileBlobs):
    """A place that takes its time, until it is told to go on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may_go_on = threading.Event()
        self.is_asked = threading.Event()

    def put(self, reference: str, data: bytes) -> None:
        self.is_asked.set()
        assert self.may_go_on.wait(10)
        super().put(reference, data)


async def test_whether_a_commit_happened_is_known_when_its_blob_is_there(tmp_path: Path) -> None:
    blobs = HeldBlobs(tmp_path / "blobs")
    async with engine_on(tmp_path, codec=Codec(blobs=blobs, inline_bytes_max=100), workers=False) as engine:
        handle = await engine.start(sealed_child, "x", id="held")
        run = await engine.journal.read_run((await handle.describe()).run_id)
        assert run is not None
        promise = engine.journal.submit(
            Commit(run_id=run.run_id, version=run.version, id="mine", state=(StateChange("k", "k", b"x" * 1000),))
        )
        await asyncio.to_thread(blobs.is_asked.wait, 10)
        asked = asyncio.ensure_future(engine.journal.was_committed("mine"))
        assert not promise.done()
        blobs.may_go_on.set()
        assert await asked
        await promise
