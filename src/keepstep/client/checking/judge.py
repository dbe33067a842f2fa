"""Judge: one process that replays batches of runs with the workflows that it has imported."""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.client.address import open_view
from keepstep.codecs.environment import codec_from_environment
from keepstep.codecs.view import OpenedView
from keepstep.journal import NotFound, Run, Unreadable, is_surely_dead
from keepstep.journal.namespace import queue_key, queue_prefix
from keepstep.runtime.blocked import Diff
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.interceptor import NO_INTERCEPTORS, Interceptors
from keepstep.runtime.registry import find_code, workflows
from keepstep.worker.preparing import prepare_to_run
from keepstep.worker.watchdog import Watchdog

from .verdict import Verdict, trouble, verdict_on


class Judge:
    """``with Judge(url) as judge: judge.judge(runs)``; the code was imported before."""

    def __init__(self, url: str, interceptors: Interceptors = NO_INTERCEPTORS) -> None:
        self._interceptors = interceptors
        prepare_to_run(workflows())
        self._view = OpenedView(open_view(url), codec_from_environment())
        self._watchdog = Watchdog()
        self._served = {
            queue
            for each in self._view.leases()
            if not is_surely_dead(each.lease.process)
            for queue in each.lease.queues
        }
        """Where living workers look for runs, those that stay with a version among them."""

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.stop()
        self._view.close()

    def judge(self, run_ids: Sequence[str]) -> Verdict:
        """What the code would do to these runs. One that is gone by now is passed over."""
        total = Verdict()
        for run_id in run_ids:
            total = total.with_more(self._judge(run_id))
        return total

    def _judge(self, run_id: str) -> Verdict:
        try:
            loaded = self._view.load(run_id)
        except NotFound:
            return Verdict()
        except Unreadable as error:
            return self._sealed(run_id, error)
        run = loaded.run
        workflow = find_code(run.type, run.queue)
        if workflow is None and is_pinned(run) and queue_key(queue_prefix(run.namespace), run.queue) in self._served:
            return Verdict(left=1)
        if workflow is None:
            return Verdict(runs=1, troubles=(trouble(run, unknown(run)),))
        return verdict_on(loaded, workflow, self._watchdog, self._interceptors)

    def _sealed(self, run_id: str, error: Unreadable) -> Verdict:
        """A run that this process has no key for is none that would surely go on."""
        run = self._view.read_run(run_id)
        return Verdict() if run is None else Verdict(runs=1, troubles=(trouble(run, Diff(str(error))),))


def is_pinned(run: Run) -> bool:
    return split_queue(run.queue, run.type)[1] is not None


def unknown(run: Run) -> Diff:
    """There is no code for a run here."""
    version = split_queue(run.queue, run.type)[1]
    if version is not None:
        return Diff(
            f"It stays with version {version!r} of {run.type!r}, which is not in this code, and which no worker serves."
        )
    return Diff(f"There is no workflow {run.type!r} in this code: workers with nothing else would never take it up.")
