"""Proof: is all that was in one store in the other, and nothing else?

Each run has a digest of each noun: a sum of the digests of its rows, so that it does not matter in which order a store
gives them. Both stores are read for it, independently of how rows were written: what is compared is what a later reader
of the target gets, beside what the source has. Rows that belong to no run of the source are found by counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec

from .move import Progress, Tell
from .noun import NOUNS, RUNS, Noun, Row
from .ports import Source, Store

RUNS_AT_ONCE = 2000
DIFFERENCES_MAX = 20
"""So many are named."""

END = 1 << 53
"""Beyond every number of a run."""

DIGEST_BYTES = 16
_MASK = (1 << 8 * DIGEST_BYTES) - 1

_encode = msgspec.msgpack.Encoder().encode

Digests = dict[object, int]
"""By run number."""


def compare(source: Source, target: Store, tell: Tell) -> list[str]:
    """What differs, in words; empty if nothing does."""
    found: list[str] = []
    for difference in _differences(source, target, tell):
        found.append(difference)
        if len(found) >= DIFFERENCES_MAX:
            break
    return found


def _differences(source: Source, target: Store, tell: Tell) -> Iterator[str]:
    for noun in NOUNS:
        here, there = source.count(noun), target.count(noun)
        if here != there:
            yield f"{noun.name}: {here} in the source, {there} in the target"
    for noun in NOUNS:
        if not noun.is_of_runs and _sum(source.rows(noun)) != _sum(target.rows(noun)):
            yield f"{noun.name}: they are not the same"
    yield from _differences_of_runs(source, target, tell)


def _differences_of_runs(source: Source, target: Store, tell: Tell) -> Iterator[str]:
    total, done = source.count(RUNS), 0
    for begin, end, runs in _ranges(source):
        names: dict[object, str] = {}
        for noun in NOUNS:
            if noun.is_of_runs:
                here, there = (
                    _digests(noun, store.rows_of_runs(noun, begin, end), names) for store in (source, target)
                )
                for run in sorted(here.keys() | there.keys(), key=str):
                    if here.get(run) != there.get(run):
                        yield f"run {names.get(run, f'number {run}')}: {noun.name} differ"
        done += runs
        tell(Progress("compare runs", done, total))


def _ranges(source: Source) -> Iterator[tuple[int, int, int]]:
    """All numbers that a run may have, in stretches with so many runs; where each begins and ends, and how many."""
    begin = 0
    while True:
        runs = source.run_numbers(begin - 1, RUNS_AT_ONCE)
        is_last = len(runs) < RUNS_AT_ONCE
        end = END if is_last else runs[-1] + 1
        yield begin, end, len(runs)
        if is_last:
            return
        begin = end


def _digests(noun: Noun, rows: Iterable[Row], names: dict[object, str]) -> Digests:
    digests: Digests = {}
    place = noun.columns.index("run")
    for row in rows:
        run = row[place]
        digests[run] = (digests.get(run, 0) + _digest(row)) & _MASK
        if noun is RUNS:
            names[run] = f"{row[1]} ({row[3]!r})"
    return digests


def _sum(rows: Iterable[Row]) -> int:
    return sum(map(_digest, rows)) & _MASK


def _digest(row: Row) -> int:
    return int.from_bytes(blake2b(_encode(row), digest_size=DIGEST_BYTES).digest(), "little")
