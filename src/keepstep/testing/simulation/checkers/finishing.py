"""Every acknowledged start comes to its end, and so does everything that it started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from keepstep.journal import Condition, Status
from keepstep.testing.simulation.record import Record


def check(record: Record) -> Iterator[str]:
    for each in record.starts.values():
        if each.is_acknowledged and each.run_id not in record.runs:
            yield f"{each.workflow_id} was acknowledged as {each.run_id} and does not exist"
    for run_id, loaded in record.runs.items():
        run = loaded.run
        if run.status is Status.RUNNING:
            yield f"{run.workflow_id} ({run_id}) has not come to its end: {run.condition} {run.detail!r}"
        elif run.condition is not Condition.NONE:
            yield f"{run.workflow_id} ({run_id}) is {run.status} and still {run.condition}"
        start = record.starts.get(run.workflow_id)
        if start is not None and not start.is_to_be_ended and run.status in (Status.CANCELLED, Status.TERMINATED):
            yield f"{run.workflow_id} ({run_id}) is {run.status} and nobody asked for it"
    for workflow_id, chain in record.chains().items():
        begun = Counter(each.run.parent_run_id for each in chain if each.run.continued_from is None)
        if begun.total() > len(begun):  # each run of a chain may have a child of that name
            yield f"{workflow_id} was started {begun.total()} times: {[each.run.run_id for each in chain]}"
