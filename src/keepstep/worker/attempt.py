"""Attempt: one execution of a step, what a step may know of it, and what is remembered between attempts.

An ``AttemptRecord`` is kept as state beside history, and gone when the step ends.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from keepstep.journal import InvalidInput
from keepstep.runtime.call import current
from keepstep.runtime.data import describe, encode_failure, reader, within_limit
from keepstep.runtime.errors import TimedOut
from keepstep.runtime.step import Step
from keepstep.runtime.stream import Word

from .heart import Heart
from .voice import Say, Voice

if TYPE_CHECKING:
    from keepstep.runtime.operation import StepOperation

    from .resident import Resident

ATTEMPT = "attempt"
"""State kind: an ``AttemptRecord`` by the step's key."""


class AttemptRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a step stands that has not ended yet."""

    attempts: int = 0
    """Attempts that ended with an error or a timeout. A crash uses up none."""
    first_at: int = 0
    """Engine time at which the first attempt began."""
    next_at: int = 0
    """Engine time of the next attempt, while backing off."""
    failure: bytes = b""
    """The last error, a sealed ``Failure``."""
    is_uncertain: bool = False
    """An attempt timed out or was cut off."""
    once_begun: bool = False
    """A ``once`` step was about to be called when this was written."""
    is_parked: bool = False
    """Waits for a person: an exhausted undo, or a ``once`` step about which nobody knows."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AttemptRecord)
encode_attempt: Callable[[AttemptRecord], bytes] = _encoder.encode
decode_attempt: Callable[[bytes], AttemptRecord] = _decoder.decode


class ResultLost(InvalidInput):
    """A step has returned, and what it returned cannot be recorded."""


MAY_HAVE_HAPPENED = (TimedOut, ResultLost)
"""Errors that do not say that the step has done nothing."""


def sealed_result(step: Step[Any, Any], value: Any, bytes_max: int) -> bytes:
    """What a step returned, as it is recorded. Raises ``ResultLost``."""
    try:
        return within_limit(step.signature.encode_result(value), "the result of step", step.name, bytes_max)
    except InvalidInput as error:
        raise ResultLost(str(error)) from error


def sealed_error(error: BaseException) -> bytes:
    """An error that a step raised, as it is recorded."""
    return encode_failure(describe(error))


def _say_nothing(_: Word) -> None:
    raise InvalidInput(
        "a transaction=True step writes to no stream: its one word is its result, in the same transaction; "
        "write in the workflow, or in a step beside it"
    )


