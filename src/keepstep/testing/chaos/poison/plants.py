"""Plants: the engine broken on purpose, to see whether the verdict notices."""

from __future__ import annotations

import time
from collections.abc import Callable

from keepstep.runtime.blocked import Diff
from keepstep.worker.resident import Resident
from keepstep.worker.worker import Worker

SLOW_SECONDS = 0.25


def park_slowly() -> None:
    """Parking a run holds up its worker for a while."""
    block = Resident.block

    def slow(resident: Resident, diff: Diff) -> None:
        time.sleep(SLOW_SECONDS)
        block(resident, diff)

    setattr(Resident, "block", slow)  # noqa: B010 - mypy knows better than to let it be assigned


def park_nothing() -> None:
    """A run that cannot go on is not parked: it stays where it is."""
    setattr(Resident, "_finish_blocking", lambda _: None)  # noqa: B010


def forget_probes() -> None:
    """Nobody notes whose code runs, so that those who kill workers are never found out."""

    async def begin(*_: object) -> None:
        return None

    setattr(Worker, "survived", lambda *_: None)  # noqa: B010
    from keepstep.worker.probe import Probe

    setattr(Probe, "_note", begin)  # noqa: B010


PLANTS: dict[str, Callable[[], None]] = {
    "park-slowly": park_slowly,
    "park-nothing": park_nothing,
    "forget-probes": forget_probes,
}
