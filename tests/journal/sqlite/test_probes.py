"""Which suspect a process runs is noted where the disk is not waited for, and its death can be read from it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from keepstep.journal import StoreUnavailable
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.probes import FileProbes
from tests.journal.scene import WAIT_SECONDS_MAX, get, lease, new_run


def files(database: Path) -> list[Path]:
    return sorted(database.parent.glob("*-probe-*"))


async def test_a_note_does_not_wait_for_the_disk(database: Path) -> None:
    worker, other = await open_sqlite(database), await open_sqlite(database)
    run = await worker.start(new_run())
    await worker.open_lease(lease())
    blocking = sqlite3.connect(database, isolation_level=None)
    blocking.execute("BEGIN IMMEDIATE")  # nothing can be committed
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await worker.probe("L", run.run_id)
        assert [state.probing for state in await other.list_leases()] == [run.run_id]
        await worker.probe("L", None)
        assert [state.probing for state in await other.list_leases()] == [None]
    blocking.execute("ROLLBACK")
    blocking.close()
    await worker.close()
    await other.close()


async def test_a_note_is_gone_with_its_lease(database: Path) -> None:
    worker, other = await open_sqlite(database), await open_sqlite(database)
    run = await worker.start(new_run())
    for lease_id, mortal in (("closed", False), ("dead", True)):
        await worker.open_lease(lease(lease_id, mortal=mortal))
        await worker.probe(lease_id, run.run_id)
    assert len(files(database)) == 2
    await worker.close_lease("closed")
    assert await other.reap() == ["dead"]
    assert files(database) == []
    assert (await get(other, run.run_id)).strikes == 1
    await worker.close()
    await other.close()


async def test_a_note_of_an_earlier_boot_blames_nobody(database: Path) -> None:
    worker, other = await open_sqlite(database), await open_sqlite(database)
    run = await worker.start(new_run())
    await worker.open_lease(lease(mortal=True))
    await worker.probe("L", run.run_id)
    (file,) = files(database)
    file.write_text(f"00000000-another-boot {run.run_id}")
    assert await other.reap() == ["L"]
    assert (await get(other, run.run_id)).strikes == 0
    await worker.close()
    await other.close()


@pytest.mark.parametrize("noted", [b"", b"\x00" * 64, b"\xff\xfe torn"])
async def test_a_note_that_power_has_torn_blames_nobody(database: Path, noted: bytes) -> None:
    probes = FileProbes(database)
    probes.note("L", "run")
    assert probes.read("L") == "run"
    files(database)[0].write_bytes(noted)
    assert probes.read("L") is None
    probes.close()


async def test_what_is_left_of_leases_that_are_over_is_swept_at_the_next_opening(database: Path) -> None:
    worker = await open_sqlite(database)
    await worker.open_lease(lease("open"))
    late = FileProbes(database)
    late.note("over", "run")
    await worker.probe("open", "run")
    another = await open_sqlite(database)
    assert late.read("over") is None
    assert [state.probing for state in await another.list_leases()] == ["run"]
    late.close()
    await another.close()
    await worker.close()


async def test_a_note_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    probes = FileProbes(tmp_path / "missing" / "journal.db")
    with pytest.raises(StoreUnavailable, match=r"missing/journal.db-probe-.* cannot be written: No such file"):
        probes.note("L", "run")
