"""Effects: what a run believes of the outside world is what happened there, and was done again only with an excuse."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import msgspec

from keepstep.journal import unseal
from keepstep.runtime import history
from keepstep.testing.simulation.language import CONTRADICTION, TRANSACTIONAL
from keepstep.testing.simulation.record import Execution, Record

ZOMBIE_MICROSECONDS = 1_000_000
"""So long after it has thawed a process may still execute what is not its own any more."""


def check(record: Record) -> Iterator[str]:
    by_call: dict[tuple[str, str], list[Execution]] = {}
    for each in record.executions:
        by_call.setdefault((each.run_id, each.key), []).append(each)
    for run_id, loaded in record.runs.items():
        known = {"start"}
        for event in loaded.events:
            if event.type == history.STEP_COMPLETED:
                known.add(receipt_of(event.data))
                done = by_call.get((run_id, event.key or ""), [])
                yield from _check_result(run_id, event.key, event.data, done)
        for each in record.executions:
            if each.run_id == run_id and not each.name.startswith("undo ") and each.premise not in known:
                yield f"{each} was based on a receipt that the history of its run does not have"
    changed = {each.run_id for each in record.executions if each.name == CONTRADICTION}
    for calls in by_call.values():
        if TRANSACTIONAL in calls[0].key:
            continue  # such a call is repeated when its transaction is, and all but the last have been undone
        if calls[0].run_id not in changed:  # code that forgets what it had asked for has it done again
            yield from _check_repetitions(record, calls)


def receipt_of(data: bytes) -> Any:
    """The result that a ``step_completed`` event has."""
    return msgspec.json.decode(unseal(history.unpack(history.STEP_COMPLETED, data).payload).content)


def _check_result(run_id: str, key: str | None, data: bytes, done: list[Execution]) -> Iterator[str]:
    completed = history.unpack(history.STEP_COMPLETED, data)
    receipt = receipt_of(data)
    if completed.resolved_by:
        return
    if receipt not in [each.receipt for each in done]:
        yield f"{key} of {run_id} is recorded with {receipt}, and nothing of the kind happened"


def _check_repetitions(record: Record, calls: list[Execution]) -> Iterator[str]:
    """An attempt is executed once, and again only where something happened to who executed it otherwise.

    That may have been before: a process that was frozen does not know yet what others have taken over from it.
    """
    attempts: dict[int, list[Execution]] = {}
    for each in calls:
        attempts.setdefault(each.attempt, []).append(each)
    for executions in attempts.values():
        unexcused = [each for each in executions if not _is_excused(record, each)]
        if len(unexcused) > 1:
            yield f"{unexcused[0]} was executed again, and nothing had happened to its process: {unexcused[1:]}"


def _is_excused(record: Record, execution: Execution) -> bool:
    disturbances = record.disturbances.get(execution.process, [])
    return bisect_left(disturbances, execution.began - ZOMBIE_MICROSECONDS) < len(disturbances)
