"""Archive judge: one process that replays runs of an archive with the workflows that it has imported."""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.archive import Archive, Archived, decode_recording, place_at
from keepstep.codecs.environment import codec_from_environment
from keepstep.journal import InvalidInput, Unreadable
from keepstep.runtime.interceptor import NO_INTERCEPTORS, Interceptors
from keepstep.runtime.registry import find_code, workflows
from keepstep.worker.preparing import prepare_to_run
from keepstep.worker.watchdog import Watchdog

from .verdict import Verdict, verdict_on


class ArchiveJudge:
    """The code was imported before. What cannot be read is named, and proves nothing either way."""

    def __init__(self, place: str, interceptors: Interceptors = NO_INTERCEPTORS) -> None:
        self._interceptors = interceptors
        prepare_to_run(workflows())
        self._archive = Archive(place_at(place))
        self._codec = codec_from_environment()
        self._watchdog = Watchdog()

    def judge(self, wanted: Sequence[Archived]) -> Verdict:
        """What the code would do to these runs; they are all of one file."""
        total = Verdict()
        for archived, line in self._archive.read(wanted):
            total = total.with_more(self._judge(archived, line))
        return total

    def _judge(self, archived: Archived, line: bytes) -> Verdict:
        try:
            loaded = decode_recording(line, archived.where, self._codec).loaded
        except (InvalidInput, Unreadable) as error:
            return Verdict(unread=(str(error),))
        workflow = find_code(loaded.run.type, loaded.run.queue)
        if workflow is None:
            return Verdict(left=1)
        return verdict_on(loaded, workflow, self._watchdog, self._interceptors)
