"""Preparing: what a process does before it runs the code of any workflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keepstep.runtime.completion import make_completion_ordered
from keepstep.runtime.guard import scan_again, watch
from keepstep.runtime.workflow import Workflow


def prepare_to_run(workflows: Iterable[Workflow[Any, Any]]) -> None:
    """Put asyncio in order, and the guard on its post. Raises ``Nondeterminism`` for code that cannot be replayed."""
    make_completion_ordered()
    watch()
    for workflow in workflows:
        if workflow.is_guarded:
            scan_again(workflow.__wrapped__)
