"""Move: carries a journal's rows from one store to another, page by page.

Each page and the note how far the move has come are one transaction of the target, so that a move that is killed at any
point goes on behind the last page that is there, and no row is there twice. Of two that move the same journal at the
same time, the target refuses one (``Target.put``).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .noun import NOUNS, Noun
from .ports import Arrival, Source, Target


class Progress(msgspec.Struct, frozen=True):
    """How far a part of the work has come."""

    what: str
    done: int
    total: int


Tell = Callable[[Progress], None]


def move(source: Source, target: Target, arrival: Arrival, tell: Tell) -> Arrival:
    """Carry all that is not there yet."""
    names = [noun.name for noun in NOUNS]
    begin = names.index(arrival.noun) if arrival.noun else 0
    for noun in NOUNS[begin:]:
        arrival = _move_noun(source, target, noun, arrival, tell)
    target.settle(source.facts())
    return arrival


def _move_noun(source: Source, target: Target, noun: Noun, arrival: Arrival, tell: Tell) -> Arrival:
    total = source.count(noun)
    after = arrival.after if arrival.noun == noun.name else None
    done = arrival.moved.get(noun.name, 0)
    tell(Progress(f"move {noun.name}", done, total))
    while rows := source.page(noun, after):
        after = noun.place_of(rows[-1])
        done += len(rows)
        now = msgspec.structs.replace(arrival, noun=noun.name, after=after, moved={**arrival.moved, noun.name: done})
        target.put(noun, rows, arrival, now)
        arrival = now
        tell(Progress(f"move {noun.name}", done, total))
    return arrival
