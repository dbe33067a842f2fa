"""The fault model: what a disk may hold after its power was cut, and what it surely holds."""

from __future__ import annotations

import pytest

from keepstep.testing.power.survival import SECTOR_BYTES, Disk
from keepstep.testing.power.trace import (
    Create,
    Delete,
    FailedSync,
    Operation,
    Sync,
    SyncFolder,
    Trace,
    Truncate,
    Write,
)

DRAWS = range(1, 300)


def disk_after(*operations: Operation, files: dict[str, bytes] | None = None, seed: str = "seed") -> Disk:
    trace = Trace()
    for operation in operations:
        trace.add(operation)
    disk = Disk(trace, files or {}, seed)
    disk.advance_to(trace.place)
    return disk


def contents(disk: Disk, name: str = "a") -> set[bytes | None]:
    return {disk.draw(draw).get(name) for draw in DRAWS}


def test_what_was_synced_is_there_in_every_draw() -> None:
    disk = disk_after(Write(0, 0, b"new"), Sync(0), files={"a": b"old."})
    assert contents(disk) == {b"new."}
    assert disk.draw(0) == {"a": b"new."}


def test_what_was_not_synced_may_be_there_whole_in_part_as_garbage_or_not_at_all() -> None:
    new, old = b"n" * 3 * SECTOR_BYTES, b"o" * 3 * SECTOR_BYTES
    disk = disk_after(Write(0, 0, new), files={"a": old})
    found = contents(disk)
    assert disk.draw(0) == {"a": old}, "the worst draw has nothing"
    assert {old, new} <= found
    sectors = {each[begin : begin + SECTOR_BYTES] for each in found if each for begin in (0, 512, 1024)}
    assert any(sector.strip(b"no") for sector in sectors), "some sector holds garbage"
    assert any(each not in (old, new) and not each.strip(b"no") for each in found if each), "some write is torn"


def test_sectors_beside_a_write_are_never_touched() -> None:
    disk = disk_after(Write(0, SECTOR_BYTES, b"n" * SECTOR_BYTES), files={"a": b"o" * 3 * SECTOR_BYTES})
    for each in contents(disk):
        assert each is not None
        assert (each[:512], each[1024:]) == (b"o" * 512, b"o" * 512)


def test_a_later_write_may_be_there_without_an_earlier_one() -> None:
    disk = disk_after(Write(0, 0, b"1"), Write(0, 600, b"2"), files={"a": b"." * 601})
    found = {(each[0:1], each[600:]) for each in contents(disk) if each}
    assert {(b".", b"2"), (b"1", b"."), (b"1", b"2"), (b".", b".")} <= found


def test_truncating_is_a_change_like_others() -> None:
    assert {b"12", b"1234"} <= contents(disk_after(Truncate(0, 2), files={"a": b"1234"}))
    assert contents(disk_after(Truncate(0, 2), Sync(0), files={"a": b"1234"})) == {b"12"}


def test_names_are_there_for_sure_only_once_their_folder_was_synced() -> None:
    made = (Create("b", 1), Write(1, 0, b"x"), Sync(1))
    assert contents(disk_after(*made, files={"a": b""}), "b") == {None, b"x"}
    assert contents(disk_after(*made, SyncFolder(), files={"a": b""}), "b") == {b"x"}
    assert contents(disk_after(Delete("a"), files={"a": b"x"})) == {None, b"x"}
    assert contents(disk_after(Delete("a"), SyncFolder(), files={"a": b"x"})) == {None}


def test_a_name_that_came_to_mean_another_file_means_either() -> None:
    disk = disk_after(Delete("a"), Create("a", 1), Write(1, 0, b"new"), Sync(1), files={"a": b"old"})
    assert contents(disk) == {None, b"old", b"new"}


def test_what_a_failed_sync_should_have_made_durable_is_not_brought_there_by_a_later_one() -> None:
    operations = (Write(0, 0, b"n"), FailedSync(0), Write(0, 600, b"m"), Sync(0))
    after = [disk_after(*operations, files={"a": b"." * 601}, seed=str(seed)).draw(1)["a"] for seed in range(100)]
    assert {content[600:] for content in after} == {b"m"}
    assert b"." in {content[0:1] for content in after}, "it is gone"
    assert b"n" in {content[0:1] for content in after}, "or it had reached the disk before the sync failed"


@pytest.mark.parametrize("draw", [0, 1])
def test_the_same_seed_place_and_draw_leave_the_same(draw: int) -> None:
    operations = [Write(0, 100 * number, bytes(50)) for number in range(40)]
    one, other = (disk_after(*operations, files={"a": b"." * 4000}) for _ in range(2))
    assert one.draw(draw) == other.draw(draw)
