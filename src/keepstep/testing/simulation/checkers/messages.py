"""Signals: what was acknowledged is received exactly once, and nothing is received twice.

What a run has received and its code has not goes over to the run that continues it, which receives it once more; that
code hears of it once is what ``chapters`` looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from keepstep.journal import Status
from keepstep.runtime import history
from keepstep.testing.simulation.record import Record


def check(record: Record) -> Iterator[str]:
    received: Counter[tuple[str, str]] = Counter()
    chains = record.chains()
    ended = {workflow_id: chain[-1].run.status for workflow_id, chain in chains.items()}
    for loaded in record.runs.values():
        run = loaded.run
        for event in loaded.events:
            if event.type == history.SIGNAL_RECEIVED:
                received[run.workflow_id, history.unpack(event.type, event.data).message_id] += 1
        if run.status is not Status.TERMINATED and loaded.messages:
            yield f"{run.workflow_id} closed and left messages unread: {loaded.messages}"
    for (workflow_id, id_), count in received.items():
        if count > len(chains[workflow_id]):
            yield f"{workflow_id} received signal {id_} {count} times"
    for signal in record.signals:
        there = received[signal.workflow_id, signal.id]
        if signal.is_acknowledged and not there and ended.get(signal.workflow_id) is not Status.TERMINATED:
            yield f"signal {signal.id} to {signal.workflow_id} was acknowledged and never received"
