"""Rates: no more begins on a queue than its rates allow, in any stretch of time, whatever crashes between two claims.

Judged by what the store has handed out, as its calls showed it from outside. When exactly it did, only the store knows:
at some moment between the call and its end. So there were too many where they cannot have been fewer, wherever in
between each of those moments was. And nothing is executed that was not handed out before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from keepstep.testing.simulation.language import RATE, RATE_OF_KEY, RATE_SECONDS, RATED, RATED_QUEUE, rated_key_of
from keepstep.testing.simulation.record import Handout, Record

WINDOW = RATE_SECONDS * 1_000_000


def check(record: Record) -> Iterator[str]:
    handed = [each for each in record.handouts if each.queue == RATED_QUEUE]
    yield from _too_many(handed, RATE, "the rated queue")
    for key, of_key in _by_key(record, handed).items():
        yield from _too_many(of_key, RATE_OF_KEY, f"key {key} of the rated queue")
    yield from _check_executions(record, handed)


def _too_many(handed: Iterable[Handout], allowed: int, what: str) -> Iterator[str]:
    """Whoever was told within a window's length of having asked for the first."""
    handed = sorted(handed, key=lambda each: each.asked)
    for n, first in enumerate(handed):
        within = [each for each in handed[n:] if each.told < first.asked + WINDOW]
        if len(within) > allowed:
            yield f"{len(within)} of {what} were handed out within {RATE_SECONDS} s, more than {allowed}: {within}"
            return


def _by_key(record: Record, handed: list[Handout]) -> dict[str, list[Handout]]:
    """Names are known from what happened: of a step that was never executed there is nothing to be told."""
    names = {(each.run_id, each.key): each.name for each in record.executions}
    names |= {(run_id, ""): loaded.run.workflow_id for run_id, loaded in record.runs.items()}
    by_key: dict[str, list[Handout]] = {}
    for each in handed:
        name = names.get((each.run_id, each.key))
        if name is not None:
            by_key.setdefault(rated_key_of(name), []).append(each)
    return by_key


def _check_executions(record: Record, handed: list[Handout]) -> Iterator[str]:
    allowed = Counter((each.process, each.run_id, each.key) for each in handed)
    executed = Counter((each.process, each.run_id, each.key) for each in record.executions if RATED in each.key)
    for (process, run_id, key), count in executed.items():
        if count > allowed[process, run_id, key]:
            had = allowed[process, run_id, key]
            yield f"{key} of {run_id} was executed {count} times by process {process}, which was handed it {had} times"
