"""Starting: what starts a Python run, as the journal takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from keepstep.journal import NewEvent, NewRun, ParentLink
from keepstep.runtime import history
from keepstep.runtime.execution import digest_of
from keepstep.runtime.history import FORMAT, pack
from keepstep.runtime.loop import LOOP_VERSION

from .waiting import WaitingOptions

LANGUAGE = "python"


def started_run(
    name: str,
    arguments: bytes,
    *,
    run_id: str,
    workflow_id: str,
    namespace: str,
    queue: str,
    timeout_seconds: float | None,
    own_timeout_seconds: float | None = None,
    version: str,
    now: int,
    seed: bytes,
    parent: ParentLink | None = None,
    waiting: WaitingOptions | None = None,
    begins_as: str = "",
    not_after: int = 0,
    heard: tuple[history.HeardBefore, ...] = (),
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> NewRun:
    """What starts a Python run, by workflow name; clients that do not know the code use it too.

    One that begins later counts as started then, so that its first turn has that time, and its timeout runs from there.
    ``own_timeout_seconds``, where the start names a timeout, counts above ``timeout_seconds``, which the code names.
    """
    waiting = waiting or WaitingOptions()
    not_before = waiting.not_before(now)
    now = not_before or now
    started = history.WorkflowStarted(
        arguments,
        seed,
        LOOP_VERSION,
        timeout_seconds if own_timeout_seconds is None else own_timeout_seconds,
        options.get("continued_from") or "",
        parent.run_id if parent is not None else "",
        version=version,
        begins_as=begins_as,
        not_after=not_after,
        heard=heard,
        has_own_timeout=own_timeout_seconds is not None,
    )
    if headers:
        started = history.WorkflowStartedWithHeaders(**msgspec.structs.asdict(started), headers=dict(headers))
    return NewRun(
        run_id=run_id,
        workflow_id=workflow_id,
        namespace=namespace,
        language=LANGUAGE,
        format=FORMAT,
        type=name,
        queue=queue,
        events=(NewEvent(history.WORKFLOW_STARTED, now, None, pack(started)),),
        started_at=now,
        input_digest=digest_of(name, arguments),
        parent=parent,
        ticket=waiting.ticket(name, queue, not_before),
        **options,
    )
