"""Leases: who owns what, and what becomes of it when the owner is gone."""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal.errors import Conflict, Fenced
from keepstep.journal.hint import HintKind
from keepstep.journal.lease import Lease
from keepstep.journal.port import PROBE_STRIKES, QUARANTINE_STRIKES
from keepstep.journal.run import Run

from .codes import QUARANTINED, UNOFFERED, WAITING
from .head import Head
from .picture import Picture, Wants
from .queueing import restore_tickets


def open_lease(picture: Picture, lease: Lease) -> None:
    """Begin a lease, and offer blocked runs once more."""
    if picture.lease(lease.lease_id) is not None:
        raise Conflict(f"lease {lease.lease_id} is open; every opening needs an id of its own")
    picture.write()
    picture.tables.insert_lease(lease)
    if picture.tables.offer_blocked_runs(picture.now):
        picture.news.tell(HintKind.READY, "")
    picture.refresh()


def close_lease(picture: Picture, lease_id: str) -> None:
    """End a lease whose owner gives it up; nobody gets a strike."""
    lease = picture.tables.lease_at_counter(lease_id, None)
    if lease is not None:
        _give_back_all(picture, lease)


def end_lease(picture: Picture, over: tuple[str, int, str | None]) -> bool:
    """End a lease whose owner is gone, with what it was probing, unless its counter has moved since."""
    lease_id, counter, probing = over
    lease = picture.tables.lease_at_counter(lease_id, counter)
    if lease is None:
        return False
    for head in _owned(picture, lease):
        _strike_if_suspect(picture, head, probing)
    probed = None if probing is None else picture.find(probing)
    if probed is not None and probed.is_open():
        _strike(picture, probed, probed.strikes + 1)
    _give_back_all(picture, lease)
    picture.news.ended_lease()
    return True


def _owned(picture: Picture, lease: int) -> list[Head]:
    picture.write()
    wants = Wants()
    wants.run_ids.update(picture.tables.runs_owned(lease))
    ordered = sorted(wants.run_ids)
    picture.prefetch(wants)
    return [picture.heads[run_id] for run_id in ordered]


def _strike_if_suspect(picture: Picture, head: Head, probing: str | None) -> None:
    """A run that was not advanced may be what killed its owner, but so may any other that it held: only a suspicion."""
    idle = head.condition == WAITING or head.last_seq > head.claimed_seq
    if not idle and head.run_id != probing and head.strikes < PROBE_STRIKES:
        _strike(picture, head, head.strikes + 1)


def _strike(picture: Picture, head: Head, strikes: int) -> None:
    head.strikes = strikes
    if strikes >= QUARANTINE_STRIKES:
        head.condition = QUARANTINED
    picture.change(head)


def _give_back_all(picture: Picture, lease: int) -> None:
    for head in _owned(picture, lease):
        head.owner = None
        head.epoch += 1
        picture.change(head)
        picture.wake(head, picture.next_wake(head) if head.condition in UNOFFERED else 0)
    picture.write()
    if picture.tables.delete_lease(lease):
        picture.news.tell(HintKind.TASKS, "")
    picture.refresh()


def claim_runs(picture: Picture, claim: tuple[str, int, Sequence[str] | None]) -> list[Run]:
    """Own due runs, longest due first."""
    lease_id, limit, types = claim
    found = picture.tables.find_lease(lease_id)
    if found is None:
        raise Fenced(f"lease {lease_id} is over; open another")
    number, lease = found
    if limit <= 0:
        return []
    picture.write()
    run_ids = picture.tables.claimable_runs(lease, types, picture.now, limit)
    if not run_ids:
        return []
    wants = Wants()
    wants.run_ids.update(run_ids)
    picture.prefetch(wants)
    for run_id in run_ids:
        head = picture.heads[run_id]
        head.owner, head.wake_at = number, None
        head.epoch += 1
        head.claimed_seq = head.last_seq
        picture.change(head)
    picture.write()
    return picture.tables.fetch_runs(run_ids)


def rebuild(picture: Picture, _: None) -> int:
    """Put back the tickets that are missing, and make every other open run that nobody owns due."""
    picture.write()
    restore_tickets(picture)
    woken = picture.tables.offer_all_runs(picture.now)
    picture.refresh()
    if woken:
        picture.news.tell(HintKind.READY, "")
    return woken
