"""Codes: the numbers that stand for statuses and conditions on disk, and the JSON beside them."""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.journal.lease import Lease
from keepstep.journal.queue import Queue
from keepstep.journal.run import Condition, Status

STATUSES = tuple(Status)
STATUS_CODES = {status: code for code, status in enumerate(STATUSES)}
CONDITIONS = tuple(Condition)
CONDITION_CODES = {condition: code for code, condition in enumerate(CONDITIONS)}

RUNNING = STATUS_CODES[Status.RUNNING]
NONE = CONDITION_CODES[Condition.NONE]
WAITING = CONDITION_CODES[Condition.WAITING]
BLOCKED = CONDITION_CODES[Condition.BLOCKED]
PAUSED = CONDITION_CODES[Condition.PAUSED]
QUARANTINED = CONDITION_CODES[Condition.QUARANTINED]
QUEUED = CONDITION_CODES[Condition.QUEUED]

UNOFFERED = (PAUSED, QUARANTINED, QUEUED)
"""Conditions in which nobody is offered the run."""

PARKED = (*UNOFFERED, BLOCKED)
"""Conditions in which a message does not wake the run."""

# The statements and indexes name these numbers; they are on disk and never change.
assert (RUNNING, WAITING, BLOCKED, PAUSED, QUARANTINED, QUEUED) == (0, 1, 2, 4, 5, 7)

to_json = msgspec.json.Encoder().encode
_decode_lease = msgspec.json.Decoder(Lease).decode
_decode_queue = msgspec.json.Decoder(Queue).decode


def json_text(value: object) -> str:
    """JSON as text, as databases take it."""
    return to_json(value).decode()


def from_json(text: str) -> Any:
    return msgspec.json.decode(text)


def lease_of(body: bytes) -> Lease:
    return _decode_lease(body)


def queue_of(body: bytes) -> Queue:
    return _decode_queue(body)
