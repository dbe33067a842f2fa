"""How many runs began and ended: see ``journal.flow``."""

from __future__ import annotations

from keepstep.journal.flow import COUNTED_MAX, SAMPLED_MAX, Count, Ended, Sampled, Stretch, Window
from keepstep.journal.run import Run, Status

from .disk import MemoryDisk


def read_flow(disk: MemoryDisk, namespace: str, window: Window) -> list[Stretch]:
    started: list[list[int]] = [[] for _ in range(window.stretches)]
    ended: list[dict[Status, list[Run]]] = [{} for _ in range(window.stretches)]
    for row in disk.runs.values():
        run = row.run
        if run.namespace != namespace:
            continue
        if (place := window.place_of(run.started_at)) is not None:
            started[place].append(run.started_at)
        if run.closed_at and (place := window.place_of(run.closed_at)) is not None:
            ended[place].setdefault(run.status, []).append(run)
    return [
        Stretch(_count(sorted(one)), {status: _ended(runs) for status, runs in other.items()})
        for one, other in zip(started, ended, strict=True)
    ]


def _ended(runs: list[Run]) -> Ended:
    runs = sorted(runs, key=lambda run: run.closed_at)
    sample = [Sampled(run.type, run.closed_at - run.started_at) for run in runs[:SAMPLED_MAX]]
    return Ended(_count([run.closed_at for run in runs]), sample)


def _count(times: list[int]) -> Count:
    counted = times[:COUNTED_MAX]
    return Count(len(counted), counted[-1] if counted else 0)
