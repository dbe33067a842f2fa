"""Replaying: recorded histories as regression tests: would today's code go on where those runs stood?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keepstep.archive import Archive, decode_recording, encode_recording
from keepstep.archive.file import SUFFIX
from keepstep.archive.place import Folder
from keepstep.client.checking.verdict import verdict_on
from keepstep.client.handle import RunHandle
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import InvalidInput
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.interceptor import Interceptor, Interceptors
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


def replay(file: Path | str, workflow: Any = None, interceptors: Sequence[Interceptor] = ()) -> None:
    """Replay the history in a file made by ``keepstep history ID --export FILE`` or ``keepstep export``; nothing is run
    and nothing written. Of an archive (its folder, or one of its files) all runs are replayed, one after the other.

    :param workflow: the code; by default the workflow of the recorded name, which must have been imported.
    :param interceptors: those of the engine, which are part of the code.

    Raises ``HistoryMisfit`` that tells where code and history part, ``InvalidInput`` for a file that is no recording.
    What is sealed is read with the keys of KEEPSTEP_KEYS; raises ``Unreadable`` without them.
    """
    path, around = Path(file), Interceptors(interceptors)
    if path.is_dir() or path.name.endswith(SUFFIX):
        for name, data in _archived(path):
            _replay(name, data, workflow, around)
        return
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"the recorded history {path} cannot be read: {error.strerror}") from error
    _replay(str(path), data, workflow, around)


def _archived(path: Path) -> Iterator[tuple[str, bytes]]:
    """The runs of an archive, by file and line. One that cannot be read whole proves nothing."""
    archive = Archive(Folder(path if path.is_dir() else path.parent))
    found = archive.list()
    wanted = found if path.is_dir() else [each for each in found if each.file == path.name]
    if archive.troubles or not wanted:
        why = archive.troubles[0] if archive.troubles else "there is no run in it"
        raise InvalidInput(f"the archive {path} cannot be replayed: {why}")
    for archived, line in archive.read(sorted(wanted, key=lambda each: (each.file, each.line))):
        yield archived.where, line


def _replay(name: str, data: bytes, workflow: Any, interceptors: Interceptors) -> None:
    loaded = decode_recording(data, name, codec_from_environment()).loaded
    run = loaded.run
    code = _code_for(run.type, run.queue, workflow)
    prepare_to_run([code])
    verdict = verdict_on(loaded, code, _NoLimit(), interceptors)
    if verdict.troubles:
        [trouble] = verdict.troubles
        raise HistoryMisfit(
            f"{Path(name).name}: the history of {run.type} {run.workflow_id!r} ({run.status}, {run.last_seq} events) "
            f"does not fit the code any more; runs like it would be blocked\n{trouble.diff}"
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
