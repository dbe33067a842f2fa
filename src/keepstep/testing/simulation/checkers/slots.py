"""Queues hand out no more than their limits, whatever crashes, is taken over, or goes on without knowing that.

Steps are judged by executions whose result is in the history: whoever made it held the task from its beginning to its
end, or its answer would have been refused. A run holds its slot at least from its first event after its start until it
closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keepstep.testing.simulation.language import ELSEWHERE, REMOTE_LIMIT, TALK_QUEUE, TALKS_LIMIT, key_of
from keepstep.testing.simulation.record import Record

Stretch = tuple[int, int]


def check(record: Record) -> Iterator[str]:
    recorded = {
        (run_id, event.key): event.data
        for run_id, loaded in record.runs.items()
        for event in loaded.events
        if event.type == "step_completed"
    }
    steps: list[Stretch] = []
    by_key: dict[str, list[Stretch]] = {}
    for each in record.executions:
        result = recorded.get((each.run_id, each.key), b"")
        if ELSEWHERE in each.key and each.receipt is not None and f'"{each.receipt}"'.encode() in result:
            stretch = (each.began, each.ended or each.began)
            steps.append(stretch)
            by_key.setdefault(key_of(each.name), []).append(stretch)
    yield from _over(steps, REMOTE_LIMIT, "steps of the limited queue")
    for key, stretches in by_key.items():
        yield from _over(stretches, 1, f"steps of key {key}")
    runs = [
        (loaded.events[1].time, loaded.run.closed_at)
        for loaded in record.runs.values()
        if loaded.run.queue == TALK_QUEUE and loaded.run.closed_at and len(loaded.events) > 2
    ]
    yield from _over(runs, TALKS_LIMIT, "runs of the limited queue")


def _over(stretches: Iterable[Stretch], limit: int, what: str) -> Iterator[str]:
    changes = sorted(change for begin, end in stretches for change in ((begin, 1), (end, -1)))
    at_work = most = 0
    for _, change in changes:
        at_work += change
        most = max(most, at_work)
    if most > limit:
        yield f"{most} {what} were at work at the same time, more than {limit}"
