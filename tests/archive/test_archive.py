"""What is at a place is read as far as it can be: each run once, as it was last, and what is damaged is named."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import msgspec
import pytest

from keepstep.archive import Archive, decode_recording, encode_line, place_at
from keepstep.archive.file import SUFFIX, Torn, pack, unpack
from keepstep.archive.place import Folder
from keepstep.codecs import Codec
from keepstep.journal import InvalidInput, Loaded, StoreUnavailable
from tests.archive.test_recording import LOADED


def line_of(run_id: str, *, version: int = 3, closed_at: int = 20, status_text: str = "") -> bytes:
    run = msgspec.structs.replace(
        LOADED.run, run_id=run_id, workflow_id=f"w-{run_id}", version=version, closed_at=closed_at,
        status_text=status_text,
    )  # fmt: skip
    return encode_line(Loaded(run, LOADED.events, {}, []), (), Codec())


def put(folder: Path, name: str, *lines: bytes) -> Path:
    Folder(folder).put(name + SUFFIX, pack(lines, 0))
    return folder / (name + SUFFIX)


def ids(archive: Archive, id: str | None = None) -> list[str]:
    return [each.run.run_id for each in archive.list(id)]


def test_a_file_is_lines_that_any_tool_unpacks(tmp_path: Path) -> None:
    lines = [b"%d" % n * 1000 for n in range(2000)]
    data = pack(lines, 0)
    assert list(unpack(data)) == lines
    assert gzip.decompress(data) == b"".join(line + b"\n" for line in lines)
    assert list(unpack(pack([], 0))) == []


def test_all_lines_before_a_tear_are_read_wherever_it_is() -> None:
    lines = [os.urandom(40).hex().encode() for _ in range(50)]
    data = pack(lines, 0)
    for length in range(len(data)):
        read: list[bytes] = []
        with pytest.raises(Torn):
            for line in unpack(data[:length]):
                read.append(line)
        assert read == lines[: len(read)]
    with pytest.raises(Torn, match="something follows"):
        list(unpack(data + b"x"))
    with pytest.raises(Torn, match="damaged"):
        list(unpack(b"what is no gzip at all"))


def test_runs_are_listed_the_longest_closed_first_and_found_by_workflow_id_and_run_id(tmp_path: Path) -> None:
    put(tmp_path, "2", line_of("a", closed_at=30), line_of("b", closed_at=10))
    put(tmp_path, "1", line_of("c", closed_at=20))
    archive = Archive(place_at(str(tmp_path)))
    assert ids(archive) == ["b", "c", "a"]
    assert (ids(archive, "w-b"), ids(archive, "b"), ids(archive, "x")) == (["b"], ["b"], [])
    assert archive.troubles == []
    assert [
        (decode_recording(line, "").loaded.run.run_id, each.where) for each, line in archive.read(archive.list())
    ] == [
        ("b", f"2{SUFFIX}:2"),
        ("c", f"1{SUFFIX}:1"),
        ("a", f"2{SUFFIX}:1"),
    ]


def test_a_run_that_was_written_several_times_counts_once_as_it_was_last(tmp_path: Path) -> None:
    put(tmp_path, "1", line_of("a", version=3, status_text="first"), line_of("b"))
    put(tmp_path, "2", line_of("a", version=7, status_text="last"), line_of("b"))
    put(tmp_path, "3", line_of("a", version=3, status_text="first"))
    archive = Archive(place_at(str(tmp_path)))
    assert sorted(ids(archive)) == ["a", "b"]
    [(_, line)] = archive.read(archive.list("a"))
    assert decode_recording(line, "").loaded.run.status_text == "last"


def test_a_torn_file_is_named_and_keeps_nothing_else_from_being_read(tmp_path: Path) -> None:
    torn = put(tmp_path, "1", line_of("a"), line_of("b"), line_of("c"))
    put(tmp_path, "2", line_of("d"))
    (tmp_path / f"0{SUFFIX}").write_bytes(b"")
    torn.write_bytes(torn.read_bytes()[:-12])
    archive = Archive(place_at(str(tmp_path)))
    assert "d" in ids(archive)
    assert archive.troubles == [
        f"0{SUFFIX} in {tmp_path}: it is cut off; runs behind that place are not read",
        f"1{SUFFIX} in {tmp_path}: it is cut off; runs behind that place are not read",
    ]
    ids(archive)
    assert len(archive.troubles) == 2


def test_a_line_that_is_no_run_is_named_and_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "1", line_of("a"), b"{}", b"\xff", b'{"keepstep_recording": 9}', line_of("b"))
    archive = Archive(place_at(str(tmp_path)))
    assert ids(archive) == ["a", "b"]
    assert [trouble[:7] for trouble in archive.troubles] == ["line 2 ", "line 3 ", "line 4 "]


def test_what_a_crash_leaves_of_a_file_that_was_being_written_is_no_file(tmp_path: Path) -> None:
    place = Folder(tmp_path / "deep" / "archive")
    assert place.names() == []
    place.put(f"1{SUFFIX}", b"whole")
    (tmp_path / "deep" / "archive" / f"2{SUFFIX}.a1b2c3d4").write_bytes(b"part")
    assert place.names() == [f"1{SUFFIX}"]


def test_a_file_is_flushed_before_it_has_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(number: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file")
        fsync(number)

    def noted_replace(old: Path, new: Path) -> None:
        calls.append("name")
        replace(old, new)

    place = Folder(tmp_path)
    place.put(f"1{SUFFIX}", b"")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    place.put(f"2{SUFFIX}", b"whole")
    assert [each for each in calls if each != "folder"] == ["file", "name"]
    assert calls[-3:] == ["file", "name", "folder"]


def test_a_place_that_is_none_or_cannot_be_used_is_named(tmp_path: Path) -> None:
    for url in ("", "ftp://host/there"):
        with pytest.raises(InvalidInput, match=r"an archive is a folder|no place for an archive"):
            place_at(url)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be written to"):
        place_at(str(tmp_path / "file")).put(f"1{SUFFIX}", b"")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        place_at(str(tmp_path / "file")).names()
