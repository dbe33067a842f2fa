"""Retention: closed runs go when their time has come, never before, and open ones never; archived ones as they were.

A run may go under any rule that somebody has asked for by then: who is in the middle of a batch ends it by older ones.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from keepstep.journal import Loaded, Status
from keepstep.testing.simulation.record import KeepRule, Look, Record


def check(record: Record) -> Iterator[str]:
    if not record.rules:
        return
    for look in record.looks:
        yield from _check_gone(record, look)
    yield from _check_kept(record)
    yield from _check_archive(record)


def _applies(rule: KeepRule, loaded: Loaded) -> bool:
    return rule.status in ("all", loaded.run.status)


def _check_gone(record: Record, look: Look) -> Iterator[str]:
    """What was there and is not found any more must have been due."""
    for run_id, loaded in record.runs.items():
        closed_at = loaded.run.closed_at
        if run_id in look.there or loaded.run.started_at > look.asked:
            continue
        rules = [each for each in record.rules if each.asked <= look.told and _applies(each, loaded)]
        if closed_at is None or closed_at > look.told:
            yield f"{loaded.run.workflow_id} ({run_id}) is gone, and was open at {look.asked}"
        elif not any(closed_at + each.keep <= look.told for each in rules):
            yield f"{loaded.run.workflow_id} ({run_id}) is gone, was closed at {closed_at}, and the rules are {rules}"


def _check_kept(record: Record) -> Iterator[str]:
    """What was due when the last sweep began is gone when it has ended."""
    sweep, look = record.sweeps[-1], record.looks[-1]
    if sweep.left:
        yield f"the last sweep has left {sweep.left}"
    in_force: dict[str, KeepRule] = {}
    for rule in record.rules:
        for status in (each.value for each in Status):
            if rule.status in ("all", status):
                in_force[status] = rule
    for run_id, loaded in record.runs.items():
        closed_at, rule_of_it = loaded.run.closed_at, in_force.get(loaded.run.status)
        is_due = closed_at is not None and rule_of_it is not None and closed_at + rule_of_it.keep < sweep.asked
        if is_due and run_id in look.there:
            yield f"{loaded.run.workflow_id} ({run_id}) was closed at {closed_at} and is still there after {sweep}"


def _check_archive(record: Record) -> Iterator[str]:
    if record.archived is None:
        return
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in record.archived:
        lines.setdefault(line["run"]["run_id"], []).append(line)
    for run_id, loaded in record.runs.items():
        written = [_events(line) for line in lines.get(run_id, [])]
        if any(each != _events_of(loaded) for each in written):
            yield f"{loaded.run.workflow_id} ({run_id}) is archived otherwise than it was"
        is_gone = run_id not in record.looks[-1].there and loaded.run.started_at < record.looks[-1].asked
        if is_gone and not written:
            yield f"{loaded.run.workflow_id} ({run_id}) is gone, and the archive does not have it"


def _events(line: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(each["seq"], each["type"], each["time"], base64.b64decode(each["data"])) for each in line["events"]]


def _events_of(loaded: Loaded) -> list[tuple[Any, ...]]:
    return [(each.seq, each.type, each.time, each.data) for each in loaded.events]
