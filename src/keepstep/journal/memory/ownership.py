"""Leases: who owns what, and what becomes of it when the owner is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keepstep.journal.errors import Conflict, Fenced
from keepstep.journal.lease import Lease, LeaseState, ProcessIdentity
from keepstep.journal.port import PROBE_STRIKES, QUARANTINE_STRIKES
from keepstep.journal.run import Condition, Run

from .disk import UNOFFERED, LeaseRow, MemoryDisk, RunRow, Transaction
from .queueing import restore_tickets
from .task import give_back_tasks


def open_lease(tx: Transaction, lease: Lease, process: ProcessIdentity) -> None:
    """Begin a lease, and offer blocked runs once more."""
    if lease.lease_id in tx.disk.leases:
        raise Conflict(f"lease {lease.lease_id} is open; every opening needs an id of its own")
    tx.disk.leases[lease.lease_id] = LeaseRow(lease, process)
    for row in tx.disk.open_runs.values():
        if row.run.condition is Condition.BLOCKED and row.run.owner is None:
            tx.wake(row, 0)


def close_lease(tx: Transaction, lease_id: str) -> None:
    """End a lease whose owner gives it up; nobody gets a strike."""
    lease = tx.disk.leases.pop(lease_id, None)
    if lease is not None:
        for row in _owned(tx.disk, lease_id):
            _give_back(tx, row)
        give_back_tasks(tx, lease)


def end_lease(tx: Transaction, lease_id: str) -> None:
    """End a lease whose owner is gone."""
    lease = tx.disk.leases.pop(lease_id)
    owned = list(_owned(tx.disk, lease_id))
    for row in owned:
        _strike_if_suspect(lease, row)
    probed = None if lease.probing is None else tx.disk.open_runs.get(lease.probing)
    if probed is not None:
        _strike(probed, probed.run.strikes + 1)
    for row in owned:
        _give_back(tx, row)
    give_back_tasks(tx, lease)
    tx.news.lease_lost(lease_id)


def _owned(disk: MemoryDisk, lease_id: str) -> list[RunRow]:
    return [row for row in disk.open_runs.values() if row.run.owner == lease_id]


def _strike_if_suspect(lease: LeaseRow, row: RunRow) -> None:
    """A run that was not advanced may be what killed its owner, but so may any other that it held: only a suspicion."""
    idle = row.run.condition is Condition.WAITING or row.run.last_seq > row.claimed_seq
    if not idle and row.run.run_id != lease.probing and row.run.strikes < PROBE_STRIKES:
        _strike(row, row.run.strikes + 1)


def _strike(row: RunRow, strikes: int) -> None:
    row.change(strikes=strikes)
    if strikes >= QUARANTINE_STRIKES:
        row.change(condition=Condition.QUARANTINED)


def _give_back(tx: Transaction, row: RunRow) -> None:
    row.change(owner=None, epoch=row.run.epoch + 1)
    tx.wake(row, row.next_wake() if row.run.condition in UNOFFERED else 0)


def claim_runs(tx: Transaction, lease_id: str, limit: int, types: Sequence[str] | None) -> list[Run]:
    """Own due runs, longest due first."""
    lease = tx.disk.leases.get(lease_id)
    if lease is None:
        raise Fenced(f"lease {lease_id} is over; open another")
    due = [row for row in claimable(tx.disk, lease.lease, types) if tx.is_due(row)]
    due.sort(key=lambda row: (row.due_since or 0, row.number))
    return [_claim(row, lease_id) for row in due[: max(limit, 0)]]


def claimable(disk: MemoryDisk, lease: Lease, types: Sequence[str] | None) -> Iterator[RunRow]:
    """Runs that would be offered to this lease if their time had come."""
    for row in disk.open_runs.values():
        run = row.run
        if (
            run.owner is None
            and run.condition not in UNOFFERED
            and run.language in lease.languages
            and run.queue in lease.queues
            and (types is None or run.type in types)
            and lease.lease_id not in row.blocked_for
        ):
            yield row


def _claim(row: RunRow, lease_id: str) -> Run:
    row.change(owner=lease_id, epoch=row.run.epoch + 1, wake_at=None)
    row.claimed_seq = row.run.last_seq
    return row.run


def next_wake(disk: MemoryDisk, lease_id: str, types: Sequence[str] | None) -> int | None:
    lease = disk.leases.get(lease_id)
    if lease is None:
        return None
    soonest: int | None = None
    for row in claimable(disk, lease.lease, types):
        wake_at = row.run.wake_at
        if wake_at is not None and (soonest is None or wake_at < soonest):
            soonest = wake_at
    return soonest


def probe(tx: Transaction, lease_id: str, run_id: str | None) -> None:
    lease = tx.disk.leases.get(lease_id)
    if lease is None:
        raise Fenced(f"lease {lease_id} is over; it can probe nothing")
    lease.probing = run_id


def rebuild(tx: Transaction) -> int:
    """Put back the tickets that are missing, and make every other open run that nobody owns due."""
    restore_tickets(tx)
    asleep = [row for row in tx.disk.open_runs.values() if row.run.owner is None]
    asleep = [row for row in asleep if row.run.condition is not Condition.QUEUED]
    for row in asleep:
        tx.wake(row, 0)
    return len(asleep)


def list_owned_runs(disk: MemoryDisk, lease_id: str) -> list[Run]:
    return [row.run for row in _owned(disk, lease_id)]


def list_leases(disk: MemoryDisk) -> list[LeaseState]:
    return [
        LeaseState(
            lease=row.lease,
            counter=row.counter,
            probing=row.probing,
            runs_held=len(_owned(disk, lease_id)),
            tasks_held=sum(task.owner == lease_id for task in disk.tasks.values()),
        )
        for lease_id, row in disk.leases.items()
    ]
