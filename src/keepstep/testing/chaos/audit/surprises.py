"""Surprises: errors that clients, workers and the nursery met and that nobody had to expect."""

from __future__ import annotations

from collections.abc import Iterator

from .case import Case

NAMED_MAX = 20


def check_surprises(case: Case) -> Iterator[str]:
    lines = case.facts["surprise"]
    for line in lines[:NAMED_MAX]:
        yield f"surprise in life {line.life}: {line.facts[0]}"
    if len(lines) > NAMED_MAX:
        yield f"and {len(lines) - NAMED_MAX} more surprises"
    if not case.endings:
        yield "there are no endings: the operator did not come to its end"
