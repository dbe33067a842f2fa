"""Run ids are UUIDv7: made later, they sort later."""

from __future__ import annotations

import time
import uuid

from keepstep.journal import uuid7

MILLISECONDS = 0x0123456789AB


def test_an_id_holds_its_time_its_version_and_the_noise_it_was_given() -> None:
    made = uuid.UUID(uuid7(MILLISECONDS, bytes(range(1, 11))))
    assert made.int >> 80 == MILLISECONDS
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    noise = int.from_bytes(bytes(range(1, 11)))
    assert made.int >> 64 & 0xFFF == noise >> 62 & 0xFFF
    assert made.int & (1 << 62) - 1 == noise & (1 << 62) - 1


def test_noise_beyond_what_fits_and_time_beyond_48_bits_are_cut_off() -> None:
    assert uuid7(MILLISECONDS + (1 << 48), bytes(range(1, 11)) + b"more") == uuid7(MILLISECONDS, bytes(range(1, 11)))


def test_ids_made_later_sort_later_and_no_two_are_alike() -> None:
    before = time.time_ns() // 1_000_000
    made = [uuid7() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == 1000
    assert all(before <= uuid.UUID(each).int >> 80 <= after for each in made)
    assert uuid7(1, b"\xff" * 10) < uuid7(2, b"\x00" * 10)
