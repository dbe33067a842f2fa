"""Steps whose end is waited for: what a cancelled branch does next begins when they have ended, and they never again.

Where something has happened to the process of such a step meanwhile, nobody can know when it ended: the run goes on
when its lease is over.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator

from keepstep.testing.simulation.language import AFTER, CONTRADICTION, LINGERING
from keepstep.testing.simulation.record import Execution, Record

from .effects import ZOMBIE_MICROSECONDS

SPELL_MICROSECONDS = 3_000_000
"""So long at most a process that works is slow, in trouble, or taken for dead."""


def check(record: Record) -> Iterator[str]:
    contradicted = {each.run_id for each in record.executions if each.name == CONTRADICTION}
    lingering: defaultdict[tuple[str, str, str], list[Execution]] = defaultdict(list)
    for each in record.executions:
        if LINGERING in each.key and each.run_id not in contradicted:
            lingering[each.run_id, _branch_of(each), each.name].append(each)
    for each in record.executions:
        if each.name.startswith(AFTER):
            before = lingering.get((each.run_id, _branch_of(each), each.name.removeprefix(AFTER)), [])
            yield from _check_ended(record, before, each)
    for executions in lingering.values():
        yield from _check_last(record, executions)


def _branch_of(execution: Execution) -> str:
    """Where in its run it was called. A node may be walked a second time while the first walk is left to itself."""
    return execution.key.rpartition("/")[0]


def _check_ended(record: Record, before: list[Execution], after: Execution) -> Iterator[str]:
    for each in before:
        is_at_work = each.began <= after.began and (each.ended is None or each.ended > after.began)
        if is_at_work and not _is_disturbed(record, each, after.began):
            yield f"{after} began while the end of {each} was waited for"


def _check_last(record: Record, executions: list[Execution]) -> Iterator[str]:
    """Once one was told to end, no attempt of the same call follows."""
    for first in executions:
        for each in executions:
            follows = first.told is not None and each.key == first.key and each.began > first.told
            excused = _is_disturbed(record, first, each.began) or _is_disturbed(record, each, each.began)
            if follows and not excused:
                yield f"{each} began although {first} was told to end at {first.told}"


def _is_disturbed(record: Record, execution: Execution, until: int) -> bool:
    """Whether anything happened to its process while it was executed, or goes on happening: its end is told, too."""
    times = record.disturbances.get(execution.process, [])
    return bisect_left(times, execution.began - ZOMBIE_MICROSECONDS) < bisect_right(times, until + SPELL_MICROSECONDS)