class StepInfo:
    """What a step may know about itself: ``keepstep.step_info()``."""

    __slots__ = ("_beat", "_details", "_headers", "attempt", "key", "run_id", "say", "workflow_id")

    def __init__(
        self,
        run_id: str,
        workflow_id: str,
        key: str,
        attempt: int,
        details: bytes,
        beat: Callable[[Any], None],
        say: Say | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.key = key
        """The structural key of the call."""
        self.attempt = attempt
        """Counts from 1."""
        self._details = details
        self._beat = beat
        self.say = say or _say_nothing
        """What ``write_stream`` calls."""
        self._headers = headers or {}

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call, and for no other call."""
        return f"{self.run_id}/{self.key}"

    @property
    def heartbeat_details(self) -> Any:
        """What the last heartbeat of an earlier attempt said, or None."""
        return _any(self._details) if self._details else None

    @property
    def headers(self) -> dict[str, str]:
        """What interceptors gave to the run's start, or to this call; see ``docs/interceptors.md``."""
        return dict(self._headers)

    def info(self) -> StepInfo:
        """Itself: what ``enter_step`` wants."""
        return self


class Attempt:
    """One execution of a step in this process, from its begin to its end; ``Resident.running`` holds it."""

    __slots__ = (
        "_heart",
        "_info",
        "failure",
        "is_cancelled",
        "is_told",
        "number",
        "operation",
        "resident",
        "task",
        "voice",
    )

    def __init__(self, resident: Resident, operation: StepOperation) -> None:
        self.resident = resident
        self.operation = operation
        self.number = 1
        """Counts from 1."""
        self.is_cancelled = False
        """The engine does not want its result any more."""
        self.is_told = False
        """To end, by code that waits for that and wants to know what came of it."""
        self.task: asyncio.Task[Any] | None = None
        """The task it waits in, once it waits for something."""
        self.failure: BaseException | None = None
        """What it ended with, for those who observe."""
        self.voice: Voice | None = None
        """What it writes to streams with, once it has."""
        self._heart: Heart | None = None
        self._info: StepInfo | None = None

    def cancel(self) -> None:
        """Let go of it: not begun if it was not, interrupted where it waits."""
        self.is_cancelled = True
        if self._heart is not None:
            self._heart.is_over = True
        if self.task is not None:
            self.task.cancel()

    def tell_to_end(self) -> None:
        """Interrupt an async step where it waits; a thread hears of it at its next heartbeat. Then wait for its end."""
        self.is_told = True
        if not self.operation.step.is_async:
            self.heart.is_over = True
        elif self._heart is not None and self._heart.task is not None:
            self._heart.task.cancel()
        elif self.task is not None:
            self.task.cancel()

    def is_current(self) -> bool:
        """False once the run has let go of it."""
        return self.resident.running.get(self.operation.key) is self

    @property
    def heart(self) -> Heart:
        if self._heart is None:
            worker = self.resident.worker
            self._heart = Heart(worker.loop, worker.journal.clock, self._keep_heartbeat)
        return self._heart

    def _keep_heartbeat(self, details: bytes) -> None:
        if not self.resident.is_dropped and self.is_current():
            self.resident.keep_heartbeat(self.operation.key, details)

    def info(self) -> StepInfo:
        """Made when it is asked for: most steps never ask."""
        if self._info is None:
            resident, key = self.resident, self.operation.key
            self._info = StepInfo(
                resident.run_id,
                resident.execution.identity.workflow_id,
                key,
                self.number,
                resident.heartbeats.get(key, b""),
                self.heart.beat,
                None if self.operation.step.run_options.transaction else self._say,
                self.operation.headers,
            )
        return self._info

    def _say(self, word: Word) -> asyncio.Future[None] | None:
        if self.voice is None:
            resident, worker = self.resident, self.resident.worker
            self.voice = Voice(
                worker.loop, worker.thread, self.operation.key, self.number, resident.record_words, self.is_wanted
            )
        return self.voice.say(word)

    def is_wanted(self) -> bool:
        """Whether what it says is of any interest."""
        return not (self.is_cancelled or self.resident.is_dropped) and self.is_current()

    def said_all(self) -> None:
        """It is over: hand in what it has said and what is not on its way yet, before anything that comes of it."""
        if self.voice is not None:
            self.voice.say_all()


class Informed(Protocol):
    """Whatever can tell a step about itself."""

    def info(self) -> StepInfo: ...


_any = reader()
_current_step: contextvars.ContextVar[Informed] = contextvars.ContextVar("keepstep_step")
enter_step = _current_step.set
leave_step = _current_step.reset


def step_info() -> StepInfo:
    """The step being executed. Raises ``RuntimeError`` outside of a step."""
    info = None if current() is not None else current_step_info()
    if info is None:
        raise RuntimeError(
            "step_info() and heartbeat() can only be used inside a step that a worker executes; a test that calls the "
            "step itself does so with keepstep.testing.kit.inside_step()"
        )
    return info


def current_step_info() -> StepInfo | None:
    """The step in whose context this is called, if any."""
    informed = _current_step.get(None)
    return None if informed is None else informed.info()


def heartbeat(details: Any = None) -> None:
    """Say that a long step is alive, and note how far it is; a later attempt finds it in ``heartbeat_details``.

    May be called from the step's own thread or task. Details are kept at most once a second. Raises ``Cancelled`` when
    nobody waits for the attempt any more: the run was cancelled or gave the step up, its time is over, or the worker
    has lost it. An async step beside its run hears of that where it awaits; a thread, and a step on a queue, only here.
    """
    step_info()._beat(details)
