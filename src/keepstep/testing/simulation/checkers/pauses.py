"""Pauses: a run that was seen to stand still does nothing until somebody asks for it to go on, and then it does.

Its history gets no event meanwhile but its end by force, and what steps bring that were being executed. No other one of
its own begins; one that was handed to a queue before is not called back. A process that does not know yet that it has
lost the run may be in the middle of it still.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from keepstep.journal import Status
from keepstep.runtime import history
from keepstep.testing.simulation.language import ELSEWHERE, LINGERING, RATED
from keepstep.testing.simulation.record import Execution, Record, RunPause

from .effects import ZOMBIE_MICROSECONDS

OF_STEPS = (history.STEP_COMPLETED, history.STEP_FAILED, history.STREAM_WRITTEN)

SETTLING_MICROSECONDS = 50_000
"""So long what had been begun is on its way to the outside world."""

ON_QUEUES = (ELSEWHERE, LINGERING, RATED)


def check(record: Record) -> Iterator[str]:
    by_run: dict[str, list[Execution]] = {}
    for each in record.executions:
        by_run.setdefault(each.run_id, []).append(each)
    for pause in record.run_pauses:
        if pause.is_found and pause.told is not None:
            yield f"{pause.workflow_id} was found paused although it was told at {pause.told} to go on"
        if pause.seen is not None:
            yield from _check_stillness(record, pause, pause.seen, by_run.get(pause.run_id, []))


def _check_stillness(record: Record, pause: RunPause, seen: int, executions: list[Execution]) -> Iterator[str]:
    until = pause.resumed
    still = range(seen + SETTLING_MICROSECONDS, until)
    under_way = {each.key for each in executions if each.began < still.start}
    for event in record.runs[pause.run_id].events:
        is_of_step = event.type in OF_STEPS and (event.key in under_way or event.type == history.STREAM_WRITTEN)
        if event.time in still and not is_of_step and not _is_end_by_force(record, pause.run_id, event.type):
            yield f"{pause.workflow_id} was paused from {seen} to {until}, and has {event.type} of {event.time}"
    for each in executions:
        is_own = not any(name in each.key for name in ON_QUEUES)
        if is_own and each.began in still and not _is_zombie(record, each):
            yield f"{each} began although its run was paused from {seen} to {until}"


def _is_end_by_force(record: Record, run_id: str, type: str) -> bool:
    return type in history.CLOSING and record.runs[run_id].run.status is Status.TERMINATED


def _is_zombie(record: Record, execution: Execution) -> bool:
    """Whether something has happened to its process of which it may not know yet."""
    times = record.disturbances.get(execution.process, [])
    first = execution.began - 3 * ZOMBIE_MICROSECONDS
    return bisect_left(times, first) < bisect_right(times, execution.began + ZOMBIE_MICROSECONDS)
