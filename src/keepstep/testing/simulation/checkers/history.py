"""The promises of the journal: what was confirmed is there, once, in order, written by the run's owner only."""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.journal import Event, Loaded, Status
from keepstep.schedules.diary import DIARY
from keepstep.testing.simulation.record import Acknowledged, Record


def check(record: Record) -> Iterator[str]:
    for run_id, loaded in _all(record).items():
        seqs = [event.seq for event in loaded.events]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"history of {run_id} has gaps: {seqs}"
        if loaded.run.last_seq != len(seqs):
            yield f"run {run_id} believes in {loaded.run.last_seq} events and has {len(seqs)}"
        if loaded.run.status is not Status.RUNNING and loaded.run.owner:
            yield f"run {run_id} is {loaded.run.status} and still owned by {loaded.run.owner}"
        left = [
            key for key in sorted(loaded.state) if key[0] != DIARY
        ]  # what a schedule did is told of a deleted one, too
        if loaded.run.status not in (Status.RUNNING, Status.TERMINATED) and left:
            yield f"run {run_id} is {loaded.run.status} and has left {left}"
    for each in record.acknowledged:
        yield from _check_acknowledged(record, each)
    yield from _check_log(record)
    if record.leases_left:
        yield f"{record.leases_left} leases are open although their owners are dead or gone"


def _all(record: Record) -> dict[str, Loaded]:
    return {**record.runs, **record.schedules}


def _check_acknowledged(record: Record, each: Acknowledged) -> Iterator[str]:
    commit, outcome = each.commit, each.outcome
    where = f"a commit of process {each.process} to {commit.run_id}"
    if commit.epoch is not None and not commit.seize and outcome.epoch != commit.epoch:
        yield f"{where} under epoch {commit.epoch} was accepted in epoch {outcome.epoch}"
    loaded = record.runs.get(commit.run_id) or record.schedules.get(commit.run_id)
    if loaded is None:
        yield f"{where} was confirmed, and the run does not exist"
        return
    events = (*commit.events, *outcome.recorded)
    first = outcome.last_seq - len(events) + 1
    if commit.first_seq not in (None, first):
        yield f"{where} got seq {first} and had asked for {commit.first_seq}"
    there = loaded.events[first - 1 : outcome.last_seq]
    if [(e.type, e.time, e.key, e.data) for e in there] != [(e.type, e.time, e.key, e.data) for e in events]:
        yield f"{where} was confirmed with events {first} to {outcome.last_seq}, and they are not there"


def _check_log(record: Record) -> Iterator[str]:
    positions = [entry.position.n for entry in record.log]
    if positions != sorted(set(positions)):
        yield "the log gave positions out of order or twice"
    read: dict[str, list[Event]] = {}
    for entry in record.log:
        read.setdefault(entry.run_id, []).append(entry.event)
    for run_id, loaded in _all(record).items():
        if read.get(run_id, []) != loaded.events:
            seqs = [event.seq for event in read.get(run_id, [])]
            yield f"the log told of {run_id} the events {seqs}, and its history has {len(loaded.events)}"
