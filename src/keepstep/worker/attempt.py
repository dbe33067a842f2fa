"""Attempt: what is remembered of a step between its attempts. Kept as state beside history, gone when the step ends."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import msgspec

from keepstep.runtime.call import current
from keepstep.runtime.data import reader

ATTEMPT = "attempt"
"""State kind: an ``AttemptRecord`` by the step's key."""

HEARTBEAT = "heartbeat"
"""State kind: the sealed details of the last heartbeat, by the step's key."""


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


class StepInfo:
    """What a step may know about itself: ``keepstep.step_info()``."""

    __slots__ = ("_beat", "_details", "attempt", "key", "run_id", "workflow_id")

    def __init__(
        self, run_id: str, workflow_id: str, key: str, attempt: int, details: bytes, beat: Callable[[Any], None]
    ) -> None:
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.key = key
        """The structural key of the call."""
        self.attempt = attempt
        """Counts from 1."""
        self._details = details
        self._beat = beat

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call, and for no other call."""
        return f"{self.run_id}/{self.key}"

    @property
    def heartbeat_details(self) -> Any:
        """What the last heartbeat of an earlier attempt said, or None."""
        return _any(self._details) if self._details else None


_any = reader()
_current_step: contextvars.ContextVar[StepInfo] = contextvars.ContextVar("keepstep_step")
enter_step = _current_step.set


def step_info() -> StepInfo:
    """The step being executed. Raises ``RuntimeError`` outside of a step."""
    info = _current_step.get(None)
    if info is None or current() is not None:
        raise RuntimeError("step_info() can only be used inside a step that a worker executes")
    return info


def heartbeat(details: Any = None) -> None:
    """Say that a long step is alive, and note how far it is; a later attempt finds it in ``heartbeat_details``.

    May be called from the step's own thread or task. Details are kept at most once a second.
    """
    step_info()._beat(details)
