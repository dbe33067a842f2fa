"""A cell gives back what it was made of, in its own place and with its own key, and nothing anywhere else."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepstep.codecs import Codec, FileBlobs, Keys, binding
from keepstep.codecs.binding import of_kept
from keepstep.codecs.codec import Blobs
from keepstep.codecs.keys import new_key
from keepstep.journal import Cell, InvalidInput, NewEvent, NewMessage, NewTask, Unreadable, cell_of, seal_cell
from keepstep.journal.kept import Kept, KeptIn

HERE, THERE = ("event", "run-1", "step_completed", "charge", 1), ("event", "run-2", "step_completed", "charge", 1)
SECRET = b'["a card number: 4111 1111 1111 1111", "' + b"x" * 1000 + b'"]'

OLD, NEW = new_key(), new_key()


def sealed(codec: Codec, data: bytes = SECRET, place: Any = HERE) -> tuple[Cell, Blobs]:
    blobs: Blobs = {}
    cell = cell_of(codec.seal(data, place, blobs))
    assert cell is not None
    return cell, blobs


@pytest.fixture(params=["zlib", "keys", "blobs", "all"])
def codec(request: pytest.FixtureRequest, tmp_path: Path) -> Codec:
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "zlib": lambda: {"compression": "zlib"},
        "keys": lambda: {"keys": Keys({"k1": OLD})},
        "blobs": lambda: {"blobs": FileBlobs(tmp_path), "inline_bytes_max": 100},
    }
    parts = made if request.param == "all" else {request.param: made[request.param]}
    options: dict[str, Any] = {}
    for part in parts.values():
        options |= part()
    if request.param == "all":
        options["inline_bytes_max"] = 50
    return Codec(**options)


def test_a_cell_gives_back_what_it_was_made_of(codec: Codec) -> None:
    cell, blobs = sealed(codec)
    assert codec.open(cell, HERE, blob=blobs.get(cell.blob)) == SECRET
    assert bool(cell.blob) is (codec.blobs is not None)
    assert cell.encoding == "+".join(
        name for name, is_there in (("zlib", codec.compression), ("aes256gcm", codec.keys)) if is_there
    )


def test_a_codec_of_nothing_changes_nothing() -> None:
    blobs: Blobs = {}
    assert Codec().seal(SECRET, HERE, blobs) is SECRET
    assert not blobs


def test_data_that_look_like_a_cell_come_back_as_they_were() -> None:
    odd = seal_cell(Cell("", "k", "", b"x"))
    cell, _ = sealed(Codec(), odd)
    assert Codec().open(cell, HERE) == odd


def test_an_encrypted_cell_shows_nothing_of_its_content_and_no_two_are_alike() -> None:
    codec = Codec(keys=Keys({"k1": OLD}))
    cells = [sealed(codec)[0] for _ in range(100)]
    assert not any(b"4111" in cell.content for cell in cells)
    assert len({cell.content[:12] for cell in cells}) == 100, "a nonce was used twice"


@pytest.mark.parametrize("place", [THERE, HERE[:-1], (*HERE, ""), ("state", *HERE[1:])])
def test_an_encrypted_cell_means_nothing_in_another_place(place: Any) -> None:
    codec = Codec(keys=Keys({"k1": OLD}))
    cell, _ = sealed(codec)
    with pytest.raises(Unreadable, match="comes from another place"):
        codec.open(cell, place)


def test_a_blob_means_nothing_in_another_place_even_if_it_is_not_encrypted(tmp_path: Path) -> None:
    codec = Codec(blobs=FileBlobs(tmp_path), inline_bytes_max=100)
    cell, blobs = sealed(codec)
    with pytest.raises(Unreadable, match="belongs to another place"):
        codec.open(cell, THERE, blob=blobs[cell.blob])
    with pytest.raises(Unreadable, match="has other bytes"):
        codec.open(cell, HERE, blob=SECRET[:-1])


def test_a_changed_bit_anywhere_is_noticed() -> None:
    codec = Codec(keys=Keys({"k1": OLD}))
    cell, _ = sealed(codec, b"[1]")
    for at in range(len(cell.content)):
        changed = bytearray(cell.content)
        changed[at] ^= 1
        with pytest.raises(Unreadable, match="damaged"):
            codec.open(Cell(cell.encoding, cell.key_id, "", bytes(changed)), HERE)


def test_what_a_cell_says_of_its_encoding_cannot_be_changed() -> None:
    codec = Codec(keys=Keys({"k1": OLD}), compression="zlib")
    cell, _ = sealed(codec)
    with pytest.raises(Unreadable, match="damaged"):
        codec.open(Cell("aes256gcm", cell.key_id, "", cell.content), HERE)


def test_the_newest_key_writes_and_every_key_reads() -> None:
    before = Codec(keys=Keys({"k1": OLD}))
    after = Codec(keys=Keys({"k1": OLD, "k2": NEW}))
    old_cell, new_cell = sealed(before)[0], sealed(after)[0]
    assert (old_cell.key_id, new_cell.key_id) == ("k1", "k2")
    assert after.open(old_cell, HERE) == after.open(new_cell, HERE) == SECRET
    with pytest.raises(Unreadable, match="'k2', which is not here"):
        before.open(new_cell, HERE)


def test_an_encrypted_cell_without_any_keys_says_which_is_needed() -> None:
    cell, _ = sealed(Codec(keys=Keys({"k1": OLD})))
    with pytest.raises(Unreadable, match="'k1', and there are no keys here"):
        Codec().open(cell, HERE)


def test_a_key_that_is_added_to_the_file_is_found_when_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of 2026\nk1 {OLD}\n")
    worker = Codec(keys=Keys.from_file(file))
    file.write_text(f"k1 {OLD}\nk2 {NEW}  # since November\n")
    newer = Codec(keys=Keys.from_file(file))
    assert worker.open(sealed(newer)[0], HERE) == SECRET
    assert worker.keys is not None
    assert worker.keys.primary == "k2"


def test_no_key_is_ever_shown(tmp_path: Path) -> None:
    raw = base64.b64decode(OLD)
    keys = Keys({"k1": OLD})
    shown = repr(keys) + repr(Codec(keys=keys)) + str(vars(Codec(keys=keys)))
    assert "k1" in shown
    assert OLD not in shown
    assert repr(raw) not in shown
    with pytest.raises(TypeError, match="not to be copied"):
        pickle.dumps(keys)
    file = tmp_path / "keys"
    file.write_text(f"k1 {OLD} {NEW}")
    with pytest.raises(InvalidInput, match="line 1") as refused:
        Keys.from_file(file)
    assert OLD not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({}, "there are no keys"),
        ({"k1": b"short"}, "must have 32 bytes"),
        ({"k1": "not base64!"}, "not base64"),
        ({"k 1": os.urandom(32)}, "without spaces"),
        ({"": os.urandom(32)}, "short name"),
    ],
)
def test_keys_that_are_none_are_refused(keys: Any, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        Keys(keys)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.codecs.compression.UNPACKED_BYTES_MAX", 10_000)
    cell, _ = sealed(Codec(compression="zlib"), b"x" * 20_000)
    with pytest.raises(Unreadable, match="more than 10000 bytes"):
        Codec().open(cell, HERE)


def test_what_compression_makes_longer_is_left_as_it_is() -> None:
    noise = os.urandom(2000)
    assert Codec(compression="zlib").seal(noise, HERE, {}) is noise


def test_an_encoding_of_a_later_version_is_named() -> None:
    with pytest.raises(Unreadable, match="'brotli', which this version does not know"):
        Codec().open(Cell("brotli", "", "", b"x"), HERE)


@pytest.mark.parametrize("options", [{"compression": "lzma"}, {"inline_bytes_max": 0}, {"value_bytes_max": 1}])
def test_what_no_codec_can_be_is_refused(options: Any) -> None:
    with pytest.raises(InvalidInput, match=str(next(iter(options)))):
        Codec(**options)


RUN = {"run_id": "r1", "namespace": "n1", "workflow_id": "w1", "kind": "k1", "key": "y1", "id": "i1", "time": 1}
MATTERS = {
    KeptIn.EVENTS: {"run_id", "kind", "key", "time"},
    KeptIn.STATE: {"run_id", "kind", "key"},
    KeptIn.TASKS: {"run_id", "kind", "key"},
    KeptIn.MESSAGES: {"run_id", "kind", "key", "id"},
    KeptIn.DETAILS: {"run_id"},
    KeptIn.INPUTS: {"namespace", "workflow_id"},
}


@pytest.mark.parametrize("where", KeptIn)
def test_a_cell_is_bound_to_all_that_says_where_it_is(where: KeptIn) -> None:
    here = Kept(spot=(1,), **RUN)  # type: ignore[arg-type]
    places = of_kept(where, here)
    others = {
        name: of_kept(where, msgspec.structs.replace(here, **{name: 2 if name == "time" else "other"})) for name in RUN
    }
    assert {name for name, other in others.items() if other[0] != places[0]} == MATTERS[where]
    every = {of_kept(each, here)[0] for each in KeptIn}
    assert len(every) == len(KeptIn), "no two kinds of data have a place in common"


def test_the_places_of_pieces_are_those_that_are_sealed_for() -> None:
    event, task = NewEvent("k1", 1, "y1", b""), NewTask(kind="k1", key="y1", queue="q")
    message = NewMessage(run_id="r1", kind="k1", name="y1", id="i1")
    here = Kept(spot=(1,), **RUN)  # type: ignore[arg-type]
    assert of_kept(KeptIn.EVENTS, here) == (binding.of_event("r1", event),)
    assert of_kept(KeptIn.TASKS, here) == (binding.of_task("r1", task),)
    assert of_kept(KeptIn.STATE, here) == (binding.of_state_key("r1", "k1", "y1"),)
    assert of_kept(KeptIn.MESSAGES, here) == (
        binding.of_message_to_run("r1", message),
        binding.of_message_to_workflow("n1", "w1", message),
    )
