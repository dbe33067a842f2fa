"""Replaying the history of a closed run gives its end again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keepstep.journal import Loaded, Status
from keepstep.runtime import history
from keepstep.runtime.blocked import Contradiction
from keepstep.runtime.execution import Execution, Identity
from keepstep.runtime.interceptor import Interceptors
from keepstep.runtime.workflow import Workflow
from keepstep.testing.simulation.courier import Courier
from keepstep.testing.simulation.features import Feature
from keepstep.testing.simulation.language import NEWEST, VERSIONS
from keepstep.testing.simulation.record import Record


def check(record: Record) -> Iterator[str]:
    around = Interceptors([Courier()] if Feature.HEADERS in record.features else ())
    for run_id, loaded in record.runs.items():
        run = loaded.run
        if run.status in (Status.RUNNING, Status.TERMINATED):
            continue
        end, ends = _end_of(loaded), []
        for workflow in _served(loaded):
            ends.append(_replay(workflow, loaded, around))
            if ends[-1] == end:
                break
        else:
            yield f"replaying {run.workflow_id} ({run_id}) gives {ends}, and its history has {end}"


def _served(loaded: Loaded) -> Iterator[Workflow[Any, Any]]:
    """The versions of a run's workflow; that first which its result names, and else that which most runs end with."""
    last = loaded.events[-1].data
    named = [version for version in VERSIONS if f'"version {version}"'.encode() in last]
    for version in dict.fromkeys((*named, NEWEST, *VERSIONS)):
        yield from (each for each in VERSIONS[version] if each.name == loaded.run.type)


def _end_of(loaded: Loaded) -> Any:
    last = loaded.events[-1]
    if last.type == history.WORKFLOW_COMPLETED:
        return Status.COMPLETED, history.unpack(last.type, last.data).payload
    return loaded.run.status, b""


def _replay(workflow: Workflow[Any, Any], loaded: Loaded, around: Interceptors) -> Any:
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
    execution = Execution(workflow, identity, around)
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
