"""Repeats: nothing is done twice but what was cut off.

Of all executions of one attempt of a step, one counts. Every other must be explained by what befell its life: it was
killed before the result can have been durable, frozen, had lost its lease, or closed without waiting for the step. And
no life that was up to date begins a step again after a later one was given its result: by then it was recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .case import NEVER, Case, Execution, Fortune, used_receipts

RECORDING_SECONDS_MAX = 6.0
"""How long a result may take to be durable: the machine is busy, and a frozen process may hold the right to write."""

TROUBLED_SECONDS_MAX = 45.0
"""The same where the database is away for a while, again and again."""


def check_repeats(case: Case) -> Iterator[str]:
    known_since = _known_since(case)
    for executions in case.executions.values():
        by_attempt: dict[int, list[Execution]] = defaultdict(list)
        for execution in executions:
            by_attempt[execution.attempt].append(execution)
        for same in by_attempt.values():
            if len(same) > 1:
                yield from _check_same(case, same, known_since)


def _known_since(case: Case) -> dict[str, float]:
    """For each receipt: since when some later step has been given it."""
    known: dict[str, float] = {}
    for executions in case.executions.values():
        for execution in executions:
            for receipt in used_receipts(execution.given):
                known[receipt] = min(known.get(receipt, NEVER), execution.began)
    return known


def _check_same(case: Case, same: list[Execution], known_since: dict[str, float]) -> Iterator[str]:
    where = f"{same[0].run}: step {same[0].place}, attempt {same[0].attempt}"
    recorded_in = TROUBLED_SECONDS_MAX if case.is_troubled else RECORDING_SECONDS_MAX
    unexplained = [each for each in same if not _is_cut_off(each, case.fortunes[each.life], recorded_in)]
    if len(unexplained) > 1:
        lives = ", ".join(str(each.life) for each in unexplained)
        yield f"{where} was done {len(same)} times, and nothing befell the lives {lives} meanwhile"
    recorded = min((known_since.get(each.receipt, NEVER) for each in same), default=NEVER)
    for each in same:
        if each.began > recorded and not case.fortunes[each.life].was_stale():
            yield f"{where} was begun in life {each.life} {each.began - recorded:.3f} s after its result was in use"


def _is_cut_off(execution: Execution, fortune: Fortune, recorded_in: float) -> bool:
    ended = min(execution.done, execution.raised)
    if fortune.killed < NEVER and (ended == NEVER or fortune.killed - ended < recorded_in):
        return True
    return fortune.was_stale() or fortune.gave_back < NEVER
