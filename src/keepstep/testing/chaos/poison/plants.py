"""Plants: the engine broken on purpose, to see whether the verdict notices."""

from __future__ import annotations

import time
from collections.abc import Callable

from keepstep.runtime.blocked import Diff
from keepstep.worker.parking import Parking
from keepstep.worker.probe import Probe

SLOW_SECONDS = 0.25


def _replace(owner: object, name: str, made: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more: this plant breaks nothing"
    setattr(owner, name, made)


def park_slowly() -> None:
    """Parking a run holds up its worker for a while."""
    block = Parking.block

    def slow(parking: Parking, diff: Diff) -> None:
        time.sleep(SLOW_SECONDS)
        block(parking, diff)

    _replace(Parking, "block", slow)


def park_nothing() -> None:
    """A run that cannot go on is not parked: it stays where it is."""
    _replace(Parking, "finish", lambda _: None)


def forget_probes() -> None:
    """Nobody notes whose code runs, so that those who kill workers are never found out."""

    async def note_nothing(*_: object) -> None:
        return None

    _replace(Probe, "_note", note_nothing)


PLANTS: dict[str, Callable[[], None]] = {
    "park-slowly": park_slowly,
    "park-nothing": park_nothing,
    "forget-probes": forget_probes,
}
