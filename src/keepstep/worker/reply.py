"""Reply: what a worker says to somebody who asks a run something, on its way through the journal."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from keepstep.runtime.handling import UpdateOutcome

QUERY = "query"
UPDATE = "update"
"""Kinds of asks; the second is also the kind of a message that asks for an update."""


class ReplyKind(StrEnum):
    """What came of it."""

    VALUE = "value"
    """The handler has returned: its sealed result."""
    FAILED = "failed"
    """The handler has raised: the sealed failure."""
    REJECTED = "rejected"
    """An update was not accepted: the sealed failure of its validator."""
    INVALID = "invalid"
    """There is no such handler, or the arguments do not fit: in words."""
    BLOCKED = "blocked"
    """The run's code cannot be asked: in words why."""
    CLOSED = "closed"
    """The run takes no updates any more: in words why."""
    EARLIER = "earlier"
    """An update was done by a run that this one continues: its run id. The history of that one has the outcome."""
    AGAIN = "again"
    """Not now: in words why. Whoever asks may ask again."""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """See the module's docstring."""

    kind: ReplyKind
    payload: bytes = b""
    text: str = ""


class UpdateRequest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which update is asked for: its id and its sealed arguments."""

    id: str
    payload: bytes
    is_accepted: bool = False
    """By a run that this one continues; nothing is to be said against it any more."""


encode_reply = msgspec.msgpack.Encoder().encode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(UpdateRequest).decode


def again(why: str) -> Reply:
    return Reply(ReplyKind.AGAIN, text=why)


def earlier(run_id: str) -> Reply:
    return Reply(ReplyKind.EARLIER, text=run_id)


def reply_of(outcome: UpdateOutcome) -> Reply:
    """What the caller of an update is told."""
    return Reply(ReplyKind.VALUE if outcome.ok else ReplyKind.FAILED, outcome.payload)
