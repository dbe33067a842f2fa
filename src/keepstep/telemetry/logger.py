"""Logger: ``keepstep.logger``, for workflow and step code. Its lines know which run they belong to.

Each record carries, as ``extra``, ``run_id``, ``workflow_id`` and ``workflow`` (in workflow code), or ``run_id``,
``workflow_id``, ``step_key`` and ``attempt`` (in steps). In workflow code it is quiet during replay: a line is written
by who runs a turn first. A line of the turn that was being run when a process died may be missing, and none is written
by each of those who replay it; what must not be missing is a ``keepstep.note``.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from keepstep.runtime.call import current
from keepstep.worker.attempt import current_step_info

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter

FIELDS = ("run_id", "workflow_id", "workflow", "step_key", "attempt")
"""What a record may carry beside what ``logging`` gives it."""


class RunLogger(_Adapter):
    """A logger of the standard library that knows where it is called from. Outside of runs it is a plain one."""

    def isEnabledFor(self, level: int) -> bool:
        execution = current()
        if execution is not None and execution.is_quiet:
            return False
        return super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **_whereabouts()}
        return msg, kwargs


def _whereabouts() -> dict[str, Any]:
    execution = current()
    if execution is not None:
        run = execution.identity
        return {"run_id": run.run_id, "workflow_id": run.workflow_id, "workflow": run.type}
    step = current_step_info()
    if step is None:
        return {}
    return {
        "run_id": step.run_id,
        "workflow_id": step.workflow_id,
        "step_key": step.key,
        "attempt": step.attempt,
    }


logger = RunLogger(logging.getLogger("keepstep.run"))
"""Use it in workflows and steps as any logger: ``keepstep.logger.info("shipped %s", label)``."""
