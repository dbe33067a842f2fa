"""Kept: all data of languages on the disk, page by page, and other bytes for them (``journal.kept``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from keepstep.journal.kept import PAGE_ROWS, Kept, KeptIn, Spot, Swap

from .disk import MemoryDisk, RunRow, Transaction

replace = msgspec.structs.replace


def read_kept(disk: MemoryDisk, where: KeptIn, after: Spot | None) -> list[Kept]:
    """The next pieces behind a spot, in the order of spots; none at the end."""
    found = [kept for row in disk.runs.values() for kept in _of_run(row, where) if after is None or kept.spot > after]
    return sorted(found, key=lambda kept: kept.spot)[:PAGE_ROWS]


def _of_run(row: RunRow, where: KeptIn) -> Iterator[Kept]:
    run, number = row.run, row.number
    piece = Kept(spot=(number,), run_id=run.run_id, namespace=run.namespace, workflow_id=run.workflow_id)
    if where is KeptIn.EVENTS:
        for event in row.events:
            said = {"kind": event.type, "key": event.key or "", "time": event.time, "data": event.data}
            yield replace(piece, spot=(number, event.seq), **said)
    elif where is KeptIn.STATE:
        for (kind, key), data in row.state.items():
            yield replace(piece, spot=(number, kind, key), kind=kind, key=key, data=data)
    elif where is KeptIn.MESSAGES:
        for each in row.inbox.values():
            yield replace(piece, spot=(number, each.n), kind=each.kind, key=each.name, id=each.id or "", data=each.data)
    elif where is KeptIn.TASKS:
        for (kind, key), task in row.tasks.items():
            yield replace(piece, spot=(number, kind, key), kind=kind, key=key, data=task.task.data)
    else:
        yield replace(piece, data=run.detail if where is KeptIn.DETAILS else run.input_digest)


def swap_kept(tx: Transaction, where: KeptIn, swaps: Sequence[Swap]) -> None:
    rows = {row.number: row for row in tx.disk.runs.values()}
    for swap in swaps:
        row = rows.get(int(swap.spot[0]))
        if row is not None:
            _swap(row, where, swap)


def _swap(row: RunRow, where: KeptIn, swap: Swap) -> None:
    place = next((kept for kept in _of_run(row, where) if kept.spot == swap.spot), None)
    if place is None or place.data != swap.was:
        return
    if where is KeptIn.EVENTS:
        at = int(swap.spot[1]) - 1
        row.events[at] = replace(row.events[at], data=swap.data)
    elif where is KeptIn.STATE:
        row.state[place.kind, place.key] = swap.data
    elif where is KeptIn.MESSAGES:
        n = int(swap.spot[1])
        row.inbox[n] = replace(row.inbox[n], data=swap.data)
    elif where is KeptIn.TASKS:
        task = row.tasks[place.kind, place.key]
        task.task = replace(task.task, data=swap.data)
    elif where is KeptIn.DETAILS:
        row.change(detail=swap.data)
    else:
        row.change(input_digest=swap.data)
