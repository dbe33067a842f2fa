"""Updates: what was accepted has one outcome, which is what the caller was told; of what was rejected nothing is left.

A query knows of all that its asker knew of before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from keepstep.journal import Status
from keepstep.runtime import history
from keepstep.testing.simulation.language import REFUSED
from keepstep.testing.simulation.record import Change, Record

OUTCOMES = (history.UPDATE_COMPLETED, history.UPDATE_FAILED)


def check(record: Record) -> Iterator[str]:
    accepted: Counter[tuple[str, str]] = Counter()
    outcomes: dict[tuple[str, str], list[Any]] = {}
    ended = {workflow_id: chain[-1].run.status for workflow_id, chain in record.chains().items()}
    for loaded in record.runs.values():
        workflow_id = loaded.run.workflow_id
        for event in loaded.events:
            if event.type == history.UPDATE_ACCEPTED:
                accepted[workflow_id, history.unpack(event.type, event.data).id] += 1
            elif event.type in OUTCOMES:
                outcome = history.unpack(event.type, event.data)
                outcomes.setdefault((workflow_id, outcome.id), []).append(outcome)
    for (workflow_id, id), count in accepted.items():
        has = len(outcomes.get((workflow_id, id), ()))
        if count > 1 or has > 1:
            yield f"update {id} of {workflow_id} was accepted {count} times and has {has} outcomes"
        if not has and ended[workflow_id] is not Status.TERMINATED:
            yield f"update {id} of {workflow_id} was accepted, the run is {ended[workflow_id]}, and it has no outcome"
    for key in outcomes.keys() - accepted.keys():
        yield f"update {key} has an outcome and was never accepted"
    for change in record.changes:
        key = (change.workflow_id, change.id)
        yield from _check_change(change, accepted[key], outcomes.get(key, []), ended.get(change.workflow_id))
    for answer in record.answers:
        missing = set(answer.known) - set(answer.changes)
        if missing or len(set(answer.changes)) != len(answer.changes):
            yield f"{answer.workflow_id} answered {answer.changes}, and {answer.known} were known to be made"


def _check_change(change: Change, accepted: int, outcomes: list[Any], ended: Status | None) -> Iterator[str]:
    what = f"update {change.id} of {change.workflow_id}"
    if change.name.startswith(REFUSED) and accepted:
        yield f"{what} was to be rejected, and was accepted"
    if change.answer == "rejected" and accepted:
        yield f"{what} was rejected, and the history has it"
    if change.answer == "value":
        told = [msgspec.json.decode(each.payload) for each in outcomes if isinstance(each, history.UpdateCompleted)]
        if told != [change.value]:
            yield f"the caller of {what} was told {change.value!r}, and the history has {told}"
    if change.answer == "failed" and not any(isinstance(each, history.UpdateFailed) for each in outcomes):
        yield f"the caller of {what} was told that it failed, and the history has {outcomes}"
    if change.answer == "closed" and accepted and ended is not Status.TERMINATED:
        yield f"the caller of {what} was told that the run is closed, and the history has it"
