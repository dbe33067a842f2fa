"""What a history shows of a value that cannot be read here."""

from __future__ import annotations

import pytest

from keepstep.client.info import history_event
from keepstep.journal import Event, Payload, seal
from keepstep.runtime import history


@pytest.mark.parametrize(
    ("sealed", "shown"),
    [
        (b'{"n":1}', {"n": 1}),
        (
            seal(Payload(content=b"\x8f\x02", encoding="json+aes256gcm", key_id="2026-11")),
            "<encrypted with key '2026-11', 2 bytes>",
        ),
        (seal(Payload(content=b"\x8f\x02", encoding="json+zstd")), "<json+zstd, 2 bytes>"),
        (b'"\xff"', "<3 bytes>"),
        (b"\x01\x91\xa1\xff", "<4 bytes>"),
    ],
)
def test_a_history_shows_a_value_or_says_why_it_cannot(sealed: bytes, shown: object) -> None:
    data = history.pack(history.StepCompleted(digest=b"", payload=sealed))
    event = history_event(Event(seq=1, type=history.STEP_COMPLETED, time=0, key="s", data=data))
    assert event.data["payload"] == shown
