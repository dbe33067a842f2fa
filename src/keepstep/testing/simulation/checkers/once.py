"""A ``once`` step is never executed twice, whatever happens to its process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from keepstep.testing.simulation.record import Record


def check(record: Record) -> Iterator[str]:
    executed = Counter((each.run_id, each.key) for each in record.executions if "act_once" in each.key)
    for (run_id, key), count in executed.items():
        if count > 1:
            yield f"once-step {key} of {run_id} was executed {count} times"
