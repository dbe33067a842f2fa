"""Everything can be sealed by a new key, beside workers, stopped and begun again, and no run sees anything of it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.client.promotion import promote
from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.binding import of_event, of_kept
from keepstep.codecs.keys import new_key
from keepstep.codecs.resealing import PLAIN, Resealed, reseal
from keepstep.journal import StoreUnavailable, cell_of
from keepstep.journal.kept import KeptIn
from keepstep.journal.payload import CELL_MARK

OLD, NEW = new_key(), new_key()


def codec(*ids: str, **options: Any) -> Codec:
    return Codec(keys=Keys({id: OLD if id == "k1" else NEW for id in ids}), **options)


@step
async def resealed_step(word: str) -> str:
    return word * 20


@step(queue="resealed-elsewhere")
async def resealed_remote(word: str) -> str:
    return word


@workflow
async def resealed_run(word: str) -> str:
    got = await resealed_step(word)
    remote = resealed_remote.start(word)
    got += await keepstep.receive("more", str)
    return got + str(await remote)


def engine_on(folder: Path, codec: Codec | None, **options: Any) -> Engine:
    return Engine(f"sqlite:///{folder}/a.db", codec=codec, **options)


async def begin(folder: Path, codec: Codec | None, runs: int = 5) -> None:
    """Runs that have a bit of everything: history, a task that nobody has done, and a message that nobody has read."""
    async with engine_on(folder, codec) as engine:
        handles = [await engine.start(resealed_run, f"word {n} ", id=f"run-{n}") for n in range(runs)]
        for handle in handles:
            while not (await handle.describe()).waiting_for:
                await asyncio.sleep(0.02)
    async with engine_on(folder, codec, workers=False) as engine:
        for n in range(runs):
            await engine.get(f"run-{n}").signal("more", "more ")


async def end(folder: Path, codec: Codec, runs: int = 5) -> None:
    async with engine_on(folder, codec, queues=("default", "resealed-elsewhere")) as engine:
        for n in range(runs):
            assert await engine.get(f"run-{n}").result(timeout=20) == f"word {n} " * 20 + "more " + f"word {n} "


def key_ids(folder: Path) -> set[str]:
    db = sqlite3.connect(folder / "a.db")
    data = [
        row[0]
        for column, table in (
            ("data", "events"), ("data", "messages"), ("data", "state"), ("data", "tasks"),
            ("detail", "runs"), ("input_digest", "runs"),
        )
        for row in db.execute(f"SELECT {column} FROM {table}")
        if row[0]
    ]  # fmt: skip
    cells = [cell_of(each) for each in data]
    return {"" if cell is None else cell.key_id for cell in cells}


def untold(where: KeptIn, done: Resealed) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("chain", ["keys", "all"])
async def test_all_is_sealed_by_the_new_key_and_runs_go_on_without_the_old_one(tmp_path: Path, chain: str) -> None:
    options: dict[str, Any] = {}
    if chain == "all":
        options = {"blobs": FileBlobs(tmp_path / "blobs"), "inline_bytes_max": 60, "compression": "zlib"}
    await begin(tmp_path, codec("k1", **options))
    assert key_ids(tmp_path) == {"k1"}
    async with engine_on(tmp_path, codec("k1", "k2", **options), workers=False) as engine:
        done = await reseal(engine.journal, codec("k1", "k2", **options), untold)
    assert key_ids(tmp_path) == {"k2"}
    assert set(done.by_key) == {"k1"}
    assert (done.unreadable_count, done.left) == (0, {})
    assert done.sealed == done.by_key.total() > 20
    await end(tmp_path, codec("k2", **options))


async def test_plain_runs_are_sealed_too(tmp_path: Path) -> None:
    await begin(tmp_path, None)
    async with engine_on(tmp_path, codec("k2"), workers=False) as engine:
        await reseal(engine.journal, codec("k2"), untold, only={PLAIN})
    assert key_ids(tmp_path) == {"k2"}
    await end(tmp_path, codec("k2"))


async def test_only_what_the_named_keys_have_sealed_is_sealed_anew(tmp_path: Path) -> None:
    await begin(tmp_path, codec("k1"), runs=1)
    async with engine_on(tmp_path, codec("k1", "k2"), workers=False) as engine:
        done = await reseal(engine.journal, codec("k1", "k2"), untold, only={PLAIN, "k0"})
        assert done.sealed == 0
        counted = await reseal(engine.journal, codec("k1", "k2"), untold, dry_run=True)
    assert counted.sealed > 5
    assert key_ids(tmp_path) == {"k1"}


async def test_it_goes_on_where_it_was_stopped_at_any_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.journal.sqlite.kept.PAGE_ROWS", 3)
    monkeypatch.setattr("keepstep.journal.sqlite.kept.FETCHED_AT_ONCE", 3)
    await begin(tmp_path, codec("k1"))
    stops = 0
    async with engine_on(tmp_path, codec("k1", "k2"), workers=False) as engine:
        swap, swapped = engine.journal.swap_kept, 0

        async def stop_after_one(where: KeptIn, swaps: Any) -> None:
            nonlocal swapped
            if swapped:
                raise StoreUnavailable("stopped")
            swapped += bool(swaps)
            await swap(where, swaps)

        engine.journal.swap_kept = stop_after_one  # type: ignore[method-assign]
        while True:
            try:
                swapped = 0
                await reseal(engine.journal, codec("k1", "k2"), untold)
                break
            except StoreUnavailable:
                stops += 1
    assert stops > 8
    assert key_ids(tmp_path) == {"k2"}
    await end(tmp_path, codec("k2"))


async def test_workers_go_on_while_everything_under_them_is_sealed_anew(tmp_path: Path) -> None:
    await begin(tmp_path, codec("k1"), runs=10)
    both = codec("k1", "k2")
    async with (
        engine_on(tmp_path, both, queues=("default", "resealed-elsewhere")) as engine,
        engine_on(tmp_path, codec("k1", "k2"), workers=False) as other,
    ):
        work = asyncio.gather(*(engine.get(f"run-{n}").result(timeout=20) for n in range(10)))
        while not work.done():
            await reseal(other.journal, codec("k1", "k2"), untold)
        assert await work == [f"word {n} " * 20 + "more " + f"word {n} " for n in range(10)]
        done = await reseal(other.journal, codec("k1", "k2"), untold)
        assert not done.left
    assert key_ids(tmp_path) == {"k2"}


async def test_what_cannot_be_read_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    await begin(tmp_path, codec("k1"), runs=1)
    async with engine_on(tmp_path, codec("k2"), workers=False) as engine:
        done = await reseal(engine.journal, codec("k2"), untold)
    assert done.unreadable_count > 5
    assert "run-0" in done.unreadable[0]
    assert "'k1'" in done.unreadable[0]
    assert done.left["k1"] == done.unreadable_count
    await end(tmp_path, codec("k1"), runs=1)


async def test_events_look_the_same_before_and_after(tmp_path: Path) -> None:
    await begin(tmp_path, codec("k1"), runs=1)
    async with engine_on(tmp_path, codec("k1", "k2"), workers=False) as engine:
        run = await engine.journal.find_run("default", "run-0")
        assert run is not None
        before = await engine.journal.load(run.run_id)
        await reseal(engine.journal, codec("k1", "k2"), untold)
        assert await engine.journal.load(run.run_id) == before
        for kept in await engine.journal.read_kept(KeptIn.EVENTS):
            assert kept.data[:2] == CELL_MARK
            event = next(each for each in before.events if each.seq == kept.spot[1])
            assert of_kept(KeptIn.EVENTS, kept) == (of_event(run.run_id, event),)


async def test_a_sealed_journal_moves_to_a_server_and_is_sealed_anew_there(tmp_path: Path, postgres_url: str) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    old = codec("k1", blobs=blobs, inline_bytes_max=100)
    await begin(tmp_path, old)
    url = f"sqlite:///{tmp_path}/a.db"
    await asyncio.to_thread(promote, url, postgres_url, wait=True, tell=lambda progress: None, say=lambda text: None)
    both, new = (codec(*ids, blobs=blobs, inline_bytes_max=100) for ids in (("k1", "k2"), ("k2",)))
    async with Engine(postgres_url, codec=both, workers=False) as engine:
        done = await reseal(engine.journal, both, untold)
        assert (done.unreadable_count, done.left) == (0, {})
        assert done.sealed > 20
    async with Engine(postgres_url, codec=new, queues=("default", "resealed-elsewhere")) as engine:
        for n in range(5):
            assert await engine.get(f"run-{n}").result(timeout=20) == f"word {n} " * 20 + "more " + f"word {n} "
