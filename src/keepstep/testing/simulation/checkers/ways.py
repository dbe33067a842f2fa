"""A run has a patch or has it not: it never begins both the old and the new way of one thing, whatever is deployed.

Runs that the contradicting version has taken a step further are left out: that step stands before the question and
behind no patch, and so the question came up at another place of the run than before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from keepstep.testing.simulation.language import CONTRADICTION, WAYS
from keepstep.testing.simulation.record import Record


def check(record: Record) -> Iterator[str]:
    contradicted = {each.run_id for each in record.executions if each.name == CONTRADICTION}
    gone: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in record.executions:
        for way in WAYS:
            if each.name.endswith(way) and each.run_id not in contradicted:
                gone[each.run_id, each.name.removesuffix(way)].add(way)
    for (run_id, name), ways in gone.items():
        if len(ways) > 1:
            yield f"{name} of {run_id} was begun in the old and in the new way"
