"""What a transactional step has done is there once if its run's history has its result, and else not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from keepstep.runtime import history
from keepstep.testing.simulation.language import TRANSACTIONAL
from keepstep.testing.simulation.record import Record

from .effects import receipt_of


def check(record: Record) -> Iterator[str]:
    left = Counter(record.effects)
    told = Counter(
        (run_id, event.key or "", str(receipt_of(event.data)))
        for run_id, loaded in record.runs.items()
        for event in loaded.events
        if event.type == history.STEP_COMPLETED and TRANSACTIONAL in (event.key or "")
    )
    for effect in left - told:
        yield f"{effect} is there {left[effect]} times, and the history tells of {told[effect]}"
    for effect in told - left:
        yield f"the history tells of {effect} {told[effect]} times, and it is there {left[effect]} times"
    for (run_id, key), count in Counter((run_id, key) for run_id, key, _ in record.effects).items():
        if count > 1:
            yield f"transactional step {key} of {run_id} has happened {count} times"
