"""No timer fires early, and none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keepstep.runtime import history
from keepstep.testing.simulation.record import Record

_EARLY = re.compile(rb"woke [0-9.e+-]+ s early")


def check(record: Record) -> Iterator[str]:
    for run_id, loaded in record.runs.items():
        fire_at: dict[str | None, int] = {}
        for event in loaded.events:
            if event.type == history.TIMER_STARTED:
                fire_at[event.key] = history.unpack(event.type, event.data).fire_at
            elif event.type == history.TIMER_FIRED and event.time < fire_at[event.key]:
                yield f"timer {event.key} of {run_id} fired {fire_at[event.key] - event.time} microseconds early"
            early = _EARLY.search(event.data)
            if early is not None:
                yield f"workflow {run_id} saw a sleep that {early.group().decode()}"
        times = [event.time for event in loaded.events]
        if times != sorted(times):
            yield f"the times of the events of {run_id} go backwards"
