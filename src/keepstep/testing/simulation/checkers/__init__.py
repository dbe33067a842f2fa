"""Checkers: what must hold after every simulation, one module for each promise. None of them asks the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keepstep.testing.simulation.record import Record

from . import (
    bulks,
    chapters,
    compensation,
    effects,
    finishing,
    firings,
    headers,
    history,
    lingering,
    messages,
    once,
    pauses,
    people,
    rates,
    replaying,
    retention,
    slots,
    streams,
    timers,
    transactions,
    turns,
    updates,
    ways,
)

CHECKERS: tuple[Callable[[Record], Iterator[str]], ...] = (
    history.check,
    finishing.check,
    messages.check,
    updates.check,
    chapters.check,
    streams.check,
    timers.check,
    effects.check,
    once.check,
    slots.check,
    rates.check,
    turns.check,
    pauses.check,
    people.check,
    bulks.check,
    lingering.check,
    headers.check,
    retention.check,
    firings.check,
    transactions.check,
    compensation.check,
    ways.check,
    replaying.check,
)


def check(record: Record) -> Iterator[str]:
    """Everything that is wrong, in words."""
    for checker in CHECKERS:
        yield from checker(record)
