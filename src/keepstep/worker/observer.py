"""Observer: whoever wants to hear what happens to runs at work: metrics, traces.

It only looks on. What it is told is never told again by a replay, and nothing that it raises reaches a run. Where
nobody observes there is no ``Observers``, and the moments cost one comparison.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from keepstep.journal import Status
from keepstep.runtime.execution import Identity

from .said import Said

logger = logging.getLogger("keepstep.worker")


class AttemptOutcome(StrEnum):
    """What came of an attempt."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    """It failed, and another one follows."""
    PARKED = "parked"
    """Nobody knows what came of it, or its undo is used up: a resolver or a person says how it goes on."""
    CANCELLED = "cancelled"
    """The run does not want its result any more."""
    LEFT = "left"
    """It was cut off: the run was given back, lost, or ended elsewhere. Who takes the run over hears of it."""


class ObservedAttempt(msgspec.Struct, frozen=True):
    """One execution of a step."""

    run_id: str
    workflow_id: str
    step: str
    key: str
    number: int
    """Counts from 1."""
    queue: str | None
    """None: in the worker that owns the run."""
    epoch: int
    """Of the owner that executes it."""
    waited_seconds: float | None = None
    """How long its task could have been taken from a queue before it was."""


class LostAttempt(msgspec.Struct, frozen=True):
    """A step that the code waits for, and which an earlier owner of its run left without an answer."""

    attempt: ObservedAttempt
    since: int
    """Engine time at which the code asked for it."""


class Observer:
    """Told of moments on the worker's event loop; what it does takes no time. Each method may be left as it is."""

    def run_started(self, run_id: str, workflow_id: str, workflow: str) -> None:
        """A run was started by this engine; told in the context of who started it."""

    def run_begun(self, run: Identity, waited_seconds: float) -> None:
        """The code of a run is about to run for the first time, so long after it was started."""

    def run_replayed(self, run: Identity, lost: Sequence[LostAttempt]) -> None:
        """A run was replayed and goes on here. An owner before has died, or was cut off, with these steps in hand."""

    def run_blocked(self, run: Identity) -> None:
        """A run cannot go on with the code that is here."""

    def run_closed(self, run: Identity, status: Status, ended_at: int, said: Sequence[Said], reopened_at: int) -> None:
        """The end of a run was recorded, at that engine time. ``said``: the signals and updates of its history; of one
        that was closed before and opened again (``retry``), those since ``reopened_at``, which is 0 for all others.

        One process is told of it: that which has recorded it, or, if nobody observes that, the worker that had the run.
        """

    def run_said(self, run: Identity, said: Said) -> None:
        """A run was spoken to, and this worker has recorded it or answered; ``Said`` has what, and what came of it."""

    def attempt_begun(self, attempt: ObservedAttempt) -> object:
        """Told in the context in which the step is about to be called. What it returns is handed to the end."""

    def attempt_ended(
        self,
        attempt: ObservedAttempt,
        begun: object,
        outcome: AttemptOutcome,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """It has ended after ``seconds``; told when its outcome is durable or was refused, in whatever context."""

    def committed(self, seconds: float, error: BaseException | None) -> None:
        """A commit is durable, or was refused, so long after it was handed in."""

    def lease_lost(self) -> None:
        """The lease of this worker was taken over."""


class Observers:
    """All observers of one engine. One that raises is logged, and the others are told all the same."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def tell(self, moment: Callable[[Observer], object]) -> list[object]:
        """Tell all of them; what each returned, None where it raised."""
        return [self._tell_one(each, moment) for each in self._observers]

    def attempt_ended(
        self,
        attempt: ObservedAttempt,
        begun: Sequence[object],
        outcome: AttemptOutcome,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Tell each the end of what it has heard the begin of."""
        for observer, token in zip(self._observers, begun, strict=True):
            self._tell_one(
                observer, lambda each, token=token: each.attempt_ended(attempt, token, outcome, seconds, error)  # type: ignore[misc]
            )  # fmt: skip

    def _tell_one(self, observer: Observer, moment: Callable[[Observer], object]) -> object:
        try:
            return moment(observer)
        except Exception:
            logger.exception("the observer %r failed; the run goes on", observer)
            return None
