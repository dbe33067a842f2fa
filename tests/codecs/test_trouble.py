"""Codecs in trouble: whatever fails, is repeated or changes meanwhile, nothing goes in plain and nothing is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keepstep.codecs import Codec, FileBlobs, Keys, binding
from keepstep.codecs.codec import Blobs
from keepstep.codecs.journal import sealed_journal
from keepstep.codecs.keys import new_key
from keepstep.codecs.sweeping import sweep
from keepstep.journal import Commit, Journal, Position, Run, StateChange, StoreUnavailable, Task, TaskToken, cell_of
from keepstep.journal.kept import KeptIn
from keepstep.journal.sqlite import open_sqlite
from tests.journal.scene import advance, event, get, settle, start_owned
from tests.journal.test_task import claim, step

SECRET = b"secret" * 300
PLACE: binding.Binding = ("state", "run", "k", "k")


class FailingBlobs(FileBlobs):
    """A place that fails so many times first."""

    failures = 0

    def put(self, reference: str, data: bytes) -> None:
        if self.failures:
            type(self).failures -= 1
            raise StoreUnavailable("the place for blobs is away")
        super().put(reference, data)


@pytest.fixture
def blobs(tmp_path: Path) -> FailingBlobs:
    FailingBlobs.failures = 0
    return FailingBlobs(tmp_path / "blobs")


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Journal]:
    """What is on disk, as it is there."""
    journal = await open_sqlite(tmp_path / "a.db")
    yield journal
    await journal.close()


@pytest.fixture
def sealed(plain: Journal, blobs: FailingBlobs) -> Journal:
    return sealed_journal(plain, Codec(keys=Keys({"k": new_key()}), blobs=blobs, inline_bytes_max=100))


async def stored(plain: Journal, where: KeptIn) -> list[bytes]:
    return [kept.data for kept in await plain.read_kept(where, None)]


async def a_claimed_task(journal: Journal) -> tuple[Run, Task]:
    run = await start_owned(journal)
    await advance(journal, run, tasks=(step("a", data=b"what it is"),))
    [claimed] = await claim(journal)
    return run, claimed


async def test_a_task_that_is_put_back_for_the_second_time_is_sealed_too(
    plain: Journal, sealed: Journal, blobs: FailingBlobs
) -> None:
    _, claimed = await a_claimed_task(sealed)
    FailingBlobs.failures = 1
    with pytest.raises(StoreUnavailable):
        await sealed.release_task(claimed.token, visible_at=0, attempt=2, data=SECRET)
    await sealed.release_task(claimed.token, visible_at=0, attempt=2, data=SECRET)
    assert [cell_of(data) is not None for data in await stored(plain, KeptIn.TASKS)] == [True]
    [again] = await claim(sealed)
    assert (again.data, again.attempt) == (SECRET, 2)


async def test_a_task_that_was_not_claimed_here_is_put_back_as_it_was(plain: Journal, sealed: Journal) -> None:
    _, claimed = await a_claimed_task(sealed)
    sealed._tasks.clear()  # type: ignore[attr-defined]
    await sealed.release_task(
        TaskToken(claimed.token.task_id, claimed.token.epoch), visible_at=0, attempt=2, data=SECRET
    )
    [again] = await claim(sealed)
    assert again.data == b"what it is"


async def test_a_task_whose_answer_was_refused_can_still_be_put_back(plain: Journal, sealed: Journal) -> None:
    run, claimed = await a_claimed_task(sealed)
    [refused] = await settle(sealed.commit(Commit(run_id=run.run_id, task_token=claimed.token, version=99)))
    assert isinstance(refused, Exception)
    await sealed.release_task(claimed.token, visible_at=0, attempt=2, data=SECRET)
    [again] = await claim(sealed)
    assert again.data == SECRET


async def test_a_question_that_was_not_taken_here_is_not_answered_in_plain(sealed: Journal, plain: Journal) -> None:
    await sealed.answer("nobody-asked", SECRET)
    run = await start_owned(sealed)
    asked = asyncio.ensure_future(sealed.ask(run.run_id, "query", "q", b"1", 10))
    while not (asks := await sealed.take_asks("L", 10)):
        await asyncio.sleep(0.01)
    FailingBlobs.failures = 1
    with pytest.raises(StoreUnavailable):
        await sealed.answer(asks[0].ask_id, SECRET)
    await sealed.answer(asks[0].ask_id, SECRET)
    assert await asked == SECRET


async def test_nothing_of_a_run_is_written_behind_what_could_not_be(
    sealed: Journal, blobs: FailingBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.codecs.storage.KEEP_SECONDS_MAX", 0.0)
    run = await start_owned(sealed)
    FailingBlobs.failures = 1
    first = sealed.submit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(data=SECRET),)))
    second = sealed.submit(Commit(run_id=run.run_id, epoch=run.epoch, state=(StateChange("k", "k", b"1"),)))
    outcomes = await settle(first, second)
    assert [type(each) for each in outcomes] == [StoreUnavailable, StoreUnavailable]
    assert (await get(sealed, run.run_id)).last_seq == 1
    assert await sealed.read_state(run.run_id) == {}


async def test_a_place_that_fails_in_its_own_way_is_trouble_of_the_store(
    sealed: Journal, blobs: FailingBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.codecs.storage.KEEP_SECONDS_MAX", 0.0)
    monkeypatch.setattr(blobs, "put", lambda *_: 1 / 0)
    run = await start_owned(sealed)
    with pytest.raises(StoreUnavailable, match="failed to keep a blob: division by zero"):
        await advance(sealed, run, events=(event(data=SECRET),))


async def test_whoever_reads_the_log_is_not_held_up_by_what_cannot_be_read(plain: Journal, sealed: Journal) -> None:
    run = await start_owned(sealed)
    await advance(sealed, run, events=(event("a"), event("b", data=SECRET)))
    keyless = sealed_journal(plain, Codec())
    entries = await keyless.read_log(Position(0, 0))
    assert [each.event.type for each in entries] == ["started", "a", "b"]
    assert cell_of(entries[-1].event.data) is not None


def test_a_key_that_comes_while_a_value_is_being_sealed_spoils_nothing() -> None:
    keys = Keys({"old": new_key()})
    codec = Codec(keys=keys)
    encrypt = keys.encrypt

    def encrypt_behind_a_change(*given: object) -> bytes:
        keys._take({"new": new_key()}, None)
        return encrypt(*given)  # type: ignore[arg-type]

    keys.encrypt = encrypt_behind_a_change  # type: ignore[method-assign, assignment]
    cell = cell_of(codec.seal(b"x", PLACE, {}))
    assert cell is not None
    assert (cell.key_id, codec.open(cell, PLACE), keys.primary) == ("old", b"x", "new")


def test_half_of_a_file_of_keys_changes_nothing(tmp_path: Path) -> None:
    file, lines = tmp_path / "keys", [f"k{n} {new_key()}\n" for n in range(3)]
    file.write_text("".join(lines[:2]))
    keys = Keys.from_file(file)
    file.write_text(lines[0])
    assert keys._look_again("k2") is None
    assert (keys.primary, keys.ids) == ("k1", ("k0", "k1"))
    file.write_text(lines[2])
    keys._looked_at = 0.0
    assert keys._look_again("k2") is not None
    assert (keys.primary, keys.ids) == ("k2", ("k0", "k1", "k2")), "what was known is known"


def test_equal_values_of_one_place_have_blobs_of_their_own() -> None:
    codec, kept = Codec(blobs=FileBlobs("/nowhere"), inline_bytes_max=100), Blobs()
    cells = [cell_of(codec.seal(SECRET, PLACE, kept)) for _ in range(2)]
    assert len(kept) == 2
    for cell in cells:
        assert cell is not None
        assert codec.open(cell, PLACE, blob=SECRET) == SECRET


async def test_a_value_that_comes_back_while_blobs_are_swept_keeps_its_blob(
    plain: Journal, blobs: FailingBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A, then B, then A again, in one place; the sweep has looked while B was there."""
    journal: Journal = sealed_journal(plain, Codec(blobs=blobs, inline_bytes_max=100))
    run = await start_owned(journal)

    async def write(data: bytes) -> None:
        await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, state=(StateChange("k", "k", data),)))

    await write(SECRET)
    await write(SECRET[::-1])
    read, is_last = plain.read_kept, list(KeptIn)[-1]

    async def read_and_write(where: KeptIn, *given: object) -> object:
        page = await read(where, *given)  # type: ignore[arg-type]
        if where is is_last and not page:
            await write(SECRET)
        return page

    monkeypatch.setattr(plain, "read_kept", read_and_write)
    newest = max(found.written_at for found in blobs.list())
    swept = await sweep(plain, blobs, now=lambda: newest + 3600, grace_seconds=600)
    assert swept.removed == 1
    fresh: Journal = sealed_journal(plain, Codec(blobs=FileBlobs(blobs._folder), inline_bytes_max=100))
    assert await fresh.read_state(run.run_id) == {("k", "k"): SECRET}


def test_the_name_of_every_new_folder_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr("keepstep.codecs.blobs.files._flush_folder", flushed.append)
    reference = "ab" + "0" * 62
    FileBlobs(tmp_path / "x" / "y").put(reference, b"1")
    assert {tmp_path, tmp_path / "x", tmp_path / "x" / "y"} <= set(flushed)
    flushed.clear()
    other = FileBlobs(tmp_path / "x" / "y")
    other.put(reference, b"1")
    assert tmp_path / "x" / "y" in flushed, "whoever has made it may not have flushed it"
    assert os.listdir(tmp_path / "x" / "y" / "ab") == [reference]
