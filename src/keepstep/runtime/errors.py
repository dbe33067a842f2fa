"""What user code and callers see when something went wrong. All are ``keepstep.Error``."""

from __future__ import annotations

import asyncio

from keepstep.journal import Error

from .data.duration import Duration, to_seconds


class StepFailed(Error):
    """A step used up its attempts, or failed with an error that is not retried.

    ``__cause__`` is the step's last error: of its original class where that can be imported.
    """

    def __init__(self, step: str, attempts: int, reason: str, *, uncertain: bool = False) -> None:
        tried = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"step {step!r} failed after {tried}: {reason}")
        self.step = step
        self.attempts = attempts
        self.uncertain = uncertain
        """True if an attempt timed out or was cut off, so that its effect may have happened all the same."""


class RetryLater(Error):
    """Raised by a step that knows how long it is to wait before its next attempt: ``raise RetryLater(after="30s")``.

    It is an attempt like any other that fails, and counts as one; only the pause is this one in the place of that of
    the step's ``Retry``. Where ``total_timeout`` would be over by then, the step has failed.
    """

    def __init__(self, message: str = "", *, after: Duration) -> None:
        super().__init__(message or f"to be tried again after {after}")
        self.after_seconds = to_seconds(after)


class WorkflowFailed(Error):
    """A run failed; raised by ``result()`` and, for a child, in its parent. ``__cause__`` is the original error."""

    def __init__(self, workflow: str, run_id: str, reason: str) -> None:
        super().__init__(f"workflow {workflow!r} (run {run_id}) failed: {reason}")
        self.workflow = workflow
        self.run_id = run_id


class Terminated(WorkflowFailed):
    """A run was terminated by an operator or by a restart of its id."""


class Cancelled(Error):
    """A run was cancelled before it came to a result; of an attempt (``heartbeat``): nobody waits for it any more."""


class TimedOut(Error, TimeoutError):
    """A step, a wait or a run took longer than it was allowed to."""


class Blocked(Error):
    """The run's code contradicts its history. Nothing was written; the run goes on when fitting code is deployed."""


class Uncertain(Error):
    """Nobody knows whether a ``once`` step has happened; a resolver or a person must say."""


class NoWorker(Error):
    """No worker is there that could answer."""


class QueryFailed(Error):
    """A query's handler raised an error. ``__cause__`` is that error, of its class where that can be imported."""


class UpdateRejected(Error):
    """An update was not accepted; nothing of it is left. ``__cause__`` is the error that its validator raised."""


class UpdateFailed(Error):
    """An update was accepted, and its handler failed. ``__cause__`` is the error that it raised."""


class Disturbed(Error):
    """A query or a validator has set something going, which it must not."""

    def __init__(self, handler: str) -> None:
        super().__init__(
            f"{handler} has set something of the run going; a query or validator only looks, and must not set events, "
            "put into queues, or make tasks and futures"
        )


class Exited(Error):
    """A step asked the process to exit. It is not repeated, and the process lives on."""


class WorkersDied(Error):
    """Several workers died while they executed a step for a queue. It is not given to another one."""


class Restless(Error):
    """Workflow code goes on for ever without waiting for anything durable."""

    def __init__(self, callbacks: int) -> None:
        super().__init__(
            f"the workflow ran {callbacks} callbacks in one turn without waiting for anything durable; "
            "a loop around asyncio.sleep(0) or a busy wait should wait for a signal, a step or a timer instead"
        )


class Evicted(asyncio.CancelledError):
    """Raised by durable calls while an evicted run is unwound. Nothing that the code does then has any effect."""
