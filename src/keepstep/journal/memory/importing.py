"""Importing: a closed run comes from elsewhere, whole (``journal.deciding.importing``)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import msgspec

from keepstep.journal.errors import AlreadyStarted
from keepstep.journal.event import NewEvent
from keepstep.journal.port import AuditLine, Loaded
from keepstep.journal.run import Run

from . import attributes
from .disk import SHARD, MemoryDisk, RunRow, Transaction
from .history import append_events


def import_run(tx: Transaction, loaded: Loaded, audit: Sequence[AuditLine]) -> None:
    """Write it, or raise and change nothing."""
    disk, run = tx.disk, loaded.run
    _check_free(disk, run)
    attributes.admit(disk, run.namespace, run.attributes)
    kept = msgspec.structs.replace(
        run, shard=SHARD, owner=None, wake_at=None, attributes=deepcopy(run.attributes)
    )  # fmt: skip
    row = RunRow(kept, disk.next_number("run"))
    disk.runs[run.run_id] = row
    disk.workflows.setdefault((run.namespace, run.workflow_id), []).append(run.run_id)
    append_events(tx, row, [NewEvent(each.type, each.time, each.key, each.data) for each in loaded.events])
    row.claimed_seq = run.last_seq
    row.state = dict(loaded.state)
    for message in loaded.messages:
        n = disk.next_number("arrival")
        row.inbox[n] = msgspec.structs.replace(message, n=n)
        row.wakers[n] = None
        if message.id is not None:
            row.message_ids[message.id] = n
    row.audit = list(audit)


def _check_free(disk: MemoryDisk, run: Run) -> None:
    there = disk.runs.get(run.run_id)
    if there is not None:
        raise AlreadyStarted(
            f"run {run.run_id} ({there.run.workflow_id!r}) is here already; there is nothing to import"
        )
    newest = disk.find(run.namespace, run.workflow_id)
    if newest is not None and newest.is_open():
        raise AlreadyStarted(
            f"{run.workflow_id!r} is open here as run {newest.run.run_id}; import when that has ended, or under "
            "another id"
        )
    if newest is not None and newest.run.started_at > run.started_at:
        raise AlreadyStarted(
            f"{run.workflow_id!r} was started again here, as run {newest.run.run_id}, after the run that is to be "
            "imported and would count as its newest; import it under another id"
        )
