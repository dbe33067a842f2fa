"""Identity: which run it is, as its code is told, made from what the journal knows of it."""

from __future__ import annotations

from keepstep.journal import Run
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.execution import Identity


def identity_of(run: Run, callback_base: str = "") -> Identity:
    """``callback_base``: base of the callback URLs that are made from now on."""
    return Identity(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        namespace=run.namespace,
        type=run.type,
        queue=split_queue(run.queue, run.type)[0],
        started_at=run.started_at,
        parent_run_id=run.parent_run_id,
        continued_from=run.continued_from,
        callback_base=callback_base,
    )
