"""Bulks: each run that was meant is told once, however often it was said, unless it had its end by then.

A run that continues as new meanwhile is told where it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.journal import Loaded, Status
from keepstep.runtime import history
from keepstep.testing.simulation.record import BulkCancel, Record


def check(record: Record) -> Iterator[str]:
    chains = record.chains()
    for bulk in record.bulks:
        if bulk.refused:
            yield f"{bulk} was refused by runs that were there"
        for workflow_id in bulk.targets:
            yield from _check_target(bulk, workflow_id, chains.get(workflow_id, []))


def _check_target(bulk: BulkCancel, workflow_id: str, chain: list[Loaded]) -> Iterator[str]:
    heard = [
        event
        for loaded in chain
        for event in loaded.events
        if event.type == history.CANCEL_REQUESTED
        and history.unpack(event.type, event.data).message_id.startswith(bulk.id)
    ]
    times_each = [
        sum(event.type == history.CANCEL_REQUESTED and event in heard for event in loaded.events) for loaded in chain
    ]
    if max(times_each, default=0) > 1:
        yield f"{workflow_id} was told {max(times_each)} times to stop by {bulk}"
    last = chain[-1].run if chain else None
    was_open = last is not None and (last.closed_at == 0 or (bulk.told is not None and last.closed_at > bulk.told))
    if was_open and bulk.told is not None and not heard and last is not None and last.status is not Status.TERMINATED:
        yield f"{workflow_id} was open when {bulk} was acknowledged, and was never told to stop"
