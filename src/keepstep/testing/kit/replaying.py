"""Replaying: recorded histories as regression tests: would today's code go on where those runs stood?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from keepstep.client.checking.verdict import verdict_on
from keepstep.client.handle import RunHandle
from keepstep.client.recording import decode_recording, encode_recording
from keepstep.journal import InvalidInput
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.registry import definition_of, find_code
from keepstep.runtime.workflow import Workflow
from keepstep.testing.simulation.process import Unwatched
from keepstep.worker.preparing import prepare_to_run


class HistoryMisfit(AssertionError):
    """Runs with this history would be blocked by the code."""


class _NoLimit(Unwatched):
    """A test may take as long as it wants, even in a debugger."""

    def go_on(self) -> None:
        """Nobody looks."""


async def record(run: RunHandle[Any], file: Path | str) -> None:
    """Write a run's history to a file, as ``keepstep history ID --export FILE`` does."""
    info = await run.describe()
    loaded = await run._engine.journal.load(info.run_id)
    await asyncio.to_thread(Path(file).write_bytes, encode_recording(loaded))


def replay(file: Path | str, workflow: Any = None) -> None:
    """Replay the history in a file made by ``keepstep history ID --export FILE``; nothing is run and nothing written.

    :param workflow: the code; by default the workflow of the recorded name, which must have been imported.

    Raises ``HistoryMisfit`` that tells where code and history part, ``InvalidInput`` for a file that is no recording.
    """
    path = Path(file)
    try:
        loaded = decode_recording(path.read_bytes(), str(path))
    except OSError as error:
        raise InvalidInput(f"the recorded history {path} cannot be read: {error.strerror}") from error
    run = loaded.run
    code = _code_for(run.type, run.queue, workflow)
    prepare_to_run([code])
    verdict = verdict_on(loaded, code, _NoLimit())
    if verdict.troubles:
        [trouble] = verdict.troubles
        raise HistoryMisfit(
            f"{path.name}: the history of {run.type} {run.workflow_id!r} ({run.status}, {run.last_seq} events) does "
            f"not fit the code any more; runs like it would be blocked\n{trouble.diff}"
        )


def _code_for(type: str, queue: str, workflow: Any) -> Workflow[Any, Any]:
    code = find_code(type, queue) if workflow is None else definition_of(workflow)
    if code is not None:
        return code
    if workflow is not None:
        raise InvalidInput(f"replay takes a function or class decorated with @workflow, not {workflow!r:.100}")
    version = split_queue(queue, type)[1]
    which = f"{type!r}" if version is None else f"{type!r} of version {version!r}"
    raise InvalidInput(f"there is no workflow {which} in this process; import its module, or say workflow=")
