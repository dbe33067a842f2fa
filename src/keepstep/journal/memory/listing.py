"""Reading many runs at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepstep.journal.message import Message
from keepstep.journal.run import Condition, Run, Status

from .disk import MemoryDisk


def fitting_runs(
    disk: MemoryDisk,
    namespace: str,
    statuses: Sequence[Status],
    conditions: Sequence[Condition],
    types: Sequence[str],
) -> list[Run]:
    """Runs of a namespace; an empty filter fits every run."""
    return [
        row.run
        for row in disk.runs.values()
        if row.run.namespace == namespace
        and (not statuses or row.run.status in statuses)
        and (not conditions or row.run.condition in conditions)
        and (not types or row.run.type in types)
    ]


def page(runs: Iterable[Run], before: tuple[int, str] | None, limit: int) -> list[Run]:
    """Newest first, after the last one of the page before."""
    ordered = sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=True)
    if before is not None:
        ordered = [run for run in ordered if (run.started_at, run.run_id) < before]
    return ordered[: max(limit, 0)]


def owned_messages(disk: MemoryDisk, lease_id: str, after: int) -> list[Message]:
    """Unconsumed messages of all runs that a lease owns, in order of arrival."""
    found = [
        message
        for row in disk.open_runs.values()
        if row.run.owner == lease_id
        for message in row.inbox.values()
        if message.n > after
    ]
    return sorted(found, key=lambda message: message.n)


def state_of_kind(
    disk: MemoryDisk, namespace: str, kind: str, after: tuple[str, str] | None
) -> list[tuple[str, str, bytes]]:
    """State of one kind over all open runs, in the order of run id and key."""
    found = [
        (run_id, key, data)
        for run_id, row in disk.open_runs.items()
        if row.run.namespace == namespace
        for (kind_of_state, key), data in row.state.items()
        if kind_of_state == kind and (after is None or (run_id, key) > after)
    ]
    return sorted(found)
