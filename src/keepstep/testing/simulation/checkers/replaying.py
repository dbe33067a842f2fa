"""Replaying the history of a closed run gives its end again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keepstep.journal import Loaded, Status
from keepstep.runtime import history
from keepstep.runtime.blocked import Contradiction
from keepstep.runtime.execution import Execution, Identity
from keepstep.runtime.workflow import Workflow
from keepstep.testing.simulation.language import VERSIONS
from keepstep.testing.simulation.record import Record


def check(record: Record) -> Iterator[str]:
    for run_id, loaded in record.runs.items():
        run = loaded.run
        if run.status in (Status.RUNNING, Status.TERMINATED):
            continue
        served = [each for version in VERSIONS.values() for each in version if each.name == run.type]
        ends = [_replay(workflow, loaded) for workflow in served]
        if not any(each == _end_of(loaded) for each in ends):
            yield f"replaying {run.workflow_id} ({run_id}) gives {ends}, and its history has {_end_of(loaded)}"


def _end_of(loaded: Loaded) -> Any:
    last = loaded.events[-1]
    if last.type == history.WORKFLOW_COMPLETED:
        return Status.COMPLETED, history.unpack(last.type, last.data).payload
    return loaded.run.status, b""


def _replay(workflow: Workflow[Any, Any], loaded: Loaded) -> Any:
    """Status and sealed result, or what the code could not go on with."""
    run = loaded.run
    identity = Identity(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        namespace=run.namespace,
        type=run.type,
        queue=run.queue,
        started_at=run.started_at,
        callback_base="http://callback",
    )
    execution = Execution(workflow, identity)
    try:
        execution.replay([event for event in loaded.events if event.type not in history.CLOSING])
        outcome = execution.outcome
        if outcome is None:
            return "no end"
        if outcome.status is Status.COMPLETED:
            return outcome.status, workflow.signature.encode_result(outcome.value)
        return outcome.status, b""
    except Contradiction as error:
        return str(error.diff)
    finally:
        execution.detach()
