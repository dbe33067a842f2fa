"""Whole fleets that crash and lose their leases, under a codec: the simulation finds nothing that is not there without.

The trouble that is made sits above the seam: what the simulation watches is what a language sees. The disk has cells,
and nothing else of a language's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.journal import sealed_journal
from keepstep.codecs.keys import new_key
from keepstep.journal import cell_of
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.testing.simulation import process, simulate, trouble

KEY = new_key()


@pytest.mark.parametrize("seed", range(1, 9))
def test_nothing_goes_wrong_under_a_codec(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubled = trouble.TroubledJournal
    disks: list[MemoryDisk] = []

    def above_the_seam(journal: Any, *rest: Any) -> Any:
        assert isinstance(journal, MemoryJournal)
        disks.append(journal.disk)
        codec = Codec(keys=Keys({"k1": KEY}), blobs=FileBlobs(tmp_path), inline_bytes_max=150)
        return troubled(sealed_journal(journal, codec), *rest)

    monkeypatch.setattr(process, "TroubledJournal", above_the_seam)
    report = simulate(seed, "memory")
    assert report.violations == []
    assert report.runs >= 20
    events = [event for disk in disks for row in disk.runs.values() for event in row.events]
    assert events
    assert all(cell_of(event.data) is not None for event in events)
