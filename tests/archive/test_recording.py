"""A run is recorded whole, and read as it was; where there are keys, nobody reads it without them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keepstep.archive import decode_recording, encode_line, encode_recording
from keepstep.archive import recording as module
from keepstep.archive.recording import read_preface
from keepstep.codecs import Codec, Keys
from keepstep.codecs.keys import new_key
from keepstep.journal import (
    AuditLine,
    Condition,
    Event,
    InvalidInput,
    Loaded,
    Message,
    Run,
    Status,
    TooLarge,
    Unreadable,
)

RUN = Run(
    run_id="r1", workflow_id="order-1", namespace="default", shard=3, language="python", format=1, type="fulfil",
    queue="q", status=Status.FAILED, condition=Condition.NONE, detail=b"\x00d", version=3, last_seq=2, epoch=4,
    owner=None, wake_at=None, started_at=10, closed_at=20, parent_run_id="p", parent_key="k", input_digest=b"\xff",
    attributes={"customer": "c7"}, status_text="half", strikes=1, continued_from=None,
)  # fmt: skip
EVENTS = [Event(1, "started", 10, None, b"\x00secret"), Event(2, "failed", 20, "k", b"secret")]
MESSAGES = [Message(run_id="r1", n=9, kind="signal", name="late", data=b"secret", time=15, id="m")]
LOADED = Loaded(RUN, EVENTS, {("attempts", "k"): b"secret\n"}, MESSAGES)
AUDIT = (AuditLine(12, "paused: secret"),)

OLD, NEW = new_key(), new_key()


def codec(**keys: str) -> Codec:
    return Codec(keys=Keys(keys))


def test_a_recording_is_the_run_with_all_that_belongs_to_it() -> None:
    for data in (encode_recording(LOADED, AUDIT), encode_line(LOADED, AUDIT, Codec())):
        recorded = decode_recording(data, "here")
        assert (recorded.loaded, recorded.audit) == (LOADED, AUDIT)
        assert decode_recording(recorded.encoded(), "again") == recorded


def test_a_line_is_one_line_and_says_in_plain_what_a_list_shows() -> None:
    for line in (encode_line(LOADED, AUDIT, Codec()), encode_line(LOADED, AUDIT, codec(k1=OLD))):
        assert b"\n" not in line
        preface, heading = read_preface(line, "here")
        assert (heading.workflow_id, heading.status, heading.closed_at) == ("order-1", Status.FAILED, 20)
        assert preface.key_id in ("", "k1")


def test_with_keys_nothing_but_the_heading_is_in_plain() -> None:
    line = encode_line(LOADED, AUDIT, codec(k1=OLD))
    said = json.loads(line)
    assert set(said) == {"keepstep_recording", "run", "key_id", "sealed"}
    assert set(said["run"]) == set(module.Heading.__struct_fields__)
    for word in (b'"c7"', b'"half"', b"secret"):  # in quotes, which no ciphertext in Base64 has by chance
        assert word not in line
    with pytest.raises(Unreadable, match="here: it is encrypted with key 'k1', and there are no keys here"):
        decode_recording(line, "here")
    with pytest.raises(Unreadable, match="k1"):
        decode_recording(line, "here", codec(k2=NEW))


def test_a_key_that_has_been_replaced_is_still_needed_for_what_it_has_sealed() -> None:
    line = encode_line(LOADED, AUDIT, codec(k1=OLD))
    assert decode_recording(line, "here", codec(k1=OLD, k2=NEW)).loaded == LOADED
    assert json.loads(encode_line(LOADED, AUDIT, codec(k1=OLD, k2=NEW)))["key_id"] == "k2"


@pytest.mark.parametrize("changes", [{"workflow_id": "order-2"}, {"status": "completed"}, {"version": 4}])
def test_a_heading_that_was_changed_is_noticed(changes: dict[str, Any]) -> None:
    said = json.loads(encode_line(LOADED, AUDIT, codec(k1=OLD)))
    said["run"] |= changes
    with pytest.raises(Unreadable, match="damaged, or comes from another place"):
        decode_recording(json.dumps(said).encode(), "here", codec(k1=OLD))


def test_what_earlier_versions_have_exported_is_still_read() -> None:
    said = json.loads(encode_recording(LOADED))
    first = {"keepstep_recording": 1, "run": said["run"], "events": said["events"]}
    recorded = decode_recording(json.dumps(first).encode(), "old.json")
    assert recorded.loaded == Loaded(RUN, EVENTS, {}, [])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"keepstep_recording": 3}, "format 3, not 2"),
        ({"events": []}, "does not hold all 2 events"),
        ({"run": {}}, "missing required field"),
        ({"events": [{"seq": 1}]}, "no recorded history"),
        ({"sealed": "AAAA"}, "what is sealed in it is no cell"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(spoil: dict[str, Any], why: str) -> None:
    said = json.loads(encode_recording(LOADED)) | spoil
    with pytest.raises(InvalidInput, match=f"^here .*{why}"):
        decode_recording(json.dumps(said).encode(), "here")


def test_a_run_that_could_not_be_read_again_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 100)
    with pytest.raises(TooLarge, match=r"run r1 \('order-1'\) would be \d+ bytes of JSON, more than 100"):
        encode_line(LOADED, (), Codec())
